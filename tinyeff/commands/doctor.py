# SPDX-License-Identifier: MIT
"""`tinyeff doctor`: what this machine has, and lacks."""

from __future__ import annotations

from dataclasses import asdict

import tinyeff
from tinyeff.console.failure import SCHEMA_VERSION
from tinyeff.console.options import OutputOptions


def doctor(output: OutputOptions) -> int:
    """List what tinyeff can use here, and how to get what is missing."""
    from tinyeff.console.doctor import checks

    terminal, found = output.terminal(), list(checks())
    terminal.result({"schema_version": SCHEMA_VERSION, "tinyeff": tinyeff.__version__,
                     "checks": [asdict(check) for check in found]})
    for check in found:
        if check.version is not None:
            terminal.headline(f"  found  {check.name}: {check.version}", "green")
        else:
            terminal.headline(f"missing  {check.name}, for {check.needed_for}", "yellow")
            terminal.headline(f"         {check.fix}", "")
    return 0
