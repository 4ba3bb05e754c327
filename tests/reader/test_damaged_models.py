# SPDX-License-Identifier: MIT
"""Every shared model cut short and with flipped bytes: a sentence, soon, in little memory.

Where a damaged file is read all the same, the C made of it computes what LiteRT computes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.networks.batch import Job, run_on_host
from tests.reader.test_damaged import outcome
from tests.shared import needs, shared_path
from tinyeff.data import random_inputs
from tinyeff.errors import ModelFileError, UnsupportedError
from tinyeff.ir import Graph, Limits, Target
from tinyeff.pipeline import compile_graph
from tinyeff.reader import check_supported, parse, simplify
from tinyeff.reader.keras_config import check_file
from tinyeff.simulator.oracle import Oracle

FLATBUFFERS = ("ad_autoencoder_int8", "ic_resnet8_int8", "kws_dscnn_int8", "mcunet_vww_int8",
               "vww_96_float", "vww_96_int8")
KERAS = ("ad_autoencoder", "ic_resnet8", "vww_96")
CUTS, FLIPS = 100, 1000
FEW = 200
"""How many files of each model `make test` looks at."""
MEMORY_BYTES = 2 << 30

few_or_all = pytest.mark.parametrize("most", [
    pytest.param(FEW, marks=pytest.mark.slow), pytest.param(CUTS + FLIPS, marks=pytest.mark.all)])


@pytest.fixture
def two_gigabytes() -> Iterator[None]:
    """Reading may take so much on top of what this process has already."""
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + MEMORY_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def damaged(data: bytes, name: str, most: int) -> Iterator[bytes]:
    """The file cut short at random places, and with single random bytes changed; so many in all."""
    rng = random.Random(name)
    cuts = [data[:rng.randrange(len(data))] for _ in range(CUTS)]
    flips = []
    for _ in range(FLIPS):
        place = rng.randrange(len(data))
        flips.append((place, rng.choice([b for b in range(256) if b != data[place]])))
    yield from cuts[:most // 2]
    for place, byte in flips[:most - min(most // 2, CUTS)]:
        yield data[:place] + bytes([byte]) + data[place + 1:]


def test_what_is_damaged_differs() -> None:
    data = bytes(range(256))
    found = list(damaged(data, "x", FEW))
    assert len(found) == FEW
    assert all(d != data for d in found)
    assert len(list(damaged(data, "x", CUTS + FLIPS))) == CUTS + FLIPS


@few_or_all
@pytest.mark.usefixtures("two_gigabytes")
@pytest.mark.parametrize("name", FLATBUFFERS)
def test_flatbuffers(name: str, most: int) -> None:
    data = shared_path("models", f"{name}.tflite").read_bytes()
    seen = [outcome(d) for d in damaged(data, name, most)]
    assert {"read", "ModelFileError"} <= set(seen)
    assert seen[:10].count("ModelFileError") > 5  # these are cut short


@few_or_all
@pytest.mark.usefixtures("two_gigabytes")
@pytest.mark.parametrize("name", KERAS)
def test_keras_files_before_keras_sees_them(name: str, most: int, tmp_path: Path) -> None:
    needs("h5py")
    data = shared_path("models", f"{name}.h5").read_bytes()
    path = tmp_path / "model.h5"
    refused = 0
    for d in damaged(data, name, most):
        path.write_bytes(d)
        try:
            check_file(path, tmp_path)
        except (ModelFileError, UnsupportedError) as error:
            assert error.message  # noqa: PT017
            refused += 1
    assert refused >= min(most // 2, CUTS)


def structure(graph: Graph) -> object:
    """All of a graph but the values of its weights."""
    tensors = tuple((t.shape, t.dtype, t.quant) for t in graph.tensors)
    return tensors, graph.ops, graph.inputs, graph.outputs


def read_all_the_same(name: str, most: int) -> Iterator[Graph]:
    """What is read of a damaged file, where more than weights has changed."""
    data = shared_path("models", f"{name}.tflite").read_bytes()
    sound = structure(simplify(parse(data, name)))
    # A file's tables lie at its ends, between them weights.
    rng = random.Random(name)
    for _ in range(most):
        place = rng.choice([rng.randrange(9000), len(data) - 1 - rng.randrange(9000)])
        broken = data[:place] + bytes([rng.randrange(256)]) + data[place + 1:]
        try:
            graph = simplify(parse(broken, name))
            check_supported(graph)
        except (ModelFileError, UnsupportedError):
            continue
        if structure(graph) != sound and not graph.is_float:
            yield graph


@pytest.mark.parametrize(("most", "limit"), [
    pytest.param(FEW, 6, marks=pytest.mark.slow),
    pytest.param(CUTS + FLIPS, 100, marks=pytest.mark.all)])
@pytest.mark.parametrize("name", ["ad_autoencoder_int8", "ic_resnet8_int8", "kws_dscnn_int8"])
def test_what_is_read_all_the_same_computes_what_litert_computes(
    name: str, most: int, limit: int
) -> None:
    jobs, wanted = [], []
    for graph in read_all_the_same(name, most):
        try:
            oracle = Oracle(graph)
        except ModelFileError:
            continue  # LiteRT refuses it
        inputs = tuple(x[0] for x in random_inputs(graph, 0))
        wanted.append(oracle.run(inputs, graph.outputs))
        program = compile_graph(graph, Target(), Limits(strategy="per-layer")).program
        jobs.append(Job(program, inputs))
        if len(jobs) == limit:
            break
    assert jobs
    for job, found, expected in zip(jobs, run_on_host(jobs), wanted, strict=True):
        for index, value in zip(job.program.graph.outputs, found, strict=True):
            np.testing.assert_array_equal(value, expected[index])
