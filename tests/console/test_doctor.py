# SPDX-License-Identifier: MIT
"""tinyeff doctor: what is there, what is missing, and the command that fixes it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tinyeff.cli import main
from tinyeff.console import doctor
from tinyeff.device.ports import Port
from tinyeff.device.programmers import PROGRAMMERS, Probe

RULE = 'SUBSYSTEM=="usb", ATTR{idVendor}=="0483", MODE="0660"\n'


def board_checks() -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.board_checks()}


@pytest.fixture(autouse=True)
def _nothing_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(doctor, "list_ports", lambda: ())
    monkeypatch.setattr(doctor, "UDEV_FOLDERS", (tmp_path / "rules.d",))
    monkeypatch.setattr(sys, "platform", "linux")


def test_everything_missing_has_a_fix() -> None:
    found = board_checks()
    for name in (*PROGRAMMERS, "debug probes", "serial ports", "udev rule"):
        assert found[name].version is None and found[name].fix, name
    assert "sudo tee /etc/udev/rules.d/70-st-link.rules" in found["udev rule"].fix


def test_programs_and_probes_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "probe-rs"
    program.write_text("#!/bin/sh\necho probe-rs 0.99\n")
    program.chmod(0o755)
    monkeypatch.setattr(doctor, "seen_probes", lambda p: (Probe("AAA", "x:AAA"),))
    found = board_checks()
    assert found["probe-rs"].version == "probe-rs 0.99"
    assert found["debug probes"].version == "AAA (seen by probe-rs)"


def test_a_udev_rule_counts_unless_it_is_a_comment(tmp_path: Path) -> None:
    rules = tmp_path / "rules.d"
    rules.mkdir()
    (rules / "10-other.rules").write_text(f"# {RULE}")
    assert board_checks()["udev rule"].version is None
    (rules / "49-stlink.rules").write_text(f"# ST-LINK\n{RULE}")
    assert board_checks()["udev rule"].version == str(rules / "49-stlink.rules")


def test_a_port_that_may_not_be_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = tmp_path / "ttyACM0"
    port.touch()
    monkeypatch.setattr(doctor, "list_ports", lambda: (
        Port(str(port), "ST-LINK/V2-1", (0x0483, 0x374B), "AAA"),))
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(port))
    found = board_checks()
    assert str(port) in (found["serial ports"].version or "")
    assert found["permission for ports"].version is None
    assert "sudo usermod -aG " in found["permission for ports"].fix
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert board_checks()["permission for ports"].version == f"{port} can be opened"


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    names = [check["name"] for check in json.loads(capsys.readouterr().out)["checks"]]
    assert {"C compiler", "arm-none-eabi-gcc", "qemu-system-arm", "unicorn", "probe-rs", "openocd",
            "debug probes", "serial ports", "udev rule"} <= set(names)
