# SPDX-License-Identifier: MIT
"""The serial link, both ends: the firmware's own C answers, over lines of every quality."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device.rig import Board, HostFirmware, Line
from tests.emitter.graphs import chain, conv, inputs_of, program_of, two_inputs, two_outputs
from tests.golden_files import EXAMPLES
from tests.shared import CHECKOUT, missing, needs
from tinyeff.cli import main
from tinyeff.device.link.client import Link
from tinyeff.device.link.frames import Frame, FrameReader, encode, stuff, unstuff
from tinyeff.device.link.machine import BoardProgram, bench, check_firmware, samples_of
from tinyeff.device.link.messages import BoardStatus, Flag, Identity, Kind, RunResult, Status
from tinyeff.device.link.sources import build_of
from tinyeff.device.link.stream import SerialStream, open_serial, reconnecting
from tinyeff.errors import BoardError, UsageError
from tinyeff.ir import Array, Graph
from tinyeff.ops.build import GraphBuilder
from tinyeff.reader.flatbuffer import with_flatbuffer
from tinyeff.simulator.host import HostProgram
from tinyeff.simulator.verify import compare

NOISY = {"drop": 0.0025, "flip": 0.0025, "double": 0.0025, "delay": 0.0025,
         "delay_seconds": 0.01}
"""One byte in a hundred does not arrive as it was sent."""


def tiny() -> Graph:
    """Two convolutions of a 4x4 image."""
    g = GraphBuilder("tiny")
    x = g.input((1, 4, 4, 1), 0.1, -4)
    return with_flatbuffer(g.graph(conv(g, conv(g, x, 2), 1)))


class Expected:
    """A firmware, samples for it, and the bytes it has to answer."""

    def __init__(self, graph: Graph, count: int, flags: tuple[str, ...] = ()) -> None:
        program = program_of(graph)
        self.graph, self.firmware = graph, HostFirmware(program, flags=flags)
        self.inputs = inputs_of(graph, count)
        self.samples = samples_of(self.inputs)
        with HostProgram(program) as host:
            outputs = host.run(self.inputs)
        self.outputs = samples_of(outputs)


@pytest.fixture(scope="module")
def small() -> Iterator[Expected]:
    expected = Expected(tiny(), 1000)
    yield expected
    expected.firmware.close()


def link_to(board: Board, patience: float = 10.0) -> Link:
    return Link(reconnecting(lambda: open_serial(board.url)), patience)


# ---- Frames ------------------------------------------------------------------------------------


@given(st.binary(max_size=1200))
def test_stuffing_leaves_no_zero_and_is_undone(data: bytes) -> None:
    assert 0 not in stuff(data)
    assert unstuff(stuff(data)) == data


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1), st.binary(max_size=50))
def test_a_frame_is_found_after_noise(payload: bytes, sequence: int, noise: bytes) -> None:
    frame = Frame(7, sequence, payload)
    assert FrameReader().feed(noise + encode(frame))[-1] == frame


def test_every_flipped_bit_is_noticed() -> None:
    data = encode(Frame(3, 0x01020300, bytes(range(20))))
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        found = [f for f in FrameReader().feed(b"\0" + bytes(damaged) + b"\0") if f is not None]
        assert found in ([], [Frame(3, 0x01020300, bytes(range(20)))]), bit
        assert found == [] or damaged.strip(b"\0")[:-1] == data.strip(b"\0")[:-1] or bit < 8


# ---- A good line -------------------------------------------------------------------------------


def test_outputs_are_those_of_the_model(small: Expected) -> None:
    with Board(small.firmware.binary) as board, link_to(board) as link:
        for data, expected in zip(small.samples[:20], small.outputs, strict=False):
            assert link.infer(data).output == expected
        assert link.infer(small.samples[3], count=50).run.count == 50
        status = link.status()
        assert (status.clock_hz, status.resets, status.stack_bytes) == (1_000_000, ("pin",), 1234)
        assert board.connections == 1


def test_identity(small: Expected) -> None:
    with Board(small.firmware.binary) as board, link_to(board) as link:
        found = link.identify()
    manifest = small.firmware.manifest
    assert found.model_sha256.hex() == manifest.model_sha256
    assert found.build_sha256 == build_of(small.firmware.sources, "out")
    assert (found.board, found.model, found.version) == ("host", "tiny", manifest.version)
    assert (found.input_bytes, found.output_bytes) == (16, 16)
    assert found.arena_bytes == manifest.arena_bytes
    assert found.flags == Flag.REPEATABLE | Flag.CAN_TRACE


def test_layers_are_measured_and_traced(small: Expected) -> None:
    with Board(small.firmware.binary) as board, link_to(board) as link:
        inference, counts = link.profile(small.samples[0])
        assert inference.output == small.outputs[0]
        assert [calls for _, calls in counts] == [4, 4]  # a call per row
        machine = BoardProgram(link, small.firmware.manifest)
        result = compare(small.graph, tuple(x[:3] for x in small.inputs), machine, machine)
        assert result.exact and result.layers and result.tensors == 2
        measured = bench(link, small.firmware.manifest, small.samples[0], runs=20)
        assert measured.runs == 20 and len(measured.layers) == 2
        assert measured.fewest <= measured.cycles <= measured.most


@pytest.mark.slow
@pytest.mark.parametrize(("graph", "memory", "keep_input"), [
    (chain, "streamed", True), (chain, "streamed", False), (two_inputs, "resident", True),
    (two_inputs, "excluded", False), (two_outputs, "resident", False),
])
def test_every_form_of_model(
    graph: Callable[[], Graph], memory: str, keep_input: bool
) -> None:
    built = graph()
    program, inputs = program_of(built, memory), inputs_of(built, 3)
    firmware = HostFirmware(program, keep_input=keep_input)
    with HostProgram(program) as host:
        expected = samples_of(host.run(inputs))
    with Board(firmware.binary) as board, link_to(board) as link:
        check_firmware(link, firmware.manifest, build_of(firmware.sources, "out"), "out")
        assert [link.infer(data).output for data in samples_of(inputs)] == expected
        repeatable = keep_input or memory == "excluded"
        assert (Flag.REPEATABLE in link.identity.flags) == repeatable
        machine = BoardProgram(link, firmware.manifest)
        assert machine.can_trace == (repeatable or memory == "resident")
        assert compare(built, inputs, machine, machine if machine.can_trace else None).exact
        assert bench(link, firmware.manifest, samples_of(inputs)[0], runs=3).runs == 3
    firmware.close()


# ---- Lines of every kind -----------------------------------------------------------------------


def check_hostile(expected: Expected, count: int, seed: int) -> None:
    """`count` inferences while bytes are lost, flipped, doubled and late, and plugs are pulled.

    Each hundredth inference the connection breaks in the midst of a transfer, each second time
    with a loss of power; each hundredth a host dies after half a frame and another one takes over.
    """
    with Board(expected.firmware.binary, Line(**NOISY, seed=seed)) as board:
        link = link_to(board)
        for n in range(count):
            data = expected.samples[n % len(expected.samples)]
            wanted = expected.outputs[n % len(expected.samples)]
            timer = None
            if n % 100 == 40:
                timer = threading.Timer(0.003, board.unplug, [n % 200 == 40])
                timer.start()
            if n % 100 == 80:
                die_mid_transfer(board, link, data)
                link = link_to(board)
            assert link.infer(data).output == wanted, n
            if timer is not None:
                timer.join()
        link.close()
        assert board.line.faults > count / 2
        assert board.connections >= count // 100


def die_mid_transfer(board: Board, link: Link, data: bytes) -> None:
    """A host that uploads half of an input, sends half a request, and is gone."""
    link.identify()
    link._request(Kind.WRITE, (77).to_bytes(4, "little") + bytes(4) + data[:8])
    stream = link._opened()
    stream.write(encode(Frame(Kind.WRITE, 5, bytes(20)))[:9])
    link.close()


@pytest.mark.slow
def test_no_wrong_result_in_1000_inferences_over_a_hostile_link(small: Expected) -> None:
    check_hostile(small, 1000, seed=1)


@pytest.mark.all
def test_no_wrong_result_in_10000_inferences_over_a_hostile_link(small: Expected) -> None:
    check_hostile(small, 10_000, seed=2)


@pytest.mark.slow
def test_one_percent_of_each_fault_at_once(small: Expected) -> None:
    line = Line(drop=0.01, flip=0.01, double=0.01, delay=0.01, delay_seconds=0.005, seed=3)
    with Board(small.firmware.binary, line) as board, link_to(board) as link:
        for n in range(10):
            assert link.infer(small.samples[n]).output == small.outputs[n]


@pytest.mark.slow
def test_a_board_that_does_not_hear_while_it_speaks(small: Expected) -> None:
    """Asking again at once would talk into what the board says of the noise, on and on."""
    line = Line(**NOISY, seed=6)
    with Board(small.firmware.binary, line, half_duplex=True) as board, link_to(board) as link:
        for n in range(20):
            assert link.infer(small.samples[n]).output == small.outputs[n]
        assert link.trace(small.samples[0])
    assert line.faults > 20


@pytest.mark.slow
def test_traces_arrive_whole_over_a_noisy_line(small: Expected) -> None:
    with Board(small.firmware.binary) as board, link_to(board) as link:
        clean = link.trace(small.samples[0])
    line = Line(**NOISY, seed=4)
    with Board(small.firmware.binary, line) as board, link_to(board) as link:
        for _ in range(2):
            assert link.trace(small.samples[0]) == clean
    assert line.faults > 4


KILLED = """
import sys
from tinyeff.device.link.client import Link
from tinyeff.device.link.stream import open_serial
with Link(lambda: open_serial(sys.argv[1])) as link:
    link.identify()
    print("ready", flush=True)
    while True:
        link.infer(bytes(range(16)))
"""


@pytest.mark.slow
def test_a_host_that_is_killed_leaves_the_board_usable(small: Expected) -> None:
    with Board(small.firmware.binary, Line(**NOISY, seed=5)) as board:
        for n in range(3):
            host = subprocess.Popen([sys.executable, "-c", KILLED, board.url], cwd=CHECKOUT,
                                    stdout=subprocess.PIPE)
            assert host.stdout is not None
            assert host.stdout.readline() == b"ready\n"
            time.sleep(0.1)
            host.send_signal(signal.SIGKILL)
            host.wait()
            host.stdout.close()
            with link_to(board) as link:
                assert link.infer(small.samples[n]).output == small.outputs[n]


def test_a_silent_board_is_given_up(small: Expected) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        with Link(lambda: open_serial(url), patience=0.3) as link, \
                pytest.raises(BoardError, match="nothing answered"):
            link.identify()
        assert time.monotonic() - started < 3


def test_a_board_that_never_comes_back_is_given_up(small: Expected) -> None:
    with Board(small.firmware.binary) as board:
        link = link_to(board, patience=0.5)
        link.identify()
    with link, pytest.raises(BoardError, match="the board host has not answered"):
        link.infer(small.samples[0])


# ---- The wrong board ---------------------------------------------------------------------------


@pytest.mark.slow
def test_another_model_and_another_build_are_refused(small: Expected) -> None:
    manifest, build = small.firmware.manifest, build_of(small.firmware.sources, "out")
    other = HostFirmware(program_of(small.graph, "excluded"))
    with Board(other.binary) as board, link_to(board) as link, pytest.raises(
        BoardError, match=r"same model, generated otherwise.*flash out"
    ):
        check_firmware(link, manifest, build, "out")
    another = HostFirmware(program_of(chain()))
    with Board(another.binary) as board, link_to(board) as link, pytest.raises(
        BoardError, match=r"chain for host.*another model than tiny"
    ):
        check_firmware(link, manifest, build, "out")
    with pytest.raises(UsageError, match="no program for a board"):
        build_of({"m.c": ""}, "out")
    other.close()
    another.close()


@pytest.mark.slow
def test_a_firmware_that_is_exchanged_meanwhile_does_not_run(small: Expected) -> None:
    other = HostFirmware(program_of(small.graph, "excluded"))
    with Board(small.firmware.binary) as board, link_to(board) as link:
        assert link.infer(small.samples[0]).output == small.outputs[0]
        board.binary = other.binary
        board.unplug(reset=True)
        with pytest.raises(BoardError, match="exchanged"):
            link.infer(small.samples[0])
    other.close()


# ---- Messages ----------------------------------------------------------------------------------


def test_what_is_no_identity_is_refused() -> None:
    for payload in (b"", bytes(83), bytes(86), bytes(88)):
        with pytest.raises((ValueError, struct.error)):
            Identity.parse(payload)
    assert RunResult.FORMAT.size == 31
    status = Status.parse(bytes([0] * 4 + [9] + [0] * 3 + [3] + [0] * 7))
    assert status.board == BoardStatus.NO_CRYSTAL | BoardStatus.SYSTICK_CYCLES
    assert status.resets == ("pin", "power") and status.counts_cycles


class FakePort:
    """What pyserial offers, over a list of bytes that arrive."""

    def __init__(self, *arrivals: bytes) -> None:
        self.arrivals, self.timeout = list(arrivals), 1.0
        self.written = b""

    @property
    def in_waiting(self) -> int:
        return len(self.arrivals[0]) if self.arrivals else 0

    def read(self, size: int) -> bytes:
        if not self.arrivals:
            return b""
        data, rest = self.arrivals[0][:size], self.arrivals[0][size:]
        self.arrivals[:1] = [rest] if rest else []
        return data

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        raise OSError("gone")


def test_any_stream_like_pyserials_will_do() -> None:
    port = FakePort(b"abc", b"d")
    stream = SerialStream(port)
    assert stream.read_some(1) + stream.read_some(1) == b"abcd"
    assert stream.read_some(0.02) == b""
    stream.write(b"x")
    stream.close()
    assert port.written == b"x"
    assert SerialStream(FakePort(b"abc"), counts_waiting=False).read_some(1) == b"abc"


# ---- The command line --------------------------------------------------------------------------


@pytest.mark.slow
def test_run_and_verify_on_the_command_line(
    small: Expected, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = str(small.firmware.folder), tmp_path / "x.npy"
    np.save(file, small.inputs[0][0])
    (small.firmware.folder / "firmware.elf").touch()  # files of others do not matter
    with Board(small.firmware.binary) as board:
        arguments = ["run", folder, "--port", board.url, "--input", str(file)]
        assert main([*arguments, "--bench", "--json"]) == 0
        value = json.loads(capsys.readouterr().out)
        output: Array = np.frombuffer(small.outputs[0], np.int8)
        assert value["outputs"][0]["values"] == output.tolist()
        assert value["arena_bytes"] == small.firmware.manifest.arena_bytes
        assert (value["board"], value["clock_hz"], value["port"]) == ("host", 1_000_000, board.url)
        assert [layer["kind"] for layer in value["layers"]] == ["CONV_2D", "CONV_2D"]
        assert main(arguments) == 0
        assert value["output_sha256"] in capsys.readouterr().out
        assert main(["verify", folder, "--port", board.url, "--count", "2"]) == 0
        assert "all 2 tensors" in capsys.readouterr().out
        assert main(["run", folder, "--port", board.url, "--emulate"]) == 2


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["--port", "/dev/there-is-none"], 2, "no such port"),
    (["--port", "socket://127.0.0.1:1"], 2, "cannot be opened"),
    (["--port", "wrong://x"], 2, "--port wrong://x"),
])
def test_ports_that_cannot_be_opened(
    small: Expected, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    if sys.platform == "win32":
        missing("paths of ports differ on Windows")
    assert main(["run", str(small.firmware.folder), *arguments]) == code
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_an_emulated_board_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs("arm-none-eabi-gcc", "qemu-system-arm", "elftools")
    folder, triangle = str(tmp_path / "out"), str(EXAMPLES / "triangle.npy")
    assert main(["codegen", str(EXAMPLES / "shapes_int8.tflite"), "-o", folder, "-q", "--board",
                 "netduino-plus-2"]) == 0
    assert main(["sim", str(EXAMPLES / "shapes_int8.tflite"), "--input", triangle, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert main(["run", folder, "--emulate", "--input", triangle, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["output_sha256"] == expected["output_sha256"]
    assert (found["board"], found["port"], found["cycles"]) == ("netduino-plus-2", "emulated", None)
    assert 0 < found["stack_bytes"] < 4096
    assert main(["verify", folder, "--emulate", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["exact"] and value["tensors"] == 13 and value["board"] == "netduino-plus-2"
    assert main(["run", folder, "--emulate", "--bench"]) == 2
    assert "--bench is for a real board" in capsys.readouterr().err
    assert main(["run", folder, "--emulate", "--port", "auto"]) == 2
