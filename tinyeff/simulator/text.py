# SPDX-License-Identifier: MIT
"""Text of templates/ and firmware/emulator/."""

from __future__ import annotations

from typing import Any

from tinyeff.resources import folder, templates


def render(template: str, **values: Any) -> str:
    """The text of `templates/<template>` with `values`; a value that is missing is an error."""
    return templates().get_template(template).render(**values)


def support_sources() -> dict[str, str]:
    """{file name: text} of start-up and the functions that compilers call on their own."""
    base = folder("firmware") / "emulator"
    return {name: (base / name).read_text(encoding="utf-8")
            for name in ("start.c", "memory.c", "te_emulator.h")}
