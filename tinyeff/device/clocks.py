# SPDX-License-Identifier: MIT
"""The clocks of a board: PLL factors for the highest speed, and the wait states of flash."""

from __future__ import annotations

from dataclasses import dataclass

from tinyeff.device.chips import Chip
from tinyeff.device.families import ClockTree, Family
from tinyeff.errors import UsageError


@dataclass(frozen=True)
class Pll:
    """source / m * n / output = core."""

    source_hz: int
    m: int
    n: int
    output: int

    @property
    def vco_hz(self) -> int:
        """The oscillator inside the PLL."""
        return self.source_hz * self.n // self.m

    @property
    def core_hz(self) -> int:
        """The core's clock."""
        return self.vco_hz // self.output


@dataclass(frozen=True)
class Clocks:
    """`external` is the PLL from the board's own clock (None without one), `internal` the other.

    Both give the same core clock. `wait_states` are those of flash at `bus_hz`.
    """

    core_hz: int
    bus_hz: int
    external: Pll | None
    internal: Pll
    wait_states: int


def solve_pll(tree: ClockTree, source_hz: int, core_hz: int) -> Pll | None:
    """Factors that give exactly `core_hz`, with the highest input frequency; None without any."""
    for m in range(tree.m[0], tree.m[1] + 1):
        if not tree.pll_input_hz[0] * m <= source_hz <= tree.pll_input_hz[1] * m:
            continue
        for output in tree.output:
            n, rest = divmod(core_hz * output * m, source_hz)
            if (rest == 0 and tree.n[0] <= n <= tree.n[1]
                    and tree.vco_hz[0] <= core_hz * output <= tree.vco_hz[1]):
                return Pll(source_hz, m, n, output)
    return None


def clocks_for(chip: Chip, family: Family, external_hz: int | None) -> Clocks:
    """The clocks of a chip at its highest speed, with `external_hz` from outside.

    Raises UsageError where no factors of the PLL lead there.
    """
    core_hz = family.max_hz or chip.max_hz
    plls = []
    for source_hz in (family.clock.internal_hz, external_hz):
        pll = None if source_hz is None else solve_pll(family.clock, source_hz, core_hz)
        if pll is None and source_hz is not None:
            raise UsageError(f"{chip.name}: no factors of its PLL make {core_hz:,} Hz of "
                             f"{source_hz:,} Hz; check external_hz in the board's file")
        plls.append(pll)
    internal, external = plls
    assert internal is not None
    bus_hz = core_hz // family.clock.ahb_divider
    return Clocks(core_hz, bus_hz, external, internal, wait_states(chip, family, bus_hz))


def wait_states(chip: Chip, family: Family, bus_hz: int) -> int:
    """Wait states of flash at `bus_hz`, with supply and core voltage at their best."""
    steps = family.latency or max(chip.latencies, key=lambda entry: entry.min_mv).steps
    for states, limit in sorted(steps):
        if bus_hz <= limit:
            return states
    raise UsageError(f"{chip.name}: its flash is not specified for {bus_hz:,} Hz")
