# SPDX-License-Identifier: MIT
"""The commands, a module each: arguments in, words and an exit code out.

What they say is worded in `tinyeff.console`; what they do is the library.
"""
