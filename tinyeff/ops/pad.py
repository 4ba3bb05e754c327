# SPDX-License-Identifier: MIT
"""PAD: rows, columns and channels of zero points around a map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Target, Variant, Window
from tinyeff.ops import operator as o
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PadAttrs:
    """(before, after) of each dimension of the input."""

    pads: Pads


def _along(node: Node[PadAttrs], from_end: int) -> tuple[int, int]:
    """(before, after) of the dimension counted from the last: 1 channels, 2 pixels, 3 rows."""
    pads = node.attrs.pads
    return pads[-from_end] if from_end <= len(pads) else (0, 0)


class Pad(Operator[PadAttrs]):
    """Source: EvalInt in pad.cc of LiteRT, which fills with the output's zero point."""

    kind = "PAD"
    shares_scale = True
    version = 2
    uint8 = True

    def read(self, options: Any, node: Node[None]) -> PadAttrs:
        return PadAttrs(self._constant_pads(node))

    def _constant_pads(self, node: Node[Any]) -> Pads:
        values = o.constant_ints(node, 1, "padding")
        if len(values) != 2 * len(node.input(0).shape):
            raise ValueError(f"its padding has {len(values)} numbers; an input of shape "
                             f"{node.input(0).shape} needs {2 * len(node.input(0).shape)}")
        if any(n < 0 for n in values):
            raise ValueError(f"its padding {list(values)} must not be negative")
        return tuple(zip(values[::2], values[1::2], strict=True))

    def write(self, node: Node[PadAttrs]) -> Any:
        values = tuple(n for pair in node.attrs.pads for n in pair)
        o.check_constant_ints(node, 1, "padding", values)
        return schema.PadOptionsT()

    def output_shapes(self, node: Node[PadAttrs]) -> tuple[tuple[int, ...], ...]:
        shape, pads = node.input(0).shape, node.attrs.pads
        if len(pads) != len(shape):
            raise ValueError(f"{len(pads)} pairs of padding for an input of shape {shape}")
        return (tuple(n + a + b for n, (a, b) in zip(shape, pads, strict=True)),)

    def limits(self, node: Node[PadAttrs]) -> Iterator[str]:
        shape, pads = node.input(0).shape, node.attrs.pads
        if any(pair != (0, 0) for pair in pads[:-3]):
            yield (f"it pads {pads[:-3]} before the last three dimensions of {shape}; only rows, "
                   "columns and channels can be padded")
        if _along(node, 3) != (0, 0) and math.prod(shape[:-3]) != 1:
            yield f"it pads the rows of several maps at once, in an input of shape {shape}"

    def evaluate(self, node: Node[PadAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        assert node.output.quant is not None
        return (np.pad(inputs[0], node.attrs.pads,
                       constant_values=node.output.quant.zero_point),)

    def window(self, node: Node[PadAttrs], activation: int) -> Window:
        return Window(offset=-_along(node, 3)[0])

    def columns(self, node: Node[PadAttrs], activation: int) -> Window:
        return Window(offset=-_along(node, 2)[0])

    def variants(self, node: Node[PadAttrs], target: Target) -> tuple[Variant, ...]:
        return (Variant("portable", code_bytes=238, cost=5 * node.output.elements),)

    def lower(self, node: Node[PadAttrs], variant: Variant) -> Kernel:
        x, out = node.input(0), node.output
        assert out.quant is not None
        fields = (
            ("in_width", x.pixels),
            ("in_pitch", x.channels),
            ("in_channels", x.channels),
            ("out_pitch", out.channels),
            ("out_channels", out.channels),
            ("pad_left", _along(node, 2)[0]),
            ("pad_channels", _along(node, 1)[0]),
            ("value", out.quant.zero_point),
        )
        return Kernel("te_pad", "te_pad_params", fields, ("te_pad",))

    def cases(self) -> Iterator[Graph]:
        cases: list[tuple[str, tuple[int, ...], Pads]] = [
            ("image", (1, 4, 5, 3), ((0, 0), (1, 2), (2, 1), (0, 0))),
            ("top_left", (1, 3, 3, 8), ((0, 0), (1, 0), (1, 0), (0, 0))),
            ("channels", (1, 3, 2, 4), ((0, 0), (0, 0), (0, 0), (2, 3))),
            ("all", (1, 2, 3, 1), ((0, 0), (2, 1), (0, 3), (1, 1))),
            ("nothing", (1, 2, 3, 4), ((0, 0), (0, 0), (0, 0), (0, 0))),
            ("sequence", (1, 6, 4), ((0, 0), (2, 0), (0, 1))),
            ("vector", (1, 6), ((0, 0), (3, 2))),
        ]
        for seed, (name, shape, pads) in enumerate(cases):
            g = GraphBuilder(f"pad_{name}", seed)
            x = g.input(shape, 0.1, 20 * seed - 60)
            constant = g.constant(np.array(pads, np.int64 if name == "all" else np.int32))
            yield g.graph(g.op("PAD", [x, constant], PadAttrs(pads), like=x))


OPERATOR = Pad()
