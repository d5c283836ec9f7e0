# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Many series in, one forecast document out.

Series are trimmed, put on panels of equal length and step, forecast in chunks that
fit the memory of a small machine, and described (docs/files.md, forecast.json).
Same series and options give the same document, whatever their order or the number of jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import (
    MAX_ORIGINS,
    lay_out,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.document import (
    describe_panel,
    describe_short,
    wrap,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.fallback import (
    forecast_short,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import make_panel, trim
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel_forecast import (
    forecast_panel,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
    periods_for,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

# Older samples than these change no forecast measured, but cost time.
SEASONS_KEPT, LEAST_KEPT, MOST_KEPT = 8, 2048, 6048
CHUNK_BYTES = 48 << 20
# Candidates and regressors a series has at most, for the size of a chunk.
TYPICAL_CANDIDATES = 34


@dataclass(frozen=True)
class Task:
    """Trimmed series of equal length, step and seasons, to be forecast together."""

    series: tuple[Series, ...]
    values: tuple[Any, ...]
    periods: tuple[int, ...]


def forecast_series(series: Sequence[Series], options: ForecastOptions) -> dict[str, Any]:
    """The forecast document of these series, without ``created_at`` and ``inputs``.

    Raises:
        InputError: no series, a name twice, or a value that is negative or infinite.
    """
    if not series:
        raise InputError("there is no series to forecast", remedy="Check the history and the list of names")
    ordered = sorted(series, key=lambda one: one.name)
    for first, second in zip(ordered, ordered[1:]):
        if first.name == second.name:
            raise InputError("the series is given twice", where=f"series {first.name}")
    for one in ordered:
        _check(one)
    described: dict[str, Any] = {}
    for part in _run(_tasks(ordered, options), options):
        described.update(part)
    return wrap(described, options)


def _check(one: Series) -> None:
    bad = np.flatnonzero(np.isinf(one.values) | (np.nan_to_num(one.values) < 0.0))
    if bad.size:
        raise InputError(
            f"sample {int(bad[0]) + 1} is {one.values[bad[0]]:g}; demand is finite and never negative",
            where=f"series {one.name}",
            remedy="Correct the history, or leave the value empty to mark a gap",
        )


def _tasks(ordered: Sequence[Series], options: ForecastOptions) -> list[Task]:
    """Group the series, then cut groups into chunks."""
    groups: dict[tuple[int, tuple[int, ...]], list[tuple[Series, Any]]] = {}
    for one in ordered:
        values = recent_part(one, options)
        periods = periods_for(options, one.step_seconds, values.size)
        groups.setdefault((values.size, periods), []).append((one, values))
    tasks = []
    for (length, periods), members in sorted(groups.items()):
        heaviest = max(TYPICAL_CANDIDATES * MAX_ORIGINS * options.horizon_steps, TYPICAL_CANDIDATES * length)
        size = max(1, CHUNK_BYTES // (8 * heaviest))
        for start in range(0, len(members), size):
            chunk = members[start : start + size]
            tasks.append(
                Task(tuple(one for one, _unused in chunk), tuple(values for _unused, values in chunk), periods)
            )
    return tasks


def recent_part(one: Series, options: ForecastOptions) -> Any:
    """What of a history is used: from its first demand on, and no more than is worth its time.

    Whole seasons are cut where something is cut, so that series of different ages
    can share a panel.
    """
    values = np.asarray(one.values, dtype=np.float64)
    begun = trim(values)
    periods = periods_for(options, one.step_seconds, values.size - begun)
    if begun and periods:
        begun += (values.size - begun) % periods[0]
    most = values.size
    if periods:
        most = max(LEAST_KEPT, min(SEASONS_KEPT * periods[-1], MOST_KEPT))
    return values[max(begun, values.size - most) :]


def _run(tasks: Sequence[Task], options: ForecastOptions) -> list[dict[str, Any]]:
    if options.n_jobs == 1 or len(tasks) == 1:
        return [forecast_task(task, options) for task in tasks]
    joblib = require("joblib", purpose="Forecasting with n_jobs other than 1")
    return list(joblib.Parallel(n_jobs=options.n_jobs)(joblib.delayed(forecast_task)(task, options) for task in tasks))


def forecast_task(task: Task, options: ForecastOptions) -> dict[str, Any]:
    """Name to description for the series of one task."""
    length = task.values[0].size
    known = [int(np.isfinite(values).sum()) for values in task.values]
    layout = lay_out(length, options.horizon_steps, task.periods)
    described = {}
    rows = []
    for index, (one, values) in enumerate(zip(task.series, task.values)):
        if layout is not None and 2 * known[index] >= length:
            rows.append(index)
            continue
        season = _shortest_season(options, one, values)
        short = forecast_short(values, season, options)
        described[one.name] = describe_short(one, values, short, options, known[index])
    if rows and layout is not None:
        panel = make_panel([task.values[index] for index in rows], task.periods)
        result = forecast_panel(panel, layout, options)
        for row, index in enumerate(rows):
            one = task.series[index]
            described[one.name] = describe_panel(one, task.values[index], row, panel, layout, result, options)
    return described


def _shortest_season(options: ForecastOptions, one: Series, values: Any) -> int:
    """A season seen once, though not twice, still says more than a flat line."""
    wanted = periods_for(options, one.step_seconds, 2 * values.size)
    return wanted[0] if wanted else 0
