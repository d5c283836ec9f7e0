# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Quantiles around a forecast from its own errors: normalised split conformal prediction.

Residuals r = actual - forecast of the backtest are made comparable,

    u = r / (level^p * s_j),    level = max(forecast, 5 % of the mean),

with s_j the root mean square at lead j, smoothed over leads, and p one of 0, 1/2, 1
for additive, Poisson-like or proportional noise. Pooled over leads and origins, the
empirical quantiles u_q give

    Q_q(j) = forecast(j) + level(j)^p * s_j * u_q.

The maximum over a window is calibrated in the same way on the maxima of the same
paths; it is not the maximum of the quantiles, which ignores that any step may be
the highest.

Source: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), Distribution-Free
Predictive Inference for Regression, JASA 113, 1094-1111.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import (
    Layout,
    masked_mean,
    targets,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.blend import Source
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.empirical import masked_quantiles

POWERS = (0.0, 0.5, 1.0)
LEVEL_FLOOR = 0.05


def level_of(forecast: Any) -> Any:
    """What the noise may be proportional to; never so small that a ratio explodes."""
    return np.maximum(forecast, LEVEL_FLOOR)


def spread_by_lead(forecast: Any, actual: Any, observed: Any, power: float) -> Any:
    """s_j (S, horizon): root mean square of the backtest's residuals over level^p, smoothed over leads; never 0.

    Args:
        forecast: (S, O, horizon), as ``actual`` and the bool mask ``observed``.
        power: p.
    """
    mean_square = masked_mean(((actual - forecast) / level_of(forecast) ** power) ** 2, observed, axis=1)
    horizon = mean_square.shape[-1]
    half = max(1, horizon // 8)
    total = np.concatenate([np.zeros((mean_square.shape[0], 1)), np.cumsum(mean_square, axis=-1)], axis=-1)
    start = np.clip(np.arange(horizon) - half, 0, horizon)
    stop = np.clip(np.arange(horizon) + half + 1, 0, horizon)
    return np.sqrt(np.maximum((total[:, stop] - total[:, start]) / (stop - start), 0.0)) + 1e-12


def residual_sources(
    tested: Any, final: Any, actual: Any, observed: Any, levels: Sequence[float], spreads: Sequence[Any]
) -> list[Source]:
    """One source of quantiles for each power.

    Args:
        tested: (S, O, horizon) backtest forecasts.
        final: (S, horizon) the forecast itself.
        actual: (S, O, horizon), and ``observed`` its bool mask.
        levels: Q quantile levels.
        spreads: s_j (S, horizon) for each of :data:`POWERS`.
    """
    return [
        _source(
            f"errors^{power:g}",
            (tested, level_of(tested) ** power * spread[:, None, :]),
            (final, level_of(final) ** power * spread),
            (actual, observed),
            levels,
        )
        for power, spread in zip(POWERS, spreads)
    ]


def peak_sources(
    tested: Any, final: Any, actual: Any, observed: Any, levels: Sequence[float], spreads: Sequence[Any]
) -> list[Source]:
    """The same for the maximum over windows: (max actual - max forecast) over the typical spread of a step there.

    Args:
        tested: (S, O, W, window) backtest forecasts, cut into W windows.
        final: (S, window) forecast over the first window.
        actual: (S, O, W) maxima, and ``observed`` their bool mask.
        levels: Q quantile levels.
        spreads: (S, W, window) s_j of each window for each of :data:`POWERS`.
    """
    return [
        _source(
            f"errors^{power:g}",
            _peak(tested, power, spread[:, None]),
            _peak(final[:, None], power, spread[:, :1]),
            (actual, observed),
            levels,
        )
        for power, spread in zip(POWERS, spreads)
    ]


def long_source(
    values: Any, observed: Any, period: int, layout: Layout, tested: Any, final: Any, levels: Sequence[float]
) -> Source:
    """The shape of the errors of a plain seasonal forecast over the whole history, as large as those of this forecast.

    The backtest's windows are few and recent; a calm week says little of a rough one. With m[t] the mean of the
    samples one and two seasons before t, and e = (y - m) / level(m)^1/2,

        Q_q(j) = forecast(j) + level(j)^1/2 k e_q,    k = mean |error of the forecast| / mean |e|,

    both means in units of level^1/2. On the M4 hourly series the blend with it has 3 % less P95 loss.

    Args:
        values: (S, n), and ``observed`` its bool mask.
        period: the shortest season; two of them and more lie before the first origin.
        layout: the backtest's origins; e_q is learned anew for each fold from what is before it.
        tested: (S, O, horizon) backtest forecasts.
        final: (S, horizon) the forecast itself.
        levels: Q quantile levels.
    """
    lost = 2 * period
    plain = 0.5 * (values[:, period:-period] + values[:, :-lost])
    errors = (values[:, lost:] - plain) / np.sqrt(level_of(plain))
    known = observed[:, lost:]
    folds = np.searchsorted(layout.folds, np.arange(layout.folds[-1] + 1))
    ends = np.append(layout.origins[folds], values.shape[1]) - lost
    shape = np.stack([masked_quantiles(errors[:, :end], known[:, :end], levels) for end in ends], axis=1)
    usual = np.stack([masked_mean(np.abs(errors[:, :end]), known[:, :end], axis=1) for end in ends], axis=1)
    root = np.sqrt(level_of(tested))
    misses = np.abs(targets(values, layout) - tested) / root
    now = masked_mean(misses, targets(observed, layout), axis=(1, 2))
    shape *= (now[:, None] / np.maximum(usual, 1e-12))[..., None]
    each = shape[:, layout.folds][:, :, None, :]
    last = shape[:, -1:, :] * np.sqrt(level_of(final))[..., None]
    return Source("whole history's errors", tested[..., None] + root[..., None] * each, final[..., None] + last)


def _peak(forecast: Any, power: float, spread: Any) -> tuple[Any, Any]:
    """The forecast's maximum over the last axis, and the typical spread of a step there."""
    return forecast.max(axis=-1), np.sqrt(np.mean((level_of(forecast) ** power * spread) ** 2, axis=-1))


def _source(
    name: str, tested: tuple[Any, Any], final: tuple[Any, Any], truth: tuple[Any, Any], levels: Sequence[float]
) -> Source:
    """Quantiles of the errors; those tested on one half of the origins are learned from the other half."""
    centre, size = tested
    actual, observed = truth
    u = (actual - centre) / size
    said = np.empty((*centre.shape, len(levels)))
    middle = centre.shape[1] // 2
    halves = [(slice(0, middle), slice(middle, None)), (slice(middle, None), slice(0, middle))]
    for mine, others in halves if middle else [(slice(None), slice(None))]:
        shape = _pooled(u[:, others], observed[:, others], levels)
        said[:, mine] = centre[:, mine, :, None] + size[:, mine, :, None] * shape[:, None, None, :]
    centre, size = final
    return Source(name, said, centre[..., None] + size[..., None] * _pooled(u, observed, levels)[:, None, :])


def _pooled(u: Any, observed: Any, levels: Sequence[float]) -> Any:
    series = u.shape[0]
    return masked_quantiles(u.reshape(series, -1), observed.reshape(series, -1), levels)
