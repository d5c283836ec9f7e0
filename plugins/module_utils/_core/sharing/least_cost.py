# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Cheapest capacity that serves everybody: pools with prices and limits.

    minimise    sum_ir (k_r a_ir + c_i) y_ir  +  sum_i v_i (d_i - C_i)  over tasks with a value
    subject to  C_i = sum_r y_ir,  sum_i a_ir y_ir <= Q_r,  y >= 0
                C_i = d_i        for a task without a value
                l_i <= C_i <= d_i for a task with one: beyond its floor it is served only where that pays

k_r: currency per unit of pool r; c_i: currency per unit of share; d_i = min(demand,
ceiling), never below the floor l_i; without a demand, the floor. When the pools do not
hold all that must be served, what must be served is first cut as the floors are, by
weighted max-min of the served fraction, and the rest is bought at least cost.

Marginal values, currency per unit: what one more unit of a pool saves; what one more
unit of a task's demand would cost.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.linear_programme import best_use
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.problem import (
    Division,
    Instance,
    per_unit,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.routes import build_routes

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


def least_cost(instance: Instance, lower: Array, upper: Array) -> Division:
    """The shares and where to buy them.

    Args:
        lower: what must be served, cut to what the pools hold, capacity units, shape (n,).
        upper: what may be served, shape (n,).
    """
    routes = build_routes(instance)
    reach = routes.reach
    low, high = lower / reach, upper / reach
    values = route_values(instance, routes.task, routes.pool) * routes.gain * reach[routes.task]
    best = best_use(routes, values, low, high)
    parts = routes.parts(instance.amounts, best.ways)
    bought = parts.sum(axis=1)
    shares = np.clip(bought, lower, upper)
    worth = np.nan_to_num(instance.value)
    return Division(
        shares=shares,
        prices=per_unit(best.prices, instance.amounts),
        unit_prices=worth - best.margins / reach,
        unit_values=worth,
        method="linear programme",
        residual=best.gap / (float(np.abs(values) @ best.ways) or 1.0),
        parts=parts * np.divide(shares, bought, out=np.ones(len(bought)), where=bought > 0)[:, None],
    )


def route_values(instance: Instance, task: Array, pool: Array) -> Array:
    """Value less cost of one unit of share by each route, currency, shape (p,)."""
    bought = instance.prices[pool] * instance.needs[task, pool] + instance.cost[task]
    return np.nan_to_num(instance.value)[task] - bought
