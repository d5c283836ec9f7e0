# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Named orders through statsmodels: the wide menu, and the reference for the built-in core.

``arima``: regression on Fourier terms, then ARMA of the residuals by Hannan-Rissanen
(two stages, some 140 times faster than exact likelihood with regressors).
``sarimax``: exact likelihood with the scale concentrated out and no covariance,
estimated on the differenced series (some 9 times faster on seasonal orders).

Both estimate once on the head and then filter each origin's history with the
coefficients as they are. A series on which a fit fails gets seasonal naive, and says so.
statsmodels costs two seconds to import, so it is imported only here and only when asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Callable

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.arima import deterministic
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.baselines import (
    predict_seasonal_mean,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.menu import seasonal_naive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

# A seasonal state vector is as long as its season; beyond this Fourier terms stand in for it.
LONGEST_STATE_SEASON = 48
HARMONICS = 6
MAX_ITERATIONS = 50

Fitted = Callable[[int, int], Any]


class StatsmodelsForecaster:
    """One statsmodels specification as a panel forecaster.

    Attributes:
        names: the single candidate's name.
        failures: row of the panel and the reason, for each series that fell back.
    """

    def __init__(self, options: ForecastOptions, periods: tuple[int, ...]) -> None:
        self.failures: dict[int, str] = {}
        self._order = options.order
        self._seasonal_order = _seasonal_order(options, periods)
        self._waves = () if self._seasonal_order[3] or not periods else _waves(periods)
        self._fit = self._fit_sarimax if options.engine == "sarimax" else self._fit_arima
        if options.engine == "arima":
            self._waves = _waves(periods)
        self.names = (self._name(options.engine),)

    def forecast(self, panel: Panel, fitted_to: int, origins: Sequence[int], horizon: int) -> Any:
        """Forecasts (1, S, O, horizon) on the panel's scale, within [0, ceiling]."""
        naive = predict_seasonal_mean(seasonal_naive(panel.periods), panel.values, np.asarray(origins), horizon)
        result = np.array(naive)[None]
        for row, values in enumerate(panel.values):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    predict = self._fit(values, fitted_to)
                    paths = np.stack([predict(int(origin), horizon) for origin in origins])
                if not np.isfinite(paths).all():
                    raise ValueError("the fitted model explodes")
                result[0, row] = paths
            except (ValueError, IndexError, np.linalg.LinAlgError) as error:
                self.failures[row] = str(error).splitlines()[0] if str(error) else type(error).__name__
        return np.clip(result, 0.0, panel.ceiling[:, None, None])

    def _fit_arima(self, values: Any, fitted_to: int) -> Fitted:
        model = require("statsmodels.tsa.arima.model", purpose="The engine arima")
        p, d, q = self._order
        X = _regressors(self._waves, np.arange(values.size))
        beta = np.linalg.lstsq(X[:fitted_to], values[:fitted_to], rcond=None)[0]
        rest = values - X @ beta
        for _round in range(d):
            rest = np.diff(rest, prepend=rest[:1])
        fitted = model.ARIMA(rest[:fitted_to], order=(p, 0, q), trend="n").fit(method="hannan_rissanen")

        def predict(origin: int, horizon: int) -> Any:
            path = fitted.apply(rest[:origin]).forecast(horizon)
            level = values - X @ beta
            for last in reversed([np.diff(level[:origin], n=times)[-1] for times in range(d)]):
                path = last + np.cumsum(path)
            return path + _regressors(self._waves, np.arange(origin, origin + horizon)) @ beta

        return predict

    def _fit_sarimax(self, values: Any, fitted_to: int) -> Fitted:
        sarimax = require("statsmodels.tsa.statespace.sarimax", purpose="The engine sarimax")
        differenced = bool(self._order[1] or self._seasonal_order[1])
        X = _regressors(self._waves, np.arange(values.size))
        beta = np.linalg.lstsq(X[:fitted_to], values[:fitted_to], rcond=None)[0]
        rest = values - (X @ beta if self._waves else 0.0)

        def model(history: Any, *, simple_differencing: bool) -> Any:
            return sarimax.SARIMAX(
                history,
                order=self._order,
                seasonal_order=self._seasonal_order,
                trend="n" if differenced or self._waves else "c",
                simple_differencing=simple_differencing,
                concentrate_scale=True,
            )

        head = model(rest[:fitted_to], simple_differencing=True)
        params = head.fit(disp=0, cov_type="none", maxiter=MAX_ITERATIONS).params

        def predict(origin: int, horizon: int) -> Any:
            path = model(rest[:origin], simple_differencing=False).filter(params).forecast(horizon)
            if not self._waves:
                return path
            return path + _regressors(self._waves, np.arange(origin, origin + horizon)) @ beta

        return predict

    def _name(self, engine: str) -> str:
        text = f"{engine}({','.join(map(str, self._order))})"
        if engine == "sarimax" and self._seasonal_order[3]:
            text += f"({','.join(map(str, self._seasonal_order[:3]))}){self._seasonal_order[3]}"
        return text + (" fourier" if self._waves else "")


def _seasonal_order(options: ForecastOptions, periods: tuple[int, ...]) -> tuple[int, int, int, int]:
    if options.engine != "sarimax":
        return (0, 0, 0, 0)
    if options.seasonal_order is not None:
        return options.seasonal_order
    if periods and periods[0] <= LONGEST_STATE_SEASON:
        return (0, 1, 1, periods[0])
    return (0, 0, 0, 0)


def _waves(periods: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    """Terms of :func:`arima.deterministic` for every period, without those a longer period repeats."""
    found: dict[float, tuple[int, int, int]] = {}
    for period in periods:
        for k in range(1, min(HARMONICS, (period - 1) // 2) + 1):
            found.setdefault(round(k / period, 9), (period, k, 0))
    return tuple((period, k, part) for period, k, _part in found.values() for part in (0, 1))


def _regressors(waves: Sequence[tuple[int, int, int]], when: Any) -> Any:
    return np.stack([deterministic(term, when) for term in ("one", *waves)], axis=1)
