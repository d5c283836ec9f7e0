# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's own forecast, called as the module ``demand_forecast`` calls it: all series of one moment at once.

CPU seconds are of the whole call, shared equally by its series.
"""

from __future__ import annotations

import time
from typing import Any

from scores import LEVELS, Forecasts, empty
from tasks import MONTH_SECONDS, Case, Task

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series


def forecast_cases(cases: list[Case], horizon: int, **options: Any) -> tuple[list[dict[str, Any]], float]:
    """The entry of each case in the forecast document, and the CPU seconds of the call."""
    monthly = {"seasonal_periods": [12]} if cases[0].step_seconds == MONTH_SECONDS else {}
    asked = parse_options({"horizon_steps": horizon, "quantiles": LEVELS, **monthly, **options})
    series = [Series(case.series, case.start, case.step_seconds, case.history) for case in cases]
    began = time.process_time()
    document = forecast_series(series, asked)
    cpu_seconds = time.process_time() - began
    return [document["series"][case.series] for case in cases], cpu_seconds


def forecast_task(task: Task, **options: Any) -> Forecasts:
    """Every case of a task: one call for the first origin of all series, one for the second, and so on."""
    rounds: dict[int, list[int]] = {}
    seen: dict[str, int] = {}
    for index, case in enumerate(task.cases):
        turn = seen[case.series] = seen.get(case.series, -1) + 1
        rounds.setdefault(turn, []).append(index)
    result = empty(task)
    for rows in rounds.values():
        entries, cpu_seconds = forecast_cases([task.cases[row] for row in rows], task.horizon, **options)
        for row, entry in zip(rows, entries):
            result.mean[row] = entry["mean"]
            result.quantiles[row] = [entry["quantiles"][str(level)] for level in LEVELS]
            result.cpu_seconds[row] = cpu_seconds / len(rows)
    return result
