# SPDX-License-Identifier: MIT
"""Data files: which array is which input, how real values become int8, what is refused."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.shared import shared_path
from tinyeff.data import (
    load_inputs,
    load_labels,
    load_samples,
    parse_preprocess,
    random_inputs,
)
from tinyeff.errors import UsageError
from tinyeff.ir import Array, Graph, Preprocess, Quant, Source, Tensor
from tinyeff.reader import read, simplify
from tinyeff.simulator.litert import Reference

SCALE, ZERO_POINT = 0.5, -3


def model(*inputs: tuple[str, tuple[int, ...]], dtype: str = "int8") -> Graph:
    quant = Quant((SCALE,), (ZERO_POINT,)) if dtype == "int8" else None
    tensors = tuple(Tensor(name, shape, dtype, quant) for name, shape in inputs)
    return Graph(tensors, (), tuple(range(len(inputs))), (), Source("model", b"", ""))


IMAGE = model(("serving_default_image:0", (1, 2, 3, 1)))
TWO = model(("left", (1, 4)), ("right", (1, 4)))


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def npy(folder: Path, array: Any) -> Path:
    path = folder / "data.npy"
    np.save(path, array)
    return path


def numbers(*shape: int, dtype: Any = np.int8) -> Array:
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


# Which array ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["serving_default_image:0", "image", "x", "whatever"])
def test_names_by_which_the_only_input_is_found(tmp_path: Path, name: str) -> None:
    data = numbers(5, 2, 3, 1)
    arrays = {name: data, "labels": np.arange(5), "other": np.zeros((5, 7))}
    (found,) = load_inputs(IMAGE, npz(tmp_path, **arrays))
    assert found.shape == (5, 1, 2, 3, 1)
    np.testing.assert_array_equal(found[:, 0], data)


def test_the_name_of_the_input_goes_before_x_and_x_before_the_shape(tmp_path: Path) -> None:
    right, wrong = numbers(1, 2, 3, 1), np.zeros((1, 2, 3, 1), np.int8)
    for arrays in ({"image": right, "x": wrong, "z": wrong}, {"x": right, "z": wrong}):
        (found,) = load_inputs(IMAGE, npz(tmp_path, **arrays))
        np.testing.assert_array_equal(found[0], right)


def test_several_candidates_are_named(tmp_path: Path) -> None:
    path = npz(tmp_path, a=numbers(1, 2, 3, 1), b=numbers(2, 2, 3, 1), c=numbers(4))
    with pytest.raises(UsageError, match=r"several arrays fit .*'a'.*'b'.*name the array 'image'"):
        load_inputs(IMAGE, path)


def test_no_candidate(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no array fits .*'a' \(1, 3, 2, 1\)"):
        load_inputs(IMAGE, npz(tmp_path, a=numbers(1, 3, 2, 1)))
    with pytest.raises(UsageError, match="there is nothing"):
        load_inputs(IMAGE, npz(tmp_path, labels=numbers(3)))


def test_the_named_array_must_fit(tmp_path: Path) -> None:
    path = npz(tmp_path, image=numbers(1, 3, 2, 1), x=numbers(1, 2, 3, 1))
    with pytest.raises(UsageError, match=r"'image' has the shape \(1, 3, 2, 1\).*\(2, 3, 1\)"):
        load_inputs(IMAGE, path)


@pytest.mark.parametrize("shape", [(2, 3, 1), (1, 2, 3, 1), (7, 2, 3, 1), (7, 1, 2, 3, 1)])
def test_shapes_with_and_without_samples_and_batch(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (found,) = load_inputs(IMAGE, npy(tmp_path, numbers(*shape)))
    assert found.shape == (7 if shape[0] == 7 else 1, 1, 2, 3, 1)
    np.testing.assert_array_equal(found.reshape(-1), numbers(*shape).reshape(-1))


def test_several_inputs_are_found_by_name_in_the_models_order(tmp_path: Path) -> None:
    left, right = numbers(3, 4), numbers(3, 4) + 50
    found = load_inputs(TWO, npz(tmp_path, right=right, left=left))
    np.testing.assert_array_equal(found[0][:, 0], left)
    np.testing.assert_array_equal(found[1][:, 0], right)


def test_several_inputs_need_names_and_equal_counts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the model has 2 inputs, which takes an \.npz"):
        load_inputs(TWO, npy(tmp_path, numbers(3, 4)))
    with pytest.raises(UsageError, match="several arrays fit input 'left'"):
        load_inputs(TWO, npz(tmp_path, x=numbers(3, 4), z=numbers(3, 4)))
    with pytest.raises(UsageError, match=r"different numbers of samples: \[3, 2\]"):
        load_inputs(TWO, npz(tmp_path, left=numbers(3, 4), right=numbers(2, 4)))


# Values -----------------------------------------------------------------------------------------


def test_int8_is_used_as_it_is_and_uint8_is_a_real_value(tmp_path: Path) -> None:
    (as_is,) = load_inputs(IMAGE, npy(tmp_path, numbers(2, 3, 1) - 3))
    np.testing.assert_array_equal(as_is.reshape(-1), np.arange(6) - 3)
    (real,) = load_inputs(IMAGE, npy(tmp_path, numbers(2, 3, 1, dtype=np.uint8)))
    np.testing.assert_array_equal(real.reshape(-1), np.arange(6) / SCALE + ZERO_POINT)
    (calibration,) = load_samples(IMAGE, npy(tmp_path, numbers(2, 3, 1) - 3))
    np.testing.assert_array_equal(calibration.reshape(-1), np.arange(6, dtype=np.float32) - 3)
    assert calibration.dtype == np.float32


def test_preprocessing_comes_before_quantization(tmp_path: Path) -> None:
    path = npy(tmp_path, np.full((2, 3, 1), 255, np.uint8))
    preprocess = Preprocess(scale=2 / 255, offset=-1.0)
    (found,) = load_inputs(IMAGE, path, preprocess)
    assert set(found.reshape(-1).tolist()) == {round(1 / SCALE) + ZERO_POINT}
    (real,) = load_samples(IMAGE, path, preprocess)
    assert set(real.reshape(-1).tolist()) == {1.0}


def test_rounding_equals_litert(tmp_path: Path) -> None:
    # Every half step of the input's scale, its float neighbours, and values far outside (those
    # beyond 32 bits are undefined in LiteRT; here they clamp as well).
    graph = read(shared_path("models", "mcunet_vww_int8.tflite"))
    simple = simplify(graph)
    quant = simple.tensors[simple.inputs[0]].quant
    assert quant is not None
    steps = (np.arange(-300, 301) * np.float32(0.5 * quant.scale)).astype(np.float32)
    values = np.concatenate([steps, np.nextafter(steps, np.float32(9)), [1e6, -1e6]])
    image = np.resize(values, (1, 80, 80, 3)).astype(np.float32)
    (found,) = load_inputs(simple, npy(tmp_path, image))
    reference = Reference(graph.source.flatbuffer)
    reference.run((image,))
    source = simple.tensors[simple.inputs[0]].source
    assert source is not None
    np.testing.assert_array_equal(found[0], reference.tensor(source))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_must_be_finite(tmp_path: Path, bad: float) -> None:
    data = np.zeros((2, 2, 3, 1), np.float32)
    data[1, 0, 2, 0] = bad
    with pytest.raises(UsageError, match=rf"the array holds {bad} at \[1, 0, 0, 2, 0\]"):
        load_inputs(IMAGE, npy(tmp_path, data))


def test_values_beyond_float32_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="finite"):
        load_inputs(IMAGE, npy(tmp_path, np.full((2, 3, 1), 1e300)))


@pytest.mark.parametrize("data", [np.full((2, 3, 1), "a"), np.full((2, 3, 1), 1j)])
def test_values_must_be_numbers(tmp_path: Path, data: Array) -> None:
    with pytest.raises(UsageError, match="numbers are expected"):
        load_inputs(IMAGE, npy(tmp_path, data))


def test_empty_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no samples"):
        load_inputs(IMAGE, npy(tmp_path, np.zeros((0, 2, 3, 1), np.int8)))


def test_a_float_model_takes_no_int8(tmp_path: Path) -> None:
    graph = model(("image", (1, 2, 3, 1)), dtype="float32")
    path = npy(tmp_path, numbers(2, 3, 1))
    with pytest.raises(UsageError, match="quantize the model first"):
        load_inputs(graph, path)
    assert load_samples(graph, path)[0].shape == (1, 1, 2, 3, 1)


# Files ------------------------------------------------------------------------------------------


def test_files_that_are_no_data(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with pytest.raises(UsageError, match="no such file"):
        load_inputs(IMAGE, path)
    for content, sentence in [
        (b"", "not an .npy or .npz"), (b"1,2,3\n", "not an .npy or .npz"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "damaged"), (b"PK\x03\x04junk", "damaged"),
    ]:
        path.write_bytes(content)
        with pytest.raises(UsageError, match=sentence):
            load_inputs(IMAGE, path)


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = npz(tmp_path, image=np.array([{}], dtype=object))
    with pytest.raises(UsageError, match="Python objects"):
        load_inputs(IMAGE, path)


def test_files_cut_short_or_with_flipped_bytes(tmp_path: Path) -> None:
    path = npz(tmp_path, image=numbers(3, 2, 3, 1), labels=np.arange(3))
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for n in range(0, len(data) - 1, 7):
        path.write_bytes(data[:n])
        with pytest.raises(UsageError):
            load_inputs(IMAGE, path)
    for _ in range(300):
        broken = bytearray(data)
        broken[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(bytes(broken))
        try:
            load_inputs(IMAGE, path)
        except UsageError as error:
            assert str(path) in error.message  # noqa: PT017


def test_an_array_that_claims_an_absurd_size(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    header = b"{'descr': '|i1', 'fortran_order': False, 'shape': (99999999999999, 2, 3, 1), }\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", content)
    with pytest.raises(UsageError, match="damaged"):
        load_inputs(IMAGE, path)


# Labels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["labels", "y"])
def test_labels(tmp_path: Path, name: str) -> None:
    path = npz(tmp_path, x=numbers(3, 2, 3, 1), **{name: np.array([2, 0, 1], np.uint8)})
    labels = load_labels(path)
    assert labels is not None
    assert labels.dtype == np.int64
    assert labels.tolist() == [2, 0, 1]
    assert len(load_inputs(IMAGE, path)[0]) == 3


def test_labels_that_are_none(tmp_path: Path) -> None:
    assert load_labels(npz(tmp_path, x=numbers(3, 2, 3, 1))) is None
    assert load_labels(npy(tmp_path, numbers(3))) is None
    for arrays, sentence in [
        ({"y": np.array([0.5])}, "class numbers"), ({"labels": np.eye(3)}, "class numbers"),
        ({"labels": np.array(["cat"])}, "class numbers"),
        ({"labels": np.arange(3), "y": np.arange(3)}, "both 'labels' and 'y'"),
    ]:
        with pytest.raises(UsageError, match=sentence):
            load_labels(npz(tmp_path, **arrays))


def test_shared_data() -> None:
    kws = simplify(read(shared_path("models", "kws_dscnn_int8.tflite")))
    path = shared_path("data", "kws_eval.npz")
    (features,) = load_inputs(kws, path)
    np.testing.assert_array_equal(features[:, 0], np.load(path)["features"])
    labels = load_labels(path)
    assert labels is not None
    assert len(labels) == len(features) == 500


# Options and random inputs ----------------------------------------------------------------------


@pytest.mark.parametrize(("text", "expected"), [
    ("scale=2,offset=-1", Preprocess(2.0, -1.0)), ("offset=1e-3", Preprocess(1.0, 0.001)),
    (" scale = 1/255 ", Preprocess(1 / 255, 0.0)), ("", Preprocess()),
])
def test_preprocess_is_parsed(text: str, expected: Preprocess) -> None:
    assert parse_preprocess(text) == expected


@pytest.mark.parametrize("text", ["scale", "scale=", "scale=a", "mean=1", "scale=1/0", "scale=nan",
                                  "scale=1;offset=2", "2"])
def test_what_is_no_preprocessing(text: str) -> None:
    with pytest.raises(UsageError, match="is not understood"):
        parse_preprocess(text)


def test_random_inputs_are_those_that_the_documentation_promises() -> None:
    (found,) = random_inputs(IMAGE, 7)
    expected = np.random.default_rng(7).integers(-128, 128, (1, 2, 3, 1), dtype=np.int8)
    np.testing.assert_array_equal(found, expected[None])
    np.testing.assert_array_equal(random_inputs(IMAGE, 7, 3)[0][0], expected)


def test_random_inputs_of_several_inputs_and_samples() -> None:
    rng = np.random.default_rng(1)
    expected = [[rng.integers(-128, 128, (1, 4), dtype=np.int8) for _ in range(2)]
                for _ in range(3)]
    found = random_inputs(TWO, 1, 3)
    for n in range(2):
        assert found[n].shape == (3, 1, 4)
        np.testing.assert_array_equal(found[n], np.array([sample[n] for sample in expected]))
    assert [x.shape for x in random_inputs(replace(TWO), 1, 0)] == [(0, 1, 4), (0, 1, 4)]
