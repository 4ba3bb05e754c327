# SPDX-License-Identifier: MIT
"""The last two stages: from a plan to a program, and from a program to C."""

from tinyeff.emitter.lowering import lower
from tinyeff.emitter.sources import MANIFEST, EmitOptions, Sources, emit, host_main

__all__ = ["MANIFEST", "EmitOptions", "Sources", "emit", "host_main", "lower"]
