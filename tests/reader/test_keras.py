# SPDX-License-Identifier: MIT
"""Keras models and SavedModels through TensorFlow's converter."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.reader.damage import changed, int32
from tests.shared import needs, shared_path
from tinyeff.errors import MissingProgramError, ModelFileError, UnsupportedError
from tinyeff.ir import Array, Graph
from tinyeff.reader import check_supported, read, simplify
from tinyeff.reader.flatbuffer import parse
from tinyeff.reader.keras import arrange
from tinyeff.simulator.litert import Reference

pytestmark = pytest.mark.slow

MAKE = """
import os, sys
os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0")
import keras, numpy as np, tensorflow as tf
from keras import layers as L
keras.utils.set_random_seed(1)
os.chdir(sys.argv[1])

def answers(name, model):
    xs = [np.random.default_rng(i).random((1, *x.shape[1:]), np.float32)
          for i, x in enumerate(model.inputs)]
    ys = model(xs if len(xs) > 1 else xs[0])
    ys = ys if isinstance(ys, (list, tuple)) else [ys]
    np.savez(name, **{f"x{i}": x for i, x in enumerate(xs)},
             **{f"y{i}": np.array(y) for i, y in enumerate(ys)})

# Names and layers in an order that is neither alphabetical nor that of the converter.
b, a, c = (keras.Input(s, name=n) for s, n in (((8, 8, 3), "zeta"), ((8, 8, 3), "alpha"),
                                               ((5,), "mid")))
x = L.Conv2D(4, 3, padding="same", activation="relu")(b)
z = L.Add()([x, L.Conv2D(4, 3, padding="same")(a)])
outputs = [L.Conv2D(4, 1, name="z_out")(z), L.Conv2D(4, 1, name="a_out")(x),
           L.Dense(4, name="b_out")(L.GlobalAveragePooling2D()(z)), L.Dense(4, name="m_out")(c)]
model = keras.Model([b, a, c], outputs)
model.save("several.keras")
answers("several.npz", model)

x = keras.Input((17, 15, 4), name="image")
y = L.Conv2D(8, 3, dilation_rate=2, padding="same")(x)
y = L.ReLU(6.0)(L.BatchNormalization()(y))
y = L.ZeroPadding2D(((0, 1), (0, 1)))(L.DepthwiseConv2D(3, padding="same")(y))
y = L.Reshape((-1,))(L.Conv2D(6, 3, strides=2)(y))
model = keras.Model(x, L.Softmax()(L.Dense(3)(y)))
model.save("dilated.keras")
model.save("dilated.h5")
model.export("exported")
tf.saved_model.save(tf.Module(), "without_signature")
answers("dilated.npz", model)

x = keras.Input((None, None, 3))
keras.Model(x, L.Conv2D(2, 3)(x)).save("free.keras")
# A layer that leaves a mark whenever it is run.
mark = os.path.abspath("mark")
x = keras.Input((4,))
y = L.Lambda(eval(f"lambda t: (__import__('pathlib').Path({mark!r}).touch(), t)[1]"))(x)
keras.Model(x, y).save("lambda.keras")
keras.Model(x, y).save("lambda.h5")
os.remove(mark)
keras.Sequential([L.Dense(3)]).save("unbuilt.keras")
keras.Sequential([keras.Input((6,)), L.Dense(3, activation="relu"), L.Dense(2, name="answer")
                  ]).save("chain.h5")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, made by Keras in a process of its own."""
    needs("tensorflow")
    folder = tmp_path_factory.mktemp("keras")
    script = folder / "make.py"
    script.write_text(textwrap.dedent(MAKE), encoding="utf-8")
    done = subprocess.run([sys.executable, str(script), str(folder)], check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def outputs(graph: Graph, inputs: tuple[Array, ...]) -> list[Array]:
    reference = Reference(graph.source.flatbuffer)
    reference.run(inputs)
    return [reference.tensor(i) for i in graph.outputs]


def assert_answers(graph: Graph, path: Path) -> None:
    """The converted model computes what Keras computed, to float32's rounding."""
    data = np.load(path)
    found = outputs(graph, tuple(data[f"x{i}"] for i in range(len(graph.inputs))))
    for n, value in enumerate(found):
        np.testing.assert_allclose(value, data[f"y{n}"], rtol=1e-5, atol=2e-6)


def ends(graph: Graph) -> list[str]:
    return [graph.tensors[i].name for i in (*graph.inputs, *graph.outputs)]


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


def test_a_file_of_keras_2_equals_its_published_flatbuffer() -> None:
    needs("tensorflow")
    graph = read(shared_path("models", "vww_96.h5"))
    check_supported(simplify(graph))
    published = read(shared_path("models", "vww_96_float.tflite"))
    image = np.random.default_rng(0).random((1, 96, 96, 3), np.float32)
    np.testing.assert_allclose(outputs(graph, (image,))[0], outputs(published, (image,))[0],
                               rtol=1e-4, atol=1e-6)
    assert ends(graph)[0] == "input_1"


@pytest.mark.parametrize(("name", "operators"), [("ic_resnet8", {"CONV_2D": 9, "ADD": 3}),
                                                 ("ad_autoencoder", {"FULLY_CONNECTED": 10})])
def test_other_shared_models(name: str, operators: dict[str, int]) -> None:
    needs("tensorflow")
    graph = simplify(read(shared_path("models", f"{name}.h5")))
    check_supported(graph)
    assert {kind: kinds(graph).count(kind) for kind in operators} == operators
    assert all(graph.tensors[i].shape[0] == 1 for i in graph.inputs)


def test_several_inputs_and_outputs_keep_their_order_and_names(made: Path) -> None:
    graph = read(made / "several.keras")
    assert ends(graph) == ["zeta", "alpha", "mid", "z_out", "a_out", "b_out", "m_out"]
    assert_answers(graph, made / "several.npz")
    check_supported(simplify(graph))


@pytest.mark.parametrize("name", ["dilated.keras", "dilated.h5", "exported"])
def test_the_same_model_in_three_formats(made: Path, name: str) -> None:
    graph = read(made / name)
    assert_answers(graph, made / "dilated.npz")
    simple = simplify(graph)
    check_supported(simple)
    # Batch norm and activations are folded, and no arithmetic on shapes is left.
    assert kinds(simple) == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "RESHAPE",
                             "FULLY_CONNECTED", "SOFTMAX"]
    assert simple.ops[0].attrs.dilation == (2, 2)
    assert simple.ops[0].attrs.activation == "relu6"
    assert ends(graph)[0] == "image"


def test_a_sequential_model_whose_name_does_not_fit_its_format(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    copy = shutil.copyfile(made / "chain.h5", tmp_path / "model.bin")
    with caplog.at_level(logging.INFO, "tinyeff"):
        graph = read(copy)
    assert kinds(graph) == ["FULLY_CONNECTED", "FULLY_CONNECTED"]
    assert ends(graph)[1] == "answer"
    # What TensorFlow says is logged, and not printed.
    assert capfd.readouterr() == ("", "")
    assert [r.levelname for r in caplog.records] == ["INFO"]
    assert "TensorFlow on model.bin" in caplog.text


@pytest.mark.parametrize(("name", "error", "sentence"), [
    ("lambda.keras", UnsupportedError, "1 of its layers are Python code"),
    ("lambda.h5", UnsupportedError, "1 of its layers are Python code"),
    ("free.keras", UnsupportedError, "free dimensions"),
    ("unbuilt.keras", UnsupportedError, "does not know its input shape"),
    ("without_signature", UnsupportedError, "no signature 'serving_default'"),
])
def test_models_that_are_refused(made: Path, name: str, error: Any, sentence: str) -> None:
    with pytest.raises(error, match=sentence) as found:
        read(made / name)
    assert found.value.message.startswith(name)
    assert [item.operator for item in found.value.items] == ["Lambda"] * ("lambda" in name)
    assert not (made / "mark").exists(), "the code in the file has been run"


@pytest.mark.parametrize("name", ["chain.h5", "dilated.keras"])
def test_files_cut_short(made: Path, tmp_path: Path, name: str) -> None:
    data = (made / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[:len(data) // 2])
    with pytest.raises(ModelFileError, match=name):
        read(path)


def test_a_damaged_saved_model(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(made / "exported", folder)
    (folder / "saved_model.pb").write_bytes(b"\xff" * 1000)
    with pytest.raises(ModelFileError, match="TensorFlow cannot read it"):
        read(folder)


def test_without_tensorflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(MissingProgramError, match=r'pip install "tinyeff\[keras\]"'):
        read(path)


def test_inputs_and_outputs_are_arranged_by_the_signature() -> None:
    def signature(model: Any) -> None:
        def entry(name: str, index: int) -> Any:
            return schema.TensorMapT(name=name, tensorIndex=index)

        model.subgraphs[0].outputs = int32(3, 6)
        model.signatureDefs = [schema.SignatureDefT(
            inputs=[entry("image", 0)], outputs=[entry("early", 3), entry("late", 6)],
            signatureKey="serving_default")]

    flatbuffer = changed(signature)
    graph = parse(arrange(flatbuffer, ["image"], ["late", "early"], "model"), "model")
    assert ends(graph) == ["image", "late", "early"]
    assert graph.outputs == (6, 3)
    with pytest.raises(ModelFileError, match="every one must be used"):
        arrange(flatbuffer, ["image", "unused"], ["late", "early"], "model")
