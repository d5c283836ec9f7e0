# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Single spikes that belong to nothing: kept from the candidates, not from the intervals.

A sample is compared with the median m of its two neighbours in time and its two
neighbours one season away. It is a spike when it rises above m by many times the usual
deviation (median absolute deviation over the series), and so stands alone in both
directions: a burst has neighbours, a daily batch job comes back. The candidates see m in
its place; errors are still measured against what happened, so the interval knows of spikes.

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


def without_spikes(values: Any, periods: tuple[int, ...]) -> Any:
    """``values`` (S, n) with single spikes replaced; the same array where there are none.

    Args:
        values: mean about 1, without gaps.
        periods: seasons in steps; the first is used, or two steps where there is none.
    """
    length = values.shape[1]
    season = periods[0] if periods else 2
    if length <= 2 * season:
        return values
    where = np.arange(length)
    # at the ends the neighbour on the other side counts twice
    around = [np.abs(where - 1), length - 1 - np.abs(length - 1 - (where + 1))]
    around += [np.where(where >= season, where - season, where + season)]
    around += [np.where(where + season < length, where + season, where - season)]
    near = np.sort(values[:, np.stack(around)], axis=1)
    usual = 0.5 * (near[:, 1] + near[:, 2])
    height = values - usual
    scale = 1.4826 * np.median(np.abs(height), axis=1, keepdims=True)
    spikes = (height > DEVIATIONS * scale) & (height > LEAST_HEIGHT)
    return np.where(spikes, usual, values) if spikes.any() else values
