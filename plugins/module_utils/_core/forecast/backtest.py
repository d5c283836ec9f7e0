# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Rolling-origin backtest: which origins, and how a forecast is scored.

The parameters are frozen at the head, the samples before the first origin, so
every scored forecast is of the future. Up to 8 windows of the true horizon end at
the last sample; 16 origins are spread evenly over them, which meets different
phases of the season (24 cost half as much again and forecast no better). Source: Tashman (2000), Int. J. Forecasting 16, 437-450.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

MAX_WINDOWS = 8
MAX_ORIGINS = 16
# At least this share of the history, and this many samples, stay before the first origin.
HEAD_SHARE = 0.4
MINIMUM_HEAD = 8


@dataclass(frozen=True)
class Layout:
    """Where the backtest forecasts from.

    Attributes:
        origins: (O,) ascending; the first forecast step of each.
        windows: how many windows of the horizon fit without overlap.
        horizon: steps ahead, as in the real forecast.
        folds: (O,) which of the ``windows`` consecutive folds an origin belongs to.
    """

    origins: Any
    windows: int
    horizon: int
    folds: Any

    @property
    def head(self) -> int:
        return int(self.origins[0])


def lay_out(length: int, horizon: int, periods: tuple[int, ...]) -> Layout | None:
    """The origins for a history of ``length`` samples, or None where not one window fits."""
    need = max(MINIMUM_HEAD, 2 * periods[0] if periods else 0)
    windows = (length - max(need, int(HEAD_SHARE * length))) // horizon
    windows = min(MAX_WINDOWS, max(windows, 1))
    if length - windows * horizon < need:
        return None
    first, last = length - windows * horizon, length - horizon
    count = min(MAX_ORIGINS, last - first + 1)
    origins = np.round(np.linspace(first, last, count)).astype(np.int64)
    return Layout(origins, windows, horizon, np.arange(count) * windows // count)


def targets(values: Any, layout: Layout) -> Any:
    """(S, O, horizon) of what happened after each origin."""
    return values[:, layout.origins[:, None] + np.arange(layout.horizon)[None, :]]


def masked_mean(values: Any, mask: Any, axis: Any) -> Any:
    """Mean over the entries where ``mask`` holds; 0 where there are none."""
    return (values * mask).sum(axis=axis) / np.maximum(mask.sum(axis=axis), 1)


def naive_scale(values: Any, observed: Any, period: int) -> Any:
    """(S,) the denominator of MASE: mean |y[t] - y[t-period]| over pairs both observed."""
    both = observed[:, period:] & observed[:, :-period]
    return masked_mean(np.abs(values[:, period:] - values[:, :-period]), both, axis=1)


def pinball(actual: Any, quantile: Any, level: Any) -> Any:
    """Elementwise pinball loss, max(q d, (q - 1) d) with d = actual - quantile; ``level`` q may be an array too."""
    gap = actual - quantile
    return np.maximum(level * gap, (level - 1.0) * gap)
