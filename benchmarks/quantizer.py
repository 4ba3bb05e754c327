# SPDX-License-Identifier: MIT
"""The quantizer against TensorFlow's converter: agreement with float, and signal to noise.

    python -m benchmarks.quantizer [--effort default] [--networks NAME,...] [PART ...]

Parts: `subsets` (ic_resnet8, six sets of calibration images, scored on all images that are left),
`models` (shared models and five networks of keras.applications with random weights) and `damaged`
(networks of the zoo, trained on the calibration images, whose channels are then multiplied by
factors over three decades, with the function unchanged). Needs the shared models and data, and
TensorFlow. Networks are made once, in minutes, and kept in a folder for temporary files or the one
that TINYEFF_CACHE names.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.cifar import SHARED, enlarged, images
from benchmarks.quantizer_networks import Network, made
from tinyeff.ir import Array, Graph
from tinyeff.quantizer import quantize
from tinyeff.quantizer.attempt import floats, int8_outputs
from tinyeff.quantizer.equalization import Channels, with_factors
from tinyeff.quantizer.observation import observe
from tinyeff.quantizer.prepared import prepared
from tinyeff.reader import parse, read, with_flatbuffer
from tinyeff.worker import run_job

CALIBRATION = 64
HALF = 256
"""Of the 512 calibration images, for networks in which single images reach far beyond others: what
64 images say of these is a matter of which they are (the quantizer warns)."""
IMAGE = {"input_shape": (96, 96, 3)}
RANDOM = (
    Network("random", "MobileNet", {**IMAGE, "alpha": 0.25}),
    Network("random", "MobileNetV2", {**IMAGE, "alpha": 0.35}),
    Network("random", "MobileNetV3Small",
            {**IMAGE, "alpha": 0.75, "include_preprocessing": False}),
    Network("random", "EfficientNetB0", {"input_shape": (64, 64, 3)}, scale=1.0, offset=0.0),
    Network("random", "DenseNet121", {"input_shape": (64, 64, 3)}),
)
TRAINED = tuple(
    Network("trained", name, {"width": width, "resolution": 32}, scale=1 / 255, offset=0.0,
            epochs=150)
    for name, width in (("mobilenet_v1", 0.35), ("mobilenet_v2", 0.35),
                        ("mobilenet_v3_small", 0.75), ("mobilenext", 0.35)))


def signal_to_noise(expected: Array, found: Array) -> float:
    """In dB, over all values."""
    noise = np.square(found.astype(np.float64) - expected).sum()
    return float(10 * np.log10(np.square(expected, dtype=np.float64).sum() / max(noise, 1e-300)))


def agreement(expected: Array, found: Array) -> float:
    """In percent: samples with the same largest output."""
    a, b = (x.reshape(len(x), -1).argmax(1) for x in (expected, found))
    return float(100 * (a == b).mean())


def converted(graph: Graph, samples: Array) -> Graph:
    """Quantized by TensorFlow's converter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "float.tflite").write_bytes(graph.source.flatbuffer)
        np.save(folder / "input_0.npy", samples)
        run_job("benchmarks.tensorflow_quantizer", folder, {"inputs": 1}, graph.source.name)
        return parse((folder / "int8.tflite").read_bytes(), graph.source.name)


def outputs(graph: Graph, samples: Array) -> Array:
    """Of a float graph, (count, values)."""
    plain = prepared(graph)
    return floats(plain, (samples,))[0].reshape(len(samples), -1)


def int8(graph: Graph, samples: Array) -> Array:
    """Of an int8 graph as reals, (count, values)."""
    return int8_outputs(graph, (samples,))[0].reshape(len(samples), -1)


def compare_subsets(effort: str) -> Iterator[str]:
    """ic_resnet8: each line a calibration set, then mean and spread."""
    graph = read(SHARED / "models" / "ic_resnet8.h5")
    calibration, (test, labels) = images("calibration")[0], images("eval")
    everything = np.concatenate([test, calibration])[:, None]
    expected = outputs(graph, everything)
    right = np.mean(expected[:len(test)].argmax(1) == labels)
    yield f"ic_resnet8, float: top-1 {right:.2%} of {len(test)} evaluation images"
    sets = [(f"64, seed {seed}", np.random.default_rng(seed).permutation(512)[:CALIBRATION])
            for seed in range(5)] + [("all 512", np.arange(512))]
    found: dict[str, list[float]] = {"ours": [], "converter": []}
    for title, chosen in sets:
        left = np.setdiff1d(np.arange(len(everything)), len(test) + chosen)
        samples = calibration[chosen][:, None]
        cells = []
        for name, result in (("ours", quantize(graph, (samples,), effort=effort)),
                             ("converter", converted(graph, samples))):
            got, want = int8(result, everything[left]), expected[left]
            found[name].append(agreement(want, got))
            part = agreement(want[:len(test)], got[:len(test)])
            top = np.mean(got[:len(test)].argmax(1) == labels)
            cells.append(f"{name} {found[name][-1]:.2f} % agree, {part:.2f} % of the evaluation "
                         f"images, {signal_to_noise(want, got):.1f} dB, top-1 {top:.2%}")
        yield f"  {title:12} {'; '.join(cells)}"
    for name, values in found.items():
        yield (f"  {name}: mean {np.mean(values):.2f} %, from {min(values):.2f} to "
               f"{max(values):.2f} %")


def is_wanted(networks: tuple[str, ...], name: str) -> bool:
    """Whether a network is among those named; where none is, all are wanted."""
    return not networks or name in networks


def cases(networks: tuple[str, ...]) -> Iterator[tuple[str, Graph, Array, Array]]:
    """(name, float graph, calibration, evaluation) of these networks, or of all."""
    calibration, test = images("calibration")[0], images("eval")[0]
    wanted = partial(is_wanted, networks)
    if wanted("ic_resnet8"):
        yield ("ic_resnet8", read(SHARED / "models" / "ic_resnet8.h5"),
               calibration[:CALIBRATION, None], test[:, None])
    if wanted("vww_96"):
        yield ("vww_96", read(SHARED / "models" / "vww_96.h5"),
               enlarged(calibration[:CALIBRATION], 96) / 255, enlarged(test[:128], 96) / 255)
    if wanted("ad_autoencoder"):
        with np.load(SHARED / "data" / "ad_normal_windows.npz") as file:
            windows = file[file.files[0]].astype(np.float32).reshape(-1, 1, 640)
        yield ("ad_autoencoder", read(SHARED / "models" / "ad_autoencoder.h5"), windows[::2],
               windows[1::2])
    for network in RANDOM:
        if wanted(network.name):
            yield (network.name, made(network), network.inputs(calibration[:CALIBRATION]),
                   network.inputs(test[:128]))


def compare_models(effort: str, networks: tuple[str, ...]) -> Iterator[str]:
    """A line for each model, then the median.

    Random networks amplify what is small, so that a single image can make up the whole error: the
    median over the images is told beside that of all values.
    """
    differences = []
    yield ("signal to noise at the output, dB     ours  converter  difference   median of images: "
           "ours  converter  agreement  seconds")
    for title, graph, samples, test in cases(networks):
        expected = outputs(graph, test)
        begin = time.process_time()
        ours = int8(quantize(graph, (samples,), effort=effort), test)
        seconds = time.process_time() - begin
        theirs = int8(converted(graph, samples), test)
        values = signal_to_noise(expected, ours), signal_to_noise(expected, theirs)
        usual = [np.median([signal_to_noise(*pair) for pair in zip(expected, found, strict=True)])
                 for found in (ours, theirs)]
        differences.append(values[0] - values[1])
        yield (f"  {title:32} {values[0]:7.2f}  {values[1]:9.2f}  {differences[-1]:+10.2f}   "
               f"{usual[0]:22.2f}  {usual[1]:9.2f}  {agreement(expected, ours):7.2f} %  "
               f"{seconds:7.1f}")
    yield f"  median {np.median(differences):+.2f}, least {min(differences):+.2f}"


def damaged(graph: Graph, samples: tuple[Array, ...], seed: int = 0) -> Graph:
    """The float graph with channels multiplied by factors over three decades.

    Channels are only made smaller, since ReLU6 would cut off larger ones; those that reach it stay.
    """
    graph = prepared(graph)
    channels = Channels(graph)
    factors = 10 ** np.random.default_rng(seed).uniform(-3, 0, len(channels.parent))
    seen = observe(graph, samples)
    stays = channels.blocked.copy()
    for op in graph.ops:
        if getattr(op.attrs, "activation", "none") == "relu6" or op.kind == "RELU6":
            i = op.outputs[0]
            stays[np.unique(channels.parent[channels.of(i)][seen[i].peaks >= 6])] = True
    factors = np.where(stays[channels.parent], 1.0, factors[channels.parent])
    return with_flatbuffer(with_factors(graph, channels, factors))


def compare_damaged(effort: str, networks: tuple[str, ...]) -> Iterator[str]:
    """Lines for each network: on the half of the training images that calibration did not see, and
    on images that it was not trained on.

    A network that was trained on few images is sure of these only, so that agreement on others is
    mostly a matter of chance; both are told.
    """
    yield ("channels over three decades                ours: agreement  dB   converter: agreement"
           "  dB   undamaged, ours: agreement  dB")
    (calibration, _), (test, _) = images("calibration"), images("eval")
    for network in TRAINED:
        if not is_wanted(networks, network.name):
            continue
        graph, samples = made(network), network.inputs(calibration[:HALF])
        known, new = network.inputs(calibration[HALF:]), network.inputs(test)
        broken = damaged(graph, (np.concatenate([samples, known, new]),))
        results = (quantize(broken, (samples,), effort=effort), converted(broken, samples),
                   quantize(graph, (samples,), effort=effort))
        for title, x in (("trained on", known), ("new", new)):
            expected = outputs(graph, x)
            cells = "      ".join(
                f"{agreement(expected, f):7.2f} % {signal_to_noise(expected, f):6.1f}"
                for f in (int8(result, x) for result in results))
            same = signal_to_noise(expected, outputs(broken, x))
            yield f"  {network.name:20} {title:10} float {same:4.0f} dB   {cells}"


def main() -> None:
    """Print the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantizer", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["subsets", "models", "damaged", []])
    parser.add_argument("--effort", default="default")
    parser.add_argument("--networks", default="", help="only these, of models and damaged")
    arguments = parser.parse_args()
    networks = tuple(name for name in arguments.networks.split(",") if name)
    parts = {"subsets": lambda: compare_subsets(arguments.effort),
             "models": lambda: compare_models(arguments.effort, networks),
             "damaged": lambda: compare_damaged(arguments.effort, networks)}
    for name in arguments.parts or parts:
        for line in parts[name]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
