# SPDX-License-Identifier: MIT
"""A process that builds many networks, so that TensorFlow starts once for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinyeff import zoo
from tinyeff.reader import keras_job
from tinyeff.worker import main


def settle(model: Any, samples: Any) -> None:
    """Give batch normalization the statistics of `samples`, and any gamma and beta.

    What begins as an addition of 0 or a factor of 1 gets any weights too, or the converter would
    leave it out.
    """
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith(("gains", "positionbias")):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    norms = [x for x in model.layers if type(x).__name__ == "BatchNormalization"]
    for norm in norms:
        norm.momentum = 0.0
        size = norm.moving_mean.shape
        if norm.scale:
            norm.gamma.assign(rng.uniform(0.5, 1.5, size))
        if norm.center:
            norm.beta.assign(rng.normal(0.0, 0.2, size))
    model(samples, training=True)
    for norm in norms:  # channels that hardly vary would magnify every rounding
        variance = np.asarray(norm.moving_variance)
        norm.moving_variance.assign(variance + variance.mean())


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Build, settle, deploy and convert each network of task["networks"]."""
    reports = {}
    for name, arguments in task["networks"].items():
        try:
            reports[name] = one(folder / name, **arguments)
        except Exception as error:  # of one network only: the others are looked at all the same
            reports[name] = {"error": f"{type(error).__name__}: {error}"}
    return reports


def one(folder: Path, name: str, **scale: Any) -> dict[str, Any]:
    """A folder with model.tflite, the float network; and what was seen on the way."""
    folder.mkdir()
    model = zoo.build(name, **scale, seed=1)
    samples = np.random.default_rng(1).normal(0, 1, (8, *model.input_shape[1:])).astype(np.float32)
    settle(model, samples)
    plain = zoo.deploy(model)
    wanted, found = (flat(m(samples[:2], training=False)) for m in (model, plain))
    plain.save(folder / "plain.keras")
    names = keras_job.job(folder, {"path": str(folder / "plain.keras")})
    trained, deployed = (sum(int(np.prod(v.shape)) for v in m.trainable_variables)
                         for m in (model, plain))
    return {**names, "parameters": trained, "parameters_deploy": deployed,
            "largest": float(np.abs(wanted).max()),
            "difference": float(np.abs(wanted - found).max())}


def flat(outputs: Any) -> Any:
    """All values of all outputs."""
    values = outputs if isinstance(outputs, list | tuple) else [outputs]
    return np.concatenate([np.asarray(v).reshape(-1) for v in values])


if __name__ == "__main__":
    main(job)
