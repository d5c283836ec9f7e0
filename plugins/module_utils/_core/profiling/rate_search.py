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
    failed = [one.rate for one in levels if not one.holds(quantile)]
    if not failed:
        return min(most, 2 * max(held))
    if not held:
        return min(failed) / 2
    below, above = max(held), min(failed)
    if above / below > CLOSE:
        return math.sqrt(below * above)
    centre = likely_capacity(levels, quantile) or math.sqrt(below * above)
    return min(most, centre * AROUND[len(levels) % len(AROUND)])
