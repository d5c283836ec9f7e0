# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Weighted max-min fairness: the smallest share over weight is as large as can be, then the next, and so on.

    one resource            level t: C_i = min(u_i, max(l_i, w_i t)), sum_i a_i C_i = Q
    several, used together  dominant share: C_i max_r(a_ir / Q_r) / w_i is levelled
    pools                   C_i / w_i is levelled, each share from any pools; a pool whose tasks
                            may use no other is one resource by itself

Nobody can be given more without taking from someone who has no more. Units: the level
is capacity units per weight, or the share (0..1) of a dominant resource per weight.

Sources: Bertsekas and Gallager, Data Networks, 2nd ed. 1992, section 6.5.2; Ghodsi et
al., Dominant Resource Fairness, NSDI 2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.lexicographic import (
    lexicographic_max_min,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.linear_programme import best_use
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.problem import (
    Division,
    Instance,
    per_unit,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.progressive_filling import (
    progressive_filling,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.routes import build_routes

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
WAITING = 1e-9


@dataclass(frozen=True, eq=False)
class Filling:
    """Shares at the common level, and the marginal values of that level."""

    shares: Array
    level: float
    prices: Array
    unit_prices: Array
    method: str


def fill(instance: Instance, rates: Array, lower: Array, upper: Array) -> Filling:
    """Raise all shares together, C_i = s_i t between their bounds.

    Args:
        rates: s_i > 0, capacity units per unit of level, shape (n,).
        lower, upper: capacity units; the lower ones fit together, shape (n,).
    """
    if instance.use == "all" or len(instance.resources) == 1:
        shares, prices, level = progressive_filling(rates, lower, upper, instance.needs, instance.amounts)
        method = "water filling" if len(instance.resources) == 1 else "progressive filling of dominant shares"
        return Filling(shares, level, prices, instance.needs @ prices, method)
    if _one_pool_each(instance):
        return _pool_by_pool(instance, rates, lower, upper)
    routes = build_routes(instance)
    reach = routes.reach
    found = lexicographic_max_min(routes, rates / reach, lower / reach, upper / reach)
    prices = per_unit(found.prices, instance.amounts)
    method = f"lexicographic max-min over pools, {found.programmes} linear programmes"
    return Filling(found.shares * reach, found.level, prices, found.unit_prices / reach, method)


def _one_pool_each(instance: Instance) -> bool:
    return bool(((instance.needs > 0).sum(axis=1) == 1).all())


def _pool_by_pool(instance: Instance, rates: Array, lower: Array, upper: Array) -> Filling:
    """Each pool is filled by itself; the lowest of their levels is the one that prices speak of."""
    shares, prices, least = np.array(lower, dtype=float), np.zeros(len(instance.resources)), np.inf
    for r in range(len(instance.resources)):
        mine = instance.needs[:, r] > 0
        if not mine.any():
            continue
        found, price, level = progressive_filling(
            rates[mine], lower[mine], upper[mine], instance.needs[mine, r : r + 1], instance.amounts[r : r + 1]
        )
        shares[mine] = found
        if level < least:
            least, prices = level, np.where(np.arange(len(prices)) == r, price[0], 0.0)
    return Filling(shares, least, prices, instance.needs @ prices, "water filling, pool by pool")


def max_min_fairness(instance: Instance, lower: Array, upper: Array) -> Division:
    """Weighted max-min fair shares.

    Args:
        lower, upper: bounds of the shares, capacity units; the lower ones fit together, shape (n,).

    Returns:
        Prices say by how much the level rises with one more unit; a ceiling has a negative marginal value, since a
        higher ceiling takes from the others.
    """
    rates = instance.weight
    together = instance.use == "all" and len(instance.resources) > 1
    if together:
        rates = rates * instance.reach
    filling = fill(instance, rates, lower, upper)
    parts = place(instance, filling.shares)
    return Division(
        shares=filling.shares,
        prices=filling.prices,
        unit_prices=filling.unit_prices,
        unit_values=np.zeros(len(rates)),
        method=filling.method,
        residual=bottleneck_residual(instance, filling.shares, parts, upper),
        parts=parts,
    )


def bottleneck_residual(instance: Instance, shares: Array, parts: Array, upper: Array) -> float:
    """How far the resources are from what max-min fairness demands, as a share of a resource.

    None is overused, and a task below its ceiling has a bottleneck: a full resource among those it needs, or all of
    the pools it may use full (Bertsekas and Gallager, section 6.5.2).
    """
    used = shares @ instance.needs if parts is None else (parts * instance.needs).sum(axis=0)
    idle = 1.0 - np.divide(used, instance.amounts, out=np.ones(len(used)), where=instance.amounts > 0)
    needed = instance.needs > 0
    fullest, emptiest = np.where(needed, idle, np.inf).min(axis=1), np.where(needed, idle, -np.inf).max(axis=1)
    left = fullest if parts is None else emptiest
    waiting = shares < upper * (1.0 - WAITING)
    return max(float(left[waiting].max(initial=0.0)), float((-idle).max()), 0.0)


def place(instance: Instance, shares: Array) -> Array:
    """Which pool gives how much of each share, shape (n, m); None for resources used together."""
    if instance.use == "all":
        return None
    if len(instance.resources) == 1:
        return shares[:, None].copy()
    if _one_pool_each(instance):
        return np.where(instance.needs > 0, shares[:, None], 0.0)
    routes = build_routes(instance)
    wanted = shares / routes.reach
    ways = best_use(routes, np.zeros(len(routes.task)), wanted, wanted).ways
    parts = routes.parts(instance.amounts, ways)
    total = parts.sum(axis=1)
    return parts * np.divide(shares, total, out=np.zeros(len(shares)), where=total > 0)[:, None]
