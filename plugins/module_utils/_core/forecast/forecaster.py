# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What every engine is to the backtest: something that forecasts a panel from given origins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import Layout
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.candidates import (
    Memory,
    forecast_all,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.lstm import (
    LstmForecaster,
    TrainedLstm,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.menu import (
    Candidate,
    candidate_menu,
    seasonal_naive,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.order_search import FoundOrder
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.remarks import order_searched
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.smoothing import (
    SmoothingForecaster,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.statsmodels_engines import (
    StatsmodelsForecaster,
)

# Exponential smoothing and Theta win on short and monthly series (M3: MASE 0.81 with them,
# 0.85 without) and lose to the menu on long seasonal ones.
MOST_WINDOWS_TO_SMOOTH = 4
LONGEST_SEASON_TO_SMOOTH = 13
PREFERENCE = {"smoothing": 5.0, "theta": 3.0}


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
        self._memory: Memory = {}
        self._panel: Panel | None = None
        self.names = tuple(candidate.name for candidate in self._menu)
        self.failures: dict[int, str] = {}

    def forecast(self, panel: Panel, fitted_to: int, origins: Any, horizon: int) -> Any:
        if panel is not self._panel:
            self._panel, self._memory = panel, {}
        return forecast_all(panel, self._menu, fitted_to, origins, horizon, self._memory)


class JointForecaster:
    """The candidates of several forecasters.

    Attributes:
        parts: the forecasters, in the order of their candidates.
        names: of all candidates.
    """

    def __init__(self, parts: Sequence[Forecaster]) -> None:
        self.parts = tuple(parts)
        self.names = tuple(name for part in self.parts for name in part.names)

    @property
    def failures(self) -> dict[int, str]:
        return {
            row: f"{part.names[0]} could not be fitted ({reason})"
            for part in self.parts
            for row, reason in part.failures.items()
        }

    @property
    def remarks(self) -> dict[int, str]:
        """Row of the panel to what a person should know of the fit."""
        return {
            row: order_searched(_order_in_words(found), found.complete)
            for part in self.parts
            if isinstance(part, StatsmodelsForecaster)
            for row, found in part.found.items()
        }

    @property
    def preferences(self) -> tuple[float, ...]:
        """What each candidate's weight is multiplied by."""
        return tuple(PREFERENCE.get(name, 1.0) for name in self.names)

    def forecast(self, panel: Panel, fitted_to: int, origins: Any, horizon: int) -> Any:
        """Forecasts (C, S, O, horizon) of all."""
        return np.concatenate([part.forecast(panel, fitted_to, origins, horizon) for part in self.parts])


def make_forecaster(
    options: ForecastOptions, layout: Layout, periods: tuple[int, ...], trained: TrainedLstm | None = None
) -> JointForecaster:
    """The engine asked for, for histories with this backtest.

    Args:
        options: the engine, and what else it is given.
        layout: the backtest's origins; candidates must be fitted to what is before the first.
        periods: seasons in steps.
        trained: needed where ``options.uses_lstm``.
    """
    if options.engine == "seasonal_naive":
        return JointForecaster([MenuForecaster([seasonal_naive(periods)])])
    if options.engine == "lstm":
        return JointForecaster([_lstm(trained, options)])
    if options.engine != "auto":
        return JointForecaster([StatsmodelsForecaster(options, periods)])
    parts: list[Forecaster] = [MenuForecaster(candidate_menu(layout.head, periods))]
    if small_backtest(layout, periods):
        parts.append(SmoothingForecaster())
    for name in options.candidates:
        if name == "lstm":
            parts.append(_lstm(trained, options))
        else:
            parts.append(StatsmodelsForecaster(replace(options, engine=name), periods))
    return JointForecaster(parts)


def small_backtest(layout: Layout, periods: tuple[int, ...]) -> bool:
    """Whether the history is of the short or monthly kind."""
    return layout.windows <= MOST_WINDOWS_TO_SMOOTH and (not periods or periods[0] <= LONGEST_SEASON_TO_SMOOTH)


def _order_in_words(found: FoundOrder) -> str:
    text = f"({','.join(map(str, found.order))})"
    if found.seasonal_order[3]:
        text += f"({','.join(map(str, found.seasonal_order[:3]))}){found.seasonal_order[3]}"
    return text


def _lstm(trained: TrainedLstm | None, options: ForecastOptions) -> LstmForecaster:
    if trained is None:
        raise InputError("the LSTM has not been trained", where="engine lstm")
    return LstmForecaster(trained, options.quantiles)
