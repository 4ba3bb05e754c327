# SPDX-License-Identifier: MIT
"""The memories of a chip as the command line names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinyeff.errors import UsageError

if TYPE_CHECKING:
    from tinyeff.device.boards import Device
    from tinyeff.ir import Memory


def all_memories(chip: Device | None) -> tuple[Memory, ...]:
    """All memories of a chip; the first holds stack and data."""
    from tinyeff.ir import Memory

    return tuple(Memory(r.name, r.size_bytes) for r in chip.rams) if chip else ()


def named_memories(
    texts: Sequence[str], chip: Device | None, granted: Sequence[Memory]
) -> tuple[Memory, ...]:
    """The memories that `--memory` names, as name=size; of a chip the name alone is all of it.

    They are in the order given, those of a chip in its own. `granted` are those of the chip, or
    what a program around the model leaves of them. Raises UsageError for what is no memory, or
    larger than it.
    """
    from tinyeff.ir import Memory

    rest = {m.name: m.size_bytes for m in granted}
    sizes = {r.name: r.size_bytes for r in chip.rams} if chip else {}
    found: dict[str, int] = {}
    for text in texts:
        name, size = _parsed(text, rest)
        if chip is not None and name not in sizes:
            raise UsageError(f"--memory {text}: {chip.title} has no memory {name}; it has "
                             f"{_listed(sizes)}")
        if chip is not None and size > sizes[name]:
            raise UsageError(f"--memory {text}: {name} of {chip.title} has {sizes[name]} bytes "
                             f"({sizes[name] // 1024}k)")
        if name in found:
            raise UsageError(f"--memory {text}: {name} is named twice")
        found[name] = size
    order = [name for name in sizes if name in found] if chip else list(found)
    return tuple(Memory(name, found[name]) for name in order)


def _parsed(text: str, known: dict[str, int]) -> tuple[str, int]:
    """Name and bytes of one --memory."""
    from tinyeff.console.options import parse_size
    from tinyeff.emitter.naming import check_memory

    name, equals, size = text.strip().partition("=")
    if not equals and name in known:
        return name, known[name]
    if not equals:
        raise UsageError(f"--memory {text}: say how large it is, e.g. --memory {text}=128k"
                         + (f"; the chip has {_listed(known)}" if known else ""))
    try:
        return check_memory(name.strip()), parse_size(size, f"--memory {name}")
    except UsageError as error:
        raise UsageError(f"--memory {text}: {str(error).removeprefix('--memory ')}") from error


def _listed(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name} ({size // 1024}k)" for name, size in sizes.items())
