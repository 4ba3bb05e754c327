# SPDX-License-Identifier: MIT
"""From what stands on the command line to graphs, programs, sources and samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tinyeff.console.folder import read_folder
from tinyeff.console.options import PlanOptions
from tinyeff.console.report import Planned, blame, planned, verdict_sentence
from tinyeff.data import load_inputs, parse_preprocess, random_inputs
from tinyeff.device.project import model_part
from tinyeff.emitter import (
    MANIFEST,
    EmitOptions,
    Manifest,
    Sources,
    emit,
    in_one_folder,
    lower,
    read_manifest,
)
from tinyeff.emitter.naming import model_name
from tinyeff.errors import DoesNotFitError, UnsupportedError, UsageError
from tinyeff.ir import Array, Graph, Program
from tinyeff.pipeline import prepare
from tinyeff.targets import target_for


def int8_graph(model: str) -> Graph:
    """The prepared graph of a model that computes in int8 already."""
    graph = prepare(model)
    if graph.is_float:
        raise UnsupportedError(
            f"{model} computes in float32, and code is generated for int8 only; quantize it first: "
            f"tinyeff quantize {model} --data calibration.npz -o {Path(model).stem}_int8.tflite")
    return graph


def compiled(model: str, options: PlanOptions, default_cpu: str) -> tuple[Planned, Program]:
    """The planned program of an int8 model; DoesNotFitError where it exceeds what is granted."""
    limits, target = options.limits(), options.target(default_cpu)
    p = planned(int8_graph(model), target, limits)
    if not p.verdict.fits:
        raise DoesNotFitError("\n  ".join((verdict_sentence(p), *blame(p))))
    return p, lower(p.graph, p.plan)


def generated(model: str, options: PlanOptions) -> tuple[Manifest, Sources]:
    """The code in a folder that codegen wrote, as it is, or that of a model, generated now."""
    if (Path(model) / MANIFEST).is_file():
        machine = replace(options, cpu=None, board=None, device=None)  # what it shall run on
        chosen = machine.recorded().items() - PlanOptions().recorded().items()
        if chosen:
            name = min(chosen)[0].replace("_", "-")
            raise UsageError(f"--{name}: {model} holds generated code, which is run as it is; the "
                             "plan was chosen when it was generated")
        manifest, sources = read_folder(Path(model))
        return manifest, in_one_folder(model_part(sources))
    _, program = compiled(model, options, "host")
    sources = emit(program, EmitOptions(model_name(Path(model).stem), (), options.recorded()))
    return read_manifest(sources[MANIFEST], MANIFEST), sources


def check_cpu(manifest: Manifest, cpu: str, model: str) -> None:
    """UsageError where code was generated for instructions that `cpu` does not have."""
    path, wanted = manifest.target.path, target_for(cpu).path
    if cpu != "host" and path not in ("portable", wanted):
        raise UsageError(f"{model} was generated for {manifest.target.cpu} ({path} kernels), which "
                         f"{cpu} cannot run; generate it with --cpu {cpu}")


def samples(
    graph: Graph, path: str | None, preprocess: str | None, seed: int, count: int = 1
) -> tuple[tuple[Array, ...], str]:
    """All samples of a data file, or `count` random ones, and where they come from."""
    if path is None:
        if preprocess is not None:
            raise UsageError("--preprocess is for the real values of a data file; none is given")
        return random_inputs(graph, seed, count), f"random, seed {seed}"
    scaling = None if preprocess is None else parse_preprocess(preprocess)
    return load_inputs(graph, path, scaling), path


def one_sample(
    graph: Graph, path: str | None, preprocess: str | None, seed: int
) -> tuple[tuple[Array, ...], str]:
    """One sample per input of `graph`, and where it comes from."""
    inputs, origin = samples(graph, path, preprocess, seed)
    if len(inputs[0]) > 1:
        origin += f", the first of {len(inputs[0])} samples"
    return tuple(x[:1] for x in inputs), origin


def labels_for(graph: Graph, path: str, count: int, labels: Array | None) -> Array | None:
    """Labels that fit `count` samples and a classifier's output; UsageError where they do not."""
    if labels is None:
        return None
    output = graph.tensors[graph.outputs[0]]
    if output.elements != output.channels or output.channels < 2:
        raise UnsupportedError(f"{path} has labels, but the model's output {output.shape} is no "
                               "vector of two or more classes; leave the labels out to compare "
                               "with LiteRT only")
    if len(labels) != count:
        raise UsageError(f"{path}: {len(labels)} labels for {count} samples")
    wrong = labels[(labels < 0) | (labels >= output.channels)]
    if len(wrong):
        raise UsageError(f"{path}: label {wrong[0]} is none of the model's {output.channels} "
                         f"classes (0 to {output.channels - 1})")
    return labels
