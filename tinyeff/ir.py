# SPDX-License-Identifier: MIT
"""The records that the stages hand to each other, and the checker of a graph.

Records are frozen and hold no behaviour beyond derived properties. Sizes carry their unit
(`size_bytes`), intervals are half-open, tensors are NHWC with batch 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tinyeff.errors import InternalError

Array = npt.NDArray[Any]

OUTSIDE = ("input", "output", "none")
"""Regions of buffers that are not in the arena: the caller's memory, and nowhere at all."""

ABSENT = -1
"""Index of an optional operator input that is not there (as in TFLite)."""


@dataclass(frozen=True)
class Quant:
    """Affine quantization: real = scale * (q - zero_point), per tensor or along one axis.

    `scales` are float32 values held exactly in Python floats.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None

    @property
    def scale(self) -> float:
        """The only scale of a per-tensor quantization."""
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The only zero point of a per-tensor quantization."""
        return self.zero_points[0]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the graph: an activation, or a constant when `data` is there.

    `source` is the index of the TFLite tensor that this one equals bit for bit, or None.

    Kernels see every activation as `rows` x `pixels` x `channels`: 1xHxWxC has H rows of W pixels,
    1xC is one row of one pixel, and dimensions before the last two become rows.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: Quant | None = None
    data: Array | None = None
    source: int | None = None

    @property
    def is_constant(self) -> bool:
        """True where the value is known before the model runs."""
        return self.data is not None

    @property
    def elements(self) -> int:
        """How many values it holds."""
        return math.prod(self.shape)

    @property
    def element_bytes(self) -> int:
        """Bytes of one value."""
        return np.dtype(self.dtype).itemsize

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole tensor."""
        return self.elements * self.element_bytes

    @property
    def rows(self) -> int:
        """Rows as kernels see them: the product of all dimensions before the last two."""
        return math.prod(self.shape[:-2])

    @property
    def pixels(self) -> int:
        """Pixels of a row: the last dimension but one."""
        return self.shape[-2] if len(self.shape) >= 2 else 1

    @property
    def channels(self) -> int:
        """Values of a pixel: the last dimension."""
        return self.shape[-1] if self.shape else 1

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel."""
        return self.channels * self.element_bytes

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.pixels * self.pixel_bytes


@dataclass(frozen=True)
class Variant:
    """One kernel that can compute an operator on the chosen CPU, and what it costs.

    `consumes` = n > 0 promises that the kernel reads n pixels in all channels before it writes any
    of their outputs, left to right; 0 promises nothing finer than whole calls.
    `flat` promises that a contiguous map may be passed as one row of rows * pixels pixels.
    `cost` is an estimate in cycles for the whole operator. `shared_code` names code that kernels of
    several operators have in common, and its bytes; `code_bytes` is the rest.
    """

    name: str
    rows_per_call: int = 1
    tile_pixels: int = 0
    scratch_bytes: int = 0
    state_bytes: int = 0
    const_bytes: int = 0
    code_bytes: int = 0
    cost: int = 0
    consumes: int = 0
    flat: bool = False
    shared_code: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Op:
    """An operator: `inputs` and `outputs` index `Graph.tensors`; `attrs` is the operator's record.

    `variants` is empty until `select` has run.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: Any
    variants: tuple[Variant, ...] = ()


@dataclass(frozen=True, eq=False)
class Source:
    """Where a graph came from: the flatbuffer that defines its results."""

    name: str
    flatbuffer: bytes = field(repr=False)
    sha256: str


@dataclass(frozen=True)
class Exit:
    """Where an inference may end: behind the first `after` operators, if an output is sure.

    It is where the largest of its int8 values, or with `margin` that less the second largest, is at
    least `threshold`. `output` counts within `Graph.outputs`.
    """

    output: int
    after: int
    threshold: int
    margin: bool = False


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in execution order over `tensors`; `inputs` and `outputs` index `tensors`.

    `exits` are in the order in which they are reached.
    """

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    source: Source
    exits: tuple[Exit, ...] = ()

    @property
    def is_float(self) -> bool:
        """True where some operator still computes an activation in floating point."""
        return any(self.tensors[i].dtype == "float32" for op in self.ops for i in op.outputs)

    @property
    def writers(self) -> dict[int, int]:
        """For each tensor that is computed, the operator (index into `ops`) that does."""
        return {i: n for n, op in enumerate(self.ops) for i in op.outputs}


@dataclass(frozen=True)
class Preprocess:
    """How values of data files become those that a model was trained on: value * scale + offset."""

    scale: float = 1.0
    offset: float = 0.0


Optimize = Literal["speed", "balanced", "size"]


@dataclass(frozen=True)
class Target:
    """The CPU that code is generated for; `path` names the kernel family (portable, dsp, mve).

    `optimize` says how many bytes of flash a cycle is worth.
    """

    cpu: str = "cortex-m4"
    path: str = "portable"
    optimize: Optimize = "balanced"


@dataclass(frozen=True)
class Window:
    """Input rows that an output row y needs: [first, first + count).

    first = floor((y * step + offset) / divisor). Rows outside the tensor are handed to the kernel
    as null pointers.
    """

    count: int = 1
    step: int = 1
    offset: int = 0
    divisor: int = 1

    def first(self, y: int) -> int:
        """First row needed by output row `y`; may be negative."""
        return (y * self.step + self.offset) // self.divisor


@dataclass(frozen=True)
class Memory:
    """A memory of the chip: its name, and how many bytes of it the user grants."""

    name: str
    size_bytes: int


@dataclass(frozen=True)
class Limits:
    """What the user grants: SRAM and flash in bytes, the strategy, where the input image lives.

    `sram_bytes` are in one piece. `memories` are several pieces, the fastest first, which also
    holds the stack and the outputs; where both are given, several are used only if a model does
    not fit one without extra work. `patch_grid` (rows, columns) asks for a patch stage of so many
    patches, any of which can be left out when the code runs. `stack_bytes` are left to the stack;
    the planner knows better where kernels were measured.
    """

    sram_bytes: int | None = None
    flash_bytes: int | None = None
    strategy: str = "auto"
    input_memory: str = "resident"
    max_overhead: float | None = None
    memories: tuple[Memory, ...] = ()
    patch_grid: tuple[int, int] | None = None
    stack_bytes: int = 2048


@dataclass(frozen=True)
class Group:
    """Operators [first, last) of `Graph.ops` that are computed together, tile by tile.

    A tile is `tile_rows` x `tile_pixels` of what the last of them writes (0: the variant's rows per
    call, all pixels). For each tile the others compute just what it needs, which is all that their
    buffers hold. Columns that two neighbouring tiles need are computed twice, unless the group
    `slides`; rows that two tiles need are computed twice.
    """

    first: int
    last: int
    tile_rows: int = 0
    tile_pixels: int = 0
    slides: bool = False


@dataclass(frozen=True)
class Segment:
    """Operators [first, last) of `Graph.ops` that run together, and how.

    `strategy` is "per-layer", "patch" or "stream". The last of its groups pulls rows out of those
    before it; see tinyeff/schedule.py. `pushed` are the model inputs that the caller hands over row
    by row while the segment runs. With `stripe_pixels` > 0 the segment runs once for each stripe of
    so many columns of the last group's map, from left to right; the groups before compute the
    columns that the stripe needs, so that columns which two stripes need are computed twice.

    What a segment uses lives as long as it runs. Only a "patch" segment, a single group that keeps
    nothing from one tile to the next, shares memory over time: each operator is a step, gone
    through once per tile, and what enters or leaves the segment lives throughout. Of one that is
    `masked` tiles can be left out: their part of the output becomes its zero point.
    """

    strategy: str
    first: int
    last: int
    groups: tuple[Group, ...]
    pushed: tuple[int, ...] = ()
    stripe_pixels: int = 0
    masked: bool = False


@dataclass(frozen=True)
class Buffer:
    """A place for one tensor, or for scratch memory or state of one operator.

    `first` and `last` are the steps [first, last) during which it holds what it must hold (see
    `Segment`); the step after the last operator is the end, when outputs are copied out of the
    arena.
    `region` is "arena", "input" (memory of the caller, read only) or "output" (memory of the
    caller; the buffer serves this one output only, and later operators may read it); where the
    arena is spread over several memories, the name of the one that holds the buffer. Buffers of
    one `group` keep their relative offsets and may overlap. `ring_rows` are the rows that are kept:
    all rows of the tensor where it is whole. `tensors` lists the graph tensors that live in it:
    several where an operator only renames (RESHAPE). Scratch memory and state of operator `op`
    have names that start with "scratch" and "state", the row counters of a segment that starts
    with operator `op` one that starts with "progress". `row_pixels` are the pixels of a row that
    are held where the tensor is computed tile by tile or stripe by stripe; 0 is all.
    """

    name: str
    region: str
    group: str
    first: int
    last: int
    size_bytes: int
    offset_bytes: int
    ring_rows: int
    tensors: tuple[int, ...] = ()
    op: int | None = None
    row_pixels: int = 0

    @property
    def in_arena(self) -> bool:
        """True unless it lies in memory of the caller."""
        return self.region not in OUTSIDE


@dataclass(frozen=True)
class Region:
    """The part of the arena that lies in one memory; `name` is "arena" where none was named."""

    name: str
    arena_bytes: int


@dataclass(frozen=True)
class LayerMemory:
    """What lives in the arena while one operator runs.

    `live_bytes` counts activations (where two overlap, once), `scratch_bytes` the operator's own
    scratch memory and state.
    """

    op: int
    live_bytes: int
    scratch_bytes: int = 0


@dataclass(frozen=True)
class Plan:
    """Which variant, what runs in what order, and where every byte lies.

    `variants` and `flat` hold one entry per operator of the graph; `flat` says that the operator
    takes its whole map in one call, as one row. An output whose buffer lies in the arena is copied
    to the caller's memory at the end. `lower_bound_bytes` is the proven least size of an arena for
    these operators in this order; `arena_bytes` is what will be linked, in all `regions` together:
    those in which something lies, in the order in which the memories were granted. `cut_off` says
    that the search was ended early, so that a smaller plan may exist.
    """

    strategy: str
    target: Target
    input_memory: str
    segments: tuple[Segment, ...]
    variants: tuple[Variant, ...]
    flat: tuple[bool, ...]
    buffers: tuple[Buffer, ...]
    layers: tuple[LayerMemory, ...]
    activation_bytes: int
    scratch_bytes: int
    arena_bytes: int
    arena_align: int
    lower_bound_bytes: int
    macs: int
    regions: tuple[Region, ...]
    extra_macs: int = 0
    cut_off: bool = False

    @property
    def computes_rows_once(self) -> bool:
        """True where each pixel is computed once, and the rows of each tensor from the top."""
        return self.extra_macs <= 0 and not any(
            s.strategy == "patch" or s.stripe_pixels > 0 or any(g.slides for g in s.groups)
            for s in self.segments)


@dataclass(frozen=True, eq=False)
class ConstArray:
    """A constant array of the generated C; `ctype` is its element type, e.g. int8_t."""

    ctype: str
    values: Array


@dataclass(frozen=True, eq=False)
class Kernel:
    """What an operator asks of the generated C.

    `function` has the signature of its operator's form; `params` names the struct (declared in
    `<source>.h`) and `fields` its members in order: integers or arrays. `sources` lists the pairs
    of .c and .h files in firmware/kernels/ that hold it.
    """

    function: str
    params: str
    fields: tuple[tuple[str, int | ConstArray], ...]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Access:
    """One tensor as one step reads or writes it: `offset_bytes` is its first row inside `region`.

    `index` counts within the region: the model's input or output number, 0 in the arena.
    `window` and `columns` say what an output row and column need of an input. `producer` is the
    step of the same group that computes an input tile by tile, or -1; `inner` marks an output of
    which only the present tile is held. `striped` is the group of the program of whose map only the
    present stripe is held, or -1. A flat step sees the map as one row.
    """

    tensor: int
    region: str
    index: int
    offset_bytes: int
    rows: int
    pixels: int
    ring_rows: int
    row_bytes: int
    pixel_bytes: int
    window: Window = Window()
    columns: Window = Window()
    producer: int = -1
    inner: bool = False
    striped: int = -1


@dataclass(frozen=True, eq=False)
class Step:
    """One operator as the generated C runs it."""

    op: int
    name: str
    kind: str
    form: str
    kernel: Kernel
    inputs: tuple[Access, ...]
    outputs: tuple[Access, ...]
    rows_per_call: int
    max_rows: int
    scratch_offset: int | None
    state_offset: int | None
    comment: str


@dataclass(frozen=True)
class StepNeed:
    """Rows of group `group` (of the program) that must be there before a group's row y."""

    group: int
    window: Window


@dataclass(frozen=True)
class StepGroup:
    """Steps [first, last) of the program, computed together in tiles of a map.

    `stripes` are the columns [x0, x1) of the map that each stripe of the segment computes.
    """

    first: int
    last: int
    needs: tuple[StepNeed, ...]
    rows: int
    pixels: int
    tile_rows: int
    tile_pixels: int
    slides: bool
    complete: bool
    stripes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class StepSegment:
    """Groups [first, last) of the program; `progress_offset` is where their rows are counted."""

    strategy: str
    first: int
    last: int
    progress_offset: int | None


@dataclass(frozen=True)
class StepExit:
    """An early exit of the program, in front of segment `segment`; `scores` are what it looks at.

    The other fields are those of `Exit`.
    """

    segment: int
    scores: Access
    threshold: int
    margin: bool


Area = tuple[int, int, int, int]
"""Rows [y0, y1) of columns [x0, x1), in this order."""


@dataclass(frozen=True)
class PatchStage:
    """The operators [0, last) of a plan in patches, any of which may be left out.

    They are the program's first group. Patches are numbered row by row in a grid of `rows` x
    `columns`. Of each, `areas` has the part of the model's first input that it sees, `outputs` the
    part that it writes of the tensors `tensors`, and `macs` its multiply-accumulates; `other_macs`
    are those of the operators behind.
    """

    last: int
    rows: int
    columns: int
    areas: tuple[Area, ...]
    outputs: tuple[Area, ...]
    macs: tuple[int, ...]
    other_macs: int
    tensors: tuple[int, ...]

    def macs_of(self, mask: Array) -> int:
        """Multiply-accumulates of an inference with a mask, of any shape."""
        return self.other_macs + sum(n for n, on in zip(self.macs, mask.ravel(), strict=True) if on)


@dataclass(frozen=True, eq=False)
class Program:
    """What the emitter prints; a reader can follow it in the generated C, step by step."""

    graph: Graph
    plan: Plan
    steps: tuple[Step, ...]
    groups: tuple[StepGroup, ...]
    segments: tuple[StepSegment, ...]
    exits: tuple[StepExit, ...] = ()
    patches: PatchStage | None = None


def check_graph(graph: Graph, stage: str) -> None:
    """Raise InternalError naming the operator or tensor that breaks a rule of the records."""

    def fail(what: str) -> None:
        raise InternalError(f"after {stage}: {what}")

    count = len(graph.tensors)
    for index, tensor in enumerate(graph.tensors):
        if tensor.data is not None and tensor.data.shape != tensor.shape:
            fail(f"tensor {index} '{tensor.name}' has shape {tensor.shape}, "
                 f"its data {tensor.data.shape}")
    ready = {i for i, t in enumerate(graph.tensors) if t.is_constant} | set(graph.inputs)
    for op in graph.ops:
        for i in (*op.inputs, *op.outputs):
            if i != ABSENT and not 0 <= i < count:
                fail(f"{op.kind} '{op.name}' refers to tensor {i} of {count}")
        for i in op.inputs:
            if i != ABSENT and i not in ready:
                fail(f"{op.kind} '{op.name}' reads '{graph.tensors[i].name}' before it is written")
        for i in op.outputs:
            if i in ready:
                fail(f"{op.kind} '{op.name}' writes '{graph.tensors[i].name}' a second time")
        ready.update(op.outputs)
    for i in graph.outputs:
        if i not in ready:
            fail(f"output '{graph.tensors[i].name}' is never written")
    _check_exits(graph, fail)


def _check_exits(graph: Graph, fail: Callable[[str], None]) -> None:
    before, writers = 0, graph.writers
    for number, record in enumerate(graph.exits, 1):
        if not before <= record.after < len(graph.ops):
            fail(f"exit {number} is behind {record.after} of {len(graph.ops)} operators, the one "
                 f"before it behind {before}")
        if writers.get(graph.outputs[record.output], -1) >= record.after:
            fail(f"exit {number} is reached before its output is computed")
        before = record.after
