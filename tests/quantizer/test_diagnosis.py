# SPDX-License-Identifier: MIT
"""The report of what each layer loses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.quantizer.floating import random_samples
from tests.quantizer.test_equalization import network
from tinyeff.cli import main
from tinyeff.ir import Graph
from tinyeff.quantizer import diagnosis, quantize_and_explain
from tinyeff.quantizer.diagnosis import Diagnosis, diagnose
from tinyeff.reader import serialize


def diagnosed(graph: Graph) -> Diagnosis:
    return diagnose(quantize_and_explain(graph, random_samples(graph, 24), effort="fast"))


def test_every_layer_is_measured_and_ranked() -> None:
    graph = network()
    d = diagnosed(graph)
    assert [layer.kind for layer in d.layers] == ["INPUT", *(op.kind for op in graph.ops)]
    assert sorted(d.ranking) == list(range(len(d.layers)))
    errors = [d.layers[n].error for n in d.ranking]
    assert errors == sorted(errors, reverse=True) and errors[0] > 0
    assert d.output_snr_db > 25
    assert d.agreement is not None and d.agreement > 0.8
    for layer in d.layers:
        assert 0 <= layer.effective_channels <= layer.channels
        assert 0 <= layer.saturated < 0.05
        assert (layer.weight_error > 0) == (layer.kind in (
            "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"))


def test_a_layer_that_spoils_the_output_is_named_first_with_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diagnosis, "FINE_DB", 1000.0)
    graph = network()
    made = quantize_and_explain(graph, random_samples(graph, 24), effort="fast")
    plain, quants = made.attempt.plain, made.attempt.calibration.quants
    (index,) = (op.outputs[0] for op in plain.ops if op.kind == "ADD")
    quants[index] = replace(quants[index], scales=(30 * quants[index].scale,))
    d = diagnose(made)
    worst = d.layers[d.ranking[0]]
    assert worst.kind == "ADD"
    assert "channels use fewer than 16 of 255 steps" in worst.advice
    others = [layer for layer in d.layers if layer.advice and layer is not worst]
    assert len(others) <= 1  # nothing else costs a tenth of that


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    graph = network()
    model, data = tmp_path / "model.tflite", tmp_path / "data.npz"
    model.write_bytes(serialize(graph))
    (samples,) = random_samples(graph, 20)
    np.savez(data, x=samples[:, 0])
    return str(model), str(data)


@pytest.mark.slow
def test_the_command_writes_a_page_and_json(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = files
    out, page, report = (str(tmp_path / n) for n in ("o.tflite", "r.html", "r.json"))
    command = ["quantize", model, "--data", data, "-o", out, "--effort", "fast"]
    assert main([*command, "--report", page]) == 0
    text = capsys.readouterr().out
    assert "signal to noise at the output" in text and "DEPTHWISE_CONV_2D" in text
    html = Path(page).read_text(encoding="utf-8")
    assert html.count("<svg") == 4 and "DEPTHWISE_CONV_2D" in html
    assert main([*command, "--report", report, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["report"] == json.loads(Path(report).read_text(encoding="utf-8"))
    assert sum(r["share_of_error"] for r in value["report"]["layers"]) == pytest.approx(1)
    assert main(["verify", out]) == 0
    assert main(["evaluate", out, "--data", data, "--float", model]) == 0
    assert "agreement with the float model" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "sentence"), [
    (["--report", "report.txt"], "neither .html"),
    (["--effort", "all"], "choose from fast, default, high"),
    (["--method", "guess"], "choose from auto, minmax"),
])
def test_wrong_options_are_usage_errors(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    options: list[str], sentence: str,
) -> None:
    model, data = files
    out = tmp_path / "out.tflite"
    assert main(["quantize", model, "--data", data, "-o", str(out), *options]) == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()
