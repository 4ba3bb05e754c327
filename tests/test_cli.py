# SPDX-License-Identifier: MIT
"""The commands, on the example model and on a few that do not work out."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden_files import EXAMPLES
from tests.shared import CHECKOUT, needs, shared_path
from tinyeff import resources
from tinyeff.cli import main
from tinyeff.console.options import PlanOptions
from tinyeff.emitter import MANIFEST
from tinyeff.errors import InternalError
from tinyeff.simulator.memory_map import memory_map

MODEL = str(EXAMPLES / "shapes_int8.tflite")
LABELS = str(EXAMPLES / "shapes_labels.txt")
DATA = str(EXAMPLES / "shapes_eval.npz")
IMAGE = str(EXAMPLES / "triangle.npy")

Capture = pytest.CaptureFixture[str]


def run_json(capsys: Capture, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the one JSON object of a command."""
    code = main([*arguments, "--json"])
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    value: dict[str, Any] = json.loads(out)
    assert value["schema_version"] == 1
    return code, value


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


# plan ------------------------------------------------------------------------------------------


def test_plan_says_the_verdict_first(capsys: Capture) -> None:
    assert main(["plan", MODEL, "--sram", "256k"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("fits 256 KiB: ")
    assert lines[0].endswith(" of flash")
    assert any("CONV_2D" in line and "16x16x8" in line and "18,432" in line for line in lines)
    assert captured.out.count(" peak\n") >= 1
    assert max(len(line) for line in lines) <= 140
    assert len(lines) <= 50
    assert "\x1b" not in captured.out
    assert captured.err == ""


def test_plan_that_does_not_fit_says_by_how_much_and_why(capsys: Capture) -> None:
    assert main(["plan", MODEL, "--sram", "3k", "-q"]) == 1
    verdict, blame = capsys.readouterr().out.splitlines()
    assert verdict.startswith("does not fit 3 KiB: needs ")
    assert verdict.endswith(" of SRAM too much")
    assert blame.startswith("to blame: layer ")


def test_plan_object(capsys: Capture) -> None:
    code, value = run_json(capsys, "plan", MODEL, "--sram", "256k", "--flash", "1m")
    assert code == 0
    assert {"fits", "strategy", "activation_bytes", "scratch_bytes", "arena_bytes", "stack_bytes",
            "flash_bytes", "macs", "overhead", "input_memory", "strategies", "front"} <= set(value)
    assert value["fits"] is True
    assert value["strategies"][value["strategy"]]["arena_bytes"] == value["arena_bytes"]
    assert value["limits"] == {"sram_bytes": 1 << 18, "flash_bytes": 1 << 20, "memories": {}}
    code, value = run_json(capsys, "plan", MODEL, "--flash", "8k")
    assert (code, value["fits"]) == (1, False)
    assert value["missing_flash_bytes"] == value["flash_bytes"] - 8192


def test_plan_with_the_input_outside(capsys: Capture) -> None:
    _, resident = run_json(capsys, "plan", MODEL)
    _, excluded = run_json(capsys, "plan", MODEL, "--input-memory", "excluded")
    assert resident["input_bytes"] == 0
    assert excluded["input_bytes"] == 32 * 32
    assert excluded["arena_bytes"] <= resident["arena_bytes"]
    assert main(["plan", MODEL, "--input-memory", "excluded"]) == 0
    assert "must provide the input as well: 1,024 bytes (1 KiB)" in capsys.readouterr().out


@pytest.mark.parametrize("strategy", ["per-layer", "patch"])
def test_a_streamed_input_needs_the_stream_strategy(capsys: Capture, strategy: str) -> None:
    options = ["--strategy", strategy, "--input-memory", "streamed"]
    code, value = run_json(capsys, "plan", MODEL, *options)
    assert (code, value["error"]["code"]) == (3, 3)
    assert "use --strategy stream" in value["error"]["message"]


def test_plan_of_the_float_model_is_that_of_its_int8_form(capsys: Capture) -> None:
    _, real = run_json(capsys, "plan", str(shared_path("models", "vww_96_float.tflite")))
    _, int8 = run_json(capsys, "plan", str(shared_path("models", "vww_96_int8.tflite")))
    assert (real["quantized"], int8["quantized"]) == (False, True)
    for key in ("activation_bytes", "arena_bytes", "macs"):
        assert real[key] == int8[key], key
    # Channels that prove constant once they are int8 take no flash; nobody knows them before.
    assert real["flash_bytes"] >= int8["flash_bytes"]


# codegen and sim -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "shapes"
    assert main(["codegen", MODEL, "-o", str(folder), "--name", "shapes", "--labels", LABELS,
                 "-q"]) == 0
    return folder


def test_codegen_writes_what_it_says(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "out"
    code, value = run_json(capsys, "codegen", MODEL, "-o", str(folder), "--sram", "64k")
    assert code == 0
    assert sorted(value["files"]) == sorted(files(folder))
    assert value["name"] == "shapes_int8"
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["options"]["sram"] == "64k"
    assert manifest["target"]["cpu"] == "cortex-m4"
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_codegen_twice_is_the_same_bytes(generated: Path, tmp_path: Path, capsys: Capture) -> None:
    again = tmp_path / "elsewhere" / "again"
    main(["codegen", MODEL, "-o", str(again), "--name", "shapes", "--labels", LABELS])
    assert files(again) == files(generated)
    assert f"next: tinyeff sim {again}" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "code", "said"), [
    (["--sram", "1k"], 1, "does not fit 1 KiB"),
    (["--name", "1st"], 2, "--name 1st"),
    (["--name", "te"], 2, "--name te"),
    (["--name", "stdint"], 2, "standard header"),
    (["--labels", MODEL], 2, "cannot be read as text"),
    (["--strategy", "patch", "--input-memory", "streamed"], 3, "--strategy stream"),
])
def test_codegen_that_fails_writes_nothing(
    tmp_path: Path, capsys: Capture, options: list[str], code: int, said: str
) -> None:
    assert main(["codegen", MODEL, "-o", str(tmp_path / "out"), *options]) == code
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_codegen_into_a_folder_of_others(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "mine.c").write_text("mine")
    code, value = run_json(capsys, "codegen", MODEL, "-o", str(tmp_path))
    assert (code, value["error"]["code"]) == (2, 2)
    assert files(tmp_path) == {"mine.c": b"mine"}


def test_codegen_of_a_float_model_says_how_to_quantize(tmp_path: Path, capsys: Capture) -> None:
    model = str(shared_path("models", "vww_96_float.tflite"))
    code, value = run_json(capsys, "codegen", model, "-o", str(tmp_path / "out"))
    assert code == 3
    assert f"tinyeff quantize {model} --data" in value["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_sim_of_the_folder_is_sim_of_the_model(generated: Path, capsys: Capture) -> None:
    code, model = run_json(capsys, "sim", MODEL)
    assert code == 0
    _, folder = run_json(capsys, "sim", str(generated))
    assert model["output_sha256"] == folder["output_sha256"]
    assert model["arena_bytes"] == folder["arena_bytes"]
    values = np.array(model["outputs"][0]["values"], np.int8)
    assert hashlib.sha256(values.tobytes()).hexdigest() == model["output_sha256"]
    _, other = run_json(capsys, "sim", MODEL, "--input", IMAGE)
    assert other["output_sha256"] != model["output_sha256"]
    assert (model["input"], other["input"]) == ("random, seed 0", IMAGE)


def test_sim_names_the_class(generated: Path, capsys: Capture) -> None:
    assert main(["sim", str(generated), "--input", IMAGE]) == 0
    lines = capsys.readouterr().out.splitlines()
    largest = next(line for line in lines if "<- largest" in line)
    assert "triangle" in largest


def test_sim_takes_the_first_sample_of_a_file(capsys: Capture) -> None:
    _, value = run_json(capsys, "sim", MODEL, "--input", DATA)
    assert value["input"] == f"{DATA}, the first of 144 samples"


def test_sim_refuses_changed_folders_and_plan_options(
    tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "out"
    assert main(["codegen", MODEL, "-o", str(folder), "-q"]) == 0
    assert main(["sim", str(folder), "--sram", "64k"]) == 2
    assert "--sram" in capsys.readouterr().err
    kernel = next(folder.glob("te_conv_2d*.c"))
    with kernel.open("a") as file:
        file.write("/* better */\n")
    assert main(["sim", str(folder)]) == 2
    assert f"{kernel.name} was changed" in capsys.readouterr().err


def test_emulator_options_need_a_core(capsys: Capture) -> None:
    assert main(["sim", MODEL, "--profile"]) == 2
    assert "--cpu cortex-m4" in capsys.readouterr().err


@pytest.mark.slow
def test_sim_on_a_core_agrees_and_counts(
    generated: Path, tmp_path: Path, capsys: Capture
) -> None:
    needs("arm-none-eabi-gcc", "unicorn")
    _, host = run_json(capsys, "sim", MODEL)
    flame = tmp_path / "flame.txt"
    code, core = run_json(capsys, "sim", MODEL, "--cpu", "cortex-m4", "--flame", str(flame),
                          "--symbols")
    assert code == 0
    assert core["output_sha256"] == host["output_sha256"]
    assert core["arena_bytes"] == core["arena_bytes_touched"] == host["arena_bytes"]
    assert {"instructions", "cycles", "compiler", "layers"} <= set(core)
    assert 0 < core["stack_bytes"] <= core["stack_bound_bytes"]
    assert sum(layer["instructions"] for layer in core["layers"]) == core["instructions"]
    assert sum(layer["macs"] for layer in core["layers"]) > 0
    assert sum(int(line.split()[-1]) for line in flame.read_text().splitlines()) == core["cycles"]
    assert main(["sim", str(generated), "--cpu", "cortex-m4", "--profile", "--symbols"]) == 0
    out = capsys.readouterr().out
    assert f"{core['instructions']:,}" in out
    assert "te_conv_2d" in out
    assert "100.0%" not in out


# verify, evaluate, quantize ----------------------------------------------------------------------


def test_verify_is_exact(capsys: Capture) -> None:
    code, value = run_json(capsys, "verify", MODEL, "--count", "3")
    assert (code, value["exact"], value["samples"], value["difference"]) == (0, True, 3, None)
    code, value = run_json(capsys, "verify", MODEL, "--data", DATA, "--count", "2")
    assert (code, value["samples"]) == (0, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "engine", "layers"), [
    ("cortex-m4", None, True), ("cortex-m0plus", None, True), ("cortex-m55", None, False),
    ("cortex-m4", "qemu", False),
])
def test_verify_and_evaluate_on_a_core(
    capsys: Capture, tmp_path: Path, cpu: str, engine: str | None, layers: bool
) -> None:
    needs("arm-none-eabi-gcc", "unicorn", "qemu-system-arm")
    options = ["--cpu", cpu, *(["--engine", engine] if engine else [])]
    code, value = run_json(capsys, "verify", MODEL, "--count", "2", *options)
    assert (code, value["exact"], value["cpu"], value["layers"]) == (0, True, cpu, layers)
    assert (value["tensors"] > 1) == layers
    if layers and cpu == "cortex-m4":
        with np.load(DATA) as data:
            np.savez(tmp_path / "few.npz", **{name: data[name][:6] for name in data.files})
        code, value = run_json(capsys, "evaluate", MODEL, "--data", str(tmp_path / "few.npz"),
                               *options)
        assert (code, value["exact"], value["samples"]) == (0, 1.0, 6)


@pytest.mark.slow
def test_the_code_of_a_board_runs_in_the_memory_of_its_chip(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("arm-none-eabi-gcc", "unicorn")
    options = ["--board", "nucleo-l4r5zi", "--cpu", "cortex-m4"]
    code, value = run_json(capsys, "verify", MODEL, *options)
    assert (code, value["exact"]) == (0, True)
    monkeypatch.setattr(PlanOptions, "chip_memory", lambda _: memory_map("tiny", 4096, 4096))
    for command in (["verify", MODEL], ["evaluate", MODEL, "--data", DATA]):
        assert main([*command, *options]) == 1
        assert "tiny: " in capsys.readouterr().err


@pytest.mark.parametrize("cpu", ["host", pytest.param("cortex-m4", marks=pytest.mark.slow)])
def test_verify_names_the_first_difference(
    cpu: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(*(("arm-none-eabi-gcc", "unicorn") if cpu != "host" else ()))
    original = resources.kernel_source

    def broken(name: str) -> str:
        text = original(name)
        if name.startswith("te_depthwise") and name.endswith(".c"):
            assert "p->pad_left" in text
            return text.replace("p->pad_left", "(p->pad_left + 1)")
        return text

    monkeypatch.setattr(resources, "kernel_source", broken)
    code, value = run_json(capsys, "verify", MODEL, "--cpu", cpu)
    assert (code, value["exact"]) == (1, False)
    assert value["difference"]["operator"] == "DEPTHWISE_CONV_2D"
    assert value["difference"]["expected"] != value["difference"]["found"]
    assert main(["verify", MODEL, "--cpu", cpu]) == 1
    assert "differs: sample 0: " in capsys.readouterr().out


def test_evaluate_counts(capsys: Capture) -> None:
    code, value = run_json(capsys, "evaluate", MODEL, "--data", DATA)
    assert (code, value["samples"], value["agreement"], value["exact"]) == (0, 144, 1.0, 1.0)
    assert value["correct"] == value["reference_correct"]
    assert value["top1"] == value["correct"] / 144 > 0.9


def test_evaluate_refuses_labels_that_cannot_be(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "bad.npz"
    images = np.zeros((2, 32, 32, 1), np.int8)
    for labels, said in (([0, 6], "label 6 is none of the model's 6 classes"),
                         ([0, 1, 2], "3 labels for 2 samples")):
        np.savez(path, x=images, labels=np.array(labels))
        assert main(["evaluate", MODEL, "--data", str(path)]) == 2
        assert said in capsys.readouterr().err
    np.savez(path, x=images)
    code, value = run_json(capsys, "evaluate", MODEL, "--data", str(path))
    assert (code, value["top1"], value["agreement"]) == (0, None, 1.0)


def test_quantize_of_an_int8_model_copies_it(tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "again.tflite"
    assert main(["quantize", MODEL, "--data", DATA, "-o", str(target)]) == 0
    assert "int8 already" in capsys.readouterr().err
    assert target.read_bytes() == Path(MODEL).read_bytes()


@pytest.mark.slow
def test_quantize_then_verify(tmp_path: Path, capsys: Capture) -> None:
    needs("tensorflow")
    model = str(shared_path("models", "vww_96_float.tflite"))
    data, target = tmp_path / "data.npz", tmp_path / "vww.tflite"
    np.savez(data, x=np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8))
    code, value = run_json(capsys, "quantize", model, "--data", str(data), "-o", str(target),
                           "--preprocess", "scale=1/255")
    assert (code, value["samples"]) == (0, 2)
    assert value["file_bytes"] == target.stat().st_size
    code, value = run_json(capsys, "verify", str(target))
    assert (code, value["exact"]) == (0, True)


# everything else ---------------------------------------------------------------------------------


def test_doctor_lists_what_is_there_and_how_to_get_the_rest(capsys: Capture) -> None:
    code, value = run_json(capsys, "doctor")
    assert code == 0
    checks = {check["name"]: check for check in value["checks"]}
    assert checks["python"]["version"].startswith("3.")
    assert checks["ai-edge-litert"]["version"].startswith("2.")
    missing = [c for c in value["checks"] if c["version"] is None]
    assert all(c["fix"] for c in missing)


def test_doctor_without_a_compiler(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("tinyeff.simulator.host.find_spec", lambda name: None)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "missing  C compiler" in out
    assert "tinyeff[toolchain]" in out
    code, value = run_json(capsys, "sim", MODEL)
    assert (code, value["error"]["code"]) == (4, 4)


@pytest.mark.parametrize("arguments", [
    ["plan"], ["plan", MODEL, "--nope"], ["nope"], ["plan", MODEL, "--sram", "much"],
    ["plan", "missing.tflite"], ["plan", LABELS], ["plan", str(EXAMPLES)],
    ["codegen", MODEL], ["sim", MODEL, "--seed", "x"], ["verify", MODEL, "--count", "0"],
    ["sim", MODEL, "--preprocess", "scale=2"], ["plan", MODEL, "--cpu", "z80"],
    ["evaluate", MODEL, "--data", "missing.npz"],
])
def test_wrong_usage_exits_2_with_a_sentence(capsys: Capture, arguments: list[str]) -> None:
    code, value = run_json(capsys, *arguments)
    assert (code, value["error"]["code"], value["error"]["items"]) == (2, 2, [])
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"tinyeff: error: {value['error']['message']}\n"
    assert "Traceback" not in captured.err


def test_all_that_is_unsupported_is_listed(capsys: Capture, monkeypatch: pytest.MonkeyPatch,
                                           tmp_path: Path) -> None:
    from tinyeff import ops

    some = {kind: op for kind, op in ops.registry().items() if kind not in ("ADD", "MEAN")}
    monkeypatch.setattr("tinyeff.reader.check.registry", lambda: some)
    monkeypatch.setattr("tinyeff.reader.flatbuffer.registry", lambda: some)
    code, value = run_json(capsys, "plan", MODEL)
    assert (code, value["error"]["code"]) == (3, 3)
    assert {"ADD", "MEAN"} <= {item["operator"] for item in value["error"]["items"]}
    assert all(item["reason"] for item in value["error"]["items"])


@pytest.mark.parametrize("error", [RuntimeError("surprise"), InternalError("surprise")])
def test_a_bug_is_called_one(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def surprise(*_: object) -> None:
        raise error

    monkeypatch.setattr("tinyeff.pipeline.read", surprise)
    assert main(["plan", MODEL]) == 70
    said = capsys.readouterr().err
    assert "surprise" in said
    assert "bug in tinyeff" in said
    assert "report" in said
    assert "Traceback" not in said
    assert main(["plan", MODEL, "-v"]) == 70
    assert "Traceback" in capsys.readouterr().err
    code, value = run_json(capsys, "plan", MODEL)
    assert (code, value["error"]["code"]) == (70, 70)


def test_options_of_all_commands_may_stand_first(capsys: Capture) -> None:
    assert main(["-q", "--json", "plan", MODEL]) == 0
    assert json.loads(capsys.readouterr().out)["fits"] is True


@pytest.mark.parametrize("arguments", [[], ["--help"], ["plan", "--help"], ["--version"]])
def test_help_and_version(capsys: Capture, arguments: list[str]) -> None:
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(("Usage: tinyeff", "tinyeff 0."))
    assert captured.err == ""


def tinyeff(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, from the checkout's cli.py."""
    return subprocess.run([sys.executable, str(CHECKOUT / "cli.py"), *arguments], text=True,
                          capture_output=True, check=False, env={**os.environ, **environment})


def test_the_checkout_runs_without_being_installed() -> None:
    done = tinyeff("plan", MODEL, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["fits"] is True


def test_a_terminal_without_unicode_gets_ascii() -> None:
    done = tinyeff("plan", MODEL, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "####" in done.stdout


@pytest.mark.parametrize(("command", "absent"), [
    ("plan", ("tensorflow", "ai_edge_litert.interpreter", "unicorn", "modm_devices", "serial")),
    ("--help", ("numpy", "ortools", "jinja2", "ai_edge_litert")),
])
def test_commands_start_without_heavy_packages(command: str, absent: tuple[str, ...]) -> None:
    code = (f"import sys; from tinyeff.cli import main; main([{command!r}, {MODEL!r}, '-q']); "
            f"print([m for m in {absent!r} if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(os.name == "nt", reason="POSIX: SIGINT to one process, and a closed pipe")
@pytest.mark.slow
class TestSignals:
    """What a shell does to a process."""

    def test_interrupting_exits_130_and_leaves_nothing(self, tmp_path: Path) -> None:
        process = subprocess.Popen(
            [sys.executable, str(CHECKOUT / "cli.py"), "verify", MODEL, "--count", "100000"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)})
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("tinyeff-*/run")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 130
        assert out == ""
        assert "Traceback" not in err
        assert list(tmp_path.iterdir()) == []

    def test_a_closed_pipe_is_no_error(self) -> None:
        process = subprocess.Popen([sys.executable, str(CHECKOUT / "cli.py"), "plan", MODEL, "-v"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
        process.wait(timeout=120)
