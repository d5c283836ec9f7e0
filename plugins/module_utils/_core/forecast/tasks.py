# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which series are forecast together: those of equal length, seasons and gap at the end, in chunks.

What is done with a panel does not depend on who else is on it, so neither the order
of the series nor the size of a chunk changes a forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import (
    MAX_ORIGINS,
    Layout,
    lay_out,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import (
    Panel,
    make_panel,
    trailing_gaps,
    trim,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
    periods_for,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

# Older samples than these change no forecast measured, but cost time.
SEASONS_KEPT, LEAST_KEPT, MOST_KEPT = 8, 2048, 6048
# A history with fewer of its samples than this says too little about itself.
LEAST_KNOWN = 0.5
CHUNK_BYTES = 24 << 20
# Series fitted one by one gain nothing from being together, and keep the other workers waiting.
MOST_FITTED_EACH = 2
# Candidates and regressors a series has at most, for the size of a chunk.
TYPICAL_CANDIDATES = 38


@dataclass(frozen=True)
class Task:
    """Series to be forecast on one panel.

    Attributes:
        series: the whole of each.
        values: (n,) of each, what is used of its history; the last sample is observed.
        periods: seasons in steps.
        layout: the backtest, over the horizon and the gap before it.
        options: with the ``skipped_steps`` of this group.
        stretch: (S, Q) by which the quantiles of earlier forecasts should have been wider.
    """

    series: tuple[Series, ...]
    values: tuple[Any, ...]
    periods: tuple[int, ...]
    layout: Layout
    options: ForecastOptions
    stretch: Any = field(repr=False)

    @property
    def panel(self) -> Panel:
        return make_panel(self.values, self.periods)


def make_tasks(
    ordered: Sequence[Series], options: ForecastOptions, stretches: Mapping[str, Any]
) -> tuple[list[Task], list[Series]]:
    """Tasks, and the series whose history cannot carry a backtest.

    Args:
        ordered: series by name.
        options: what to forecast.
        stretches: (Q,) by name, for the series that have one.
    """
    groups: dict[tuple[int, tuple[int, ...], int], list[tuple[Series, Any]]] = {}
    layouts: dict[tuple[int, tuple[int, ...], int], Layout | None] = {}
    short = []
    for one in ordered:
        values, periods = recent_part(one, options)
        skipped = 0 if options.uses_lstm else trailing_gaps(values)
        if skipped > most_skipped(options):
            skipped = 0
        values = values[: values.size - skipped]
        key = (values.size, periods, skipped)
        if key not in layouts:
            layouts[key] = lay_out(values.size, options.horizon_steps + skipped, periods)
        if layouts[key] is None or np.isfinite(values).sum() < LEAST_KNOWN * values.size:
            short.append(one)
        else:
            groups.setdefault(key, []).append((one, values))
    tasks = []
    for key, members in sorted(groups.items()):
        layout = layouts[key]
        if layout is not None:
            tasks += _chunks(members, key, layout, options, stretches)
    return tasks, short


def recent_part(one: Series, options: ForecastOptions) -> tuple[Any, tuple[int, ...]]:
    """What of a history is used, and its seasons: from its first demand on, and no more than is worth its time.

    Where the start is cut, whole seasons remain, so that series of different ages can share a panel.
    """
    values = np.asarray(one.values, dtype=np.float64)
    begun = trim(values)
    periods = periods_for(options, one.step_seconds, values.size - begun)
    if begun and periods:
        begun += (values.size - begun) % periods[0]
    if periods:
        most = max(LEAST_KEPT, min(SEASONS_KEPT * periods[-1], MOST_KEPT))
        begun = max(begun, values.size - most)
    kept = values[begun:]
    return kept, periods_for(options, one.step_seconds, kept.size)


def most_skipped(options: ForecastOptions) -> int:
    """A longer gap is filled with the usual shape: too much would be forecast for nothing."""
    return 2 * options.horizon_steps


def _chunks(
    members: Sequence[tuple[Series, Any]],
    key: tuple[int, tuple[int, ...], int],
    layout: Layout,
    options: ForecastOptions,
    stretches: Mapping[str, Any],
) -> list[Task]:
    length, periods, skipped = key
    heaviest = max(MAX_ORIGINS * layout.horizon, length) * TYPICAL_CANDIDATES
    size = max(1, CHUNK_BYTES // (4 * heaviest))
    if options.fits_each_series:
        size = min(size, MOST_FITTED_EACH)
    plain = np.ones(len(options.quantiles))
    tasks = []
    for start in range(0, len(members), size):
        series, values = zip(*members[start : start + size])
        stretch = np.stack([stretches.get(one.name, plain) for one in series])
        tasks.append(Task(series, values, periods, layout, replace(options, skipped_steps=skipped), stretch))
    return tasks
