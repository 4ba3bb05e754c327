# SPDX-License-Identifier: MIT
"""DEPTH_TO_SPACE: groups of channels become blocks of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tinyeff.ir import Array, Graph, Kernel, Target, Variant, Window
from tinyeff.ops.build import GraphBuilder
from tinyeff.ops.operator import Node, Operator
from tinyeff.ops.weights import image_limits


@dataclass(frozen=True)
class BlockAttrs:
    """`block` pixels in each direction."""

    block: int


class DepthToSpace(Operator[BlockAttrs]):
    """Source: reference_ops::DepthToSpace of LiteRT."""

    kind = "DEPTH_TO_SPACE"
    uint8 = True
    shares_scale = True
    version = 1

    def read(self, options: Any, node: Node[None]) -> BlockAttrs:
        return BlockAttrs(int(options.blockSize))

    def write(self, node: Node[BlockAttrs]) -> Any:
        options = schema.DepthToSpaceOptionsT()
        options.blockSize = node.attrs.block
        return options

    def output_shapes(self, node: Node[BlockAttrs]) -> tuple[tuple[int, ...], ...]:
        shape, block = node.input(0).shape, node.attrs.block
        if len(shape) != 4 or block < 1 or shape[3] % block**2:
            raise ValueError(f"the channels of its input of shape {shape} do not make up blocks "
                             f"of {block}x{block} pixels")
        return ((shape[0], shape[1] * block, shape[2] * block, shape[3] // block**2),)

    def limits(self, node: Node[BlockAttrs]) -> Iterator[str]:
        yield from image_limits(node)

    def evaluate(self, node: Node[BlockAttrs], inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        # (1, H, W, block * block * C) to (1, H * block, W * block, C)
        (shape,), block = self.output_shapes(node), node.attrs.block
        _, height, width, _ = node.input(0).shape
        blocks = inputs[0].reshape(height, width, block, block, shape[3])
        return (np.ascontiguousarray(blocks.transpose(0, 2, 1, 3, 4)).reshape(shape),)

    def window(self, node: Node[BlockAttrs], activation: int) -> Window:
        return Window(divisor=node.attrs.block)

    def columns(self, node: Node[BlockAttrs], activation: int) -> Window:
        return Window(divisor=node.attrs.block)

    def variants(self, node: Node[BlockAttrs], target: Target) -> tuple[Variant, ...]:
        return (Variant("portable", code_bytes=208, cost=4 * node.output.elements),)

    def lower(self, node: Node[BlockAttrs], variant: Variant) -> Kernel:
        fields = (
            ("block", node.attrs.block),
            ("channels", node.output.channels),
            ("in_pitch", node.input(0).channels),
            ("out_pitch", node.output.channels),
        )
        return Kernel("te_depth_to_space", "te_depth_to_space_params", fields,
                      ("te_depth_to_space",))

    def cases(self) -> Iterator[Graph]:
        cases = [("two", (1, 3, 4, 12), 2), ("three", (1, 2, 3, 9), 3), ("one", (1, 2, 3, 4), 1),
                 ("pixel", (1, 1, 1, 16), 4)]
        for name, shape, block in cases:
            g = GraphBuilder(f"depth_to_space_{name}")
            x = g.input(shape, 0.1, 9)
            yield g.graph(g.op(self.kind, [x], BlockAttrs(block), like=x))


OPERATOR = DepthToSpace()
