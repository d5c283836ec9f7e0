# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Series of equal step and end without what the calendar knows of; see :mod:`calendar`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import calendar_remarks as remarks
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.events import (
    Event,
    factors,
    floors,
    lifted_by_floor,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.holiday_dates import (
    Holiday,
    HolidayCalendar,
    holidays_between,
    rest_weekday,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.holiday_effect import (
    HolidayEffects,
    learn_effects,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.local_days import (
    DAY_BEGINS_SECONDS,
    DAY_SECONDS,
    DayGrid,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.local_time import (
    LocalGrid,
    ZoneOffsets,
    fits_changes,
    lay_out_locally,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import fill_gaps, trim
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.restoration import Restoration
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

# Holidays become gaps where at least this many days, and this share of the history, remain.
LEAST_ORDINARY_DAYS = 2
LEAST_ORDINARY_SHARE = 0.5


@dataclass(frozen=True)
class _Days:
    """Holidays on a local grid of L positions with H steps behind it.

    Attributes:
        grid: the local days; None where holidays are not considered.
        past: holidays that touch the history.
        coming: holidays that touch the horizon.
        on_holiday: (L,) bool, from four in the morning of a holiday to four in the next.
        set_apart: (L,) bool, from the midnight before it, but not its part of the last day of the history.
        latest: positions of that part.
        which: (H,) the index in ``coming``, -1 on other days.
        phase: (H,) step of the day.
    """

    grid: DayGrid
    past: tuple[Holiday, ...]
    coming: tuple[Holiday, ...]
    on_holiday: Any
    set_apart: Any
    latest: Any
    which: Any
    phase: Any


def prepare_group(
    series: Sequence[Series],
    horizon: int,
    offsets: ZoneOffsets,
    calendars: Sequence[HolidayCalendar],
    events: Sequence[Event],
) -> list[tuple[Series, Restoration]]:
    """Each series as the candidates should see it, and the way back.

    Args:
        series: S series of equal step and end.
        horizon: H steps in UTC to be forecast.
        offsets: of the zone, over history and horizon.
        calendars: whose holidays count.
        events: known windows.
    """
    length = max(len(one) for one in series)
    if not length:
        return [(one, _untouched(horizon)) for one in series]
    step = series[0].step_seconds
    start = min(one.start for one in series)
    moments = start + step * np.arange(length + horizon, dtype=np.float64)
    grid = lay_out_locally(start, step, length, horizon, offsets)
    mine = [[event for event in events if event.concerns(one.name)] for one in series]
    factor = np.stack([factors(some, moments, step) for some in mine])
    actual = grid.lay(_aligned(series, length) / factor[:, :length])
    days = _lay_out_days(grid, calendars)

    ordinary = _has_ordinary_days(actual, days)
    kept = np.where(ordinary[:, None] & days.set_apart, np.nan, actual)
    usual = kept
    floors_before = any(event.floor is not None and event.start < moments[length] for event in events)
    if days.coming or days.latest.size or floors_before:
        hidden = _touched_by_floors(mine, moments[:length], grid) | (ordinary[:, None] & days.on_holiday)
        usual = _usual(np.where(hidden, np.nan, kept), kept, step)
    said: list[list[str]] = [[] for _one in series]
    kept = _without_lifted(kept, usual, mine, moments[:length], grid, said)
    kept = _without_latest_effect(kept, actual, usual, days, ordinary, calendars)
    shift, log_effect, sd = _holiday_effects(actual, usual, days, ordinary, calendars, said)
    general = _general_remarks(start, step, length + horizon, offsets, calendars)
    prepared = []
    for row, one in enumerate(series):
        told = remarks.about_events(mine[row], moments[length], moments[-1] + step)
        restoration = Restoration(
            positions=grid.horizon,
            shift=shift[row],
            factor=factor[row, length:] * np.exp(log_effect[row]),
            effect_sd=sd[row],
            floor=floors(mine[row], moments[length:], step),
            remarks=(*said[row], *told, *general),
        )
        first = length - len(one)
        if grid.history is not None and len(one):
            first = int(grid.history[first:].min())
        begin = one.start if grid.history is None else grid.start + first * step
        prepared.append((replace(one, start=begin, values=kept[row, first:]), restoration))
    return prepared


def _aligned(series: Sequence[Series], length: int) -> Any:
    """(S, length) the values, with gaps before the shorter ones begin."""
    values = np.full((len(series), length), np.nan)
    for row, one in enumerate(series):
        values[row, length - len(one) :] = one.values
    return values


def _untouched(horizon: int) -> Restoration:
    return Restoration(np.arange(horizon), np.zeros(horizon), np.ones(horizon), np.zeros(horizon), np.zeros(horizon))


def _lay_out_days(grid: LocalGrid, calendars: Sequence[HolidayCalendar]) -> _Days:
    """Which positions of the grid and of the steps behind it are holidays."""
    horizon = grid.horizon.size
    days = DayGrid(grid.start, grid.step_seconds, grid.length)
    if not calendars or DAY_SECONDS % grid.step_seconds:
        nothing, no_position = np.full(horizon, -1), np.zeros(grid.length, dtype=bool)
        return _Days(days, (), (), no_position, no_position, no_position[:0], nothing, nothing)
    day_of_history = days.days(np.arange(grid.length))
    positions = grid.length + grid.horizon
    day_of_horizon = days.days(positions)
    found = holidays_between(calendars, int(day_of_history[0]), int(day_of_horizon[-1]))
    past = tuple(one for one in found if one.day <= day_of_history[-1])
    coming = tuple(one for one in found if one.day >= day_of_horizon[0])
    coming_days = np.array([one.day for one in coming], dtype=np.int64)
    where = np.searchsorted(coming_days, day_of_horizon)
    hit = np.append(coming_days, -1)[where] == day_of_horizon
    on_holiday = np.isin(day_of_history, [one.day for one in past])
    night = DAY_BEGINS_SECONDS / grid.step_seconds
    before = np.isin(days.days(np.arange(grid.length) + night), [one.day for one in found])
    last_day = np.arange(grid.length) >= grid.length - days.steps_per_day
    return _Days(
        grid=days,
        past=past,
        coming=coming,
        on_holiday=on_holiday,
        set_apart=(on_holiday & ~last_day) | (before & ~on_holiday & (np.arange(grid.length) < grid.length - night)),
        latest=np.flatnonzero(on_holiday & last_day),
        which=np.where(hit, where, -1),
        phase=positions - days.first_position(day_of_horizon),
    )


def _has_ordinary_days(actual: Any, days: _Days) -> Any:
    """(S,) whether enough remains of each history without its holidays."""
    known = np.isfinite(actual) & (np.cumsum(np.nan_to_num(actual), axis=1) > 0.0)
    remaining = (known & ~days.on_holiday).sum(axis=1)
    enough = np.maximum(LEAST_ORDINARY_DAYS * days.grid.steps_per_day, LEAST_ORDINARY_SHARE * known.sum(axis=1))
    return (remaining >= enough) | ~(known & days.on_holiday).any(axis=1)


def _usual(ordinary_alone: Any, kept: Any, step: int) -> Any:
    """(S, L) what would be ordinary everywhere, filled from what is; NaN before the service began."""
    usual = np.full(kept.shape, np.nan)
    for row, values in enumerate(ordinary_alone):
        begin = trim(kept[row])
        spans = [span // step for span in (DAY_SECONDS, 7 * DAY_SECONDS) if span % step == 0]
        periods = tuple(period for period in spans if 2 <= period <= (values.size - begin) // 2)
        usual[row, begin:] = fill_gaps(values[begin:], periods)
    return usual


def _touched_by_floors(mine: Sequence[Sequence[Event]], moments: Any, grid: LocalGrid) -> Any:
    """(S, L) bool: the positions that the window of a floor touches."""
    highest = np.stack([floors(some, moments, grid.step_seconds) for some in mine])
    return np.nan_to_num(grid.lay(highest)) > 0.0


def _without_lifted(
    kept: Any, usual: Any, mine: Sequence[Sequence[Event]], moments: Any, grid: LocalGrid, said: list[list[str]]
) -> Any:
    """(S, L) with NaN where a floor pushed demand up; says which did not."""
    kept = kept.copy()
    where = np.arange(grid.length) if grid.history is None else grid.history
    for row, some in enumerate(mine):
        ignored = []
        for event in some:
            if event.floor is None or not event.meets(moments[0], moments[-1] + grid.step_seconds):
                continue
            touched = event.shares(moments, grid.step_seconds) > 0.0
            if not (touched & np.isfinite(kept[row, where])).any():
                continue
            lifted = lifted_by_floor(event.floor, kept[row, where], usual[row, where], touched)
            kept[row, where[lifted]] = np.nan
            if not lifted.any():
                ignored.append(event)
        said[row] += remarks.about_floors(ignored)
    return kept


def _holiday_effects(
    actual: Any, usual: Any, days: _Days, ordinary: Any, calendars: Sequence[HolidayCalendar], said: list[list[str]]
) -> tuple[Any, Any, Any]:
    """(S, H) shift, logarithm of the other effect, and standard deviation; 0 on ordinary days. Says what was done."""
    shape = (actual.shape[0], days.which.size)
    shift, log_effect, sd = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for row in np.flatnonzero(~ordinary):
        said[row].append(remarks.too_few_ordinary_days())
    rows = np.flatnonzero(ordinary)
    if not days.coming or not rows.size:
        return shift, log_effect, sd
    effects = learn_effects(actual[rows], usual[rows], days.grid, days.past, days.coming, rest_weekday(calendars))
    on = np.flatnonzero(days.which >= 0)
    for target, learned in ((shift, effects.shift), (log_effect, effects.log_effect), (sd, effects.sd)):
        target[np.ix_(rows, on)] = learned[:, days.which[on], days.phase[on]]
    scales = _scales(usual[rows], days, effects)
    for place, row in enumerate(rows):
        said[row] += remarks.about_holidays(days.coming, scales[place], effects.seen[place], effects.seen_together)
    return shift, log_effect, sd


def _without_latest_effect(
    kept: Any, actual: Any, usual: Any, days: _Days, ordinary: Any, calendars: Sequence[HolidayCalendar]
) -> Any:
    """(S, L) where holidays of the last day are what they would have been as ordinary days.

    They are the only news of the present level, so they are no gaps: what the effect learned
    from earlier holidays takes back is taken back, and what else was low or high stays.
    """
    grid, latest = days.grid, days.latest
    rows = np.flatnonzero(ordinary)
    if not latest.size or not rows.size:
        return kept
    day = grid.days(latest)
    recent = [one for one in days.past if one.day >= day[0]]
    earlier = [one for one in days.past if one.day < day[0]]
    effects = learn_effects(actual[rows], usual[rows], grid, earlier, recent, rest_weekday(calendars))
    which = np.searchsorted([one.day for one in recent], day)
    phase = latest - grid.first_position(day)
    at = np.ix_(rows, latest)
    without = kept.copy()
    taken_back = kept[at] * np.exp(-effects.log_effect[:, which, phase]) - effects.shift[:, which, phase]
    without[at] = np.maximum(taken_back, 0.0)
    return without


def _scales(usual: Any, days: _Days, effects: HolidayEffects) -> Any:
    """(S, F) by what the coming steps of each holiday are scaled, against the mean of the history."""
    level = np.maximum(np.nanmean(usual, axis=1), 1e-300)
    scales = np.ones((usual.shape[0], len(days.coming)))
    for index in range(len(days.coming)):
        phase = days.phase[days.which == index]
        if phase.size:
            raised = np.maximum(level[:, None] + effects.shift[:, index, phase], 0.0)
            scales[:, index] = (raised * np.exp(effects.log_effect[:, index, phase])).mean(axis=1) / level
    return scales


def _general_remarks(
    start: float, step: int, steps: int, offsets: ZoneOffsets, calendars: Sequence[HolidayCalendar]
) -> list[str]:
    said = []
    if calendars and DAY_SECONDS % step:
        said.append(remarks.step_does_not_divide_a_day(step))
    if step < DAY_SECONDS and not fits_changes(start, step, steps, offsets):
        said.append(remarks.step_does_not_fit_the_clock_change(step))
    return said
