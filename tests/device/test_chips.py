# SPDX-License-Identifier: MIT
"""Chips: found by name, with the memories of their data sheets."""

from __future__ import annotations

import pytest

from tinyeff.device.boards import device_named
from tinyeff.device.chips import chip_named, chip_names
from tinyeff.errors import UsageError

KIB = 1024


def test_a_chip_is_found_without_its_package() -> None:
    chip = chip_named("STM32F746NG")
    assert chip.name.startswith("stm32f746ng")
    assert (chip.core, chip.fpu, chip.max_hz) == ("cortex-m7", "fpv5-sp-d16", 216_000_000)
    assert chip.signals["PA9", "usart1", "tx"] == 7
    assert chip.interrupts[0] == "WWDG" and chip.interrupts[37] == "USART1"


@pytest.mark.parametrize(("name", "said"), [
    ("stm32f746", "not one chip.*stm32f746be"),
    ("stm32f747zg", "no STM32 is called stm32f747zg"),
    ("atmega328", "no STM32 is called atmega328.*tinyeff boards"),
    ("", "no STM32 is called"),
])
def test_names_of_no_chip_or_of_several(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        chip_named(name)


def test_every_family_is_there() -> None:
    families = {name[5:7] for name in chip_names()}
    assert {"f0", "f4", "f7", "h7", "l4", "g0", "g4", "u5"} <= families
    assert chip_names("f746zg") == tuple(n for n in chip_names() if "f746zg" in n) != ()


# Data sheets DS10916, DS12110, DS12023, DS10198, DS11585, DS12288, DS13086, DS8626.
@pytest.mark.parametrize(("name", "flash", "blocks"), [
    ("stm32f746zg", 1024, [(0x2000_0000, 320)]),
    ("stm32h743zi", 2048, [(0x2000_0000, 128), (0x2400_0000, 512)]),
    ("stm32l4r5zi", 2048, [(0x2000_0000, 640)]),
    ("stm32l476rg", 1024, [(0x2000_0000, 96), (0x1000_0000, 32)]),
    ("stm32g474re", 512, [(0x2000_0000, 128)]),
    ("stm32u575zit6q", 2048, [(0x2000_0000, 768)]),
    ("stm32f405rg", 1024, [(0x2000_0000, 128), (0x1000_0000, 64)]),
    ("stm32f103c8", 64, [(0x2000_0000, 20)]),
])
def test_memories_are_joined_as_the_data_sheet_says(
    name: str, flash: int, blocks: list[tuple[int, int]]
) -> None:
    device = device_named(name)
    assert (device.flash_origin, device.flash_bytes) == (0x0800_0000, flash * KIB)
    assert [(r.origin, r.size_bytes // KIB) for r in device.rams] == blocks
    assert device.sram_bytes == max(size for _, size in blocks) * KIB


def test_any_chip_that_has_a_core_we_know_can_be_planned_for() -> None:
    for name in chip_names()[::97]:
        device = device_named(name)
        assert device.flash_bytes >= 0 and device.sram_bytes > 0, name
