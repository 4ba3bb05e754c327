# SPDX-License-Identifier: MIT
"""How many bytes an activation takes: the one place where a float graph is planned as if int8."""

from __future__ import annotations

from tinyeff.ir import Tensor

WORD_BYTES = 4
"""Alignment of kernel scratch, of states and of tensors with elements wider than a byte."""

ARENA_ALIGN = 16
"""Alignment that the arena's first byte must have."""


def element_bytes(tensor: Tensor) -> int:
    """Bytes of one element; float32 counts as the int8 that it will become."""
    return 1 if tensor.dtype == "float32" else tensor.element_bytes


def pixel_bytes(tensor: Tensor) -> int:
    """Bytes from one pixel to the next."""
    return tensor.channels * element_bytes(tensor)


def row_bytes(tensor: Tensor) -> int:
    """Bytes from one row to the next."""
    return tensor.pixels * pixel_bytes(tensor)


def size_bytes(tensor: Tensor) -> int:
    """Bytes of the whole tensor."""
    return tensor.elements * element_bytes(tensor)


def alignment(tensor: Tensor) -> int:
    """Bytes that the tensor's address must be a multiple of."""
    return 1 if element_bytes(tensor) == 1 else WORD_BYTES
