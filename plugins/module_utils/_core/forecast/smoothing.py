# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Two candidates for short histories: exponential smoothing averaged over its forms, and Theta.

``smoothing``: twelve families (no, linear or damped trend; no, additive or multiplicative
season; additive season of the logarithm), each averaged over its grid of parameters by
likelihood, then averaged by exp(-AICc / 2T) with temperature T = 5: the criterion of a short
series ranks families with noise, and the good ones together forecast better than the winner.
``theta``: see :mod:`theta`.

The spread is that of the same mixture: inside a family the Gaussian variance of its error
recursion, between families and parameters the disagreement of their means,

    sigma^2[h] = sum_g w_g (s_g^2 (1 + c_g1^2 + ... + c_g,h-1^2) + (y_g[h] - y[h])^2),
    c_gj = alpha + beta (phi + ... + phi^j) + gamma [j is a whole number of seasons].

It needs no backtest, so it is known even where the history has room for one window only.

Sources: Kolassa (2011), Int. J. Forecasting 27, 238-251; Hyndman, Koehler, Ord and Snyder,
Forecasting with Exponential Smoothing (2008), chapter 6 (the c_j of the additive models;
for the others they are an approximation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.exponential_smoothing import (
    TRENDS,
    Recursion,
    averaged_forecast,
    corrected_aic,
    log_likelihoods,
    parameter_counts,
    parameter_grid,
    separate_forecasts,
    starting_state,
    variance_growth,
    weights_from,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.theta import forecast_theta

# A season's terms are carried for every parameter set; a longer season costs too much, and is left out.
LONGEST_SEASON = 48
SEASONS_TO_START_FROM = 3
SAMPLES_TO_START_FROM = 12
TEMPERATURE = 5.0
LEAST_SHARE = 1e-300


class SmoothingForecaster:
    """Exponential smoothing and Theta, for a whole panel at once.

    Attributes:
        names: of the two candidates.
        failures: always empty; the recursions cannot fail.
    """

    names: tuple[str, ...] = ("smoothing", "theta")

    def __init__(self) -> None:
        self.failures: dict[int, str] = {}

    def forecast(self, panel: Panel, fitted_to: int, origins: Any, horizon: int) -> Any:
        """Forecasts (2, S, O, horizon) on the panel's scale, within [0, ceiling]."""
        return self.forecast_with_spread(panel, fitted_to, origins, horizon)[0]

    def forecast_with_spread(self, panel: Panel, fitted_to: int, origins: Any, horizon: int) -> tuple[Any, Any]:
        """Forecasts (2, S, O, horizon), and the standard deviation (S, horizon) of ``smoothing`` at the last origin.

        Args:
            panel: S series.
            fitted_to: parameters and starting states come from the samples before this one.
            origins: (O,) ascending, none before ``fitted_to``.
            horizon: steps ahead.
        """
        at = np.asarray(origins, dtype=np.int64)
        period = panel.periods[0] if panel.periods and 2 <= panel.periods[0] <= LONGEST_SEASON else 1
        if fitted_to < 2 * period:
            period = 1
        mixture = _Mixture(panel, period, fitted_to)
        smooth = mixture.forecast(at, horizon)
        theta = forecast_theta(panel, period, fitted_to, at, horizon)
        both = np.clip(np.stack([smooth, theta]), 0.0, panel.ceiling[:, None, None])
        return both, mixture.spread(smooth[:, -1], horizon)


class _Mixture:
    """Every form fitted to the head, with the share of each."""

    def __init__(self, panel: Panel, period: int, fitted_to: int) -> None:
        self._panel = panel
        logarithms = np.log(panel.values + panel.lift[:, None])
        seasons = ("none", "additive", "multiplicative") if period > 1 else ("none",)
        self._forms = [_Form(panel.values, panel.observed, season, period, fitted_to) for season in seasons]
        self._forms.append(_Form(logarithms, panel.observed, seasons[min(1, len(seasons) - 1)], period, fitted_to))
        criteria = [form.criteria for form in self._forms]
        # the density of y is that of log y divided by y, so that the criteria compare on one scale
        criteria[-1] = criteria[-1] + 2.0 * (logarithms * panel.observed)[:, :fitted_to].sum(axis=1)
        shares = weights_from(np.concatenate(criteria), TEMPERATURE)
        self._shares = shares.reshape(len(self._forms), len(TRENDS), -1)

    def forecast(self, origins: Any, horizon: int) -> Any:
        """(S, O, horizon) of the mixture; the forms' states run on to the last origin."""
        result = np.zeros((len(origins), self._panel.values.shape[0], horizon))
        for form, share in zip(self._forms, self._shares):
            paths = self._on_panel_scale(form, form.forecast(share, origins, horizon))
            result += paths * share.sum(axis=0)[:, None]
        return result.transpose(1, 0, 2)

    def spread(self, mean: Any, horizon: int) -> Any:
        """(S, horizon): standard deviation about ``mean`` from where the forms' states are now."""
        variance = np.zeros(mean.shape)
        for form, share in zip(self._forms, self._shares):
            paths, noise = form.separate(horizon)
            paths = self._on_panel_scale(form, paths)
            if form is self._forms[-1]:
                # d y = (y + lift) d log(y + lift)
                noise = noise * (paths + self._panel.lift[:, None]) ** 2
            variance += np.einsum("gs,gsh->sh", form.weights(share) * share.sum(axis=0), noise + (paths - mean) ** 2)
        return np.sqrt(variance)

    def _on_panel_scale(self, form: _Form, paths: Any) -> Any:
        """Paths (..., S, horizon) within [0, ceiling], those of the last form without their logarithm."""
        ceiling, lift = self._panel.ceiling[:, None], self._panel.lift[:, None]
        if form is self._forms[-1]:
            paths = np.exp(np.minimum(paths, np.log(ceiling + lift) + 1e-9)) - lift
        return np.clip(paths, 0.0, ceiling)


class _Form:
    """All trends and parameter sets of one kind of season, run through the head.

    Attributes:
        criteria: (trends, S) AICc of the best set of each trend.
    """

    def __init__(self, values: Any, observed: Any, season: str, period: int, fitted_to: int) -> None:
        self._values, self._observed, self._season, self._period = values, observed, season, period
        self._now = fitted_to
        self._sets = parameter_grid(season)
        seasons = min(fitted_to // period, SEASONS_TO_START_FROM)
        start = seasons * period if period > 1 else min(fitted_to, SAMPLES_TO_START_FROM)
        state = starting_state(values[:, :start], season, period, self._sets)
        self._recursion = Recursion(state, season, self._sets)
        self._recursion.advance(values[:, :fitted_to], observed[:, :fitted_to])
        samples = np.maximum(observed[:, :fitted_to].sum(axis=1), 1)
        deviances = log_likelihoods(self._recursion.squared_errors, samples)
        members = [self._sets.trends == trend for trend in range(len(TRENDS))]
        self._within = np.concatenate([weights_from(deviances[mine], 1.0) for mine in members])
        counts = parameter_counts(season, period)[:, None]
        self.criteria = corrected_aic(np.stack([deviances[mine].min(axis=0) for mine in members]), counts, samples)
        # a regression's unbiased variance, but never more than twice the mean square
        freedom = np.maximum(samples - counts + 1, samples / 2)[self._sets.trends]
        self._variance = self._recursion.squared_errors / freedom

    def weights(self, shares: Any) -> Any:
        """(G, S) that sum to one over the sets, from the shares (trends, S) of the trends."""
        # a form that lost by thousands has shares of exactly zero, and is not asked
        return self._within * (shares / np.maximum(shares.sum(axis=0), LEAST_SHARE))[self._sets.trends]

    def forecast(self, shares: Any, origins: Sequence[int], horizon: int) -> Any:
        """(O, S, horizon), the mean over the sets; runs on to the last origin."""
        weights = self.weights(shares)
        paths = np.empty((len(origins), self._values.shape[0], horizon))
        for index, origin in enumerate(origins):
            self._recursion.advance(self._values[:, self._now : origin], self._observed[:, self._now : origin])
            self._now = origin
            paths[index] = averaged_forecast(self._recursion.state, weights, self._season, self._sets, horizon)
        return paths

    def separate(self, horizon: int) -> tuple[Any, Any]:
        """Forecasts (G, S, horizon) of every set from now, and the variance of their errors."""
        paths = separate_forecasts(self._recursion.state, self._season, self._sets, horizon)
        growth = variance_growth(self._sets, self._period, horizon)
        return paths, self._variance[:, :, None] * growth[:, None, :]
