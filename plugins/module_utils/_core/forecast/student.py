# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Student's t against the normal, in closed form, so that no statistics library is imported for one number."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist


def t_cdf(x: float, degrees: int) -> float:
    """P(T <= x) for integer degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(x / math.sqrt(degrees))
    cosine2 = math.cos(angle) ** 2
    if degrees % 2:
        series, term = 0.0, math.cos(angle)
        for k in range(1, (degrees - 1) // 2 + 1):
            series += term
            term *= cosine2 * 2 * k / (2 * k + 1)
        middle = (angle + math.sin(angle) * series) * 2.0 / math.pi
    else:
        series, term = 0.0, 1.0
        for k in range(1, degrees // 2 + 1):
            series += term
            term *= cosine2 * (2 * k - 1) / (2 * k)
        middle = math.sin(angle) * series
    return 0.5 + 0.5 * middle


@cache
def t_quantile(level: float, degrees: int) -> float:
    """The ``level`` quantile of Student's t, by bisection of :func:`t_cdf`."""
    if level < 0.5:
        return -t_quantile(1.0 - level, degrees)
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < level and high < 1e9:
        high *= 2.0
    for _halving in range(200):
        middle = 0.5 * (low + high)
        if t_cdf(middle, degrees) < level:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def tail_allowance(level: float, windows: int) -> float:
    """How much further out a quantile lies when only ``windows`` independent windows were seen; at least 1."""
    z = NormalDist().inv_cdf(level)
    return 1.0 if abs(z) < 1e-6 else max(1.0, t_quantile(level, max(windows, 1)) / z)
