# SPDX-License-Identifier: MIT
"""Frames of the serial link, as firmware/link/te_link.h describes them.

    >>> reader = FrameReader()
    >>> reader.feed(b"noise" + encode(Frame(1, 7, b"\\0\\1")))
    [None, Frame(kind=1, sequence=7, payload=b'\\x00\\x01')]
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

HEAD = struct.Struct("<BBHI")
CHECKSUM = struct.Struct("<I")
FULL = 254
"""So many bytes without a zero follow one code byte at most."""
MAX_FRAME_BYTES = 1 << 17
"""What is longer is no frame, but noise without a zero byte."""


@dataclass(frozen=True)
class Frame:
    """One message: `kind` of request or answer, and the number that ties both together."""

    kind: int
    sequence: int
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """The bytes that travel, between two zero bytes."""
    body = HEAD.pack(frame.kind, 0, len(frame.payload), frame.sequence) + frame.payload
    return b"\0" + stuff(body + CHECKSUM.pack(zlib.crc32(body))) + b"\0"


def stuff(data: bytes) -> bytes:
    """`data` without zero bytes (COBS: Cheshire and Baker, 1999)."""
    out = bytearray()
    for block in data.split(b"\0"):
        while len(block) >= FULL:
            out += b"\xff" + block[:FULL]
            block = block[FULL:]
        out.append(len(block) + 1)
        out += block
    return bytes(out)


def unstuff(data: bytes) -> bytes | None:
    """What `stuff` was given; None where `data` is no such result."""
    out, place = bytearray(), 0
    while place < len(data):
        code = data[place]
        block = data[place + 1:place + code]
        if code == 0 or len(block) != code - 1:
            return None
        out += block
        place += code
        if code != FULL + 1 and place < len(data):
            out.append(0)
    return bytes(out)


def decode(data: bytes) -> Frame | None:
    """The frame between two zero bytes; None where it was damaged."""
    body = unstuff(data)
    if body is None or len(body) < HEAD.size + CHECKSUM.size:
        return None
    kind, zero, length, sequence = HEAD.unpack_from(body)
    if zero or len(body) != HEAD.size + length + CHECKSUM.size:
        return None
    if CHECKSUM.unpack_from(body, HEAD.size + length)[0] != zlib.crc32(body[:-CHECKSUM.size]):
        return None
    return Frame(kind, sequence, body[HEAD.size:HEAD.size + length])


class FrameReader:
    """Finds frames in a stream of bytes; whatever noise comes, the next zero byte ends it."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> list[Frame | None]:
        """The frames that `data` completes; None stands for one that was damaged."""
        *ended, rest = bytes(self._waiting + data).split(b"\0")
        self._waiting = bytearray(rest[-MAX_FRAME_BYTES:])
        return [decode(part) for part in ended if part]
