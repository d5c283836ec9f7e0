# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Single spikes that belong to nothing: kept from the candidates, not from the intervals.

A sample is compared with m, the median of its two neighbours in time and its two
neighbours in the shortest season. It is a spike when it rises above m by many times the
usual deviation (median absolute deviation over the series), and by half that height
above both neighbours in time and all but one neighbour in the seasons: a burst has
neighbours, a daily or weekly batch job comes back. The candidates see m in its place;
errors are still measured against what happened, so the interval knows of spikes.

Source: Hampel (1974), JASA 69, 383-393, with seasonal neighbours.
"""

from __future__ import annotations

from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

DEVIATIONS = 12.0
# A spike also stands out by this share of the series' mean.
LEAST_HEIGHT = 0.5
# It is a burst or a batch job when this share of its height is not above its neighbours too.
ALONE = 0.5


def without_spikes(values: Any, periods: tuple[int, ...]) -> Any:
    """``values`` (S, n) with single spikes replaced; the same array where there are none.

    Args:
        values: mean about 1, without gaps.
        periods: seasons in steps, ascending; two steps stand in where there is none.
    """
    length = values.shape[1]
    season = periods[0] if periods else 2
    if length <= 2 * season:
        return values
    lags = (1, season, *(period for period in periods[1:] if 2 * period < length))
    around = values[:, np.stack([side for lag in lags for side in _both_sides(length, lag)])]
    nearest = np.sort(around[:, :4], axis=1)
    usual = 0.5 * (nearest[:, 1] + nearest[:, 2])
    height = values - usual
    scale = 1.4826 * np.median(np.abs(height), axis=1, keepdims=True)
    # one neighbour in the seasons may be a spike of its own
    alike = np.maximum(around[:, :2].max(axis=1), np.sort(around[:, 2:], axis=1)[:, -2])
    spikes = (height > DEVIATIONS * scale) & (height > LEAST_HEIGHT) & (values - alike > ALONE * height)
    return np.where(spikes, usual, values) if spikes.any() else values


def _both_sides(length: int, lag: int) -> tuple[Any, Any]:
    """The indices (n,) ``lag`` before and after each; at the ends, two on the side that is there."""
    where = np.arange(length)
    before, after = where - lag, where + lag
    # a history of less than three seasons has but one neighbour there, which then counts twice
    further = 2 * lag if 3 * lag <= length else lag
    return np.where(before >= 0, before, where + further), np.where(after < length, after, where - further)
