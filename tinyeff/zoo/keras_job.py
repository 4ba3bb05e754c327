# SPDX-License-Identifier: MIT
"""The process in which Keras builds a network of the zoo, or deploys a trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyeff.worker import main

MODEL = "model.keras"


def job(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Write model.keras: the network of task["build"], or the file task["path"], deployed."""
    from tinyeff import zoo
    from tinyeff.reader.keras_job import load_model

    if "path" in task:
        trained = load_model(Path(task["path"]), folder)
        model = zoo.deploy(trained)
        before = trained.count_params()
    else:
        model = zoo.build(**task["build"])
        before = model.count_params()
    model.save(folder / MODEL)
    return {"before": int(before), "after": int(model.count_params())}


if __name__ == "__main__":
    main(job)
