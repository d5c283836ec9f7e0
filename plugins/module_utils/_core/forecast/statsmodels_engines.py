# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""ARIMA of named or searched orders through statsmodels: the wide menu, and a reference for the built-in core.

``arima``: regression on Fourier terms, then ARMA of the residuals by Hannan-Rissanen
(two stages, some 140 times faster than exact likelihood with regressors).
``sarimax``: exact likelihood with the scale concentrated out and no covariance,
estimated on the differenced series (some 9 times faster on seasonal orders).

Both estimate once on the head and then only filter what came since (some 25 times
faster than fitting again). Without a named order each series gets the one that
:mod:`order_search` finds on its head, by the likelihood at the parameters each engine
estimates, within a budget of CPU seconds. A series on which a fit fails gets seasonal
naive, and says so. statsmodels costs two seconds to import, so it is
imported only here and only when asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Callable, Optional

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.arima import deterministic
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.baselines import (
    predict_seasonal_mean,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.menu import seasonal_naive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.order_search import (
    FoundOrder,
    search_order,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

# A seasonal state vector is as long as its season; beyond this Fourier terms stand in for it.
LONGEST_STATE_SEASON = 48
HARMONICS = 6
MAX_ITERATIONS = 50

# An autoregressive or moving-average root this close to the unit circle is a fit that ran away.
LEAST_ROOT = 1.001

Fitted = Callable[[int, int], Any]


class StatsmodelsForecaster:
    """One statsmodels specification as a panel forecaster.

    Attributes:
        names: the single candidate's name.
        failures: row of the panel and the reason, for each series that fell back.
        found: row of the panel and the order last searched for it; empty when the order is named.
    """

    def __init__(self, options: ForecastOptions, periods: tuple[int, ...]) -> None:
        self._engine = options.engine
        self._order: Optional[tuple[int, int, int]] = options.order
        self._budget_seconds = options.search_budget_seconds
        self._seasonal_order = _seasonal_order(options, periods)
        self._waves = () if self._seasonal_order[3] else _waves(periods)
        self.names: tuple[str, ...] = (self._name(),)
        self.failures: dict[int, str] = {}
        self.found: dict[int, FoundOrder] = {}

    def forecast(self, panel: Panel, fitted_to: int, origins: Sequence[int], horizon: int) -> Any:
        """Forecasts (1, S, O, horizon) on the panel's scale, within [0, ceiling]."""
        naive = predict_seasonal_mean(seasonal_naive(panel.periods), panel.values, np.asarray(origins), horizon)
        result = np.array(naive)[None]
        for row, values in enumerate(panel.values):
            paths = self._paths(row, values, fitted_to, origins, horizon)
            if paths is not None:
                result[0, row] = paths
        return np.clip(result, 0.0, panel.ceiling[:, None, None])

    def _paths(self, row: int, values: Any, fitted_to: int, origins: Sequence[int], horizon: int) -> Any:
        """Forecasts (O, horizon) of one series; None, with the reason kept, where the fit fails."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                predict = self._fit(row, values, fitted_to)
                paths = np.stack([predict(int(origin), horizon) for origin in origins])
            if np.isfinite(paths).all():
                return paths
            reason = "the fitted model explodes"
        except (ValueError, IndexError, np.linalg.LinAlgError) as error:
            reason = str(error).split(". ", maxsplit=1)[0].splitlines()[0] if str(error) else type(error).__name__
        self.failures[row] = reason
        return None

    def _fit(self, row: int, values: Any, fitted_to: int) -> Fitted:
        """Regress on the waves, difference, estimate on the head; what comes back forecasts from any later origin."""
        X = _regressors(self._waves, np.arange(values.size))
        beta = np.linalg.lstsq(X[:fitted_to], values[:fitted_to], rcond=None)[0]
        stages = [values - X @ beta]
        (p, d, q), (P, D, Q, season), constant = self._orders(row, stages[0][:fitted_to])
        spans = (1,) * d + (season,) * D
        for span in spans:
            stages.append(np.concatenate([np.zeros(span), stages[-1][span:] - stages[-1][:-span]]))
        lost = sum(spans)
        drift = stages[-1][lost:fitted_to].mean() if constant else 0.0
        fitted = self._estimate(stages[-1][lost:fitted_to] - drift, (p, q), (P, Q), season)

        def predict(origin: int, horizon: int) -> Any:
            since = stages[-1][fitted_to:origin] - drift
            path = (fitted.extend(since) if since.size else fitted).forecast(horizon) + drift
            for span, stage in zip(reversed(spans), reversed(stages[:-1])):
                path = _summed_up(path, stage[:origin], span)
            return path + _regressors(self._waves, np.arange(origin, origin + horizon)) @ beta

        return predict

    def _orders(self, row: int, head: Any) -> tuple[tuple[int, int, int], tuple[int, int, int, int], bool]:
        """Order, seasonal order and whether there is a drift: as named, or searched."""
        if self._order is not None:
            return self._order, self._seasonal_order, False
        found = search_order(
            head, self._seasonal_order[3], deviance=self._deviance, budget_seconds=self._budget_seconds
        )
        self.found[row] = found
        return found.order, found.seasonal_order, found.constant

    def _estimate(self, history: Any, order: tuple[int, int], seasonal: tuple[int, int], season: int) -> Any:
        """The fitted results of a stationary series: Hannan-Rissanen, or exact likelihood."""
        (p, q), (P, Q) = order, seasonal
        if self._engine == "arima":
            arima = require("statsmodels.tsa.arima.model", purpose="The engine arima")
            return arima.ARIMA(history, order=(p, 0, q), trend="n").fit(method="hannan_rissanen")
        sarimax = require("statsmodels.tsa.statespace.sarimax", purpose="The engine sarimax")
        model = sarimax.SARIMAX(
            history, order=(p, 0, q), seasonal_order=(P, 0, Q, season), trend="n", concentrate_scale=True
        )
        return model.fit(disp=0, cov_type="none", maxiter=MAX_ITERATIONS)

    def _deviance(self, history: Any, order: tuple[int, int], seasonal: tuple[int, int], season: int) -> float:
        """-2 log L; infinite for a fit that failed, and for one with a root on the unit circle."""
        try:
            fitted = self._estimate(history, order, seasonal, season)
        except (ValueError, IndexError, np.linalg.LinAlgError):
            return float(np.inf)
        roots = np.concatenate([fitted.arroots, fitted.maroots])
        if not np.isfinite(fitted.llf) or (roots.size and np.abs(roots).min() < LEAST_ROOT):
            return float(np.inf)
        return -2.0 * float(fitted.llf)

    def _name(self) -> str:
        searched = self._order is None
        text = f"{self._engine}({'auto' if searched else ','.join(map(str, self._order or ()))})"
        season = self._seasonal_order[3]
        if season:
            orders = "auto" if searched else ",".join(map(str, self._seasonal_order[:3]))
            text += f"({orders}){season}"
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


def _summed_up(path: Any, history: Any, span: int) -> Any:
    """Undo one differencing over ``span``: y[j] = z[j] + y[j-span]."""
    found = np.concatenate([history[-span:], path])
    for step in range(span, found.size):
        found[step] += found[step - span]
    return found[span:]


def _regressors(waves: Sequence[tuple[int, int, int]], when: Any) -> Any:
    return np.stack([deterministic(term, when) for term in ("one", *waves)], axis=1)
