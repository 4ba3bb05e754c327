# SPDX-License-Identifier: MIT
"""Two files that `python -m benchmarks.work --json` wrote, side by side.

    python -m benchmarks compare OLD.json NEW.json

Exit code 1 where a run takes more instructions or cycles, or more code, than before.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.measure import Run, by_title, run_of
from benchmarks.text import count, print_table
from benchmarks.work import SCHEMA_VERSION


def load(path: Path) -> dict[str, Run]:
    """The runs in a file by what tells them apart; SystemExit says what is wrong with it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {value['schema_version']!r}, not {SCHEMA_VERSION}")
        return {run.key: run for run in map(run_of, value["runs"])}
    except (OSError, KeyError, TypeError, ValueError) as error:
        print(f"{path} holds no figures of benchmarks.work ({error}); write some with "
              "python -m benchmarks.work --json FILE", file=sys.stderr)
        raise SystemExit(2) from error


def change(old: int | None, new: int | None) -> str:
    """'+1.5%', or '' where nothing changed."""
    if old == new or not old or new is None:
        return ""
    return f"{new / old - 1:+.2%}"


def compare(old_path: Path, new_path: Path) -> int:
    """Print what changed; 1 where something got worse."""
    old, new = load(old_path), load(new_path)
    shared = [key for key in old if key in new]
    rows: list[tuple[str, ...]] = [("run", "instructions", "now", "", "cycles", "now", "",
                                    "code + tables", "now", "")]
    worse = 0
    for key in shared:
        a, b = old[key], new[key]
        sizes = [r.code_bytes + r.table_bytes for r in (a, b)]
        pairs = [(a.instructions, b.instructions), (a.cycles, b.cycles), (sizes[0], sizes[1])]
        worse += any(y > x for x, y in pairs if x is not None and y is not None)
        cells = [cell for x, y in pairs for cell in (count(x), count(y), change(x, y))]
        if any(x != y for x, y in pairs):
            rows.append((key, *cells))
    if len(rows) > 1:
        print_table("Changed", rows)
    _print_kinds([old[k] for k in shared], [new[k] for k in shared])
    print(f"\n{len(shared)} runs compared, {len(rows) - 1} changed, {worse} worse in something")
    for name, missing in ((old_path, new.keys() - old.keys()), (new_path, old.keys() - new.keys())):
        if missing:
            print(f"not in {name}: {', '.join(sorted(missing))}")
    return int(worse > 0)


def _print_kinds(old: list[Run], new: list[Run]) -> None:
    rows = [("kind", "instructions", "now", "")]
    before, after = by_title(old), by_title(new)
    for title, layers in after.items():
        x = sum(layer.instructions for layer in before.get(title, []))
        y = sum(layer.instructions for layer in layers)
        if x != y:
            rows.append((title, count(x), count(y), change(x, y)))
    if len(rows) > 1:
        print_table("Kinds of operators, all runs", rows)
