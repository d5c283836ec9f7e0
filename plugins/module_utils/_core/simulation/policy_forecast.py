# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Policies that forecast: a planner in the manner of NVIDIA Dynamo's, and ours through the real cores."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Capacity, Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import ForecastOptions
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import (
    ModelDemand,
    planned_demand,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fleet_run import Look, Seen
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_plain import replicas_for

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
KIND = "simulated"
ENOUGH = 100.0  # requests: their count is within 10 % of demand in two of three cases


@dataclass
class Planner:
    """In the manner of Dynamo's SLA planner (docs.nvidia.com/dynamo, planner): every 180 s a one-step
    forecast without a season, and as many replicas as its mean needs.

    The forecast is an ARIMA(3, 1, 0) fitted by conditional least squares to the last ``samples`` intervals; the last
    value where they are too few. No margin, no interval; what starts counts as if it served.
    """

    rates: Mapping[str, float]
    samples: int = 480
    margin: float = 1.0
    least: int = 1
    name: str = "Dynamo-like planner"
    interval_seconds: float = 180.0

    def wanted(self, look: Look) -> Mapping[str, int]:
        found = {}
        for name, seen in look.models.items():
            width = max(1, round(self.interval_seconds / look.step_seconds))
            whole = len(seen.requests_per_second) // width
            recent = seen.requests_per_second[len(seen.requests_per_second) - whole * width :]
            means = recent.reshape(whole, width).mean(axis=1)[-self.samples :]
            found[name] = replicas_for(one_step(means) * self.margin, self.rates[name], self.least)
        return found


def one_step(values: Array) -> float:
    """The next value by an ARIMA(3, 1, 0) with drift, by conditional least squares; never below 0."""
    if not len(values):
        return 0.0
    change = np.diff(values)
    if len(change) < 12:
        return float(values[-1])
    if not np.ptp(change) > 0:
        return max(0.0, float(values[-1] + change[-1]))
    lags = np.column_stack([np.ones(len(change) - 3), change[2:-1], change[1:-2], change[:-3]])
    fitted = np.linalg.lstsq(lags, change[3:], rcond=None)[0]
    return max(0.0, float(values[-1] + fitted @ np.array([1.0, change[-1], change[-2], change[-3]])))


@dataclass
class Ours:
    """What this collection does: the forecast as a floor, what is observed as a guard, scale-in on hold.

    Every ``interval_seconds`` the real planning core gets the real forecast engine's document, at most
    ``forecast_seconds`` old, and what was observed of late: over the shortest time in which enough requests
    came to tell demand from chance, at most ``interval_seconds``. The level ``quantile`` of the largest demand
    over start-up and interval, or the observed demand x ``headroom`` if that is more, is divided by the rate of a
    replica; the floor of the scale-in hold is kept. The planning core gets no level above that: its hold keeps what the
    highest level it gets asked for of late, which is to be what was planned for, and not more. All replicas of a model are alike here, so the solver of
    ``capacity_plan`` has nothing left to choose and is not run.

    ``epoch``: epoch seconds of moment 0. ``memory``: forecasts by moment, to share between runs that observe
    the same demand. ``use_forecast``, ``use_quantile``, ``use_guard`` switch a part off.
    """

    rates: Mapping[str, float]
    service_seconds: float
    quantile: float = 0.95
    headroom: float = 1.2
    least: int = 1
    hold_seconds: float = 900.0
    forecast_seconds: float = 1800.0
    grid_seconds: int = 600
    epoch: float = 0.0
    use_forecast: bool = True
    use_quantile: bool = True
    use_guard: bool = True
    name: str = "modelops"
    interval_seconds: float = 300.0
    memory: MutableMapping[float, Mapping[str, Any]] = field(default_factory=dict)
    _previous: dict[str, Any] | None = None
    _document: Mapping[str, Any] | None = None
    _forecast_at: float = -math.inf

    def wanted(self, look: Look) -> Mapping[str, int]:
        as_of = self.epoch + look.moment
        models = [self._model(name, seen.profile.startup_seconds) for name, seen in sorted(look.models.items())]
        demands, _notes = planned_demand(
            models,
            self._up_to_level(self._forecast(look)) if self.use_forecast else None,
            self._observed(look) if self.use_guard else dict.fromkeys(look.models, 0.0),
            [one for name, seen in look.models.items() for one in _running(name, seen.ready + seen.starting)],
            headroom=self.headroom,
            observed_seconds={
                name: self._counted(seen, look) * look.step_seconds for name, seen in look.models.items()
            },
            planning_interval_seconds=self.interval_seconds,
            as_of=as_of,
            scale_in_hold_seconds=self.hold_seconds,
            previous=self._previous,
            hosts=[Host("simulated", accelerator_type=KIND, accelerator_count=1)],
        )
        self._previous = {
            "kind": "plan",
            "as_of": format_moment(as_of),
            "demand": {name: demand.as_record() for name, demand in demands.items()},
        }
        return {name: self._replicas(demand) for name, demand in demands.items()}

    def _counted(self, seen: Seen, look: Look) -> int:
        """How many of the last samples are looked at: until :data:`ENOUGH` requests, at most one interval."""
        most = max(1, round(self.interval_seconds / look.step_seconds))
        counts = np.cumsum(seen.requests_per_second[: -most - 1 : -1]) * look.step_seconds
        return int(np.searchsorted(counts, ENOUGH)) + 1 if len(counts) and counts[-1] >= ENOUGH else most

    def _observed(self, look: Look) -> dict[str, float]:
        """The mean rate of arrivals of late. What is queued has arrived already: it does not count again."""
        found = {}
        for name, seen in look.models.items():
            samples = seen.requests_per_second[-self._counted(seen, look) :]
            if len(samples):
                found[name] = float(samples.mean())
        return found

    def _replicas(self, demand: ModelDemand) -> int:
        rate = next((rate for level, rate in demand.levels if level >= self._level), demand.levels[-1][1])
        return max(demand.floor_replicas, replicas_for(rate, self.rates[demand.model], self.least))

    @property
    def _level(self) -> float:
        return self.quantile if self.use_quantile else 0.5

    def _up_to_level(self, document: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """The forecast without the levels above the one that is planned for; the median always stays."""
        if document is None:
            return None
        highest = max(self._level, 0.5)
        series = {name: dict(entry) for name, entry in document["series"].items()}
        for entry in series.values():
            for part in ("quantiles", "window_maximum"):
                if entry.get(part):
                    entry[part] = {key: path for key, path in entry[part].items() if float(key) <= highest}
        return {**document, "series": series}

    def _model(self, name: str, startup_seconds: float) -> Model:
        capacity = {KIND: Capacity(self.rates[name], self.service_seconds)}
        return Model(name, capacity=capacity, min_replicas=self.least, startup_seconds=startup_seconds)

    def _forecast(self, look: Look) -> Mapping[str, Any] | None:
        if look.moment - self._forecast_at >= self.forecast_seconds:
            self._forecast_at = look.moment
            if look.moment not in self.memory:
                found = self._make(look)
                if found is not None:
                    self.memory[look.moment] = found
            self._document = self.memory.get(look.moment)
        return self._document

    def _make(self, look: Look) -> Mapping[str, Any] | None:
        """A forecast of what was seen, gathered to whole grid steps that end now or just before."""
        width = max(1, round(self.grid_seconds / look.step_seconds))
        longest = max(seen.profile.startup_seconds for seen in look.models.values())
        window = max(1, math.ceil((longest + self.interval_seconds) / self.grid_seconds))
        ahead = window + 1 + math.ceil(self.forecast_seconds / self.grid_seconds)
        series = []
        for name, seen in look.models.items():
            late = round(look.moment % self.grid_seconds / look.step_seconds)
            known = seen.requests_per_second[: len(seen.requests_per_second) - late]
            whole = len(known) // width
            if not whole:
                return None
            values = known[len(known) - whole * width :].reshape(whole, width).mean(axis=1)
            end = self.epoch + look.moment - late * look.step_seconds
            series.append(Series(name, end - whole * self.grid_seconds, self.grid_seconds, values))
        levels = tuple(sorted({0.5, 0.75, 0.9, 0.95, self.quantile}))
        return forecast_series(series, ForecastOptions(ahead, levels, window_steps=window))


def _running(model: str, count: int) -> list[Replica]:
    return [Replica("simulated", slot, model, "0") for slot in range(count)]
