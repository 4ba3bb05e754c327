# SPDX-License-Identifier: MIT
"""A coverage-guided search for files on which the reader fails: python -m tests.reader.fuzz.

Atheris changes small models again and again, and keeps what reaches new code. Whatever it makes
must be read, or refused with a sentence, within seconds. Arguments are those of libFuzzer, for
example -max_total_time=600 and a folder that collects what it finds.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path


def seeds() -> list[bytes]:
    """Small models with many operators: those of the random networks, and a few odd ones."""
    from tests.networks.strategy import network
    from tests.reader.damage import two_convolutions_file
    from tests.reader.old_files import as_uint8
    from tests.reader.random_models import Builder
    from tinyeff.reader import serialize

    found = [two_convolutions_file()]
    for seed in range(60):
        case = network(seed, 6)
        if case is not None and len(case.graph.source.flatbuffer) < 20_000:
            found.append(case.graph.source.flatbuffer)
    g = Builder("uint8")
    x = g.input((1, 6, 6, 2), 0.1)
    weights = g.random_weights((4, 3, 3, 2), 0, per_channel=False)
    from tinyeff.ops.conv_2d import Conv2DAttrs

    y = g.op("CONV_2D", [x, weights, g.random_bias(4, x, weights)], Conv2DAttrs(), 0.1)
    return [*found, serialize(as_uint8(g.graph(y)))]


def main() -> None:
    """Search until the time is over, or the first failure."""
    import atheris

    with atheris.instrument_imports(include=["tinyeff"]):
        from tests.reader.test_damaged import outcome
    corpus = tempfile.mkdtemp(prefix="tinyeff-fuzz-")
    for number, data in enumerate(seeds()):
        (Path(corpus) / f"seed_{number}").write_bytes(data)

    def one_input(data: bytes) -> None:
        with warnings.catch_warnings():
            outcome(data)

    atheris.Setup([*sys.argv, "-timeout=10", "-rss_limit_mb=2048", "-max_len=20000", corpus],
                  one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
