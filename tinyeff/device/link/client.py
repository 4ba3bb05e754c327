# SPDX-License-Identifier: MIT
"""The host's end of the link: asks until it is answered, and gives no result that is not certain.

Each request is answered under its sequence number, and is sent again where the answer does not come
in time or damaged bytes do. The board treats a request that arrives twice as one (te_link.h). Where
the connection is lost it is opened again; where the board was reset meanwhile, it refuses to run
what it has not got, and the input is uploaded anew.
"""

from __future__ import annotations

import logging
import secrets
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tinyeff.device.link import messages as m
from tinyeff.device.link.frames import Frame, FrameReader, encode
from tinyeff.device.link.messages import Flag, Identity, Kind, Mode, Part, Refusal, RunResult
from tinyeff.device.link.pace import FIRST_CHUNK, ChunkSize, RoundTrip
from tinyeff.device.link.stream import OpenStream, Stream
from tinyeff.errors import BoardError

T = TypeVar("T")
LOG = logging.getLogger("tinyeff")
PATIENCE_SECONDS = 10.0
"""A board that has not answered for so long is not there."""
RUN_PATIENCE_SECONDS = 60.0
REOPEN_SECONDS = 0.1
MANY_RESTARTS = 1000
UNKNOWN_RUN_SECONDS = 0.2
TRACED_RUNS = 3
"""So many times as long as a run the traced copy may take until it shows something."""
LONGEST_CHATTER = 5.0
"""Bytes that arrive without making sense put off the next attempt by so many seconds at most."""


class RefusedError(Exception):
    """The board answered that it cannot meet a request."""

    def __init__(self, code: int, detail: int) -> None:
        super().__init__(f"refused: {code}, {detail}")
        self.code, self.detail = code, detail


class LostError(Exception):
    """A request was not answered in as many attempts as allowed."""


@dataclass(frozen=True)
class Inference:
    """One result: the outputs' bytes in the model's order, and how long the board took."""

    output: bytes
    run: RunResult


class Link:
    """A connection to a board; use it as a context manager.

    `open_stream` opens the connection, and again where it is lost. `patience` is in seconds.
    Raises BoardError where the board does not answer, or is not what it should be.
    """

    def __init__(
        self, open_stream: OpenStream, patience: float = PATIENCE_SECONDS,
        run_patience: float = RUN_PATIENCE_SECONDS,
    ) -> None:
        self._open, self._patience, self._run_patience = open_stream, patience, run_patience
        self._stream: Stream | None = open_stream()
        self._reader = FrameReader()
        self._sequence = secrets.randbits(32)
        self._pace, self._run_seconds = RoundTrip(), UNKNOWN_RUN_SECONDS
        self._chunk = ChunkSize(FIRST_CHUNK, FIRST_CHUNK)
        self._identity: Identity | None = None
        self._silent_since: float | None = None  # when the oldest unanswered request was sent

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    # ---- What a user of the link asks for ----------------------------------------------------

    def identify(self) -> Identity:
        """What the firmware says of itself."""
        payload, total = b"", 1
        while len(payload) < total:
            try:
                answer = self._request(
                    Kind.IDENTIFY, m.IDENTIFY.pack(len(payload), self._chunk.size), attempts=2)
            except LostError:
                self._chunk.shrink()
                continue
            total, offset = m.IDENTIFY.unpack_from(answer)
            payload = payload[:offset] + answer[m.IDENTIFY.size:]
        try:
            found = Identity.parse(payload)
        except (struct.error, ValueError):
            found = None
        if found is None or found.protocol != m.PROTOCOL:
            raise BoardError("the board answers with another version of the protocol; flash it "
                             "with code that this tinyeff generated")
        self._identity = found
        self._chunk = ChunkSize(found.data_bytes, self._chunk.size)
        return found

    def status(self) -> m.Status:
        """Clock, reset reason and stack high-water mark, now."""
        return m.Status.parse(self._request(Kind.STATUS, b""))

    def infer(self, data: bytes, mode: Mode = Mode.RELEASE, count: int = 1) -> Inference:
        """Run the model `count` times on `data`, the bytes of all inputs one after another."""
        def once(transfer: int, crc: int) -> Inference:
            run = self._run(transfer, crc, mode, count)
            output = self._read(transfer, Part.OUTPUT, self.identity.output_bytes)
            if zlib.crc32(output) != run.crc:
                raise RefusedError(Refusal.BAD_TRANSFER, 0)  # not all of one run: begin again
            return Inference(output, run)

        return self._with_input(data, once)

    def profile(self, data: bytes) -> tuple[Inference, tuple[tuple[int, int], ...]]:
        """As `infer`, with (cycles, calls) of each layer, from the traced copy of the model."""
        self._check_can_trace("cycles by layer")

        def once(transfer: int, crc: int) -> tuple[Inference, tuple[tuple[int, int], ...]]:
            run = self._run(transfer, crc, Mode.PROFILE, 1)
            output = self._read(transfer, Part.OUTPUT, self.identity.output_bytes)
            counts = self._read(transfer, Part.LAYERS, self.identity.layers * m.LAYER.size)
            if zlib.crc32(output) != run.crc:
                raise RefusedError(Refusal.BAD_TRANSFER, 0)
            return Inference(output, run), tuple(m.LAYER.iter_unpack(counts))

        return self._with_input(data, once)

    def trace(
        self, data: bytes, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> bytes:
        """Every row that the model writes, as records that `simulator.host.read_trace` reads."""
        self._check_can_trace("a comparison layer by layer")
        collected = _Collected()

        def once(transfer: int, crc: int) -> bytes:
            while True:
                self._trace_part(transfer, crc, collected, progress)
                if collected.complete:
                    return collected.data

        return self._with_input(data, once)

    @property
    def identity(self) -> Identity:
        """What `identify` found; asked for where it has not been."""
        return self._identity or self.identify()

    def _check_can_trace(self, what: str) -> None:
        if Flag.CAN_TRACE not in self.identity.flags:
            raise BoardError(f"the firmware has no traced copy of the model, which {what} needs; "
                             "it was left out for lack of memory or with TE_TRACED_COPY=0")

    # ---- Requests that build on each other ---------------------------------------------------

    def _with_input(self, data: bytes, act: Callable[[int, int], T]) -> T:
        """`act(transfer, crc)` on an uploaded input, uploaded anew where the board has lost it."""
        if len(data) != self.identity.input_bytes:
            raise BoardError(f"the board's model takes {self.identity.input_bytes} bytes of input, "
                             f"and was to be given {len(data)}; it is another model")
        for _ in range(MANY_RESTARTS):
            transfer = secrets.randbits(32)
            try:
                self._upload(transfer, data)
                return act(transfer, zlib.crc32(data))
            except RefusedError as error:
                self._check_refusal(error)
                LOG.debug("the board has lost the input (%s): uploading it again", error)
        raise BoardError(f"the board lost its input {MANY_RESTARTS} times; check its power supply "
                         "and its cable")

    def _check_refusal(self, error: RefusedError) -> None:
        """Raise where uploading the input again would not help."""
        if error.code == Refusal.BAD_BUILD:
            raise BoardError("the firmware on the board was exchanged while it was used")
        if error.code == Refusal.BAD_REQUEST:
            raise BoardError("the board does not understand a request; flash it with code that "
                             "this tinyeff generated")
        if error.code == Refusal.MODEL:
            raise BoardError(f"the model on the board refused its input with code {error.detail}")

    def _upload(self, transfer: int, data: bytes) -> None:
        done = 0
        while done < len(data):
            part = data[done:done + self._chunk.size]
            try:
                answer = self._request(Kind.WRITE, m.WRITE.pack(transfer, done) + part, attempts=2)
            except LostError:
                self._chunk.shrink()
                continue
            number, received = m.WRITTEN.unpack(answer)
            if number != transfer or received > len(data):
                raise RefusedError(Refusal.BAD_TRANSFER, 0)
            done = received
            self._chunk.grow()

    def _run(self, transfer: int, crc: int, mode: Mode, count: int) -> RunResult:
        build = self.identity.build_sha256[:m.BUILD_BYTES]
        request = m.RUN.pack(transfer, crc, mode, count, build)
        started = time.monotonic()
        run = RunResult.parse(self._request(
            Kind.RUN, request, extra=self._run_seconds * count, patience=self._run_patience))
        self._run_seconds = min(self._run_seconds, (time.monotonic() - started) / count)
        if (run.transfer, run.mode, run.count) != (transfer, mode, count):
            raise RefusedError(Refusal.BAD_TRANSFER, 0)
        if run.status < 0:
            raise BoardError(f"the model on the board failed with code {run.status}")
        return run

    def _read(self, transfer: int, part: Part, size_bytes: int) -> bytes:
        data = b""
        while len(data) < size_bytes:
            size = min(self._chunk.size, size_bytes - len(data))
            request = m.READ.pack(transfer, part, len(data), size)
            try:
                answer = self._request(Kind.READ, request, attempts=2)
            except LostError:
                self._chunk.shrink()
                continue
            if answer[:m.READ_HEAD.size] != request[:m.READ_HEAD.size]:
                raise RefusedError(Refusal.BAD_TRANSFER, 0)
            data += answer[m.READ_HEAD.size:]
            self._chunk.grow()
        return data

    def _trace_part(
        self, transfer: int, crc: int, collected: _Collected,
        progress: Callable[[int, int], None],
    ) -> None:
        """Run the model once more, from the first byte of the trace that is missing."""
        start = collected.missing
        build = self.identity.build_sha256[:m.BUILD_BYTES]
        request = m.TRACE.pack(transfer, crc, start, 0xFFFF_FFFF - start, build)

        def on_part(frame: Frame) -> None:
            number, offset = m.TRACED_HEAD.unpack_from(frame.payload)
            if number == transfer:
                collected.add(offset, frame.payload[m.TRACED_HEAD.size:])
                progress(collected.missing, collected.total or 0)

        try:
            answer = self._request(Kind.TRACE, request, on_part=on_part, attempts=1,
                                   extra=TRACED_RUNS * self._run_seconds,
                                   patience=self._run_patience)
        except LostError:
            return
        number, status, total, whole_crc = m.TRACE_END.unpack(answer)
        if number != transfer:
            return  # of an earlier upload
        if status < 0:
            raise BoardError(f"the model on the board failed with code {status}")
        collected.end(total, whole_crc)

    # ---- One request -------------------------------------------------------------------------

    def _request(
        self, kind: Kind, payload: bytes, *, attempts: int | None = None, extra: float = 0.0,
        patience: float | None = None, on_part: Callable[[Frame], None] | None = None,
    ) -> bytes:
        """The payload of the answer; `extra` seconds are what the board computes for it.

        Raises RefusedError, LostError after `attempts`, BoardError where `patience` ends.
        """
        self._sequence = (self._sequence + 1) & 0xFFFF_FFFF
        frame, limit = Frame(kind, self._sequence, payload), (patience or self._patience)
        data, attempt, limit = encode(frame), 0, limit + 3 * extra
        while attempts is None or attempt < attempts:
            started = time.monotonic()
            if self._silent_since is None:
                self._silent_since = started
            if started - self._silent_since > limit:
                raise BoardError(_silence(limit, self._identity))
            wait = self._pace.wait(len(data) + m.HEAD_BYTES) + extra
            answer = self._exchange(frame, data, wait, on_part)
            attempt += 1
            if answer is None:
                self._pace.unheard(time.monotonic() - started >= wait)
            else:
                self._pace.heard(time.monotonic() - started, attempt, extra > 0)
                return answer
        raise LostError

    def _exchange(
        self, frame: Frame, data: bytes, wait: float, on_part: Callable[[Frame], None] | None
    ) -> bytes | None:
        """Send once and listen for `wait` seconds; None where no answer came.

        After damage the end comes as soon as the line is quiet, and never before: a board that
        speaks does not hear.
        """
        try:
            stream = self._opened()
            stream.write(data)
            deadline = time.monotonic() + wait
            latest = deadline + LONGEST_CHATTER
            while (left := min(deadline, latest) - time.monotonic()) > 0:
                arrived = stream.read_some(left)
                quiet = time.monotonic() + self._pace.quiet
                deadline = max(deadline, quiet) if arrived else deadline
                for found in self._reader.feed(arrived):
                    if found is None or found.kind == Kind.NOISE:
                        deadline = quiet if on_part is None else deadline
                        continue
                    self._silent_since = None  # late or not, the board is there
                    answer = self._matching(frame, found, on_part is not None)
                    if answer is not None:
                        return answer
                    if on_part and found.kind == Kind.TRACED:
                        on_part(found)
                        deadline, latest = quiet + wait, quiet + wait + LONGEST_CHATTER
        except OSError as error:
            self._lost(error)
        return None

    def _matching(self, asked: Frame, found: Frame, late: bool) -> bytes | None:
        """The payload where `found` answers `asked`; with `late`, also what was asked like it.

        A trace is the same each time, so an answer to an earlier request will do, and has to: a
        slow board would never catch up.
        """
        same = found.sequence == asked.sequence
        if same and found.kind == Kind.FAILED and len(found.payload) == m.FAILED.size:
            kind, code, detail = m.FAILED.unpack(found.payload)
            if kind == asked.kind:
                raise RefusedError(code, detail)
        if found.kind != asked.kind | Kind.ANSWER or not (same or late):
            return None
        return found.payload

    def _opened(self) -> Stream:
        if self._stream is None:
            self._stream = self._open()
            self._reader = FrameReader()
            LOG.debug("the connection is open again")
        return self._stream

    def _lost(self, error: Exception) -> None:
        """The connection broke: close it, so that the next attempt opens it again."""
        LOG.debug("the connection is lost: %s", error)
        self.close()
        time.sleep(REOPEN_SECONDS)


class _Collected:
    """The parts of a trace that have arrived, in any order."""

    def __init__(self) -> None:
        self.data, self.total = b"", None  # type: bytes, int | None
        self._parts: dict[int, bytes] = {}
        self._crc = 0

    @property
    def missing(self) -> int:
        """The first byte that is not there."""
        return len(self.data)

    @property
    def complete(self) -> bool:
        """True where all bytes are there and their CRC-32 is the board's."""
        if self.total is None or len(self.data) < self.total:
            return False
        if zlib.crc32(self.data) == self._crc:
            return True
        self.data = b""  # parts of runs that differ: collect it anew
        self._parts.clear()
        return False

    def add(self, offset: int, part: bytes) -> None:
        """Bytes from `offset` on."""
        self._parts[offset] = part
        while True:
            fits = next((o for o, p in self._parts.items()
                         if o <= len(self.data) < o + len(p)), None)
            if fits is None:
                break
            self.data += self._parts.pop(fits)[len(self.data) - fits:]
        self._parts = {o: p for o, p in self._parts.items() if o > len(self.data)}

    def end(self, total: int, crc: int) -> None:
        """What the board says of the whole trace."""
        self.total, self._crc = total, crc


def _silence(seconds: float, identity: Identity | None) -> str:
    if identity is None:
        return (f"nothing answered for {seconds:g} seconds: flash the board with tinyeff flash, "
                "press its reset button, and check that --port is its console")
    return (f"the board {identity.board} has not answered for {seconds:g} seconds: it was "
            "unplugged or reset, or has crashed; press its reset button and try again")
