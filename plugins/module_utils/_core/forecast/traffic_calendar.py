# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The calendar of a forecast: time zone, public holidays and known events.

The candidates forecast ordinary demand. So what is known to be extraordinary is taken
out of the history first, and put on the forecast afterwards:

1. The multipliers of past events are divided out; what a past floor lifted becomes a gap.
2. The history is laid on the grid of local time, where the shape of a day stays (:mod:`local_time`).
3. Past holidays become gaps, which the panel fills with the usual shape and never
   scores; so they pollute no lag, no scale and no interval. Only in the last day of the
   history, the news of the present level, their effect is taken back instead.
4. The forecast is read off in UTC again, scaled on coming holidays by what past ones did
   (:mod:`holiday_effect`), multiplied and lifted by coming events (:mod:`events`).

A series whose history holds hardly an ordinary day keeps its holidays as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.calendar_preparation import (
    prepare_group,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.events import (
    Event,
    check_series_names,
    parse_events,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.holiday_dates import (
    HolidayCalendar,
    parse_holiday_calendars,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.local_time import (
    ZoneOffsets,
    parse_zone,
    zone_offsets,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.restoration import Restoration
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

# Samples prepared together at most: a few arrays of this size must fit the memory of a small machine.
MOST_SAMPLES = 4_000_000


@dataclass(frozen=True)
class Calendar:
    """What is known about the days of a history and its horizon.

    Attributes:
        zone: the zone the users live in; None is UTC.
        calendars: whose holidays count.
        events: known windows, in order of time.
    """

    zone: Any
    calendars: tuple[HolidayCalendar, ...]
    events: tuple[Event, ...]

    def prepare(self, series: Series, horizon_steps: int) -> tuple[Series, Restoration]:
        """One series as the candidates should see it, and the way back; see :meth:`prepare_all`."""
        prepared = self.prepare_all([series], horizon_steps)
        return prepared.series[0], prepared.restorations[0]

    def check_series_names(self, names: Sequence[str]) -> None:
        """Every series that an event names must be one of ``names``, or the model of one.

        Raises:
            InputError: the event and the name.
        """
        check_series_names(self.events, names)

    def prepare_all(self, series: Sequence[Series], horizon_steps: int) -> Prepared:
        """Many series as the candidates should see them, in the order given.

        Series of equal step and end share what their holidays say, however long they are, as far as memory allows.

        Args:
            series: the history, with NaN for gaps.
            horizon_steps: how many steps in UTC are to be forecast.
        """
        groups: dict[tuple[int, float], list[int]] = {}
        for index, one in enumerate(series):
            groups.setdefault((one.step_seconds, one.end), []).append(index)
        offsets = self._offsets(series, horizon_steps)
        ready: dict[int, tuple[Series, Restoration]] = {}
        for members in chain.from_iterable(_in_chunks(members, series) for members in groups.values()):
            group = [series[index] for index in members]
            ready.update(zip(members, prepare_group(group, horizon_steps, offsets, self.calendars, self.events)))
        return Prepared(
            tuple(ready[index][0] for index in range(len(series))),
            tuple(ready[index][1] for index in range(len(series))),
            max([horizon_steps, *(way_back.steps_ahead for _prepared, way_back in ready.values())]),
        )

    def _offsets(self, series: Sequence[Series], horizon_steps: int) -> ZoneOffsets:
        if not series:
            return zone_offsets(None, 0.0, 0.0)
        first = min(one.start for one in series)
        return zone_offsets(self.zone, first, max(one.end + one.step_seconds * (horizon_steps + 1) for one in series))


@dataclass(frozen=True)
class Prepared:
    """Series in the order given, with the way back for each.

    ``steps_ahead`` is how far to forecast them: more than the horizon when clocks go forward in it.
    """

    series: tuple[Series, ...]
    restorations: tuple[Restoration, ...]
    steps_ahead: int


def parse_calendar(params: Mapping[str, Any]) -> Calendar | None:
    """The calendar from ``timezone``, ``holidays`` and ``events`` as the module takes them; None without any.

    Raises:
        InputError: the first thing wrong, with the option or the event it is in.
        MissingLibraryError: holidays are asked for and their library is absent.
    """
    zone = parse_zone(params.get("timezone"))
    events = parse_events(params.get("events") or [])
    wanted = params.get("holidays")
    calendars = parse_holiday_calendars(wanted) if wanted else ()
    return Calendar(zone, calendars, events) if zone or calendars or events else None


def _in_chunks(members: list[int], series: Sequence[Series]) -> list[list[int]]:
    """The members in chunks of series of similar length, each of :data:`MOST_SAMPLES` at most when aligned."""
    chunks: list[list[int]] = []
    for index in sorted(members, key=lambda index: (-len(series[index]), series[index].name)):
        if not chunks or (len(chunks[-1]) + 1) * len(series[chunks[-1][0]]) > MOST_SAMPLES:
            chunks.append([])
        chunks[-1].append(index)
    return chunks
