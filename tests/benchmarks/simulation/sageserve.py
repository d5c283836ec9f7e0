# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In the manner of SageServe (arXiv 2502.14617): every hour ARIMA(3, 1, 2) of each model's load, then an ILP.

The ILP takes the fewest accelerator-hours and starts that carry the largest mean forecast of the coming hour. With one
kind of accelerator a model it falls apart by model, and its optimum is the demand over the rate,
rounded up. Coefficients are fitted once a day on the last seven days of 10-minute means, and applied
each hour to what was seen since: out of sample throughout.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fleet_run import Look, Seen
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_plain import replicas_for

DAY, GRID, HOUR = 86_400.0, 600.0, 3600.0
ORDER, KEPT = (3, 1, 2), 7 * 144


@dataclass
class SageServe:
    """``memory``: forecasts by model and moment, to share between runs that see the same demand."""

    rates: Mapping[str, float]
    least: int = 1
    name: str = "SageServe-like"
    interval_seconds: float = HOUR
    memory: MutableMapping[tuple[str, float], float] = field(default_factory=dict)
    _fitted: dict[str, tuple[float, Any]] = field(default_factory=dict)

    def wanted(self, look: Look) -> Mapping[str, int]:
        found = {}
        for name, seen in look.models.items():
            key = (name, look.moment)
            if key not in self.memory:
                self.memory[key] = self._peak(name, seen, look)
            found[name] = replicas_for(self.memory[key], self.rates[name], self.least)
        return found

    def _peak(self, name: str, seen: Seen, look: Look) -> float:
        from statsmodels.tsa.arima.model import ARIMA

        width = round(GRID / look.step_seconds)
        whole = len(seen.requests_per_second) // width
        known = seen.requests_per_second[-whole * width :].reshape(whole, width).mean(axis=1)[-KEPT:]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = ARIMA(known, order=ORDER)
            at, coefficients = self._fitted.get(name, (-DAY, None))
            if look.moment - at >= DAY:
                coefficients = model.fit().params
                self._fitted[name] = (look.moment, coefficients)
            return max(0.0, float(model.smooth(coefficients).forecast(round(HOUR / GRID)).max()))
