# SPDX-License-Identifier: MIT
"""Images of all boards: vectors and regions in the ELF, and the program running in emulation."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.device.firmware import ask, image, impatient_image, line, program, running
from tests.shared import missing, needs
from tinyeff.device.boards import board_named
from tinyeff.device.layout import STACK_BYTES
from tinyeff.errors import InternalError, MissingProgramError
from tinyeff.simulator.host import WARNINGS
from tinyeff.simulator.toolchain import find_toolchain
from tinyeff.targets import cpu_named

pytestmark = pytest.mark.slow
EXPECTED = [0, 255, 0, 0, 0, 0]
"""What the example model makes of the program's input, on the host."""

# Boards that stand for their family in tests of what the family's code does.
FAMILIES = ["nucleo-f446re", "nucleo-f746zg", "nucleo-h743zi2", "nucleo-l476rg", "nucleo-g474re",
            "nucleo-g0b1re", "nucleo-u575zi-q"]
NO_CRYSTAL, NO_PLL, NO_POWER, SYSTICK, NO_CYCLES = 1, 2, 4, 8, 16


@pytest.fixture(autouse=True)
def _programs() -> None:
    needs("elftools", "unicorn")
    try:
        find_toolchain()
    except MissingProgramError as error:
        missing(error.message)


@pytest.mark.parametrize("name", [*FAMILIES, "nucleo-f401re", "nucleo-l4r5zi", "nucleo-h7a3zi-q"])
def test_the_image_runs(name: str) -> None:
    built = image(name)
    with running(built, "unicorn") as board:
        clock, status, reset = map(int, ask(board, b"i").split())
        assert clock == built.board.core_hz
        assert status == (SYSTICK if built.board.cpu == "cortex-m0plus" else 0)
        assert reset & 1  # the pin
        failed, cycles, stack, *outputs = map(int, ask(board, b"r").split())
        assert (failed, outputs) == (0, EXPECTED)
        assert cycles > 100_000
        assert 256 < stack < STACK_BYTES
        assert board.said() == "it reports nothing"


@pytest.mark.parametrize("name", FAMILIES)
def test_clocks_that_do_not_start_are_reported(name: str) -> None:
    built = impatient_image(name)
    usual = SYSTICK if built.board.cpu == "cortex-m0plus" else 0
    with running(built, dead=["external"]) as board:
        clock, status, _ = map(int, ask(board, b"i").split())
        assert clock == built.board.core_hz  # by the internal oscillator
        assert status == usual | (NO_CRYSTAL if built.board.external != "none" else 0)
    with running(built, dead=["pll"]) as board:
        clock, status, _ = map(int, ask(board, b"i").split())
        assert clock == built.board.family.clock.internal_hz
        assert status == usual | NO_PLL


@pytest.mark.parametrize("name", FAMILIES)
def test_a_chip_whose_clock_registers_read_zero_boots(name: str) -> None:
    built = impatient_image(name)
    with running(built, dead=["all"]) as board:
        clock, status, _ = map(int, ask(board, b"i").split())
        assert clock in (built.board.family.clock.reset_hz, built.board.family.clock.internal_hz)
        assert status & (NO_PLL | NO_POWER)
        assert status & SYSTICK
        assert list(map(int, ask(board, b"r").split()))[3:] == EXPECTED


@pytest.mark.parametrize("name", ["nucleo-f746zg", "nucleo-g0b1re", "nucleo-u575zi-q"])
@pytest.mark.parametrize(("command", "address"), [
    (b"w", "a0000000"), (b"f", "08000000"), (b"o", None)])
def test_faults_are_reported_over_the_console(
    name: str, command: bytes, address: str | None
) -> None:
    with running(image(name)) as board:
        ask(board, command)  # an empty line
        report = line(board)
        assert report.startswith("tinyeff fault: exception=0000000")
        values = dict(re.findall(r"(\w+)=([0-9a-f]{8})", report))
        if address is None:
            assert "stack overflow" in report
        else:
            assert f"faulted at 0x{values['pc']}, address 0x{address}" in board.said()
            assert "stack overflow" not in report
            assert values.get("bfar", address) == address
        board.write(b"anybody there?")
        line(board)
        assert line(board) == report  # for a host that connects later


@pytest.mark.parametrize("command", [b"w", b"o"])
def test_netduino_plus_2_in_qemu(command: bytes) -> None:
    needs("qemu-system-arm")
    with running(image("netduino-plus-2"), "qemu") as board:
        clock, status, _ = map(int, ask(board, b"i").split())
        # QEMU's clock registers read zero, and so does its cycle counter.
        assert (clock, status & ~SYSTICK) == (16_000_000, NO_CRYSTAL | NO_PLL)
        failed, cycles, _, *outputs = map(int, ask(board, b"r").split())
        assert (failed, outputs) == (0, EXPECTED)
        assert cycles > 0
        ask(board, command)
        assert ("stack overflow" in line(board)) == (command == b"o")


def test_the_console_in_qemu_is_a_port_of_pyserial(tmp_path: Path) -> None:
    needs("qemu-system-arm")
    import serial

    (tmp_path / "firmware.elf").write_bytes(image("netduino-plus-2").elf)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["qemu-system-arm", "-M", "netduinoplus2", "-kernel", str(tmp_path / "firmware.elf"),
         "-display", "none", "-monitor", "none",
         "-serial", f"tcp:127.0.0.1:{port},server=on,wait=on"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while True:
            try:
                console = serial.serial_for_url(f"socket://127.0.0.1:{port}", timeout=20)
                break
            except serial.SerialException:
                assert time.monotonic() < end
                time.sleep(0.05)
        with console:
            assert console.readline() == b"ready\n"
            console.write(b"r")
            assert console.readline().decode().split()[3:] == [str(v) for v in EXPECTED]
    finally:
        process.kill()
        process.wait()


def test_the_emulator_ends_with_its_host() -> None:
    with running(image("nucleo-f401re")) as board:
        board.write(b"h")  # hangs
        assert board.read(1, 0.5) == b""
        board._console.close()
        board._process.wait(timeout=60)


def test_every_fault_of_the_emulator_itself_is_an_end() -> None:
    with running(image("nucleo-f401re")) as board:
        board._process.kill()
        with pytest.raises(InternalError, match="has ended"):
            board.read(1, 5)


@pytest.mark.parametrize("name", [
    *FAMILIES, "nucleo-h7a3zi-q", "nucleo-l4r5zi", "nucleo-f401re"])
def test_start_up_code_has_no_warnings(name: str, tmp_path: Path) -> None:
    needs("arm-none-eabi-gcc")
    files = program(name)
    for path, text in files.items():
        (tmp_path / path).write_text(text, encoding="utf-8")
    own = [f"te_{part}.c" for part in ("start", "board", "uart", "clock", "vectors", "memory")]
    done = subprocess.run(
        ["arm-none-eabi-gcc", *cpu_named(board_named(name).cpu).gcc_flags, "-std=c11", "-O2",
         *WARNINGS, "-ffreestanding", "-fsyntax-only", *own],
        cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_make_and_cmake_build_the_same_flash(tmp_path: Path) -> None:
    for name in ("make", "cmake", "arm-none-eabi-gcc"):
        needs(name)
    for path, text in program("nucleo-f401re").items():
        (tmp_path / path).write_text(text, encoding="utf-8")
    for command in (["make", "-s"], ["cmake", "--preset", "default"],
                    ["cmake", "--build", "--preset", "default"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stderr
    built = image("nucleo-f401re").flash
    sizes = [len((tmp_path / p).read_bytes()) for p in ("firmware.bin", "build/firmware.bin")]
    assert all(abs(size - len(built)) < 64 for size in sizes), (sizes, len(built))


def test_make_says_what_does_not_fit(tmp_path: Path) -> None:
    for name in ("make", "arm-none-eabi-gcc"):
        needs(name)
    for path, text in program("nucleo-f401re").items():
        (tmp_path / path).write_text(text, encoding="utf-8")
    script = tmp_path / "te_board.ld"
    script.write_text(script.read_text().replace("LENGTH = 98304", "LENGTH = 4608"))
    done = subprocess.run(["make", "-s"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "does not fit NUCLEO-F401RE" in done.stderr
    assert not (tmp_path / "firmware.elf").exists()


@pytest.mark.all
def test_zig_builds_the_same_program() -> None:
    needs("ziglang")
    if shutil.which("arm-none-eabi-gcc") is None:
        return  # then zig has built all the others
    from tinyeff.device.image import build_image

    built = build_image(program("nucleo-f401re"), "out", "zig")
    with running(built) as board:
        assert list(map(int, ask(board, b"r").split()))[3:] == EXPECTED
