# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The clock that the users of a service live by, and the grid of a history laid on it.

People keep their habits when the clocks change, so the shape of a day is stable in
local time and jumps by an hour twice a year in UTC. A history is therefore laid on a
grid of local time: with o(t) the zone's offset from UTC at the moment t,

    position(t) = (t + o(t) - (t_0 + o(t_0))) / step.

In spring positions are left out: a gap. In autumn two samples share a position: their
mean. The way back is to look the position of each coming UTC step up. It works where
every change of the offset is a whole number of steps; otherwise the grid stays as it is.
"""

from __future__ import annotations

import difflib
import math
import zoneinfo
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class ZoneOffsets:
    """Offsets from UTC over a span of time.

    Attributes:
        changes: (K,) moments at which the offset changes, epoch seconds, ascending.
        offsets: (K + 1,) seconds to add to UTC before the first change, after it, and so on.
    """

    changes: Any
    offsets: Any

    def at(self, moments: Any) -> Any:
        """The offset at each moment, seconds."""
        return self.offsets[np.searchsorted(self.changes, moments, side="right")]

    def jumps(self, first: float, last: float) -> Any:
        """By how many seconds the clocks change after ``first`` and up to ``last``."""
        inside = (self.changes > first) & (self.changes <= last)
        return np.diff(self.offsets)[inside]


@dataclass(frozen=True)
class LocalGrid:
    """Where the samples of a history and the steps behind it lie in local time.

    Attributes:
        start: local time of the first position, as if it were epoch seconds.
        length: positions of the history.
        history: (n,) the position of each sample, or None where it is its own.
        horizon: (H,) the position of each coming step, counted from the end of the history, never below 0.
    """

    start: float
    step_seconds: int
    length: int
    history: Any
    horizon: Any

    @property
    def steps_ahead(self) -> int:
        """How far to forecast on this grid for all of the horizon to be covered."""
        return int(self.horizon.max()) + 1

    def lay(self, values: Any) -> Any:
        """Values (..., n) of UTC steps on this grid (..., length): the mean where two meet, NaN where none does."""
        if self.history is None:
            return values
        shape = (*values.shape[:-1], self.length)
        first, last = np.full(shape, np.nan), np.full(shape, np.nan)
        # Of two samples for one position the one assigned later stays.
        first[..., self.history[::-1]] = values[..., ::-1]
        last[..., self.history] = values
        both = 0.5 * (first + last)
        return np.where(np.isnan(both), np.where(np.isnan(first), last, first), both)


def parse_zone(value: Any) -> zoneinfo.ZoneInfo | None:
    """The zone of an IANA name; None for none and for UTC.

    Raises:
        InputError: no such zone.
    """
    name = str(value or "").strip()
    if name in ("", "UTC", "Etc/UTC"):
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        known = sorted(zoneinfo.available_timezones())
        if not known:
            remedy = "This machine has no time zone data: install its tzdata package, or the Python package tzdata"
        else:
            by_city = {zone.rsplit("/", maxsplit=1)[-1].lower(): zone for zone in known}
            near = by_city.get(name.replace(" ", "_").lower())
            alike = [near] if near else difflib.get_close_matches(name, known, n=3)
            remedy = (
                f"Perhaps {' or '.join(alike)} is meant" if alike else "Write an IANA name, for example Europe/Berlin"
            )
        raise InputError(f"there is no time zone {name!r}", where="timezone", remedy=remedy) from error


def zone_offsets(zone: zoneinfo.ZoneInfo | None, first: float, last: float) -> ZoneOffsets:
    """The offsets of ``zone`` from a day before ``first`` to a day after ``last``, epoch seconds; UTC for None.

    A change is looked for between days whose offsets differ, and found to the second by halving.
    """
    if zone is None:
        return ZoneOffsets(np.empty(0), np.zeros(1))
    begin = math.floor(first / DAY_SECONDS) - 1
    days = range(begin, math.ceil(last / DAY_SECONDS) + 2)
    daily = [_offset(zone, day * DAY_SECONDS) for day in days]
    changes, offsets = [], [daily[0]]
    for day, before, after in zip(days, daily, daily[1:]):
        if before == after:
            continue
        low, high = day * DAY_SECONDS, (day + 1) * DAY_SECONDS
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
        changes.append(float(high))
        offsets.append(after)
    return ZoneOffsets(np.array(changes, dtype=np.float64), np.array(offsets, dtype=np.float64))


def lay_out_locally(start: float, step_seconds: int, length: int, horizon: int, offsets: ZoneOffsets) -> LocalGrid:
    """The local grid of ``length`` samples from ``start`` and the ``horizon`` steps behind them.

    When the history ends within the hour that comes twice, the steps that repeat hours
    already seen share the first position behind the history.
    """
    moments = start + step_seconds * np.arange(length + horizon, dtype=np.float64)
    shift = offsets.at(moments)
    whole = np.all(np.fmod(offsets.jumps(moments[0], moments[-1]), step_seconds) == 0.0)
    if np.all(shift == shift[0]) or not whole:
        # The offset at the end holds for the holidays, which lie ahead.
        return LocalGrid(start + float(shift[length - 1]), step_seconds, length, None, np.arange(horizon))
    position = np.round((moments + shift - moments[0] - shift[0]) / step_seconds).astype(np.int64)
    behind = int(position[:length].max()) + 1
    ahead = np.maximum(position[length:] - behind, 0)
    return LocalGrid(start + float(shift[0]), step_seconds, behind, position[:length], ahead)


def fits_changes(start: float, step_seconds: int, steps: int, offsets: ZoneOffsets) -> bool:
    """Whether the clocks change by whole steps only, over ``steps`` steps from ``start``."""
    jumps = offsets.jumps(start, start + step_seconds * (steps - 1))
    return bool(np.all(np.fmod(jumps, step_seconds) == 0.0))


def _offset(zone: zoneinfo.ZoneInfo, moment: float) -> float:
    try:
        shift = datetime.fromtimestamp(moment, tz=zone).utcoffset()
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"{moment:g} seconds since 1970 is no moment of a calendar", where="timezone") from error
    return (shift or timedelta()).total_seconds()
