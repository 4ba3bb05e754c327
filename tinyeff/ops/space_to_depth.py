# SPDX-License-Identifier: MIT
"""SPACE_TO_DEPTH: blocks of pixels become groups of channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Target, Variant, Window
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.depth_to_space import BlockAttrs
from tinyeff.ops.operator import Node, Operator
from tinyeff.ops.weights import image_limits


class SpaceToDepth(Operator[BlockAttrs]):
    """Source: reference_ops::SpaceToDepth of LiteRT."""

    kind = "SPACE_TO_DEPTH"
    uint8 = True
    shares_scale = True
    version = 2

    def read(self, options: Any, node: Node[None]) -> BlockAttrs:
        return BlockAttrs(int(options.blockSize))

    def write(self, node: Node[BlockAttrs]) -> Any:
        options = schema.SpaceToDepthOptionsT()
        options.blockSize = node.attrs.block
        return options

    def output_shapes(self, node: Node[BlockAttrs]) -> tuple[tuple[int, ...], ...]:
        shape, block = node.input(0).shape, node.attrs.block
        if len(shape) != 4 or block < 1 or shape[1] % block or shape[2] % block:
            raise ValueError(f"its input of shape {shape} does not divide into blocks of "
                             f"{block}x{block} pixels")
        return ((shape[0], shape[1] // block, shape[2] // block, shape[3] * block**2),)

    def limits(self, node: Node[BlockAttrs]) -> Iterator[str]:
        yield from image_limits(node)

    def evaluate(self, node: Node[BlockAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        # (1, H * block, W * block, C) to (1, H, W, block * block * C)
        (shape,), block = self.output_shapes(node), node.attrs.block
        blocks = inputs[0].reshape(shape[1], block, shape[2], block, -1)
        return (np.ascontiguousarray(blocks.transpose(0, 2, 1, 3, 4)).reshape(shape),)

    def window(self, node: Node[BlockAttrs], activation: int) -> Window:
        return Window(node.attrs.block, node.attrs.block)

    def columns(self, node: Node[BlockAttrs], activation: int) -> Window:
        return Window(node.attrs.block, node.attrs.block)

    def variants(self, node: Node[BlockAttrs], target: Target) -> tuple[Variant, ...]:
        return (Variant("portable", code_bytes=252, cost=4 * node.output.elements),)

    def lower(self, node: Node[BlockAttrs], variant: Variant) -> Kernel:
        fields = (
            ("block", node.attrs.block),
            ("channels", node.input(0).channels),
            ("in_pitch", node.input(0).channels),
            ("out_pitch", node.output.channels),
        )
        return Kernel("te_space_to_depth", "te_space_to_depth_params", fields,
                      ("te_space_to_depth",))

    def cases(self) -> Iterator[Graph]:
        cases = [("two", (1, 6, 8, 3), 2), ("three", (1, 3, 6, 5), 3), ("one", (1, 2, 3, 4), 1),
                 ("pixel", (1, 4, 4, 1), 4)]
        for name, shape, block in cases:
            g = GraphBuilder(f"space_to_depth_{name}")
            x = g.input(shape, 0.1, 9)
            yield g.graph(g.op(self.kind, [x], BlockAttrs(block), like=x))


OPERATOR = SpaceToDepth()
