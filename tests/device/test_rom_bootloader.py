# SPDX-License-Identifier: MIT
"""tinyeff flash through the real stm32loader, into a simulated ROM bootloader."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.device.test_flash import cached_image
from tests.golden_files import EXAMPLES
from tests.shared import needs
from tinyeff.cli import main
from tinyeff.device import image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals"),
]

WRAPPER = """#!{python}
# The real stm32loader. A pseudo-terminal has no modem lines, with which it would reset the chip,
# and no parity bit.
import sys
import serial
serial.Serial._update_dtr_state = serial.Serial._update_rts_state = lambda self: None
from stm32loader.main import Stm32Loader, main
Stm32Loader.PARITY = dict.fromkeys(Stm32Loader.PARITY, serial.PARITY_NONE)
main(*sys.argv[1:])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("stm32loader", "arm-none-eabi-gcc", "elftools")
    made = tmp_path_factory.mktemp("bootloader") / "out"
    assert main(["codegen", str(EXAMPLES / "shapes_int8.tflite"), "-o", str(made), "--board",
                 "black-pill-f411ce", "-q"]) == 0
    return made


@pytest.fixture
def folder(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(image, "build_image", cached_image)
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "stm32loader"
    program.write_text(WRAPPER.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return project


def test_the_image_arrives_and_starts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.device.rom_bootloader import FLASH_START, RomBootloader

    with RomBootloader(512 * 1024) as chip:
        assert main(["flash", str(folder), "--port", chip.port]) == 0
        image = (folder / "firmware.bin").read_bytes()
        assert chip.flash[:len(image)] == image
        assert set(chip.flash[len(image) + 3:]) == {0xFF}
        assert (chip.erased, chip.started) == (1, FLASH_START)
    assert "flashed Black Pill F411CE with stm32loader" in capsys.readouterr().out


def test_flash_that_does_not_hold_what_was_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.device.rom_bootloader import FLASH_START, RomBootloader

    with RomBootloader(512 * 1024, broken=FLASH_START + 4242) as chip:
        assert main(["flash", str(folder), "--port", chip.port]) == 1
    said = capsys.readouterr().err
    assert "stm32loader ended with code 1" in said and "Verification FAILED" in said


@pytest.mark.all
def test_a_chip_that_is_not_in_its_bootloader(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.device.rom_bootloader import RomBootloader

    with RomBootloader(1024, silent=True) as chip:
        assert main(["flash", str(folder), "--port", chip.port, "--timeout", "60"]) == 1
    assert "set BOOT0 high, reset the board" in capsys.readouterr().err
