# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The Theta method for many series at once: simple exponential smoothing with half the trend as drift.

On the seasonally adjusted series x (classical multiplicative decomposition, where the
autocorrelation at the season is significant at the 10 % level), with b the least-squares
slope and l the level of simple exponential smoothing with parameter alpha,

    x[n+h] = l[n] + b/2 (h - 1 + 1/alpha - (1 - alpha)^n / alpha),

times the seasonal index of the step. As in :mod:`exponential_smoothing` the forecasts of a
grid of alpha are averaged by likelihood. Slope, indices and weights come from the head.

Source: Assimakopoulos and Nikolopoulos (2000), Int. J. Forecasting 16, 521-530, in the closed
form of Hyndman and Billah (2003), ibid. 19, 287-290; equal to
``statsmodels.tsa.forecasting.theta.ThetaModel`` at the same alpha (tested to 1e-6).
"""

from __future__ import annotations

from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.exponential_smoothing import (
    ALPHAS,
    log_likelihoods,
    seasonal_indices,
    weights_from,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel

# Normal quantile of the two-sided 10 % test.
SIGNIFICANT = 1.6448536269514722


def forecast_theta(
    panel: Panel, period: int, fitted_to: int, origins: Any, horizon: int, alphas: tuple[float, ...] = ALPHAS
) -> Any:
    """Forecasts (S, O, horizon) on the panel's scale.

    Args:
        panel: S series.
        period: the season in steps; 1 for none.
        fitted_to: slope, indices and weights come from the samples before this one.
        origins: (O,) ascending, none before ``fitted_to``.
        horizon: steps ahead.
        alphas: the grid of the smoothing parameter.
    """
    indices = _indices(panel.values[:, :fitted_to], period)
    adjusted = panel.values / indices[:, np.arange(panel.length) % period]
    when = np.arange(fitted_to) - (fitted_to - 1) / 2
    slope = (adjusted[:, :fitted_to] * when).sum(axis=1) / max(float((when**2).sum()), 1.0)
    alpha = np.asarray(alphas, dtype=np.float64)[:, None]
    levels, squared_errors = _levels(adjusted, panel.observed, alpha, fitted_to, origins)
    samples = np.maximum(panel.observed[:, :fitted_to].sum(axis=1), 1)
    weights = weights_from(log_likelihoods(squared_errors, samples), 1.0)
    paths = np.empty((adjusted.shape[0], len(origins), horizon))
    for index, origin in enumerate(origins):
        lag = (weights * (1.0 - (1.0 - alpha) ** origin) / alpha).sum(axis=0)
        drift = 0.5 * slope[:, None] * (np.arange(horizon) + lag[:, None])
        level = (weights * levels[index]).sum(axis=0)[:, None]
        paths[:, index] = (level + drift) * indices[:, (origin + np.arange(horizon)) % period]
    return paths


def _levels(adjusted: Any, observed: Any, alpha: Any, fitted_to: int, origins: Any) -> tuple[Any, Any]:
    """Levels (O, alphas, S) before each origin, and the squared errors (alphas, S) before ``fitted_to``."""
    level = np.repeat(adjusted[None, :, 0], alpha.shape[0], axis=0)
    found = np.empty((len(origins), *level.shape))
    squared_errors = np.zeros(level.shape)
    now = 0
    for index, origin in enumerate(origins):
        for t in range(now, int(origin)):
            error = (adjusted[:, t] - level) * observed[:, t]
            if t < fitted_to:
                squared_errors += error * error
            level = level + alpha * error
        found[index] = level
        now = int(origin)
    return found, squared_errors


def _indices(head: Any, period: int) -> Any:
    """Seasonal indices (S, m), all 1 where the season is not significant."""
    if period < 2 or head.shape[1] < 2 * period:
        return np.ones((head.shape[0], period))
    found = seasonal_indices(head, period, True)
    return np.where(_is_seasonal(head, period)[:, None], found, 1.0)


def _is_seasonal(values: Any, period: int) -> Any:
    """Whether the autocorrelation at the season is beyond Bartlett's limit."""
    centred = values - values.mean(axis=1, keepdims=True)
    power = np.maximum((centred**2).sum(axis=1), 1e-300)
    r = np.stack([(centred[:, lag:] * centred[:, :-lag]).sum(axis=1) / power for lag in range(1, period + 1)], axis=1)
    limit = SIGNIFICANT * np.sqrt((1.0 + 2.0 * (r[:, :-1] ** 2).sum(axis=1)) / values.shape[1])
    return np.abs(r[:, -1]) > limit
