# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What every engine is to the backtest: something that forecasts a panel from given origins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.candidates import (
    forecast_all,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.menu import (
    Candidate,
    candidate_menu,
    seasonal_naive,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.statsmodels_engines import (
    StatsmodelsForecaster,
)


class Forecaster(Protocol):
    """C candidates that can be fitted and asked together.

    Attributes:
        names: one for each candidate.
        failures: row of the panel and the reason, where a fit failed and seasonal naive stands in.
    """

    names: tuple[str, ...]
    failures: dict[int, str]

    def forecast(self, panel: Panel, fitted_to: int, origins: Any, horizon: int) -> Any:
        """Forecasts (C, S, O, horizon), estimated from the samples before ``fitted_to``."""


class MenuForecaster:
    """The built-in candidates."""

    def __init__(self, menu: Sequence[Candidate]) -> None:
        self._menu = tuple(menu)
        self.names = tuple(candidate.name for candidate in self._menu)
        self.failures: dict[int, str] = {}

    def forecast(self, panel: Panel, fitted_to: int, origins: Any, horizon: int) -> Any:
        return forecast_all(panel, self._menu, fitted_to, origins, horizon)


def make_forecaster(options: ForecastOptions, head: int, periods: tuple[int, ...]) -> Forecaster:
    """The engine asked for, for histories whose first ``head`` samples may be fitted to."""
    if options.engine == "auto":
        return MenuForecaster(candidate_menu(head, periods))
    if options.engine == "seasonal_naive":
        return MenuForecaster([seasonal_naive(periods)])
    return StatsmodelsForecaster(options, periods)
