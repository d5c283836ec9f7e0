# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Many series in, one forecast document out (docs/files.md, forecast.json).

Same series and options give the same document, whatever their order or the number of
processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.document import (
    describe_panel,
    describe_short,
    wrap,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.fallback import (
    forecast_short,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.feedback import Feedback
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.lstm import (
    TrainedLstm,
    TrainingPanel,
    train,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel_forecast import (
    forecast_panel,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.parallel import (
    Parallel,
    run_tasks,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.siblings import (
    Profile,
    borrow_profile,
    step_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
    periods_for,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.tasks import (
    Task,
    make_tasks,
    recent_part,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

ONE_PROCESS = Parallel()
# Sums of larger numbers are beyond what a double holds.
LARGEST = 1e300


def forecast_series(
    series: Sequence[Series],
    options: ForecastOptions,
    *,
    feedback: Mapping[str, Feedback] = MappingProxyType({}),
    parallel: Parallel = ONE_PROCESS,
) -> dict[str, Any]:
    """The forecast document of these series, without ``created_at`` and ``inputs``.

    Args:
        series: with unique names.
        options: what to forecast.
        feedback: by name, how earlier forecasts did; it corrects the quantiles.
        parallel: on what it runs.

    Raises:
        InputError: no series, a name twice, or a value that is negative or infinite.
    """
    ordered = checked(series)
    stretches = {name: one.stretch(options.quantiles) for name, one in feedback.items()}
    tasks, short = make_tasks(ordered, options, stretches)
    trained = train_network(tasks, options) if options.uses_lstm else None
    described: dict[str, Any] = {}
    for part in run_tasks(
        partial(forecast_task, trained=trained),
        tasks,
        n_jobs=parallel.n_jobs,
        backend=parallel.backend,
        address=parallel.address,
    ):
        described.update(part)
    described.update(_describe_short(short, ordered, options))
    for name, known in feedback.items():
        described[name]["feedback"] = known.as_fields()
    return wrap(described, options, trained)


def checked(series: Sequence[Series]) -> list[Series]:
    """The series by name.

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
        bad = np.flatnonzero((one.values > LARGEST) | (one.values < 0.0))
        if bad.size:
            raise InputError(
                f"sample {int(bad[0]) + 1} is {one.values[bad[0]]:g}; demand is finite (at most {LARGEST:g}) and never negative",
                where=f"series {one.name}",
                remedy="Correct the history, or leave the value empty to mark a gap",
            )
    return ordered


def train_network(tasks: Sequence[Task], options: ForecastOptions) -> TrainedLstm:
    """One network for the series of all tasks.

    The heads lie equally far back in all of them, so that no backtest meets what another series' head knew.
    """
    panels = [task.panel for task in tasks]
    back = max((panel.length - task.layout.head for panel, task in zip(panels, tasks)), default=0)
    return train(
        [TrainingPanel(panel, max(0, panel.length - back)) for panel in panels],
        options.horizon_steps,
        options.quantiles,
        budget_seconds=options.training_budget_seconds,
        seed=options.seed,
    )


def forecast_task(task: Task, trained: TrainedLstm | None = None) -> dict[str, Any]:
    """Name to description for the series of one task."""
    panel = task.panel
    result = forecast_panel(panel, task.layout, task.options, trained, task.stretch)
    return {
        one.name: describe_panel(one, values, row, panel, task.layout, result, task.options)
        for row, (one, values) in enumerate(zip(task.series, task.values))
    }


def _describe_short(short: Sequence[Series], ordered: Sequence[Series], options: ForecastOptions) -> dict[str, Any]:
    """The entries of the series whose history is too short: the shape of the day is their siblings'."""
    found = {}
    borrowed: dict[tuple[int, float], Profile | None] = {}
    for one in short:
        values, _periods = recent_part(one, options)
        wanted = periods_for(options, one.step_seconds, 10**9)
        season = wanted[0] if wanted else 0
        key = (one.step_seconds, one.end)
        if key not in borrowed:
            borrowed[key] = borrow_profile(ordered, one.step_seconds, season, one.end) if season else None
        phase = step_number(one.end, one.step_seconds) + 1 - values.size
        before = np.nan_to_num(one.values[: one.values.size - values.size])
        silent = bool(season) and before.size >= season and not before.any()
        result = forecast_short(values, season, options, borrowed[key], phase, after_silence=silent)
        found[one.name] = describe_short(one, values, result, options, borrowed[key])
    return found
