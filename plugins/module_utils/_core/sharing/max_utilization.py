# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Most capacity used, weighted: maximise sum_i w_i v_i C_i.

v_i is the value of a unit of share (1 unless given), so the objective is capacity units,
or currency, times weight. The ceiling of a task is its demand. One resource: shares go
to the tasks in falling order of density w_i v_i / a_i, up to their ceilings; the tasks
at the density where the capacity ends divide what is left by weighted max-min fairness.
Several resources: a linear programme.

Marginal values: the density at which capacity ends, for the resource; w_i v_i less the
price of what the share takes, for a ceiling, and the opposite for a floor.

Source: the continuous knapsack (Dantzig, Discrete-variable extremum problems, 1957).
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
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.water_filling import (
    shares_at,
    water_level,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


def worth(instance: Instance) -> Array:
    """w_i v_i, objective per unit of share, shape (n,)."""
    return instance.weight * np.where(np.isnan(instance.value), 1.0, instance.value)


def max_utilization(instance: Instance, lower: Array, upper: Array) -> Division:
    """The shares of greatest weighted use.

    Args:
        lower, upper: bounds of the shares, capacity units; the lower ones fit together, shape (n,).
    """
    if len(instance.resources) == 1:
        return _by_density(instance, lower, upper)
    routes = build_routes(instance)
    reach, each = routes.reach, worth(instance)
    values = (each * reach)[routes.task] * routes.gain
    low, high = lower / reach, upper / reach
    best = best_use(routes, values, low, high)
    return Division(
        shares=np.clip((routes.share @ best.ways) * reach, lower, upper),
        prices=per_unit(best.prices, instance.amounts),
        unit_prices=each - best.margins / reach,
        unit_values=each,
        method="linear programme",
        residual=best.gap / (float(np.abs(values) @ best.ways) or 1.0),
        parts=routes.parts(instance.amounts, best.ways),
    )


def _by_density(instance: Instance, lower: Array, upper: Array) -> Division:
    needs, amount = instance.needs[:, 0], float(instance.amounts[0])
    upper = np.minimum(upper, np.maximum(amount / needs, lower))  # nobody can have more
    each = worth(instance)
    density = each / needs
    levels, group = np.unique(-density, return_inverse=True)
    group = group.reshape(-1)
    more = np.bincount(group, weights=needs * (upper - lower), minlength=len(levels))
    left = amount - float(needs @ lower)
    filled = np.cumsum(more) <= left
    last = int(filled.sum())  # the group in which the capacity ends
    shares: Array = np.where(group < last, upper, lower)
    price = 0.0
    if last < len(levels):
        tied = group == last
        rest = amount - float((needs * shares)[~tied].sum())
        rates = instance.weight[tied]
        level = water_level(rates, lower[tied], upper[tied], needs[tied], max(rest, 0.0))
        shares[tied] = shares_at(level, rates, lower[tied], upper[tied])
        price = float(-levels[last])
    margins = each - needs * price
    bound = amount * price + float(np.maximum(lower * margins, upper * margins).sum())
    gap = abs(bound - float(each @ shares)) / (bound or 1.0)
    parts = shares[:, None].copy() if instance.use == "any" else None
    return Division(shares, np.array([price]), needs * price, each, "falling order of density", gap, parts)
