#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the command line from a checkout: python cli.py plan model.tflite."""

import sys

from tinyeff.cli import main

if __name__ == "__main__":
    sys.exit(main())
