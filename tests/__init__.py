# SPDX-License-Identifier: MIT
"""The tests; they mirror tinyeff/."""

import os

# A process per core runs tests. More threads in each only wait for one another, and keep the cores
# busy doing so: some linear algebra takes five times the work. Set before anything loads numpy.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ.setdefault(_variable, "1")
