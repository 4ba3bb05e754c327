# SPDX-License-Identifier: MIT
"""Plans as people and programs read them: a screen of text, and a JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from rich.table import Table
from rich.text import Text

from tinyeff.console.dynamic import dynamic_lines, dynamic_object
from tinyeff.console.spreading import region_lines, region_objects
from tinyeff.footprint import Footprint, footprint
from tinyeff.ir import Graph, LayerMemory, Limits, Plan, Target
from tinyeff.ops import operator_of
from tinyeff.ops.operator import describe_shape, node_of
from tinyeff.planner import Verdict, arrange, front, judge, plan, strategies
from tinyeff.planner.bound import Bound, lower_bound
from tinyeff.selection import select

SCHEMA_VERSION = 1
KIB, MIB = 1024, 1024 * 1024
TITLES = ("#", "layer", "output", "MACs", "live bytes", "")
BAR = 20
NAME_WIDTH = 40


@dataclass(frozen=True, eq=False)
class Planned:
    """A model, its plan, and how that compares with what the user grants."""

    graph: Graph
    plan: Plan
    limits: Limits
    footprint: Footprint
    verdict: Verdict
    strategies: dict[str, Plan]
    front: tuple[Plan, ...] = ()
    bound: Bound | None = None


def planned(graph: Graph, target: Target, limits: Limits) -> Planned:
    """Select, arrange and plan a prepared graph, and judge the plan by the limits.

    What the caller provides for outputs is SRAM of the user, and counts with the stack.
    """
    graph = arrange(select(graph, target, limits.flash_bytes), target, limits)
    chosen = plan(graph, target, limits)
    foot = footprint(graph, chosen)
    verdict = judge(chosen, limits, foot.stack_bytes + foot.output_bytes, foot.flash_bytes)
    return Planned(graph, chosen, limits, foot, verdict, strategies(graph, target, limits, chosen))


def with_front(p: Planned) -> Planned:
    """The same, the front of arena against extra MACs over all strategies, and a lower bound."""
    known = [p.plan, *p.strategies.values()]
    return replace(p, front=tuple(front(p.graph, p.plan.target, p.limits, known)),
                   bound=lower_bound(p.graph, p.plan.input_memory))


def kib(size: int) -> str:
    """A size for people: '74.1 KiB', '231 KiB', '1 MiB', '640 bytes'."""
    if size < KIB:
        return f"{size} byte{'' if size == 1 else 's'}"
    if size % MIB == 0:
        return f"{size // MIB} MiB"
    digits = 0 if size % KIB == 0 or size >= 100 * KIB else 1
    return f"{size / KIB:,.{digits}f} KiB"


def both(size: int) -> str:
    """A size in bytes, and in KiB where that is shorter: '75,878 bytes (74.1 KiB)'."""
    return f"{size:,} bytes ({kib(size)})" if size >= KIB else kib(size)


def verdict_sentence(p: Planned) -> str:
    """Whether it fits, and if not, by how much."""
    v = p.verdict
    sram = ", ".join(f"{kib(m.size_bytes)} of {m.name}" for m in v.memories if m.size_bytes)
    needs = f"{sram or kib(v.sram_bytes) + ' of SRAM'}, {kib(v.flash_bytes)} of flash"
    return needs_sentence(needs, _granted(p.limits, v), v.missing_sram_bytes, v.missing_flash_bytes)


def needs_sentence(needs: str, granted: str, missing_sram: int, missing_flash: int) -> str:
    """Needs against what is granted (empty: nothing is); `missing_…` in bytes, 0 where it fits."""
    if not granted:
        return f"needs {needs}"
    missing = [f"{both(size)} of {what}"
               for what, size in (("SRAM", missing_sram), ("flash", missing_flash)) if size]
    if not missing:
        return f"fits {granted}: {needs}"
    return f"does not fit {granted}: needs {needs}; {' and '.join(missing)} too much"


def _granted(limits: Limits, verdict: Verdict) -> str:
    if not verdict.memories:
        return granted_words(limits)
    parts = [f"{kib(m.size_bytes)} of {m.name}" for m in limits.memories]
    parts += [] if limits.flash_bytes is None else [f"{kib(limits.flash_bytes)} of flash"]
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def granted_words(limits: Limits) -> str:
    """SRAM in one piece, and flash, as far as they are granted."""
    sram, flash = limits.sram_bytes, limits.flash_bytes
    if sram is not None and flash is not None:
        return f"{kib(sram)} of SRAM and {kib(flash)} of flash"
    if sram is not None:
        return kib(sram)
    return "" if flash is None else f"{kib(flash)} of flash"


def blame(p: Planned) -> Iterator[str]:
    """For each limit that is broken, the operator that is to blame."""
    graph, v = p.graph, p.verdict
    if v.missing_sram_bytes and v.peak_op is not None:
        op = graph.ops[v.peak_op]
        yield (f"to blame: layer {v.peak_op}, {op.kind} '{short_name(op.name)}' "
               f"({_shapes(graph, v.peak_op)}), needs {both(v.peak_bytes)} of the arena "
               "while it runs")
    if v.missing_flash_bytes and p.plan.variants:
        worst = max(range(len(graph.ops)), key=lambda n: p.plan.variants[n].const_bytes)
        op = graph.ops[worst]
        yield (f"to blame: layer {worst}, {op.kind} '{short_name(op.name)}', has the most "
               f"constants: {both(p.plan.variants[worst].const_bytes)}")


def short_name(name: str) -> str:
    """The name of an operator or tensor, cut to what tells it from others.

    Converters join the names of everything that was fused with semicolons.
    """
    first = name.split(";")[0]
    return first if len(first) <= NAME_WIDTH else f"...{first[3 - NAME_WIDTH:]}"


def _shapes(graph: Graph, op: int) -> str:
    node = node_of(graph, graph.ops[op])
    inputs = ", ".join(describe_shape(t.shape) for t in node.activations)
    return f"{inputs} -> {describe_shape(node.output.shape)}"


def plan_object(p: Planned) -> dict[str, Any]:
    """The JSON object of `tinyeff plan`."""
    chosen, foot, v = p.plan, p.footprint, p.verdict
    figures = {name: _figures(plan) for name, plan in p.strategies.items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "model": p.graph.source.name,
        "cpu": chosen.target.cpu,
        "optimize": chosen.target.optimize,
        "quantized": not p.graph.is_float,
        "fits": v.fits,
        "strategy": chosen.strategy,
        "input_memory": chosen.input_memory,
        "activation_bytes": chosen.activation_bytes,
        "scratch_bytes": chosen.scratch_bytes,
        "arena_bytes": chosen.arena_bytes,
        "regions": region_objects(p.graph, chosen, p.limits, v),
        "cut_off": chosen.cut_off,
        "lower_bound_bytes": chosen.lower_bound_bytes,
        "lower_bound": _bound_object(p.bound, chosen) if p.bound else None,
        "stack_bytes": foot.stack_bytes,
        "input_bytes": foot.input_bytes,
        "output_bytes": foot.output_bytes,
        "sram_bytes": v.sram_bytes,
        "flash_bytes": v.flash_bytes,
        "const_bytes": foot.const_bytes,
        "code_bytes": foot.code_bytes,
        "table_bytes": foot.table_bytes,
        "missing_sram_bytes": v.missing_sram_bytes,
        "missing_flash_bytes": v.missing_flash_bytes,
        "limits": {"sram_bytes": p.limits.sram_bytes, "flash_bytes": p.limits.flash_bytes,
                   "memories": {m.name: m.size_bytes for m in p.limits.memories}},
        "macs": chosen.macs,
        "overhead": overhead(chosen),
        "peak_layer": v.peak_op,
        "strategies": figures,
        "front": [{"strategy": plan.strategy, **_figures(plan)} for plan in p.front],
        **dynamic_object(p.graph, chosen),
        "layers": [_layer_object(p, memory) for memory in chosen.layers],
    }


def _bound_object(bound: Bound, chosen: Plan) -> dict[str, Any]:
    gap = None
    if chosen.computes_rows_once:
        gap = chosen.activation_bytes - bound.size_bytes
    return {"activation_bytes": bound.size_bytes, "gap_bytes": gap, "tensor": bound.tensor,
            "row": None if bound.row < 0 else bound.row, "complete": bound.complete}


def overhead(plan: Plan) -> float:
    """Multiply-accumulates beyond those of the graph, as a fraction of them."""
    return plan.extra_macs / plan.macs if plan.macs else 0.0


def _figures(plan: Plan) -> dict[str, Any]:
    return {"activation_bytes": plan.activation_bytes, "scratch_bytes": plan.scratch_bytes,
            "arena_bytes": plan.arena_bytes, "overhead": overhead(plan)}


def _layer_object(p: Planned, memory: LayerMemory) -> dict[str, Any]:
    op = p.graph.ops[memory.op]
    node = node_of(p.graph, op)
    return {
        "name": op.name, "kind": op.kind, "output_shape": list(node.output.shape),
        "macs": operator_of(op.kind).macs(node), "live_bytes": memory.live_bytes,
        "scratch_bytes": memory.scratch_bytes,
        "const_bytes": p.plan.variants[memory.op].const_bytes,
        "variant": p.plan.variants[memory.op].name,
    }


def summary(p: Planned) -> Iterator[str]:
    """The figures behind the verdict, a line each."""
    chosen, foot, v = p.plan, p.footprint, p.verdict
    yield (f"SRAM   {v.sram_bytes:>11,} bytes = arena {chosen.arena_bytes:,} + stack "
           f"{foot.stack_bytes:,} (at most) + output {foot.output_bytes:,}")
    yield from region_lines(p.graph, chosen, p.limits, v)
    yield (f"arena  {chosen.arena_bytes:>11,} bytes = activations {chosen.activation_bytes:,} + "
           f"scratch and gaps {chosen.scratch_bytes:,}; {_placement(chosen)}")
    if p.bound is not None:
        yield f"bound  {p.bound.size_bytes:>11,} bytes of activations {_gap(p, p.bound)}"
    yield (f"flash  {v.flash_bytes:>11,} bytes = constants {foot.const_bytes:,} + code about "
           f"{foot.code_bytes:,} + tables about {foot.table_bytes:,}")
    again = f" + {chosen.extra_macs:,} computed again" if chosen.extra_macs > 0 else ""
    yield (f"work   {chosen.macs:>11,} multiply-accumulates{again}; {chosen.strategy}, input "
           f"{chosen.input_memory}, {chosen.target.cpu}")
    yield from dynamic_lines(p.graph, p.plan)
    yield "arena by strategy: " + ", ".join(
        f"{name} {both(plan.arena_bytes)}{_surplus(plan)}" for name, plan in p.strategies.items())
    if chosen.cut_off:
        yield "The search was cut off in this large network: a smaller plan may exist."
    if foot.input_bytes:
        yield f"The caller must provide the input as well: {both(foot.input_bytes)}."
    if p.graph.is_float:
        yield ("This model computes in float32: planned as if quantized to int8 "
               "(tinyeff quantize does that).")


def _placement(plan: Plan) -> str:
    """How good the offsets are, for these operators in this order."""
    if plan.arena_bytes == plan.lower_bound_bytes:
        return "no layout is smaller"
    return f"any layout needs {plan.lower_bound_bytes:,}"


def _gap(p: Planned, bound: Bound) -> str:
    """What the bound says, and how far the smallest plan of those it holds for is from it."""
    what = "live in any plan that computes each row once"
    if not bound.complete:
        what += " (perhaps more: not all tensors were looked at)"
    once = [plan for plan in (p.plan, *p.strategies.values()) if plan.computes_rows_once]
    if not once:
        return what
    best = min(once, key=lambda plan: plan.activation_bytes)
    name = "this one" if best == p.plan else best.strategy
    above = best.activation_bytes / bound.size_bytes - 1 if bound.size_bytes else 0.0
    return f"{what}; {name} is {above:.0%} above"


def _surplus(plan: Plan) -> str:
    """What the plan computes more than once, as it follows a strategy's bytes."""
    return f" at {overhead(plan):+.1%} MACs" if plan.extra_macs else ""


def front_table(p: Planned) -> Table:
    """A row per point of the front; the one that the plan is has an arrow."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("extra MACs", "arena bytes", "activations"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("")
    for point in p.front:
        chosen = "  <- this plan" if point == p.plan else ""
        table.add_row(percent(point), f"{point.arena_bytes:,}", f"{point.activation_bytes:,}",
                      point.strategy + chosen)
    return table


def percent(plan: Plan) -> str:
    """The plan's overhead, rounded so that --max-overhead with it allows the plan."""
    return f"{max(ceil(overhead(plan) * 10_000), 0) / 100:.2f}%"


def layer_table(p: Planned, unicode: bool, rows: int, width: int) -> Table:
    """A row per layer with the peak marked; of more than `rows` layers the largest, in order.

    The bar of live bytes takes what `width` leaves.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in TITLES:
        right = title in ("#", "MACs", "live bytes")
        table.add_column(title, justify="right" if right else "left", no_wrap=True)
    layers = p.plan.layers
    totals = [m.live_bytes + m.scratch_bytes for m in layers]
    cells = [_cells(p, memory) for memory in layers]
    used = sum(max(map(len, column)) + 2 for column in zip(TITLES, *cells, strict=True))
    bar = max(4, min(BAR, width - used - len(" peak")))
    shown, most = _shown(totals, rows), max(totals, default=0)
    for n, total in enumerate(totals):
        if n in shown:
            peak = n == p.verdict.peak_op
            drawn = ("█" if unicode else "#") * (-(-bar * total // most) if most else 0)
            table.add_row(*map(Text, cells[n][:-1]), Text(drawn + (" peak" if peak else "")),
                          style="bold red" if peak else None)
        elif n - 1 in shown or n == 0:
            following = min((k for k in shown if k > n), default=len(layers))
            largest = max(totals[n:following])
            table.add_row("", f"({following - n} more)", "", "", f"up to {largest:,}", style="dim")
    return table


def _cells(p: Planned, memory: LayerMemory) -> tuple[str, ...]:
    """The text of a layer's row; the bar is drawn later."""
    op = p.graph.ops[memory.op]
    node = node_of(p.graph, op)
    macs = operator_of(op.kind).macs(node)
    return (str(memory.op), op.kind, describe_shape(node.output.shape),
            f"{macs:,}" if macs else "", f"{memory.live_bytes + memory.scratch_bytes:,}", "")


def _shown(totals: Sequence[int], rows: int) -> set[int]:
    """The layers that get a row: all, or the largest; a gap between them takes a row as well."""
    if len(totals) <= rows:
        return set(range(len(totals)))
    order = sorted(range(len(totals)), key=lambda n: (-totals[n], n))
    shown = {order[0]}
    for n in order[1:]:
        gaps = _gaps(shown | {n}, len(totals))
        if len(shown) + 1 + gaps <= rows:
            shown.add(n)
    return shown


def _gaps(shown: set[int], count: int) -> int:
    """How many runs of layers without a row there are."""
    return sum(n not in shown and (n == 0 or n - 1 in shown) for n in range(count))
