# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One resource, one rising level: the closed form behind three strategies.

Each share follows a common level t at its own rate s_i between its bounds,

    C_i(t) = min(u_i, max(l_i, s_i t)),     g(t) = sum_i a_i C_i(t),

and t is the largest level with g(t) = Q; infinite when all ceilings together leave some
of Q. g rises, and is linear between the 2n points l_i/s_i and u_i/s_i: the right piece
is found by bisection over the sorted points, the level on it by division, exactly.
O(n log n), no loop over tasks.

With s_i = w_i it is weighted max-min fairness (Bertsekas and Gallager, Data Networks,
2nd ed. 1992, section 6.5.2), with s_i = sqrt(w_i R_i / a_i) the square-root assignment
of capacity (Kleinrock, Communication Nets, 1964).
"""

from __future__ import annotations

from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


def water_level(rates: Array, lower: Array, upper: Array, needs: Array, amount: float) -> float:
    """The largest t with g(t) <= ``amount``.

    Args:
        rates: s_i >= 0, shape (n,); a task of rate 0 stays at its lower bound.
        lower, upper: bounds of the shares, capacity units, 0 <= l_i <= u_i <= infinity, shape (n,).
        needs: a_i > 0, resource units per unit of share, shape (n,).
        amount: Q, resource units; sum a_i l_i <= Q up to rounding.

    Returns:
        The level, in share per rate; infinite when no level uses more than ``amount``.
    """
    rising = rates > 0
    starts = np.divide(lower, rates, out=np.full(rates.shape, np.inf), where=rising)
    ends = np.divide(upper, rates, out=np.full(rates.shape, np.inf), where=rising)
    points = np.concatenate(([0.0], starts[np.isfinite(starts)], ends[np.isfinite(ends)]))
    points.sort()

    shares = np.empty(len(rates))  # one buffer: a new array for each level would cost more than the sums

    def used(level: float) -> float:
        np.multiply(rates, level, out=shares)
        np.maximum(shares, lower, out=shares)
        np.minimum(shares, upper, out=shares)
        return float(needs @ shares)

    first, last = -1, len(points)
    while last - first > 1:  # the last point that does not use too much
        middle = (first + last) // 2
        first, last = (middle, last) if used(points[middle]) <= amount else (first, middle)
    below = float(points[max(first, 0)])
    above = float(points[last]) if last < len(points) else np.inf
    free = (starts <= below) & (ends >= above) & (ends > below)
    slope = float((needs * rates)[free].sum())
    if slope <= 0:
        return above if first >= 0 else 0.0
    fixed = float((needs * shares_at(below, rates, lower, upper))[~free].sum())
    return float(np.clip((amount - fixed) / slope, below, above))


def shares_at(level: float, rates: Array, lower: Array, upper: Array) -> Array:
    """C_i at a level, which may be infinite, shape (n,)."""
    if np.isinf(level):
        return np.where(rates > 0, upper, lower)
    return np.clip(level * rates, lower, upper)


def slope_after(level: float, rates: Array, lower: Array, upper: Array, needs: Array) -> float:
    """How fast g rises just above the level, resource units per unit of level."""
    moving = (level * rates >= lower) & (level * rates < upper) if np.isfinite(level) else np.zeros(len(rates), bool)
    return float((needs * rates)[moving].sum())
