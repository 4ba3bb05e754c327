# SPDX-License-Identifier: MIT
"""docs/operators.md, written from the registry: what each operator is, and what it refuses.

Forms, kernels and in-place rules are those of the operators' own test cases. The sentences on
limits are read out of the code that says them, with … for what it finds in a model.
`python -m tests.operators_page` (or `make golden`) writes the page anew.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.shared import CHECKOUT
from tinyeff.ir import Graph, Variant, Window
from tinyeff.ops import registry
from tinyeff.ops.operator import Operator, node_of
from tinyeff.planner import sizes
from tinyeff.planner.overlap import overlaps
from tinyeff.targets import target_for

PAGE = CHECKOUT / "docs" / "operators.md"
CPUS = ("cortex-m0plus", "cortex-m4", "cortex-m55")
"""One CPU for each kernel path."""

INTRODUCTION = """\
# Operators

This page is generated from the code: `make golden` writes it anew.

Every operator here computes in int8, batch 1, and equals LiteRT's reference kernel bit for bit.
A model that needs anything else is refused with exit code 3, and all of it is listed at once. On
top of the limits of each operator, activations have one scale and one zero point, and some input
is not a constant.

Operators whose result is known when the file is read need no kernel. Of constants are folded
{folded}.
PADV2 that pads with zero becomes PAD, SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND around a convolution
its dilation, TILE that repeats rows or columns a resize.

- **Form** is how a kernel is called ([architecture](architecture.md)): *rows* computes some rows of
  its output from the rows that they need, *accumulate* takes its input row by row and then
  finishes, *whole* needs whole tensors, and for a *view* no code runs.
- **In place** says how far the output may lie over the input's memory, if nothing else needs it.
- **Kernels**: *portable* ones run on every Cortex-M, *dsp* ones where there is the DSP extension.
- **uint8**: also from files of 2018 to 2020 that compute in uint8.
- … in a limit stands for what was found in the model.
"""

Sentences = dict[str, None]


def page() -> str:
    """The text of docs/operators.md."""
    from tinyeff.reader.constants import FOLDS

    folded = ", ".join(sorted({"SHAPE", "RANK", *FOLDS}))
    head = INTRODUCTION.replace("{folded}", textwrap.fill(folded, 98))
    rows = [f"| [{kind}](#{kind.lower()}) | {forms(op)} | {in_place(op)} | "
            f"{', '.join(kernels(op))} | {'yes' if op.uint8 else ''} |"
            for kind, op in registry().items() if any(op.cases())]
    table = ["| operator | form | in place | kernels | uint8 |", "|---|---|---|---|---|", *rows]
    parts = [head, "\n".join(table) + "\n", *(section(op) for op in registry().values())]
    return "\n".join(parts)


def section(operator: Operator[Any]) -> str:
    """Everything on one operator."""
    module = inspect.getmodule(type(operator))
    assert module is not None and module.__doc__ is not None
    about = " ".join(module.__doc__.split("\n\n")[0].split())
    about = re.sub(rf"^{operator.kind}: ", "", about)
    about = about[0].upper() + about[1:] if about[1].isalpha() else about
    lines = [f"## {operator.kind}", "", about, ""]
    for variant, cpus in kernels(operator).items():
        where = "every CPU" if len(cpus) == len(CPUS) else " and ".join(cpus) + " and their like"
        lines.append(f"- Kernel *{variant}*: {where}.")
    limits = list(sentences(operator))
    lines += [f"- Refused: {sentence}." for sentence in limits] or ["- No limits of its own."]
    return "\n".join(lines) + "\n"


# What the cases show ----------------------------------------------------------------------------


def _variants(operator: Operator[Any]) -> Iterator[tuple[Graph, str, Variant]]:
    for graph in operator.cases():
        for cpu in CPUS:
            node = node_of(graph, graph.ops[0])
            for variant in operator.variants(node, target_for(cpu, "speed")):
                yield graph, cpu, variant


def forms(operator: Operator[Any]) -> str:
    """The forms that its cases have."""
    found = {operator.form_of(node_of(graph, graph.ops[0])) for graph in operator.cases()}
    return ", ".join(sorted(found))


def kernels(operator: Operator[Any]) -> dict[str, tuple[str, ...]]:
    """The names of the kernels, with the CPUs that have them."""
    found: dict[str, set[str]] = {}
    for _, cpu, variant in _variants(operator):
        name = re.sub(r"_?\d+.*", "", variant.name)  # blocks of another size are the same kernel
        found.setdefault(name, set()).add(cpu)
    return {name: tuple(sorted(cpus)) for name, cpus in found.items()}


def in_place(operator: Operator[Any]) -> str:
    """The planner's rules for its cases, the most generous first."""
    order = ("view", "always", "pixel by pixel", "row by row", "no")
    found = {"view"} if "view" in forms(operator) else set()
    for graph, _, variant in _variants(operator):
        found |= set(_rules(operator, graph, variant))
    words = [rule for rule in order if rule in found and (rule != "no" or found == {"no"})]
    return ", else ".join(words).replace("view", "its input's memory")


def _rules(operator: Operator[Any], graph: Graph, variant: Variant) -> Iterator[str]:
    """The planner's rule for each pair of an output and an input, in words."""
    op, node = graph.ops[0], node_of(graph, graph.ops[0])
    activations = [i for i in op.inputs if not graph.tensors[i].is_constant]
    for overlap in overlaps(graph, op, variant, False):
        source, result = graph.tensors[overlap.read], graph.tensors[overlap.written]
        if overlap.below == -overlap.above:
            yield "always"
            continue
        number = activations.index(overlap.read)
        apart = (sizes.size_bytes(result), sizes.size_bytes(source))
        if operator.form_of(node) != "rows" or (overlap.below, overlap.above) == apart:
            yield "no"
        elif variant.consumes and Window() == operator.window(node, number) == operator.columns(
            node, number
        ):
            yield "pixel by pixel"
        else:
            yield "row by row"


# What the code says -----------------------------------------------------------------------------


def sentences(operator: Operator[Any]) -> Sentences:
    """The limits, each as the user will see it, in the order of the code."""
    found: Sentences = {}
    _collect(type(operator).limits, type(operator), found, set())
    return found


def _collect(
    function: Callable[..., Any], cls: type, found: Sentences, seen: set[Callable[..., Any]]
) -> None:
    """All that `function` yields or returns as text, and what the limits that it calls do."""
    if function in seen:
        return
    seen.add(function)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    names = function.__globals__
    for node in _in_order(tree):
        if isinstance(node, (ast.Yield, ast.Return)) and node.value is not None:
            text = _text(node.value, names)
            if text and not text.startswith("…;"):  # another function's sentence
                found.setdefault(text)
        elif isinstance(node, ast.Call):
            called = _function(node.func, function, cls, names)
            if called is not None and "limit" in called.__name__:
                _collect(called, cls, found, seen)


def _in_order(tree: ast.AST) -> list[ast.AST]:
    nodes = [n for n in ast.walk(tree) if hasattr(n, "lineno")]
    return sorted(nodes, key=lambda n: (n.lineno, n.col_offset))  # type: ignore[attr-defined]


def _function(
    node: ast.expr, inside: Callable[..., Any], cls: type, names: dict[str, Any]
) -> Any:
    if isinstance(node, ast.Name):
        found = names.get(node.id)
        return found if inspect.isfunction(found) else None
    if not isinstance(node, ast.Attribute):
        return None
    if isinstance(node.value, ast.Name):
        if node.value.id == "self":
            return getattr(cls, node.attr, None)
        owner = names.get(node.value.id)
        return getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else None
    if isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()":
        owners = [c for c in cls.__mro__ if c.__dict__.get(inside.__name__) is inside]
        after = cls.__mro__[cls.__mro__.index(owners[0]) + 1:]
        return next((c.__dict__[node.attr] for c in after if node.attr in c.__dict__), None)
    return None


def _text(node: ast.expr, names: dict[str, Any]) -> str:
    """The string that `node` makes, "" where it makes none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _text(v, names) if isinstance(v, ast.Constant) else _placed(v, names)
            for v in node.values)
    return ""


def _placed(node: ast.expr, names: dict[str, Any]) -> str:
    """The value of a placeholder where it is the same for every model, else …."""
    assert isinstance(node, ast.FormattedValue)
    try:
        code = compile(ast.Expression(node.value), "limit", "eval")
        return str(eval(code, names))  # our own source, in its own module
    except NameError:
        return "…"


def main() -> None:
    """Write the page anew."""
    Path(PAGE).write_bytes(page().encode("utf-8"))


if __name__ == "__main__":
    main()
