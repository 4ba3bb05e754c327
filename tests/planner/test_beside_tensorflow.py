# SPDX-License-Identifier: MIT
"""Planning works in a program that has loaded TensorFlow before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.shared import CHECKOUT, needs


@pytest.mark.slow
def test_the_solver_gives_the_same_plan_beside_tensorflow() -> None:
    needs("tensorflow")
    program = """if True:
        import sys
        if sys.argv[1] == "tensorflow":
            import tensorflow
        from tinyeff import zoo
        from tinyeff.ir import Limits
        from tinyeff.pipeline import plan, select
        from tinyeff.planner.bound import lower_bound
        from tinyeff.planner.elsewhere import tensorflow_came_first
        from tinyeff.targets import target_for
        target = target_for("cortex-m4")
        graph = select(zoo.graph("mobilenet_v3_small", 0.25, 32, 4), target)
        print([b.offset_bytes for b in plan(graph, target, Limits(strategy="per-layer")).buffers],
              lower_bound(graph, "excluded"))
        assert tensorflow_came_first() == (sys.argv[1] == "tensorflow")
    """
    found = [subprocess.run([sys.executable, "-c", program, first], cwd=CHECKOUT, check=True,
                            capture_output=True, text=True).stdout
             for first in ("tensorflow", "nothing")]
    assert found[0] == found[1]
    assert found[0].startswith("[")
