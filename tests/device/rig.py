# SPDX-License-Identifier: MIT
"""A board that is this machine: the firmware's own C, built with a console on standard input.

`HostFirmware` builds it once; `Board` runs it behind a TCP port, with whatever faults a `Line` has.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.shared import CHECKOUT
from tinyeff.device.link.sources import link_sources
from tinyeff.emitter import MANIFEST, EmitOptions, emit, read_manifest
from tinyeff.emitter.sources import sha256
from tinyeff.ir import Program
from tinyeff.simulator.host import WARNINGS, host_compiler, write_sources


class HostFirmware:
    """The program for a board around a model, as a program for this machine."""

    def __init__(
        self, program: Program, name: str = "m", keep_input: bool = True,
        flags: Sequence[str] = (),
    ) -> None:
        sources = dict(emit(program, EmitOptions(name)))
        self.manifest = read_manifest(sources[MANIFEST], MANIFEST)
        flatbuffer = program.graph.source.flatbuffer
        self.sources = {**sources, **link_sources(sources, flatbuffer, "host", keep_input)}
        raw = json.loads(self.sources.pop(MANIFEST))
        raw["files"] = {name: sha256(text) for name, text in self.sources.items()}
        self.sources[MANIFEST] = json.dumps(raw)
        self._folder = tempfile.TemporaryDirectory(prefix="tinyeff-board-")
        self.folder = Path(self._folder.name)
        self.binary = self.folder / "firmware"
        write_sources(self.folder, self.sources)
        files = [n for n in self.sources if n.endswith(".c") and not n.endswith("_example.c")]
        done = subprocess.run(
            [*host_compiler(), "-std=c11", "-O1", *WARNINGS, *flags,
             f"-I{CHECKOUT / 'firmware' / 'families'}", "-I.", *files,
             str(CHECKOUT / "tests" / "device" / "host_board.c"), "-o", str(self.binary)],
            cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        """Remove the build."""
        self._folder.cleanup()


@dataclass
class Line:
    """Faults of a line; probabilities are per byte, in both directions.

    `delay_seconds` is how late a delayed byte, and all behind it, can be.
    """

    drop: float = 0.0
    flip: float = 0.0
    double: float = 0.0
    delay: float = 0.0
    delay_seconds: float = 0.0
    seed: int = 0
    faults: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def pass_on(self, data: bytes) -> list[tuple[float, bytes]]:
        """What comes out at the other end: (seconds to wait first, bytes)."""
        out: list[tuple[float, bytes]] = [(0.0, b"")]
        edges = [self.drop, self.drop + self.flip, self.drop + self.flip + self.double,
                 self.drop + self.flip + self.double + self.delay]
        for byte in data:
            draw = self._random.random()
            kind = sum(draw >= edge for edge in edges)
            self.faults += kind < len(edges)
            sent = bytes([byte])
            if kind == 0:
                sent = b""
            elif kind == 1:
                sent = bytes([byte ^ 1 << self._random.randrange(8)])
            elif kind == 2:
                sent *= 2
            elif kind == 3:
                out.append((self._random.random() * self.delay_seconds, b""))
            out[-1] = (out[-1][0], out[-1][1] + sent)
        return out


class Board:
    """A firmware behind a TCP port; use it as a context manager.

    `unplug` cuts the connection; with `reset` the program starts anew as well, as after a loss of
    power. With `half_duplex` bytes take as long as at 115,200 baud, and the board does not hear
    while it speaks. `binary` can be exchanged for another firmware meanwhile.
    """

    def __init__(
        self, binary: Path, line: Line | None = None, half_duplex: bool = False
    ) -> None:
        self.binary, self.line, self.half_duplex = binary, line or Line(), half_duplex
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.url = f"socket://127.0.0.1:{self.port}"
        self._client: socket.socket | None = None
        self._closed, self._lock = False, threading.Lock()
        self._start()
        self._thread(self._accept)

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *details: object) -> None:
        self._closed = True
        self._server.close()
        self.unplug()
        self._stop()

    def unplug(self, reset: bool = False) -> None:
        """Cut the connection; it can be opened again at once."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()
        if reset:
            self._stop()
            self._start()

    def _start(self) -> None:
        mode = {"TE_HALF_DUPLEX": "1"} if self.half_duplex else {}
        self._program = subprocess.Popen([str(self.binary)], stdin=subprocess.PIPE, bufsize=0,
                                         stdout=subprocess.PIPE, env={**os.environ, **mode})
        self._thread(self._from_board, self._program)

    def _stop(self) -> None:
        self._program.kill()
        self._program.wait()
        for pipe in (self._program.stdin, self._program.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    @staticmethod
    def _thread(act: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=act, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._client = client
            self.connections += 1
            self._to_board(client)

    def _to_board(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := client.recv(4096):
                for seconds, part in self.line.pass_on(data):
                    time.sleep(seconds)
                    assert self._program.stdin is not None
                    for piece in self._paced(part):
                        self._program.stdin.write(piece)

    def _paced(self, data: bytes) -> Iterator[bytes]:
        """`data` at once, or byte by byte as it comes over a wire."""
        if not self.half_duplex:
            yield data
            return
        for byte in data:
            time.sleep(87e-6)
            yield bytes([byte])

    def _from_board(self, program: subprocess.Popen[bytes]) -> None:
        assert program.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            while data := program.stdout.read(4096):
                for seconds, part in self.line.pass_on(data):
                    time.sleep(seconds)
                    with self._lock:
                        client = self._client
                    if client is not None and part:
                        with contextlib.suppress(OSError):
                            client.sendall(part)
