# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Prediction intervals from the backtest: normalised, pooled, with an allowance for few windows.

Residuals r = actual - forecast of the backtest are made comparable,

    u = r / (level^p * s_j),    level = max(forecast, 5 % of the mean),

with p the power in {0, 1/2, 1} of lower pinball loss (additive, Poisson-like or
proportional noise) and s_j the root mean square at lead j, smoothed over leads.
Pooled over leads and origins their empirical quantiles u_q give

    Q_q(j) = forecast(j) + level(j)^p * s_j * (u_1/2 + a_q (u_q - u_1/2)),

where a_q = t_w(q) / z(q) is the ratio of Student's t with w degrees of freedom (w
windows that do not overlap) to the normal: few windows show too little of the tail.
The maximum over a window is calibrated on the maxima of the same residual paths;
it is not the maximum of the quantiles, which ignores that any step may be the highest.

Source: normalised split conformal prediction (Lei et al. 2018, JASA 113, 1094-1111).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import (
    masked_mean,
    pinball,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.student import (
    tail_allowance,
)

POWERS = (0.0, 0.5, 1.0)
LEVEL_FLOOR = 0.05


@dataclass(frozen=True)
class Calibration:
    """What the backtest taught about the spread of S series.

    Attributes:
        power: (S,) the level's exponent.
        spread: (S, horizon) smoothed s_j.
        shape: (S, Q) the quantiles of u with their allowance.
        window_shape: (S, Q) the same for the maximum over the window.
    """

    power: Any
    spread: Any
    shape: Any
    window_shape: Any


def calibrate(
    forecast: Any, actual: Any, observed: Any, levels: Sequence[float], window: int, windows: int
) -> Calibration:
    """Learn the spread from backtest forecasts.

    Args:
        forecast: (S, O, horizon) out-of-fold combination.
        actual: (S, O, horizon) what happened.
        observed: (S, O, horizon) bool.
        levels: Q quantile levels, ascending.
        window: steps of the window whose maximum is calibrated.
        windows: how many windows without overlap the backtest had.
    """
    allowance = _allowance(levels, windows)
    losses, spreads, shapes = [], [], []
    for power in POWERS:
        size = _level(forecast) ** power
        spread = _smooth(np.sqrt(masked_mean(((actual - forecast) / size) ** 2, observed, axis=1)))
        size = size * spread[:, None, :]
        shape = _stretched_quantiles((actual - forecast) / size, observed, levels, allowance)
        losses.append(
            sum(
                masked_mean(pinball(actual, forecast + size * shape[:, q, None, None], level), observed, axis=(1, 2))
                for q, level in enumerate(levels)
            )
        )
        spreads.append(spread)
        shapes.append(shape)
    choice = np.argmin(losses, axis=0)
    each = np.arange(choice.size)
    power, spread, shape = np.array(POWERS)[choice], np.stack(spreads)[choice, each], np.stack(shapes)[choice, each]
    top = _window_shape(forecast, actual, observed, power, spread, levels, allowance, window)
    return Calibration(power, spread, shape, top)


def quantiles_out_of_half(
    forecast: Any, actual: Any, observed: Any, levels: Sequence[float], windows: int, calibration: Calibration
) -> Any:
    """(S, O, horizon, Q): what the quantiles of the backtest would have been, to be scored.

    The shape for the first half of the origins comes from the second half and the
    other way round; quantiles scored on what they were fitted to would always cover.
    """
    size = _level(forecast) ** calibration.power[:, None, None] * calibration.spread[:, None, :]
    u = (actual - forecast) / size
    fitted = np.empty((*forecast.shape, len(levels)))
    middle = forecast.shape[1] // 2
    halves = [(slice(0, middle), slice(middle, None)), (slice(middle, None), slice(0, middle))]
    for mine, others in halves if middle else [(slice(None), slice(None))]:
        shape = _stretched_quantiles(u[:, others], observed[:, others], levels, _allowance(levels, windows))
        fitted[:, mine] = forecast[:, mine, :, None] + size[:, mine, :, None] * shape[:, None, None, :]
    return np.maximum(fitted, 0.0)


def quantile_paths(mean: Any, calibration: Calibration) -> Any:
    """Quantiles (S, Q, horizon) around the forecast ``mean`` (S, horizon): ascending in Q, never negative."""
    size = _level(mean) ** calibration.power[:, None] * calibration.spread
    paths = mean[:, None, :] + size[:, None, :] * calibration.shape[:, :, None]
    return np.maximum.accumulate(np.maximum(paths, 0.0), axis=1)


def window_maxima(mean: Any, paths: Any, calibration: Calibration, window: int) -> Any:
    """Quantiles (S, Q) of the maximum over the first ``window`` steps.

    A maximum is never below any of its steps, so no quantile of it is below that of a step.
    """
    peak, size = _peak(mean[:, :window], calibration.power[:, None], calibration.spread[:, :window])
    top = peak[:, None] + size[:, None] * calibration.window_shape
    return np.maximum.accumulate(np.maximum(top, paths[:, :, :window].max(axis=-1)), axis=1)


def _allowance(levels: Sequence[float], windows: int) -> Any:
    return np.array([tail_allowance(level, windows) for level in levels])


def _level(forecast: Any) -> Any:
    return np.maximum(forecast, LEVEL_FLOOR)


def _peak(forecast: Any, power: Any, spread: Any) -> tuple[Any, Any]:
    """The forecast's maximum over the last axis, and the typical spread of a step there."""
    size = np.sqrt(np.mean((_level(forecast) ** power * spread) ** 2, axis=-1))
    return forecast.max(axis=-1), size


def _smooth(spread: Any) -> Any:
    """Average s_j over a quarter of the horizon around each lead; never zero."""
    horizon = spread.shape[-1]
    half = max(1, horizon // 8)
    total = np.concatenate([np.zeros((spread.shape[0], 1)), np.cumsum(spread**2, axis=-1)], axis=-1)
    start = np.clip(np.arange(horizon) - half, 0, horizon)
    stop = np.clip(np.arange(horizon) + half + 1, 0, horizon)
    return np.sqrt(np.maximum((total[:, stop] - total[:, start]) / (stop - start), 0.0)) + 1e-12


def _stretched_quantiles(u: Any, mask: Any, levels: Sequence[float], allowance: Any) -> Any:
    """Empirical quantiles (S, Q) stretched about the median."""
    found = masked_quantiles(u.reshape(u.shape[0], -1), mask.reshape(u.shape[0], -1), [0.5, *levels])
    middle = found[:, :1]
    return middle + allowance * (found[:, 1:] - middle)


def masked_quantiles(values: Any, mask: Any, levels: Sequence[float]) -> Any:
    """Quantiles (S, Q) of (S, N) over masked entries, at rank q (N + 1), as split conformal asks; 0 without any."""
    ordered = np.sort(np.where(mask, values, np.inf), axis=1)
    count = mask.sum(axis=1)
    rank = np.clip(np.asarray(levels)[None, :] * (count[:, None] + 1) - 1.0, 0.0, np.maximum(count - 1, 0)[:, None])
    low = np.floor(rank).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    ordered = np.where(np.isfinite(ordered), ordered, 0.0)
    below = np.take_along_axis(ordered, low, axis=1)
    above = np.take_along_axis(ordered, high, axis=1)
    return below + (rank - low) * (above - below)


def _window_shape(
    forecast: Any,
    actual: Any,
    observed: Any,
    power: Any,
    spread: Any,
    levels: Sequence[float],
    allowance: Any,
    window: int,
) -> Any:
    """Quantiles (S, Q) of (max actual - max forecast) / typical spread over windows of this many steps.

    Every window of the path that fits counts, those at longer leads by their own spread;
    one with less than half of its samples observed says nothing about its maximum.
    """
    series, origins, horizon = forecast.shape
    fits = horizon // window
    parts = (series, origins, fits, window)
    guess = forecast[..., : fits * window].reshape(parts)
    truth = actual[..., : fits * window].reshape(parts)
    known = observed[..., : fits * window].reshape(parts)
    spreads = spread[:, None, : fits * window].reshape(series, 1, fits, window)
    peak, size = _peak(guess, power[:, None, None, None], spreads)
    highest = np.where(known, truth, -np.inf).max(axis=-1)
    enough = known.mean(axis=-1) >= 0.5
    u = (np.where(enough, highest, peak) - peak) / size
    return _stretched_quantiles(u, enough, levels, allowance)
