# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How much of what was counted is sure to be demand.

A rate seen over t seconds is a count N = rate x t, and a count scatters also where
demand does not: its standard deviation is about sqrt(N), a third of it at N = 9. A guard that
takes such a count as it is, and keeps the largest of several for a while, plans for the
noise. The square root of a Poisson count has a standard deviation of 1/2 whatever its mean
(Bartlett 1936, Anscombe 1948), so demand is above

    (sqrt(N) - z / 2)^2 / t

with z = 1 in five of six looks. At N = 1000 this takes 3 % off, at N = 25 it takes 19 %.

A quantile of forecast counts holds the same scatter, beside what is not known of demand. The
two are independent, so their squares add: above the median m, at level p of the largest
of n steps, chance alone would be z sqrt(m / t) with z the normal quantile of p^(1/n), and what is
left of a distance d is sqrt(d^2 - z^2 m / t), at least 0. At m t = 1000 and p = 0.95
a distance of 10 % becomes 8.5 %, one of 5 % becomes 0. Arrivals that scatter more than Poisson's keep the rest.
"""

from __future__ import annotations

import math
from statistics import NormalDist

SURE = 1.0  # z, standard deviations


def surely_seen(requests_per_second: float, seconds: float) -> float:
    """The rate that demand is above, requests/s; ``seconds`` 0 takes the rate as exact."""
    if seconds <= 0:
        return requests_per_second
    root = math.sqrt(requests_per_second * seconds) - SURE / 2.0
    return max(0.0, root) ** 2 / seconds


def beyond_chance(rate: float, median: float, level: float, *, steps: int, seconds: float) -> float:
    """A forecast quantile without the scatter of counts, requests/s.

    Args:
        rate: the quantile at ``level`` of the largest count of ``steps`` steps, requests/s.
        median: of one step, requests/s.
        seconds: length of a step.
    """
    distance = rate - median
    single = min(level ** (1.0 / steps), 1.0 - 1e-12)
    z = NormalDist().inv_cdf(single) if single > 0.5 else 0.0
    if distance <= 0 or z <= 0:
        return rate
    return median + math.sqrt(max(0.0, distance * distance - z * z * median / seconds))
