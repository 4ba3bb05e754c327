# SPDX-License-Identifier: MIT
"""tinyeff.json: what a folder of generated code says of itself, read back and checked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from tinyeff.emitter.naming import check_memory, check_name
from tinyeff.errors import UsageError
from tinyeff.ir import (
    Array,
    Exit,
    Graph,
    Optimize,
    Preprocess,
    Quant,
    Region,
    Source,
    Target,
    Tensor,
)

MANIFEST = "tinyeff.json"
SCHEMA_VERSION = 1
DTYPES = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")
MAX_ELEMENTS = 1 << 31


@dataclass(frozen=True)
class Patches:
    """The patches that generated code can leave out: their grid, the multiply-accumulates of each,
    and those of all that follows."""

    rows: int
    columns: int
    macs: tuple[int, ...]
    other_macs: int

    @property
    def mask(self) -> Tensor:
        """What a mask is: a byte per patch."""
        return Tensor("patch mask", (self.rows, self.columns), "uint8")


@dataclass(frozen=True, eq=False)
class Manifest:
    """The contents of tinyeff.json.

    `exit_macs` are the multiply-accumulates up to each early exit, and last those of all. `inputs`
    and `outputs` are in the model's order; `files` maps every other file to its SHA-256.
    `preprocess` is how values of data files become real values of the inputs.
    `regions` are the parts of the arena, each a parameter of the model's functions.
    """

    name: str
    version: str
    model_name: str
    model_sha256: str
    target: Target
    strategy: str
    input_memory: str
    arena_bytes: int
    arena_align: int
    regions: tuple[Region, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    exits: tuple[Exit, ...]
    exit_macs: tuple[int, ...]
    patches: Patches | None
    labels: tuple[str, ...]
    files: Mapping[str, str]
    raw: Mapping[str, Any] = field(repr=False)
    preprocess: Preprocess | None = None

    @property
    def given(self) -> tuple[Tensor, ...]:
        """All that a run is given: the inputs, and a mask where patches can be left out."""
        return self.inputs if self.patches is None else (*self.inputs, self.patches.mask)

    def with_mask(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Inputs of (count, *shape) with a mask of all patches, where one is due and none given."""
        if self.patches is None or len(inputs) == len(self.given):
            return inputs
        shape = (len(inputs[0]), self.patches.rows, self.patches.columns)
        return (*inputs, np.ones(shape, np.uint8))

    @property
    def interface(self) -> Graph:
        """The model's inputs and outputs as a graph without operators."""
        tensors, count = (*self.inputs, *self.outputs), len(self.inputs)
        return Graph(tensors, (), tuple(range(count)), tuple(range(count, len(tensors))),
                     Source(self.model_name, b"", self.model_sha256))


def read_manifest(text: str, where: str) -> Manifest:
    """The manifest in `text`; UsageError naming `where` and the entry that makes no sense."""
    try:
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("it is not a JSON object")
        if raw.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {raw.get('schema_version')!r}, this tinyeff "
                             f"reads {SCHEMA_VERSION}")
        return _manifest(raw)
    except (KeyError, TypeError, ValueError, RecursionError, UsageError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{where} is not a manifest of tinyeff: {reason}; "
                         "generate the code again") from error


def _manifest(raw: dict[str, Any]) -> Manifest:
    plan, target = raw["plan"], raw["target"]
    input_memory = str(plan["input_memory"])
    if input_memory not in ("resident", "streamed", "excluded"):
        raise ValueError(f"input_memory is {input_memory!r}")
    optimize = target["optimize"]
    if optimize not in get_args(Optimize):
        raise ValueError(f"optimize is {optimize!r}")
    files = {str(name): str(digest) for name, digest in raw["files"].items()}
    for name in files:
        if not re.fullmatch(r"([A-Za-z0-9_]+/){0,3}[A-Za-z0-9_]+(\.[A-Za-z0-9]+)?", name):
            raise ValueError(f"{name!r} is not the name of a generated file")
    return Manifest(
        name=check_name(str(raw["name"])),
        version=str(raw["tinyeff"]),
        model_name=str(raw["model"]["name"]),
        model_sha256=str(raw["model"]["sha256"]),
        target=Target(str(target["cpu"]), str(target["path"]), optimize),
        strategy=str(plan["strategy"]),
        input_memory=input_memory,
        arena_bytes=int(plan["arena_bytes"]),
        arena_align=int(plan["arena_align"]),
        regions=_regions(plan),
        inputs=tuple(_tensor(p) for p in raw["inputs"]),
        outputs=tuple(_tensor(p) for p in raw["outputs"]),
        exits=tuple(_exit(e, len(raw["outputs"])) for e in raw.get("exits", [])),
        exit_macs=(*(int(e["macs"]) for e in raw.get("exits", [])),
                   int(plan["macs"]) + int(plan["extra_macs"])),
        patches=_patches(raw["patches"]) if "patches" in raw else None,
        labels=tuple(str(label) for label in raw["labels"]),
        files=files,
        raw=raw,
        preprocess=_preprocess(raw["inputs"]),
    )


def _preprocess(inputs: list[dict[str, Any]]) -> Preprocess | None:
    """What is said of the inputs, all alike; None where nothing is."""
    found = [Preprocess(float(p["preprocess"]["scale"]), float(p["preprocess"]["offset"]))
             for p in inputs if "preprocess" in p]
    if any(not math.isfinite(number) for p in found for number in (p.scale, p.offset)):
        raise ValueError("preprocess of an input is not finite")
    return found[0] if found else None


def _regions(plan: dict[str, Any]) -> tuple[Region, ...]:
    """The memories that the arena lies in, "arena" where it is in one piece."""
    total = int(plan["arena_bytes"])
    if "regions" not in plan:
        return (Region("arena", total),)
    found = tuple(Region(check_memory(str(r["name"])), int(r["arena_bytes"]))
                  for r in plan["regions"])
    if len({r.name for r in found}) < max(len(found), 2):
        raise ValueError("regions must be several memories of different names")
    if sum(r.arena_bytes for r in found) != total:
        raise ValueError(f"the regions are not of {total} bytes together")
    return found


def _patches(raw: dict[str, Any]) -> Patches:
    found = Patches(int(raw["rows"]), int(raw["columns"]), tuple(int(n) for n in raw["macs"]),
                    int(raw["other_macs"]))
    if min(found.rows, found.columns) < 1 or len(found.macs) != found.rows * found.columns:
        raise ValueError(f"{len(found.macs)} patches in {found.rows} x {found.columns}")
    return found


def _exit(raw: dict[str, Any], outputs: int) -> Exit:
    record = Exit(int(raw["output"]), int(raw["after"]), int(raw["threshold"]),
                  bool(raw["margin"]))
    if not 0 <= record.output < outputs:
        raise ValueError(f"an exit names output {record.output} of {outputs}")
    return record


def _tensor(raw: dict[str, Any]) -> Tensor:
    name, shape, dtype = str(raw["name"]), tuple(int(n) for n in raw["shape"]), str(raw["dtype"])
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} of {name!r} is not known")
    if any(n < 1 for n in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise ValueError(f"shape {list(shape)} of {name!r} is out of range")
    quant = None
    if raw["scale"] is not None:
        quant = Quant((float(raw["scale"]),), (int(raw["zero_point"]),))
    return Tensor(name, shape, dtype, quant)
