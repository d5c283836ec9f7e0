# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How demand moves: whether there is something to follow, and whether it repeats from day to day.

With x_t the demand of step t in replicas at full rate, over all models, and d the steps of a day:

- ``peak_over_trough``: of the hourly means that are replayed, the 95 % over the 5 % quantile. 1 is flat.
- ``repeats``: 1 - sum |x_t - x_(t-d)| / sum |x_t - mean x| over the steps that are replayed and have a day before: 1 when
  each day is as the last, 0 when yesterday tells no more than the mean does, below 0 when it tells less.
"""

from __future__ import annotations

from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
DAY_SECONDS, HOUR_SECONDS = 86_400.0, 3600.0
FLAT = 1.5  # peak over trough below which demand is called flat
NO_RHYTHM = 0.2  # repeats below which yesterday is called no guide


def rhythm(before: Array, replayed: Array, step_seconds: float) -> dict[str, float | None]:
    """Both figures; None where nothing moves, or where no day lies before."""
    width = max(1, round(HOUR_SECONDS / step_seconds))
    whole = len(replayed) // width * width
    hours = replayed[:whole].reshape(-1, width).mean(axis=1) if whole else replayed
    low, high = (float(one) for one in np.quantile(hours, (0.05, 0.95)))
    return {
        "peak_over_trough": high / low if low > 0 else None,
        "repeats": _repeats(np.concatenate([before, replayed]), len(before), round(DAY_SECONDS / step_seconds)),
    }


def _repeats(values: Array, first: int, day: int) -> float | None:
    begin = max(first, day)
    if begin >= len(values):
        return None
    now = values[begin:]
    moved = float(np.abs(now - now.mean()).sum())
    return None if moved <= 0 else 1.0 - float(np.abs(now - values[begin - day : len(values) - day]).sum()) / moved
