# SPDX-License-Identifier: MIT
"""The last two stages: from a plan to a program, and from a program to C."""

from tinyeff.emitter.layouts import LAYOUTS, arrange, in_one_folder
from tinyeff.emitter.lowering import lower
from tinyeff.emitter.manifest import MANIFEST, Manifest, read_manifest
from tinyeff.emitter.sources import EmitOptions, Sources, emit, host_main

__all__ = ["LAYOUTS", "MANIFEST", "EmitOptions", "Manifest", "Sources", "arrange", "emit",
           "host_main", "in_one_folder", "lower", "read_manifest"]
