# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A regular grid cut into the days people live by.

A day lasts from four in the morning to four in the next: the small hours belong to the
evening before. Days are counted from 1970-01-01.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

DAY_SECONDS = 86_400
DAY_BEGINS_SECONDS = 4 * 3_600


@dataclass(frozen=True)
class DayGrid:
    """Where the days begin on a grid.

    Attributes:
        start: local time of position 0, as if it were epoch seconds.
        step_seconds: divides a day.
        length: positions of the history.
    """

    start: float
    step_seconds: int
    length: int

    @property
    def steps_per_day(self) -> int:
        return DAY_SECONDS // self.step_seconds

    def days(self, positions: Any) -> Any:
        """The local day of each position: that of the middle of its step."""
        middle = self.start + self.step_seconds * (positions + 0.5) - DAY_BEGINS_SECONDS
        return np.floor(middle / DAY_SECONDS).astype(np.int64)

    def first_position(self, days: Any) -> Any:
        """Where each day begins; may lie outside of the history."""
        begin = (days * float(DAY_SECONDS) + DAY_BEGINS_SECONDS - self.start) / self.step_seconds - 0.5
        return np.ceil(begin).astype(np.int64)

    def whole_days(self) -> tuple[int, int, int]:
        """The first whole day of the history, its position, and how many whole days there are."""
        first = int(self.days(np.array(0)))
        position = int(self.first_position(np.array(first)))
        if position < 0:
            first, position = first + 1, position + self.steps_per_day
        return first, position, max(0, (self.length - position) // self.steps_per_day)
