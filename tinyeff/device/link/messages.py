# SPDX-License-Identifier: MIT
"""What is asked and answered over the link; the twin of firmware/link/te_link.h."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

PROTOCOL = 1
BUILD_BYTES = 8
HEAD_BYTES = 24
"""What a frame has beside the data it carries, at most."""


class Kind(enum.IntEnum):
    """Kinds of frames; an answer is its request + ANSWER."""

    IDENTIFY = 1
    WRITE = 2
    RUN = 3
    READ = 4
    TRACE = 5
    STATUS = 6
    ANSWER = 0x80
    TRACED = 0xF0
    NOISE = 0xF1
    FAILED = 0xF2


class Refusal(enum.IntEnum):
    """Why a board does not meet a request."""

    BAD_REQUEST = 1
    BAD_TRANSFER = 2
    BAD_OFFSET = 3
    BAD_INPUT = 4
    SPENT = 5
    BAD_BUILD = 6
    MODEL = 7


class Mode(enum.IntEnum):
    """How a run goes."""

    RELEASE = 0
    PROFILE = 1


class Part(enum.IntEnum):
    """What can be read after a run."""

    OUTPUT = 0
    LAYERS = 1


class Flag(enum.IntFlag):
    """What a firmware can do."""

    REPEATABLE = 1
    CAN_TRACE = 2


class BoardStatus(enum.IntFlag):
    """Bits of te_board_status (firmware/families/te_board.h)."""

    NO_CRYSTAL = 1
    NO_PLL = 2
    NO_POWER = 4
    SYSTICK_CYCLES = 8
    NO_CYCLES = 16


NOTES = {
    BoardStatus.NO_CRYSTAL: "its external clock did not start: it runs on the internal oscillator",
    BoardStatus.NO_PLL: "its PLL did not lock: it runs at the oscillator's speed",
    BoardStatus.NO_POWER: "its regulator did not report the voltage for full speed",
    BoardStatus.NO_CYCLES: "nothing on it counts cycles",
}
"""What a user should know of a board's status."""

RESETS = ("pin", "power", "software", "watchdog", "window watchdog", "low power", "brown-out")
"""Names of the bits of te_board_reset_reason."""


@dataclass(frozen=True)
class Status:
    """A board's clock, the bits of its status and of its last reset, and its stack's mark."""

    clock_hz: int
    board: BoardStatus
    reset_reason: int
    stack_bytes: int

    FORMAT = struct.Struct("<IIII")

    @classmethod
    def parse(cls, payload: bytes) -> Status:
        """From the answer to STATUS."""
        clock, board, reason, stack = cls.FORMAT.unpack(payload)
        return cls(clock, BoardStatus(board), reason, stack)

    @property
    def resets(self) -> tuple[str, ...]:
        """The names of what caused the last reset; none where the chip does not say."""
        return tuple(name for bit, name in enumerate(RESETS) if self.reset_reason >> bit & 1)

    @property
    def counts_cycles(self) -> bool:
        """False where the board's cycle counts mean nothing."""
        return BoardStatus.NO_CYCLES not in self.board


@dataclass(frozen=True)
class Identity:
    """What a firmware says of itself; hashes are SHA-256, of the model and of the firmware."""

    protocol: int
    flags: Flag
    data_bytes: int
    input_bytes: int
    output_bytes: int
    arena_bytes: int
    layers: int
    model_sha256: bytes
    build_sha256: bytes
    board: str
    version: str
    model: str

    FORMAT = struct.Struct("<BBHIIII")

    @classmethod
    def parse(cls, payload: bytes) -> Identity:
        """From all answers to IDENTIFY; struct.error or ValueError where it is none."""
        start = cls.FORMAT.size
        protocol, flags, data, inputs, outputs, arena, layers = cls.FORMAT.unpack_from(payload)
        hashes, texts = payload[start:start + 64], payload[start + 64:]
        board, version, model, end = texts.split(b"\0")
        if end or len(hashes) != 64:
            raise ValueError("an identity of another form")
        return cls(protocol, Flag(flags), data, inputs, outputs, arena, layers,
                   hashes[:32], hashes[32:],
                   *(text.decode("utf-8", "replace") for text in (board, version, model)))


@dataclass(frozen=True)
class RunResult:
    """What a run left: the model's code, cycles of all `count` runs, CRC-32 of the output.

    A code below 0 is an error, one above the early exit that was taken.
    """

    transfer: int
    mode: int
    count: int
    status: int
    cycles: int
    fewest: int
    most: int
    crc: int

    FORMAT = struct.Struct("<IBHiQIII")

    @classmethod
    def parse(cls, payload: bytes) -> RunResult:
        """From the answer to RUN."""
        return cls(*cls.FORMAT.unpack(payload))


IDENTIFY = struct.Struct("<HH")
WRITE = struct.Struct("<II")
WRITTEN = struct.Struct("<II")
RUN = struct.Struct(f"<IIBH{BUILD_BYTES}s")
READ = struct.Struct("<IBIH")
READ_HEAD = struct.Struct("<IBI")
TRACE = struct.Struct(f"<IIII{BUILD_BYTES}s")
TRACED_HEAD = struct.Struct("<II")
TRACE_END = struct.Struct("<IiII")
FAILED = struct.Struct("<BBi")
LAYER = struct.Struct("<II")
