# SPDX-License-Identifier: MIT
"""The host's end of the serial link; the board's end is firmware/link/."""
