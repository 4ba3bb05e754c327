# SPDX-License-Identifier: MIT
"""Efficient networks as tables of blocks: counted, built in Keras, deployed, planned.

    from tinyeff import zoo

    model = zoo.build("mobileone_s0", width=0.25, resolution=32, classes=10)   # a keras.Model
    ...train it...
    plain = zoo.deploy(model)                  # branches joined, batch normalization folded
    zoo.network("mobileone_s0").macs           # without TensorFlow
    zoo.names()

`tables/` holds the architectures, `blocks/` the rows that tables are made of, `layers.py` what
rows become. Everything else is derived from these layers: counts, the Keras model
(`keras_model.py`), the graph that the planner takes (`graphs.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyeff.zoo.architectures import Architecture
from tinyeff.zoo.builder import Builder
from tinyeff.zoo.catalog import CATALOG, architecture_named
from tinyeff.zoo.compression import factorize, keep_classes, prune_channels
from tinyeff.zoo.gradient_multiplier import BranchScales, as_if_branched, branch_scales
from tinyeff.zoo.layers import Network
from tinyeff.zoo.reparameterization import deploy
from tinyeff.zoo.residual_removal import remove_residuals
from tinyeff.zoo.scaling import compound_scaling, redistribute
from tinyeff.zoo.training import distiller, fine_tune, soften

if TYPE_CHECKING:
    from tinyeff.ir import Graph

__all__ = ["Architecture", "BranchScales", "Builder", "Network", "architecture", "as_if_branched",
           "branch_scales", "build", "compound_scaling", "deploy", "distiller", "factorize",
           "fine_tune", "graph", "keep_classes", "names", "network", "prune_channels",
           "redistribute", "remove_residuals", "soften"]


def names() -> tuple[str, ...]:
    """The names of all architectures."""
    return tuple(CATALOG)


def architecture(name: str) -> Architecture:
    """The table called `name`; UsageError tells the nearest names."""
    return architecture_named(name)


def network(
    name: str | Architecture, width: float | None = None, resolution: int | None = None,
    classes: int | None = None, channels: int | None = None, deployed: bool = False,
) -> Network:
    """The layers of an architecture, for counting: `parameters` and `macs` are exact.

    What is None is as in the paper. `deployed` is the form that runs, with batch normalization
    folded and branches joined. Raises UsageError where a value makes no sense.

    >>> from tinyeff import zoo
    >>> zoo.network("mobilenet_v2").parameters
    3504872
    """
    found = architecture(name) if isinstance(name, str) else name
    return found.network(width, resolution, classes, channels, deployed)


def graph(
    name: str | Architecture, width: float | None = None, resolution: int | None = None,
    classes: int | None = None, channels: int | None = None,
) -> Graph:
    """The float graph of an architecture in deployed form, ready to be selected and planned.

    It has no weights. Needs no TensorFlow.
    """
    from tinyeff.reader import simplify
    from tinyeff.zoo.graphs import float_graph

    return simplify(float_graph(network(name, width, resolution, classes, channels, True)))


def build(
    name: str | Architecture, width: float | None = None, resolution: int | None = None,
    classes: int | None = None, channels: int | None = None, deployed: bool = False,
    dropout: float = 0.0, seed: int | None = None,
) -> Any:
    """A keras.Model with fresh weights; it ends in logits (MLPerf Tiny's in a softmax).

    Inputs are (batch, resolution, resolution, channels). What is None is as in the paper. `dropout`
    is the rate before the classifier, `seed` makes the weights the same each time. Raises
    UsageError where a value makes no sense, MissingProgramError where TensorFlow is not installed.
    """
    from tinyeff.zoo.keras_model import keras_model

    found = architecture(name) if isinstance(name, str) else name
    return keras_model(found.network(width, resolution, classes, channels, deployed, dropout), seed)
