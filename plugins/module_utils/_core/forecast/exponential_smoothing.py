# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Exponential smoothing of many series under many parameters in one pass over time.

The innovations form with additive errors, for every series and every parameter set at once,

    e[t] = y[t] - (l[t-1] + phi b[t-1]) * s[t-m]         (or + s[t-m])
    l[t] = l[t-1] + phi b[t-1] + alpha e[t] / s[t-m]     (additive season: no division)
    b[t] = phi b[t-1] + beta e[t] / s[t-m]
    s[t] = s[t-m] + gamma e[t] / (l[t-1] + phi b[t-1])   (additive season: no division)
    y[t+h] = (l[t] + (phi + ... + phi^h) b[t]) * s[t+h-m]

with phi = 1 for a linear trend. A sample that was not observed teaches nothing (e = 0).

Instead of searching for the best parameters, every set of a fixed grid is run and the
forecasts are averaged by likelihood: for the short histories this is meant for no single
set is certain, and the average forecasts better than its best member.

Source: Hyndman, Koehler, Ord and Snyder, Forecasting with Exponential Smoothing (2008),
chapter 2; equal to ``statsmodels.tsa.holtwinters.ExponentialSmoothing`` (tested to 1e-8).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

ALPHAS = (0.05, 0.15, 0.3, 0.55, 0.9)
TRENDS = ("none", "linear", "damped")
# beta is this share of alpha, gamma this share of 1 - alpha
BETA_SHARES = (0.0, 0.1)
GAMMA_SHARES = (0.0, 0.2)
DAMPING = 0.9
# A multiplicative season and the level it divides by stay above these (the panel's mean is 1).
LEAST_FACTOR = 0.02
LEAST_LEVEL = 1e-3
# Mean squared error below which a fit counts as perfect, on a panel of mean 1.
PERFECT = 1e-10


@dataclass(frozen=True)
class Parameters:
    """G parameter sets of one kind of season.

    ``alpha``, ``beta``, ``gamma`` and ``phi`` are (G, 1); ``trends`` (G,) counts into :data:`TRENDS`.
    """

    alpha: Any
    beta: Any
    gamma: Any
    phi: Any
    trends: Any


@dataclass(frozen=True)
class State:
    """What the recursion remembers: level and slope (G, S) and the season's terms (m, G, S), the next one first."""

    level: Any
    slope: Any
    season: Any


def parameter_grid(season: str) -> Parameters:
    """The grid for a season that is ``none``, ``additive`` or ``multiplicative``: every trend with every set."""
    gammas = (0.0,) if season == "none" else GAMMA_SHARES
    sets = []
    for trend, name in enumerate(TRENDS):
        betas = (0.0,) if name == "none" else BETA_SHARES
        phi = DAMPING if name == "damped" else 1.0
        sets += list(product((trend,), (phi,), ALPHAS, betas, gammas))
    trends, phis, alpha, beta, gamma = np.array(sets).T[:, :, None]
    return Parameters(alpha, alpha * beta, (1.0 - alpha) * gamma, phis, trends[:, 0].astype(np.int64))


def parameter_counts(season: str, period: int) -> Any:
    """Parameters, starting states and the variance of each of :data:`TRENDS`, as AICc counts them."""
    return np.array([3, 5, 6]) + (0 if season == "none" else period)


def starting_state(values: Any, season: str, period: int, parameters: Parameters) -> State:
    """State before the first of ``values`` (S, k): a line through the seasonally adjusted samples, or their mean."""
    count = values.shape[1]
    indices = np.zeros((1, values.shape[0]))
    adjusted = values
    if season != "none":
        indices = seasonal_indices(values, period, season == "multiplicative").T
        expanded = indices[np.arange(count) % period].T
        adjusted = values / expanded if season == "multiplicative" else values - expanded
    when = np.arange(1, count + 1) - (count + 1) / 2
    slope = (adjusted * when).sum(axis=1) / max(float((when**2).sum()), 1.0)
    line = adjusted.mean(axis=1) - slope * (count + 1) / 2
    flat = adjusted[:, : max(period, 6)].mean(axis=1)
    trending = (parameters.trends > 0)[:, None]
    terms = np.repeat(indices[:, None, :], trending.size, axis=1)
    return State(np.where(trending, line, flat), np.where(trending, slope, 0.0), terms)


def seasonal_indices(values: Any, period: int, multiplicative: bool) -> Any:
    """Classical decomposition: (S, m) mean deviation (or ratio) at each phase from the centred moving average.

    With less than two seasons the mean of the first season stands in for the moving average.
    """
    count = values.shape[1]
    half = period // 2
    width = 2 * half + 1
    if count >= 2 * period:
        kernel = np.full(width, 1.0 / period)
        if period % 2 == 0:
            kernel[[0, -1]] /= 2
        level = np.lib.stride_tricks.sliding_window_view(values, width, axis=1) @ kernel
        middle, first = values[:, half : half + level.shape[1]], half
    else:
        middle, first = values[:, :period], 0
        level = middle.mean(axis=1, keepdims=True)
    deviation = middle / np.maximum(level, LEAST_LEVEL) if multiplicative else middle - level
    phase = (first + np.arange(deviation.shape[1])) % period
    indices = np.stack([deviation[:, phase == one].mean(axis=1) for one in range(period)], axis=1)
    if not multiplicative:
        return indices - indices.mean(axis=1, keepdims=True)
    indices = np.maximum(indices, LEAST_FACTOR)
    return indices / indices.mean(axis=1, keepdims=True)


class Recursion:
    """S series under G parameter sets, walked forward through time.

    Args:
        state: where to start.
        season: ``none``, ``additive`` or ``multiplicative``.
        parameters: G sets.

    Attributes:
        squared_errors: (G, S) sum so far.
    """

    def __init__(self, state: State, season: str, parameters: Parameters) -> None:
        self._season = season
        self._parameters = parameters
        self._level, self._slope, self._terms = state.level.copy(), state.slope.copy(), state.season.copy()
        self._now = 0
        self.squared_errors = np.zeros(state.level.shape)

    @property
    def state(self) -> State:
        """The state now."""
        return State(self._level, self._slope, np.roll(self._terms, -(self._now % len(self._terms)), axis=0))

    def advance(self, values: Any, observed: Any) -> None:
        """Take in samples (S, k), those with ``observed`` False without learning from them."""
        alpha, beta, gamma = self._parameters.alpha, self._parameters.beta, self._parameters.gamma
        phi, season = self._parameters.phi, self._season
        complete = bool(observed.all())
        for column in range(values.shape[1]):
            slope = phi * self._slope
            base = self._level + slope
            term = self._terms[self._now % len(self._terms)]
            expected = base * term if season == "multiplicative" else base + term
            error = values[:, column] - expected
            if not complete:
                error *= observed[:, column]
            self.squared_errors += error * error
            if season == "multiplicative":
                known = term.copy()
                term += gamma * error / np.maximum(base, LEAST_LEVEL)
                np.maximum(term, LEAST_FACTOR, out=term)
                error /= known
            elif season == "additive":
                term += gamma * error
            self._level = base + alpha * error
            self._slope = slope + beta * error
            self._now += 1


def averaged_forecast(state: State, weights: Any, season: str, parameters: Parameters, horizon: int) -> Any:
    """Forecasts (S, horizon), the mean over parameter sets with weights (G, S) that sum to one.

    A forecast is linear in level and slope at each phase of the season, so states are
    averaged first, for each damping and phase, and carried ahead once.
    """
    terms = state.season[:horizon]
    phase = np.arange(horizon) % len(state.season)
    scaled = weights * terms if season == "multiplicative" else weights[None]
    path = (scaled * state.level).sum(axis=1)
    if season == "additive":
        path = path + (weights * terms).sum(axis=1)
    path = path[phase % len(path)].T
    for phi in np.unique(parameters.phi[parameters.trends > 0]):
        mine = np.flatnonzero((parameters.phi[:, 0] == phi) & (parameters.trends > 0))
        slope = (scaled[:, mine] * state.slope[mine]).sum(axis=1)
        path = path + slope[phase % len(slope)].T * np.cumsum(phi ** np.arange(1, horizon + 1))
    return path


def separate_forecasts(state: State, season: str, parameters: Parameters, horizon: int) -> Any:
    """Forecasts (G, S, horizon) of every parameter set."""
    path = state.level[:, :, None] + state.slope[:, :, None] * _slope_sums(parameters, horizon)[:, None, :]
    if season == "none":
        return path
    terms = state.season[np.arange(horizon) % len(state.season)].transpose(1, 2, 0)
    return path * terms if season == "multiplicative" else path + terms


def variance_growth(parameters: Parameters, period: int, horizon: int) -> Any:
    """(G, horizon): variance of the error h steps ahead, relative to one step; ``period`` 1 for no season."""
    ahead = np.arange(1, horizon + 1)
    weights = parameters.alpha + parameters.beta * _slope_sums(parameters, horizon)
    weights = weights + parameters.gamma * (ahead % period == 0)
    growth = np.ones(weights.shape)
    growth[:, 1:] += np.cumsum(weights[:, :-1] ** 2, axis=1)
    return growth


def _slope_sums(parameters: Parameters, horizon: int) -> Any:
    """(G, horizon): phi + ... + phi^h."""
    return np.cumsum(parameters.phi ** np.arange(1, horizon + 1), axis=1)


def log_likelihoods(squared_errors: Any, samples: Any) -> Any:
    """-2 log L (G, S), up to a constant, of Gaussian errors: n log(mean squared error)."""
    return samples * np.log(squared_errors / samples + PERFECT)


def corrected_aic(deviance: Any, parameters: int, samples: Any) -> Any:
    """AICc; where there are hardly more samples than parameters the correction stays finite."""
    return deviance + 2.0 * parameters + 2.0 * parameters * (parameters + 1) / np.maximum(samples - parameters - 1, 1)


def weights_from(criterion: Any, temperature: float) -> Any:
    """exp(-criterion / (2 temperature)) over the first axis, summing to one."""
    weights = np.exp(-(criterion - criterion.min(axis=0)) / (2.0 * temperature))
    return weights / weights.sum(axis=0)
