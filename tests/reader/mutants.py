# SPDX-License-Identifier: MIT
"""Models of which a field or two say something else: python -m tests.reader.mutants FIRST COUNT.

Where flipped bytes mostly damage a file's structure, these keep it and lie about what it holds:
shapes, types, scales, indices, options, the values of small constants. Each is refused with a
sentence, or read; what is read computes in numpy what LiteRT computes, unless LiteRT refuses it.
LiteRT itself ends the process on some files, so that this runs in one of its own.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from tests.networks.strategy import network
from tests.reader.damage import packed, unpacked
from tests.reader.test_damaged import outcome
from tinyeff.data import random_inputs
from tinyeff.errors import ModelFileError
from tinyeff.interpreter import evaluate
from tinyeff.reader import parse, simplify
from tinyeff.simulator.oracle import Oracle

MOST_BYTES = 60_000
"""Of a model that is changed; larger ones only take longer."""

INTEGERS = (0, 1, -1, 2, -2, 3, -3, 4, 5, 7, 8, 100, 127, 128, 255, -128, -129, 1000, 1 << 16,
            1 << 30, 2**31 - 1, -2**31)
REALS = (0.0, -0.0, -1.0, float("nan"), float("inf"), float("-inf"), 1e-45, 1e-38, 1e-10, 1e10,
         3e38, 1.0, 0.5, 2.0, 2.0**-20, 1 / 256, 1 / 128)
ZERO_POINTS = (1, -1, 127, -128, 128, -129, 2**31, 2**40, -2**63)
TYPES = (0, 1, 2, 3, 4, 6, 7, 9, 10, 16, 17, 18, 19, 99)
ENUMERATIONS = ("padding", "fusedActivationFunction", "weightsFormat", "outDataType", "outputType",
                "inDataType", "type", "quantizedBiasType")

Change = Callable[[Random, Any, Any, Any], None]
"""(random, subgraph, tensor, operator): changes something of one of them."""


def _integer(random: Random, now: int) -> int:
    """An integer beside `now`, or any other."""
    near = int(now) + random.choice([-2, -1, 1, 2])
    return max(-2**31, min(near, 2**31 - 1)) if random.random() < 0.5 else random.choice(INTEGERS)


def _one_changed(random: Random, values: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of an array with `change` applied to one of its values."""
    result = np.array(values)
    if result.size:
        place = random.randrange(result.size)
        result.reshape(-1)[place] = change(result.reshape(-1)[place])
    return result


def _length_changed(random: Random, values: Any, most: int) -> Any:
    """A list of indices with one taken away, added, replaced, or all in reverse."""
    result = list(() if values is None else values)
    kind = random.randrange(4)
    if kind == 0 and result:
        result.pop(random.randrange(len(result)))
    elif kind == 1:
        result.insert(random.randrange(len(result) + 1), random.randrange(-1, most))
    elif kind == 2 and result:
        result[random.randrange(len(result))] = random.randrange(-1, most)
    else:
        result.reverse()
    return np.array(result, np.int32)


def _shape(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    tensor.shape = _one_changed(random, tensor.shape, lambda n: _integer(random, n))


def _rank(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    shape = list(() if tensor.shape is None else tensor.shape)
    tensor.shape = np.array(random.choice([shape[1:], [1, *shape], [*shape, 1], shape[::-1]]),
                            np.int32)


def _free_shape(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    tensor.shapeSignature = np.full(len(() if tensor.shape is None else tensor.shape), -1, np.int32)


def _type(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    tensor.type = random.choice(TYPES)


def _variable(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    tensor.isVariable = True


def _unquantized(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    tensor.quantization = None


def _scale(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    quant = tensor.quantization
    if quant is not None and quant.scale is not None:
        with np.errstate(over="ignore"):
            quant.scale = _one_changed(random, np.array(quant.scale, np.float32), lambda s: (
                random.choice([*REALS, s * 2, s / 2, s * np.float32(1e6), s * np.float32(1e-6)])))


def _zero_point(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    quant = tensor.quantization
    if quant is not None and quant.zeroPoint is not None:
        quant.zeroPoint = _one_changed(random, np.array(quant.zeroPoint, np.int64),
                                       lambda _: random.choice(ZERO_POINTS))


def _scales(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    quant = tensor.quantization
    if quant is None or quant.scale is None or not len(quant.scale):
        return
    count = random.choice([0, 1, 2, 3, len(quant.scale) + 1, len(quant.scale) - 1])
    quant.scale = np.resize(np.array(quant.scale, np.float32), count)
    if random.random() < 0.5 and quant.zeroPoint is not None and len(quant.zeroPoint):
        quant.zeroPoint = np.resize(np.array(quant.zeroPoint, np.int64), count)


def _axis(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    if tensor.quantization is not None:
        tensor.quantization.quantizedDimension = _integer(random, 0)


def _inputs(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    op.inputs = _length_changed(random, op.inputs, len(graph.tensors))


def _outputs(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    op.outputs = _length_changed(random, op.outputs, len(graph.tensors))


def _ends(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    name = random.choice(["inputs", "outputs"])
    setattr(graph, name, _length_changed(random, getattr(graph, name), len(graph.tensors)))


def _order(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    random.shuffle(graph.operators)


def _twice(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    graph.operators.insert(random.randrange(len(graph.operators) + 1), op)


def _kind(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    op.opcodeIndex = random.choice(graph.operators).opcodeIndex


def _option(random: Random, graph: Any, tensor: Any, op: Any) -> None:
    fields = {name: value for name, value in vars(op.builtinOptions or object).items()
              if isinstance(value, (int, float, np.ndarray)) and not name.startswith("_")}
    if not fields or random.random() < 0.05:
        op.builtinOptions, op.builtinOptionsType = None, 0
        return
    name = random.choice(sorted(fields))
    value = fields[name]
    if isinstance(value, bool):
        value = not value
    elif isinstance(value, float):
        value = random.choice(REALS)
    elif isinstance(value, np.ndarray):
        value = _one_changed(random, value, lambda n: _integer(random, n))
    else:
        value = random.randrange(-1, 8) if name in ENUMERATIONS else _integer(random, value)
    setattr(op.builtinOptions, name, value)


COMMON: tuple[Change, ...] = (_shape, _scale, _inputs, _option, _option, _option)
RARE: tuple[Change, ...] = (_rank, _free_shape, _type, _variable, _unquantized, _zero_point,
                            _scales, _axis, _outputs, _ends, _order, _twice, _kind)


def _constant(random: Random, model: Any) -> None:
    """Change a value of a small constant: a shape, axes, paddings, a bias."""
    graph = model.subgraphs[0]
    buffers = {t.buffer: t.type for t in graph.tensors if t.type in (2, 4)}
    small = [b for b in sorted(buffers) if model.buffers[b].data is not None
             and 0 < len(model.buffers[b].data) <= 64]
    if small:
        number = random.choice(small)
        data = np.array(model.buffers[number].data, np.uint8).tobytes()
        kind = np.int32 if buffers[number] == 2 else np.int64
        if len(data) % np.dtype(kind).itemsize == 0:
            changed = _one_changed(random, np.frombuffer(data, kind), lambda n: _integer(random, n))
            model.buffers[number].data = np.frombuffer(changed.tobytes(), np.uint8)


def _content(random: Random, model: Any) -> None:
    """Give a buffer another length."""
    buffer = random.choice(model.buffers)
    if buffer.data is not None and len(buffer.data):
        data = np.array(buffer.data, np.uint8)
        buffer.data = random.choice([data[:-1], np.append(data, data[:1]), None,
                                     data[:len(data) // 2]])


def mutant(number: int) -> bytes:
    """The file of mutant `number`: a small random network with one change or two."""
    random = Random(number)
    case = None
    while case is None or len(case.graph.source.flatbuffer) > MOST_BYTES:
        case = network(random.randrange(1 << 40), random.randint(1, 6))
    while True:
        model = unpacked(case.graph.source.flatbuffer)
        for _ in range(random.choice([1, 1, 1, 2])):
            graph, what = model.subgraphs[0], random.random()
            if what < 0.2:
                _constant(random, model)
            elif what < 0.25:
                _content(random, model)
            elif graph.operators:
                change = random.choice(COMMON if what < 0.7 else RARE)
                change(random, graph, random.choice(graph.tensors), random.choice(graph.operators))
        try:
            return packed(model)
        except Exception:  # a value that the file's own format has no room for
            continue


def difference(data: bytes) -> str:
    """"" where numpy and LiteRT agree on what was read or LiteRT refuses it, else what differs."""
    graph = simplify(parse(data, "model"))
    if graph.is_float:
        return ""
    inputs = tuple(x[0] for x in random_inputs(graph, 1))
    try:
        wanted = Oracle(graph).run(inputs, graph.outputs)
    except ModelFileError:
        return ""
    found = evaluate(graph, inputs)
    for i in graph.outputs:
        if not np.array_equal(found[i], wanted[i]) or found[i].dtype != wanted[i].dtype:
            return f"'{graph.tensors[i].name}' differs from LiteRT's"
    return ""


def main(first: int, count: int) -> None:
    """Judge mutants and print what is wrong; their number goes to stderr, LiteRT may end us."""
    seen: Counter[str] = Counter()
    for number in range(first, first + count):
        data = mutant(number)
        sys.stderr.write(f"mutant {number}\n")
        try:
            with warnings.catch_warnings():
                found = outcome(data)
            seen[found] += 1
            wrong = difference(data) if found == "read" else ""
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            print(f"mutant {number}: {wrong}")
    print(dict(seen))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
