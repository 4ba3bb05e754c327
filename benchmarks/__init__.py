# SPDX-License-Identifier: MIT
"""What `make bench` measures."""
