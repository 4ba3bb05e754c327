# SPDX-License-Identifier: MIT
"""The last two stages: from a plan to a program, and from a program to C."""

from tinyeff.emitter.lowering import lower
from tinyeff.emitter.manifest import MANIFEST, Manifest, read_manifest
from tinyeff.emitter.sources import EmitOptions, Sources, emit, host_main

__all__ = ["MANIFEST", "EmitOptions", "Manifest", "Sources", "emit", "host_main", "lower",
           "read_manifest"]
