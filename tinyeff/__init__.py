# SPDX-License-Identifier: MIT
"""tinyeff: from a Keras or TFLite model to bit-exact C for STM32 microcontrollers."""

__version__ = "0.1.0"
