# SPDX-License-Identifier: MIT
"""Pictures of a plan: the front of arena against extra work, and the memory over time.

Drawn by matplotlib (extra `plot`), imported only here; the format follows the file's ending.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyeff.console.report import Planned, overhead, short_name
from tinyeff.errors import MissingProgramError, UsageError

if TYPE_CHECKING:
    from tinyeff.ir import Buffer, Plan

ENDINGS = (".svg", ".png", ".pdf")
PICTURES = ("front", "memory")
LEAST_LABEL = 0.022
"""Height of a box, as a fraction of the arena, from which on its name is written into it."""


def picture_of(file: str) -> str:
    """What a file shows, by its name; UsageError where that does not say."""
    path = Path(file)
    found = [name for name in PICTURES if path.stem.lower().startswith(name)]
    if not found or path.suffix.lower() not in ENDINGS:
        raise UsageError(f"--plot {file}: the name says what is drawn and how: it begins with "
                         f"{' or '.join(PICTURES)} and ends with {', '.join(ENDINGS)}; "
                         "for example --plot front.svg")
    return found[0]


def plot(p: Planned, file: str) -> bytes:
    """The picture that `file` is named for. Raises MissingProgramError without matplotlib."""
    picture = picture_of(file)
    try:
        from matplotlib import rcParams
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingProgramError(
            "--plot needs matplotlib, which is not installed; "
            'get it with: pip install "tinyeff[plot]"') from error
    rcParams["svg.hashsalt"] = "tinyeff"  # the same plan, the same file
    figure = Figure(figsize=(11, 6), layout="constrained")
    draw = _front if picture == "front" else _memory
    draw(figure.subplots(), p)
    data, ending = io.BytesIO(), Path(file).suffix.lower()[1:]
    dates = {"svg": "Date", "pdf": "CreationDate"}
    figure.savefig(data, format=ending, dpi=120,
                   metadata={dates[ending]: None} if ending in dates else None)
    return data.getvalue()


def _front(axes: Any, p: Planned) -> None:
    """Arena over extra MACs as a stair, the plan marked."""
    work = [overhead(point) * 100 for point in p.front]
    arena = [point.arena_bytes / 1024 for point in p.front]
    axes.step([*work, work[-1] * 1.05 + 1], [*arena, arena[-1]], where="post", color="tab:blue",
              linewidth=1.2)
    for strategy, marker in (("per-layer", "s"), ("patch", "^"), ("stream", "o")):
        points = [(x, y) for x, y, point in zip(work, arena, p.front, strict=True)
                  if point.strategy == strategy]
        if points:
            axes.scatter(*zip(*points, strict=True), marker=marker, color="tab:blue", zorder=3,
                         label=strategy)
    for x, y, point in zip(work, arena, p.front, strict=True):
        axes.annotate(f"{point.arena_bytes:,}", (x, y), xytext=(5, 5), fontsize=8,
                      textcoords="offset points")
    axes.scatter([overhead(p.plan) * 100], [p.plan.arena_bytes / 1024], marker="o", s=160,
                 facecolors="none", edgecolors="tab:red", linewidth=1.6, zorder=4,
                 label="this plan")
    axes.set(xlabel="extra multiply-accumulates (%)", ylabel="arena (KiB)",
             ylim=(0, max(arena) * 1.08),
             title=f"{p.graph.source.name}: what extra work buys, input {p.plan.input_memory}")
    axes.grid(alpha=0.3)
    axes.legend()


def _memory(axes: Any, p: Planned) -> None:
    """Every buffer of the arena as a box: steps from left to right, addresses upwards."""
    from matplotlib.patches import Rectangle

    arena = list(_stacked(p.plan))
    steps = max((b.last for b in arena), default=1)
    axes.set(xlim=(0, steps), ylim=(0, max(p.plan.arena_bytes, 1)), xlabel="step (operator)",
             ylabel="address in the arena (bytes)")
    for number, buffer in enumerate(arena):
        private = buffer.op is not None
        axes.add_patch(Rectangle(
            (buffer.first, buffer.offset_bytes), buffer.last - buffer.first, buffer.size_bytes,
            facecolor="lightgrey" if private else f"C{number % 10}", alpha=0.55,
            edgecolor="black", linewidth=0.5, hatch="///" if private else None))
        if buffer.size_bytes >= LEAST_LABEL * p.plan.arena_bytes:
            _label(axes, buffer, _title(p, buffer), steps)
    border = 0
    for region in p.plan.regions if len(p.plan.regions) > 1 else ():
        axes.axhline(border, color="black", linewidth=1.5, zorder=5)
        axes.annotate(region.name, (steps, border), xytext=(4, 4), textcoords="offset points",
                      fontsize=9, annotation_clip=False)
        border += region.arena_bytes
    if p.verdict.peak_op is not None:
        first, last = _peak(p, p.verdict.peak_op)
        kind = p.graph.ops[first].kind
        what = f"{first} {kind}" if last == first + 1 else f"operators {first} to {last - 1}"
        axes.axvspan(first, last, facecolor="none", edgecolor="tab:red", linewidth=2, zorder=4)
        axes.annotate(f"peak: {what}", (first, p.plan.arena_bytes), xytext=(0, 4),
                      textcoords="offset points", color="tab:red", fontsize=9,
                      annotation_clip=False)
    axes.set_title(f"{p.graph.source.name}: arena of {p.plan.arena_bytes:,} bytes, "
                   f"{p.plan.strategy}, input {p.plan.input_memory}", pad=18)


def _stacked(plan: Plan) -> Iterator[Buffer]:
    """The buffers of the arena; those of several memories one memory above the other."""
    base = 0
    for region in plan.regions:
        for b in plan.buffers:
            if b.region == region.name and b.size_bytes:
                yield replace(b, offset_bytes=base + b.offset_bytes)
        base += region.arena_bytes


def _peak(p: Planned, peak: int) -> tuple[int, int]:
    """The steps [first, last) around the peak during which as much lives: those of its segment."""
    segment = next(s for s in p.plan.segments if s.first <= peak < s.last)
    return (peak, peak + 1) if segment.strategy == "patch" else (segment.first, segment.last)


def _title(p: Planned, buffer: Buffer) -> str:
    """What a box holds: what operator wrote it, or its own name."""
    if buffer.op is not None:
        return f"{buffer.name.split()[0]} {buffer.size_bytes:,}"
    writer = next((f"{n} {op.kind.lower()}" for n, op in enumerate(p.graph.ops)
                   if set(op.outputs) & set(buffer.tensors)), short_name(buffer.name))
    return f"{writer} {buffer.size_bytes:,}"


def _label(axes: Any, buffer: Buffer, text: str, steps: int) -> None:
    """The text in the buffer's box, upright where the box is narrow."""
    width = buffer.last - buffer.first
    across = len(text) <= 160 * width / max(steps, 1)
    if not across and len(text) > 100 * buffer.size_bytes / max(axes.get_ylim()[1], 1):
        return
    axes.text(buffer.first + width / 2, buffer.offset_bytes + buffer.size_bytes / 2, text,
              ha="center", va="center", fontsize=6, clip_on=True, rotation=0 if across else 90)
