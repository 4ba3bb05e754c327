# SPDX-License-Identifier: MIT
"""What the command line is made of: options, the terminal, reports, folders of generated code."""
