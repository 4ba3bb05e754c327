# SPDX-License-Identifier: MIT
"""From --port and --emulate to a board that runs the program in a folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinyeff.console.folder import read_folder
from tinyeff.console.options import ConnectionOptions
from tinyeff.device.link.client import Link
from tinyeff.device.link.machine import check_firmware, notes
from tinyeff.device.link.sources import build_of
from tinyeff.device.link.stream import (
    BAUD,
    OpenStream,
    SerialStream,
    Stream,
    open_serial,
    reconnecting,
)
from tinyeff.device.ports import find_port
from tinyeff.emitter import Manifest, Sources

LOG = logging.getLogger("tinyeff")


def board_folder(folder: str) -> tuple[Manifest, Sources, bytes]:
    """A folder with a program for a board: its manifest, its texts, the hash that it would say."""
    manifest, sources = read_folder(Path(folder))
    return manifest, sources, build_of(sources, folder)


@contextmanager
def connected(
    folder: str, manifest: Manifest, build: bytes, options: ConnectionOptions
) -> Iterator[tuple[Link, str]]:
    """A link to the board that runs the program in `folder`, and what it goes through.

    Raises UsageError where there is no port, BoardError where the board is silent or runs anything
    else.
    """
    if options.emulate:
        from tinyeff.device.emulated import open_emulated

        with open_emulated(Path(folder)) as port, Link(
            _once(SerialStream(port, False)), run_patience=options.timeout
        ) as link:
            check_firmware(link, manifest, build, folder)
            yield link, "emulated"
        return
    name = options.port if options.port not in (None, "auto") else None
    if name is None:
        found = find_port()
        LOG.info("using %s", found)
        name = found.device
    baud = int(manifest.raw.get("board", {}).get("console", {}).get("baud", BAUD))
    with Link(reconnecting(lambda: open_serial(name, baud)),
              run_patience=options.timeout) as link:
        check_firmware(link, manifest, build, folder)
        for note in notes(link.status()):
            LOG.warning("%s: %s", link.identity.board, note)
        yield link, name


def _once(stream: Stream) -> OpenStream:
    """Opens a stream that cannot be opened a second time."""
    waiting = [stream]

    def take() -> Stream:
        if not waiting:
            raise OSError("the emulated board has ended")
        return waiting.pop()

    return take
