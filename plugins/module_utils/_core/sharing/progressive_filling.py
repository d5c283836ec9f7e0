# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Several resources used together: raise one level until a resource is full, freeze its users, go on.

    C_i(t) = min(u_i, max(l_i, s_i t));   resource r is full at the largest t with
    sum_{frozen} a_ir C_i + sum_{others} a_ir C_i(t) <= Q_r.

The first full resource freezes every task that needs it. Each round fills at least one
resource, so there are at most m rounds of closed forms: exact, O(m^2 n log n). The
outcome is the lexicographic max-min of C_i/s_i: no task can gain without another, no
better off, losing.

With s_i = w_i / max_r(a_ir / Q_r) it is weighted dominant resource fairness (Ghodsi et
al., Dominant Resource Fairness, NSDI 2011).
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.water_filling import (
    shares_at,
    slope_after,
    water_level,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


def progressive_filling(
    rates: Array, lower: Array, upper: Array, needs: Array, amounts: Array
) -> tuple[Array, Array, float]:
    """Shares of weighted max-min fairness.

    Args:
        rates: s_i > 0, shape (n,).
        lower, upper: bounds of the shares; the lower ones fit into ``amounts`` together, shape (n,).
        needs: a_ir >= 0, shape (n, m); every task needs something.
        amounts: Q_r, shape (m,).

    Returns:
        ``shares`` (n,); ``prices`` (m,), by how much the first level that was reached rises with one more unit
        of each resource; and that ``level``, infinite when all tasks reach their ceilings.
    """
    shares = np.array(lower, dtype=float)
    prices = np.zeros(len(amounts))
    left = np.array(amounts, dtype=float)
    waiting = np.ones(len(rates), dtype=bool)
    first_level = np.inf
    while waiting.any():
        levels = np.full(len(amounts), np.inf)
        for resource in range(len(amounts)):
            users = waiting & (needs[:, resource] > 0)
            if users.any():
                levels[resource] = water_level(
                    rates[users], lower[users], upper[users], needs[users, resource], left[resource]
                )
        level = float(levels.min())
        if np.isinf(level):
            shares[waiting] = upper[waiting]
            break
        full = levels <= level
        if np.isinf(first_level):
            first_level = level
            for resource in np.flatnonzero(full).tolist():
                slope = slope_after(level, rates, lower, upper, needs[:, resource])
                prices[resource] = 1.0 / slope if slope > 0 else 0.0
        frozen = waiting & (needs[:, full] > 0).any(axis=1)
        shares[frozen] = shares_at(level, rates[frozen], lower[frozen], upper[frozen])
        left = np.maximum(left - shares[frozen] @ needs[frozen], 0.0)
        waiting &= ~frozen
    return shares, prices / max(1, int((prices > 0).sum())), first_level
