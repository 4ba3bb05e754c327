# SPDX-License-Identifier: MIT
"""Random networks over all operators, and a way to plan each."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import assume
from hypothesis import strategies as st

from tests.networks.builder import CHANNELS, Network
from tests.networks.steps import STEPS
from tinyeff.ir import Graph
from tinyeff.ops import registry
from tinyeff.reader.flatbuffer import with_flatbuffer

KINDS = sorted(set(registry()) - {"DEQUANTIZE"})
"""DEQUANTIZE only stands between int8 and an output, where it disappears."""

MOST_OUTPUTS = 12

COMMON = ("CONV_2D", "CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D", "ADD",
          "CONCATENATION", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESHAPE")
"""Drawn more often, so that networks look like networks."""


@dataclass(frozen=True, eq=False)
class Case:
    """A graph as read from its own flatbuffer, and how it shall be planned."""

    graph: Graph
    kinds: tuple[str, ...]
    seed: int
    strategy: str
    input_memory: str

    def __str__(self) -> str:
        inputs = [self.graph.tensors[i].shape for i in self.graph.inputs]
        return (f"seed {self.seed}: {' '.join(self.kinds)} on {inputs}, {self.strategy}, "
                f"{self.input_memory}")

    __repr__ = __str__


def network(seed: int, most_ops: int) -> Case | None:
    """The network of a seed, up to its operator number `most_ops`; None where nothing fits.

    One or two inputs, chains and branches, odd sizes and maps of one pixel.
    """
    g = Network("random", seed)
    for _ in range(g.pick([1, 1, 1, 2])):
        image = g.pick([(g.pick([1, 5, 7, 9, 13]), g.pick([1, 3, 8, 11])), g.pair(1, 12)])
        g.inputs.append(g.input((1, *image, g.pick(CHANNELS)), g.scale(0.05), g.zero_point()))
    g.values += g.inputs
    strategy = g.pick(["per-layer", "patch", "stream", "stream", "auto"])
    memory = g.pick(["resident", "resident", "excluded", "streamed"])
    for _ in range(most_ops):
        kind = g.pick(COMMON) if g.number(0, 2) == 0 else g.pick(KINDS)
        STEPS[kind](g, kind)
    outputs = g.unread()
    inner = [v for v in g.values if v not in outputs and v not in g.inputs]
    if inner and g.number(0, 3) == 0:
        outputs.insert(0, g.pick(inner))
    if not 0 < len(outputs) <= MOST_OUTPUTS:
        return None
    return Case(with_flatbuffer(g.graph(*outputs)), tuple(g.kinds), seed, strategy, memory)


@st.composite
def networks(draw: st.DrawFn, most_ops: int = 12) -> Case:
    """Networks drawn evenly: hypothesis picks seeds, and shrinks by leaving out the last operators.

    Drawing every choice through hypothesis gives far fewer different networks.
    """
    case = network(draw(st.integers(0, 2**64 - 1)), draw(st.integers(2, most_ops)))
    assume(case is not None)
    assert case is not None
    return case
