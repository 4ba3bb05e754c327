# SPDX-License-Identifier: MIT
"""What LiteRT computes where patches are left out: the definition of a masked run.

The operators in patches are run by LiteRT as they are. What was left out of their outputs is
overwritten, and what follows is run from there, by LiteRT too: the flatbuffer itself is cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from tinyeff.errors import UnsupportedError
from tinyeff.ir import Array, Graph, PatchStage
from tinyeff.patch_mask import left_out
from tinyeff.reader.tables import RawModel, read_tables
from tinyeff.reader.write import write_tables
from tinyeff.simulator.litert import Reference
from tinyeff.simulator.oracle import Oracle, as_int8, given_to_litert


class MaskedOracle(Oracle):
    """LiteRT with a mask: the last of its inputs, of one value per patch."""

    def __init__(self, graph: Graph, stage: PatchStage) -> None:
        super().__init__(graph)
        self._stage = stage
        self._sources = {t: graph.tensors[t].source for t in stage.tensors}
        if None in self._sources.values():
            raise UnsupportedError(f"the patches of {graph.source.name} end with a tensor that the "
                                   "file has not; use another grid")
        raw = read_tables(graph.source.flatbuffer, graph.source.name)
        self._rest = _behind(raw, [s for s in self._sources.values() if s is not None])
        self._reference_of_rest = Reference(write_tables(self._rest), graph.source.name)
        self._before = {i for op in graph.ops[:stage.last] for i in op.outputs}

    def run(self, inputs: tuple[Array, ...], wanted: tuple[int, ...]) -> dict[int, Array]:
        """The values of the graph's tensors `wanted` (all with a source) for one sample."""
        *given, mask = inputs
        whole = super().run(tuple(given), (*wanted, *self._stage.tensors))
        cut = {t: left_out(self._graph, self._stage, whole[t], t, mask)
               for t in self._stage.tensors}
        by_source = {self._sources[t]: (t, values) for t, values in cut.items()}
        fed = self._fed(tuple(given))
        values = []
        for detail, source in zip(self._reference_of_rest.inputs, self._rest.inputs, strict=True):
            if source in by_source:
                index, value = by_source[source]
                values.append(given_to_litert(self._graph.tensors[index], detail, value))
            else:
                values.append(fed[source])
        self._reference_of_rest.run(tuple(values))
        return {i: cut[i] if i in cut else whole[i] if i in self._before else self._behind(i)
                for i in wanted}

    def _fed(self, given: tuple[Array, ...]) -> dict[int, Array]:
        """The model's inputs as LiteRT takes them, by the number of their tensor."""
        return {int(detail["index"]): given_to_litert(self._graph.tensors[index], detail, value)
                for detail, index, value in zip(self._reference.inputs, self._graph.inputs, given,
                                                strict=True)}

    def _behind(self, index: int) -> Array:
        tensor = self._graph.tensors[index]
        assert tensor.source is not None
        return as_int8(self._reference_of_rest.tensor(tensor.source)).reshape(tensor.shape)


def _behind(raw: RawModel, cut: Iterable[int]) -> RawModel:
    """The operators of a model that follow from the tensors `cut`, which become inputs."""
    writers = {i: n for n, op in enumerate(raw.operators) for i in op.outputs}
    known, kept, waiting = {*cut}, set[int](), list(raw.outputs)
    reached = set[int]()
    while waiting:
        tensor = waiting.pop()
        if tensor in reached or tensor < 0:
            continue
        reached.add(tensor)
        if tensor not in known and tensor in writers:
            kept.add(writers[tensor])
            waiting += raw.operators[writers[tensor]].inputs
    inputs = tuple(i for i in (*raw.inputs, *known) if i in reached)
    return replace(raw, operators=tuple(raw.operators[n] for n in sorted(kept)),
                   inputs=tuple(np.unique(inputs).tolist()))
