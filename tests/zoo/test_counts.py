# SPDX-License-Identifier: MIT
"""Parameters and work equal what was counted from the authors' own models, to the last digit.

counts.csv holds these numbers; an empty field was not counted. MACs are those of the deployed form,
`macs_train` those of the network of branches.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.shared import needs, shared_path
from tinyeff import zoo
from tinyeff.errors import UsageError
from tinyeff.zoo import layers as kinds
from tinyeff.zoo.catalog import CATALOG

with (Path(__file__).parent / "counts.csv").open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


def row_name(row: dict[str, str]) -> str:
    return "-".join(filter(None, [row["name"], row["width"], row["resolution"]]))


@pytest.mark.parametrize("row", ROWS, ids=row_name)
def test_counts_are_exact(row: dict[str, str]) -> None:
    width, resolution = float(row["width"] or 1), int(row["resolution"])
    trained = zoo.network(row["name"], width if row["width"] else None, resolution)
    plain = zoo.network(row["name"], width if row["width"] else None, resolution, deployed=True)
    found = {"parameters": trained.parameters, "parameters_deploy": plain.parameters,
             "macs": plain.macs, "macs_train": trained.macs}
    expected = {key: int(row[key]) for key in found if row[key]}
    assert {key: found[key] for key in expected} == expected


def test_every_family_was_counted_but_for_those_without_published_counts() -> None:
    counted = {CATALOG[row["name"]].family for row in ROWS}
    # MLPerf Tiny is compared with its own files below. Of the others no exact counts are published:
    # the architectures are ours (Shift to Big-little), or put together from known parts.
    assert {a.family for a in CATALOG.values()} - counted == {
        "MLPerf Tiny", "NIN", "Shift", "Adder", "ADSCNet", "Octave", "Big-little", "ExpandNet",
        "PSPNet", "FPN", "SSDLite", "YOLO", "BranchyNet", "MSDNet"}


@pytest.mark.parametrize("name", CATALOG)
def test_deployed_nothing_is_left_that_the_convolution_before_it_takes_in(name: str) -> None:
    network = zoo.network(name, deployed=True)
    readers = Counter(i for layer in network.layers for i in layer.inputs)
    left = [type(layer.kind).__name__ for layer in network.layers
            if isinstance(layer.kind, kinds.Norm | kinds.ChannelScale)
            and readers[layer.inputs[0]] == 1
            and isinstance(network.layers[layer.inputs[0]].kind,
                           kinds.Conv | kinds.Depthwise | kinds.Dense)]
    assert not left


@pytest.mark.parametrize(("name", "macs"), [
    ("mlperf_vww", 7_489_664), ("mlperf_ic", 12_501_632), ("mlperf_kws", 2_656_768),
    ("mlperf_ad", 264_192)])
def test_mlperf_tiny_does_the_published_work(name: str, macs: int) -> None:
    assert zoo.network(name).macs == zoo.network(name, deployed=True).macs == macs


@pytest.mark.parametrize(("name", "file"), [
    ("mlperf_vww", "vww_96.h5"), ("mlperf_ic", "ic_resnet8.h5"),
    ("mlperf_ad", "ad_autoencoder.h5")])
def test_mlperf_tiny_has_the_parameters_of_its_own_files(name: str, file: str) -> None:
    needs("h5py")
    import h5py

    sizes: list[int] = []

    def collect(path: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and "moving" not in path:
            sizes.append(int(np.prod(item.shape)))

    with h5py.File(shared_path("models", file)) as model:
        model["model_weights"].visititems(collect)
    assert sum(sizes) == zoo.network(name).parameters


def test_the_identity_tensor_multiplier_costs_nothing() -> None:
    whole = zoo.network("mobilenext")
    for part in ("1_2", "1_3", "1_6"):
        network = zoo.network(f"mobilenext_identity_{part}")
        assert (network.parameters, network.macs) == (whole.parameters, whole.macs)
        assert network.layers != whole.layers


def test_the_multipliers_change_what_they_should() -> None:
    small = zoo.network("mobilenet_v2", width=0.35, resolution=144, classes=10, channels=1)
    assert small.layers[0].shape == (144, 144, 1)
    assert small.layers[-1].shape == (10,)
    assert small.parameters < zoo.network("mobilenet_v2", width=0.35).parameters


@pytest.mark.parametrize(("arguments", "message"), [
    ({"width": 0}, "width of 0"), ({"resolution": 0}, "resolution of 0"),
    ({"resolution": 4000}, "resolution of 4000"), ({"classes": 0}, "0 classes"),
    ({"channels": 0}, "0 channels")])
def test_values_without_sense_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        zoo.network("mobilenet_v2", **arguments)  # type: ignore[arg-type]


def test_an_image_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing is left of an image"):
        zoo.network("squeezenet_1_0", resolution=8)


def test_a_network_without_a_square_image_has_no_resolution() -> None:
    with pytest.raises(UsageError, match="takes no square image but 49 x 10 x 1"):
        zoo.network("mlperf_kws", resolution=32)


def test_a_name_that_is_not_there_is_told_its_neighbours() -> None:
    with pytest.raises(UsageError, match="did you mean mobilenet_v2"):
        zoo.network("mobilenetv2")


def test_every_architecture_is_written_down_once_and_named_plainly() -> None:
    for name, architecture in CATALOG.items():
        assert name == architecture.name
        assert name.replace("_", "").replace(".", "").isalnum() and name == name.lower()
        assert architecture.source and architecture.family
