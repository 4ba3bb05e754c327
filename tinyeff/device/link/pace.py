# SPDX-License-Identifier: MIT
"""How long to wait for an answer, and how much to send at once."""

from __future__ import annotations

FIRST_SECONDS = 0.25
LEAST_SECONDS = 0.008
MOST_SECONDS = 2.0
SHORTEST_QUIET, LONGEST_QUIET = 0.002, 0.02
MOST_UNHEARD = 30
SECONDS_PER_BYTE = 10 / 115_200
"""Eight bits, start and stop at the slowest speed in use."""
FIRST_CHUNK, LEAST_CHUNK, CHUNK_STEP = 64, 16, 16


class RoundTrip:
    """When to ask again: smoothed round trip plus four deviations (RFC 6298).

    An answer that came after asking again says nothing of the time it took (Karn's algorithm).
    """

    def __init__(self) -> None:
        self._mean: float | None = None
        self._deviation = 0.0
        self._unheard = 0

    def wait(self, size_bytes: int) -> float:
        """Seconds to wait for the answer to `size_bytes`."""
        if self._mean is None:
            base = FIRST_SECONDS
        else:
            base = self._mean + max(4 * self._deviation, LEAST_SECONDS)
            # A link that answers in less than the bytes would take is no serial line.
            base += size_bytes * SECONDS_PER_BYTE * min(1.0, self._mean / 0.01)
        # Doubled each third time: on a noisy line most attempts are lost, not late.
        return min(MOST_SECONDS, base * 2.0 ** (self._unheard // 3))

    @property
    def quiet(self) -> float:
        """Seconds without a byte after which the other end is taken to have finished."""
        return LONGEST_QUIET if self._mean is None else min(
            LONGEST_QUIET, max(SHORTEST_QUIET, self._mean))

    def unheard(self, waited: bool) -> None:
        """No answer came; `waited` where that was for lack of bytes, not for damaged ones."""
        self._unheard = min(MOST_UNHEARD, self._unheard + waited)

    def heard(self, seconds: float, attempts: int, computed: bool) -> None:
        """An answer came after `seconds`; `computed` where that is mostly the model's run."""
        self._unheard = 0
        if attempts > 1 or computed:
            return
        if self._mean is None:
            self._mean, self._deviation = seconds, seconds / 2
            return
        self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
        self._mean += (seconds - self._mean) / 8


class ChunkSize:
    """Bytes of data in one frame: halved where frames are lost, grown where they arrive."""

    def __init__(self, most: int, first: int) -> None:
        self._most, self.size = most, min(most, first)

    def shrink(self) -> None:
        """A frame was lost."""
        self.size = max(min(LEAST_CHUNK, self._most), self.size // 2)

    def grow(self) -> None:
        """A frame arrived."""
        self.size = min(self._most, self.size + CHUNK_STEP)
