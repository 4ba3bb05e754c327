# SPDX-License-Identifier: MIT
"""The tables, by family: each module has a tuple ARCHITECTURES."""
