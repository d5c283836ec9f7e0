# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which rate to try next: double until the SLO fails, close in, then go over the knee again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.capacity_fit import (
    Level,
    likely_capacity,
)

CLOSE = 1.12
# Around the estimate, in turn: below, at and above the knee, where levels say most about it.
AROUND = (0.94, 1.0, 1.06, 0.88, 1.12)
_FIRST_SHARE = 0.4
# Rates that differ by less are one rate: arrivals are random.
_ALIKE = 0.15


def next_rate(levels: Sequence[Level], quantile: float, *, lone_seconds: float, most: float) -> float:
    """Requests a second to try.

    Args:
        levels: what was tried, in order.
        quantile: that of the SLO.
        lone_seconds: what one request takes alone; the first rate keeps one slot busy for a part of the time.
        most: never more.
    """
    if not levels:
        return min(most, _FIRST_SHARE / lone_seconds)
    held = [one.rate for one in levels if one.holds(quantile)]
    # A rate at which less than a rate that held seems to fail was disturbed by something else.
    failed = [one.rate for one in levels if not one.holds(quantile) and one.rate > max(held, default=0.0)]
    last = levels[-1]
    if _doubtful(last, quantile) and not any(_like(last, one) for one in levels[:-1]) and _open(held, failed):
        return last.rate
    if not failed:
        return min(most, 2 * max(held, default=last.rate))
    if not held:
        return min(failed) / 2
    failed = failed or [CLOSE * max(held)]
    below, above = max(held), min(failed)
    if above / below > CLOSE:
        return math.sqrt(below * above)
    centre = likely_capacity(levels, quantile) or math.sqrt(below * above)
    return min(most, centre * AROUND[len(levels) % len(AROUND)])


def _doubtful(level: Level, quantile: float) -> bool:
    """A level that fails by little: overload makes most answers late, a stall of the machine some."""
    return not level.holds(quantile) and level.good >= 0.5 * level.sent


def _like(one: Level, other: Level) -> bool:
    return abs(one.rate / other.rate - 1) < _ALIKE


def _open(held: Sequence[float], failed: Sequence[float]) -> bool:
    """Whether the capacity is not closely enclosed yet."""
    return not held or not failed or min(failed) / max(held) > CLOSE
