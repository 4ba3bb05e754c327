# SPDX-License-Identifier: MIT
"""tinyeff flash, with programs that record what they are asked, fail and hang."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.device.fake_programs import Programs
from tests.golden_files import EXAMPLES
from tests.shared import needs
from tinyeff.cli import main
from tinyeff.device import flash, image
from tinyeff.device.ports import ADAPTERS, PROBES, Port, find_port
from tinyeff.device.programmers import PROGRAMMERS, probe_rs_chip
from tinyeff.errors import UsageError
from tinyeff.simulator.toolchain import find_toolchain

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="scripts need a POSIX system"),
]

ST_LINK = Port("/dev/ttyACM0", "ST-LINK/V2-1", (0x0483, 0x374B), "AAA")
ADAPTER = Port("/dev/ttyUSB0", "FTDI FT232R", (0x0403, 0x6001), "F1")
LISTED = """The following debug probes were found:
[0]: STLink V2-1 -- 0483:374b:AAA (ST-LINK)
[1]: STLink V3 -- 0483:374f:BBB (ST-LINK)
"""
ONE = LISTED.replace("[1]: STLink V3 -- 0483:374f:BBB (ST-LINK)\n", "")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    needs("arm-none-eabi-gcc", "elftools")
    made = {}
    for board in ("nucleo-f746zg", "black-pill-f411ce"):
        made[board] = tmp_path_factory.mktemp("flash") / board
        assert main(["codegen", str(EXAMPLES / "shapes_int8.tflite"), "-o", str(made[board]),
                     "--board", board, "-q"]) == 0
    return made


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """A path with the compiler alone; images are built once for each folder."""
    monkeypatch.setattr(image, "build_image", cached_image)
    monkeypatch.setattr(flash, "list_ports", lambda: ())
    compiler = tmp_path / "compiler"
    compiler.mkdir()
    for tool in ("arm-none-eabi-gcc",):  # the compiler alone: no program of this machine's
        found = next((Path(p) / tool for p in os.environ["PATH"].split(os.pathsep)
                      if (Path(p) / tool).exists()), None)
        if found is not None:
            (compiler / tool).symlink_to(found)
    folder = tmp_path / "programs"
    folder.mkdir()
    return Programs(folder, monkeypatch, str(compiler))


IMAGES: dict[str, image.Image] = {}
BUILD = image.build_image


def cached_image(sources: Mapping[str, str], where: str) -> image.Image:
    if where not in IMAGES:
        IMAGES[where] = BUILD(sources, where)
    return IMAGES[where]


def nucleo(folders: dict[str, Path]) -> str:
    return str(folders["nucleo-f746zg"])


# ---- What is run -----------------------------------------------------------------------------


def test_probe_rs_is_first(folders: dict[str, Path], programs: Programs,
                           capsys: pytest.CaptureFixture[str]) -> None:
    folder = nucleo(folders)
    programs.add("probe-rs", (("list",), ONE, 0, 0))
    programs.add("openocd")
    assert main(["flash", folder, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["programmer"], value["board"], value["dry_run"]) == (
        "probe-rs", "nucleo-f746zg", False)
    target = "--chip STM32F746ZGTx --non-interactive"
    assert programs.calls == [
        "probe-rs list", f"probe-rs download {target} --verify {folder}/firmware.elf",
        f"probe-rs reset {target}"]
    binary = (folders["nucleo-f746zg"] / "firmware.bin").read_bytes()
    assert len(binary) == value["flash_bytes"]
    # The first word of the image is the initial stack pointer, in SRAM.
    assert 0x2000_0000 < int.from_bytes(binary[:4], "little") <= 0x2005_0000


@pytest.mark.parametrize(("name", "listing", "expected"), [
    ("pyocd", '{"boards": [{"unique_id": "AAA"}, {"unique_id": "BBB"}]}',
     ["pyocd json --probes",
      "pyocd load --no-wait --target stm32f746zgtx --uid BBB --no-reset {0}/firmware.elf",
      "pyocd commander --no-wait --target stm32f746zgtx --uid BBB --halt "
      "-c 'compare 0x08000000 \"{0}/firmware.bin\"' -c reset"]),
    ("st-flash", "Found 2 stlink programmers\n  serial:     AAA\n  serial:     BBB\n",
     ["st-info --probe",
      "st-flash --serial BBB --reset write {0}/firmware.bin 0x08000000"]),
    ("openocd", "",
     ["openocd -f interface/stlink.cfg -c 'adapter serial BBB' -f target/stm32f7x.cfg "
      "-c 'program {{{0}/firmware.elf}} verify reset exit'"]),
    ("probe-rs", LISTED,
     ["probe-rs list",
      "probe-rs download --chip STM32F746ZGTx --probe 0483:374f:BBB --non-interactive --verify "
      "{0}/firmware.elf",
      "probe-rs reset --chip STM32F746ZGTx --probe 0483:374f:BBB --non-interactive"]),
])
def test_the_probe_with_a_serial_number(
    folders: dict[str, Path], programs: Programs, name: str, listing: str, expected: list[str]
) -> None:
    folder = nucleo(folders)
    programs.add(name, (("list",), listing, 0, 0), (("json",), listing, 0, 0))
    programs.add("st-info", ((), listing, 0, 0))
    assert main(["flash", folder, "--probe", "bbb" if listing else "BBB"]) == 0
    assert programs.calls == [line.format(folder) for line in expected]


def test_several_probes_or_the_wrong_one(folders: dict[str, Path], programs: Programs,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    programs.add("probe-rs", (("list",), LISTED, 0, 0))
    assert main(["flash", nucleo(folders)]) == 2
    assert "several debug probes are plugged in: AAA, BBB" in capsys.readouterr().err
    assert main(["flash", nucleo(folders), "--probe", "CCC"]) == 2
    assert "it sees AAA, BBB" in capsys.readouterr().err
    assert programs.calls == ["probe-rs list"] * 2


def test_no_probe(folders: dict[str, Path], programs: Programs,
                  capsys: pytest.CaptureFixture[str]) -> None:
    programs.add("pyocd", (("json",), '{"boards": []}', 0, 0))
    assert main(["flash", nucleo(folders)]) == 1
    assert "pyocd sees no debug probe: plug the board in" in capsys.readouterr().err


def test_a_port_takes_the_rom_bootloader(folders: dict[str, Path], programs: Programs,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    programs.add("stm32loader")
    programs.add("probe-rs", (("list",), ONE, 0, 0))
    folder = str(folders["black-pill-f411ce"])
    command = ("stm32loader --port {} --baud 115200 --family F4 --erase --write --verify "
               f"--no-progress --address 0x08000000 --go-address 0x08000000 {folder}/firmware.bin")
    assert main(["flash", folder, "--port", "/dev/ttyX"]) == 0
    assert programs.calls == [command.format("/dev/ttyX")]
    # A board without a probe of its own: its serial adapter if there is one, else a probe.
    monkeypatch.setattr(flash, "list_ports", lambda: (ADAPTER,))
    monkeypatch.setattr("tinyeff.device.ports.list_ports", lambda: (ADAPTER,))
    assert main(["flash", folder]) == 0
    assert programs.calls[-1] == command.format("/dev/ttyUSB0")
    monkeypatch.setattr(flash, "list_ports", lambda: ())
    assert main(["flash", folder]) == 0
    assert programs.calls[-1].startswith("probe-rs reset")


# ---- What goes wrong -------------------------------------------------------------------------


def test_nothing_is_installed(folders: dict[str, Path], programs: Programs,
                              capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", nucleo(folders), "--json"]) == 4
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == 4
    for name, programmer in PROGRAMMERS.items():
        assert f"{name}: {programmer.how_to_get}" in captured.err
    assert main(["flash", nucleo(folders), "--programmer", "openocd"]) == 4
    assert "openocd is not installed: " in capsys.readouterr().err
    assert main(["flash", nucleo(folders), "--programmer", "jflash"]) == 2
    assert "use one of probe-rs" in capsys.readouterr().err


def test_a_program_that_fails(folders: dict[str, Path], programs: Programs,
                              capsys: pytest.CaptureFixture[str]) -> None:
    programs.add("probe-rs", (("list",), ONE, 0, 0),
                 (("download",), "Error: Permission denied (os error 13)\n", 7, 0))
    assert main(["flash", nucleo(folders)]) == 1
    said = capsys.readouterr().err
    assert "probe-rs ended with code 7: you may not use the probe or port; tinyeff doctor" in said
    assert "Error: Permission denied" in said
    assert len(programs.calls) == 2  # and no reset of what was not flashed


def test_pyocd_that_finds_other_bytes(folders: dict[str, Path], programs: Programs,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    programs.add("pyocd", (("json",), '{"boards": [{"unique_id": "AAA"}]}', 0, 0),
                 (("commander",), "Mismatched byte at 0x08000010 (offset 0x10)\n", 0, 0))
    assert main(["flash", nucleo(folders)]) == 1
    assert "pyocd found other bytes in flash than were written" in capsys.readouterr().err


def test_a_program_that_hangs(folders: dict[str, Path], programs: Programs,
                              capsys: pytest.CaptureFixture[str]) -> None:
    programs.add("st-flash", (("write",), "2024 INFO: Attempting to write\n", 0, 60))
    started = time.monotonic()
    assert main(["flash", nucleo(folders), "--timeout", "1"]) == 1
    assert time.monotonic() - started < 30
    assert "st-flash had not finished after 1 seconds and was ended" in capsys.readouterr().err


def test_options_that_exclude_each_other(folders: dict[str, Path], programs: Programs,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    programs.add("openocd")
    programs.add("stm32loader")
    folder = nucleo(folders)
    assert main(["flash", folder, "--programmer", "openocd", "--port", "/dev/ttyX"]) == 2
    assert "--port is for the ROM bootloader" in capsys.readouterr().err
    assert main(["flash", folder, "--programmer", "stm32loader", "--probe", "A"]) == 2
    assert "--probe is the serial number of a debug probe" in capsys.readouterr().err
    assert programs.calls == []


def test_folders_that_are_for_no_board(tmp_path: Path, folders: dict[str, Path],
                                       capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "library"
    assert main(["codegen", str(EXAMPLES / "shapes_int8.tflite"), "-o", str(folder), "-q"]) == 0
    assert main(["flash", str(folder), "--dry-run"]) == 2
    assert "--board" in capsys.readouterr().err
    assert main(["flash", str(tmp_path / "missing"), "--dry-run"]) == 2


# ---- Without hardware ------------------------------------------------------------------------


def test_dry_run_prints_the_default_command(folders: dict[str, Path], programs: Programs,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    folder = nucleo(folders)
    assert main(["flash", folder, "--dry-run"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    target = "--chip STM32F746ZGTx --non-interactive"
    assert first == f"probe-rs download {target} --verify {folder}/firmware.elf"
    assert second == f"probe-rs reset {target}"
    assert main(["flash", str(folders["black-pill-f411ce"]), "--dry-run", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["dry_run"] and value["commands"][0][:3] == ["stm32loader", "--port", "PORT"]
    assert programs.calls == []


def test_chips_as_probe_rs_calls_them() -> None:
    assert probe_rs_chip("stm32f746zgt6") == "STM32F746ZGTx"
    assert probe_rs_chip("stm32u575zit6q") == "STM32U575ZITxQ"
    assert probe_rs_chip("stm32f746zg") == "STM32F746ZG"


# ---- Ports -----------------------------------------------------------------------------------


def test_auto_finds_the_one_board(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Port("/dev/ttyS0", "n/a", None, None)
    second = Port("/dev/ttyACM1", "ST-LINK/V3", (0x0483, 0x374F), "BBB")

    def there(*ports: Port) -> None:
        monkeypatch.setattr("tinyeff.device.ports.list_ports", lambda: ports)

    there(other, ADAPTER, ST_LINK)
    assert find_port() == ST_LINK  # a probe goes before an adapter
    assert find_port("F1") == ADAPTER
    there(other)
    with pytest.raises(UsageError, match="no serial port of a board was found"):
        find_port()
    there(ST_LINK, second)
    with pytest.raises(UsageError, match=r"several.*ttyACM0.*AAA.*ttyACM1.*BBB.*--port /dev/ttyA"):
        find_port()
    assert find_port("BBB") == second
    assert not set(PROBES) & set(ADAPTERS)


def test_the_compiler_is_found_in_these_tests(programs: Programs) -> None:
    """The path of `programs` must lack only what flashes."""
    needs("arm-none-eabi-gcc")
    assert find_toolchain("gcc").name == "gcc"
