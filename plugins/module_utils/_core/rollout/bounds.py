# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Exact bounds on a ratio of bad events, and how many requests it takes to reach one.

Clopper and Pearson (1934): with x bad of n, the upper bound at confidence 1 - a is the p at which
P(X <= x) = a, the 1 - a quantile of Beta(x + 1, n - x). For x = 0 it is 1 - a^(1/n).
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.numerics import library
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.settings import Settings

MOST_REQUESTS = 10_000_000
BASELINE_FACTOR = 2.0


@dataclass(frozen=True)
class Budget:
    """``count`` of the canary's ``requests`` are bad; at most ``bound`` of all may be, ``allowed`` is the most
    that is tolerated. ``lacking``: more requests, none bad, until the bound fits; None when out of reach."""

    count: int
    requests: int
    bound: float
    allowed: float
    lacking: int | None


def budget_of(count: int, requests: int, other: int, others: int, settings: Settings) -> Budget:
    """The budget of one kind of bad event.

    Args:
        count: the canary's, of ``requests``.
        other: the baseline's, of ``others``; twice its ratio is allowed where that is more than the budget.
    """
    own_ratio = other / others if others else 0.0
    allowed = min(1.0, max(settings.budget, BASELINE_FACTOR * own_ratio))
    wanted = requests_for(count, allowed, settings.confidence)
    lacking = None if wanted is None else max(0, wanted - requests)
    return Budget(count, requests, upper_bound(count, requests, settings.confidence), allowed, lacking)


def upper_bound(bad: int, requests: int, confidence: float = 0.95) -> float:
    """The Clopper-Pearson upper bound of the ratio of bad requests; 1 when nothing was asked."""
    if requests <= 0 or bad >= requests:
        return 1.0
    special = library("scipy.special")
    return float(special.betaincinv(bad + 1, requests - bad, confidence))


def requests_for(bad: int, bound: float, confidence: float = 0.95) -> int | None:
    """The fewest requests, ``bad`` of them bad, whose upper bound is at most ``bound``; None when out of reach."""
    if bound <= 0 or upper_bound(bad, MOST_REQUESTS, confidence) > bound:
        return None
    low, high = bad, MOST_REQUESTS
    while high - low > 1:
        middle = (low + high) // 2
        if upper_bound(bad, middle, confidence) <= bound:
            high = middle
        else:
            low = middle
    return high
