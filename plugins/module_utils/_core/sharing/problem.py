# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A division problem as arrays, and its answer.

Letters (n tasks, m resources; all arrays are float64)
    C_i    share of task i, in capacity units (accelerators, requests/s, ...)
    R_i    demand of task i: capacity units, or capacity-unit seconds of work for
           ``least_response_time`` (a share of C units then answers after R/C seconds)
    w_i    weight > 0, no unit
    l_i <= C_i <= u_i   floor and ceiling, capacity units
    a_ir   units of resource r that one unit of C_i takes, shape (n, m)
    Q_r    units of resource r there are

A resource is used in one of two ways. ``all``: a unit of share takes every resource the
task needs, sum_i a_ir C_i <= Q_r. ``any``: the resources are pools, and a unit of share
comes from any pool the task may use: C_i = sum_r y_ir, sum_i a_ir y_ir <= Q_r, y >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
STRATEGIES = ("least_response_time", "max_utilization", "max_min_fairness", "least_cost")
USES = ("all", "any")


@dataclass(frozen=True, eq=False)
class Instance:
    """What to divide among whom. Tasks are in the order of their names.

    ``demand`` and ``value`` are NaN where they were not given; ``ceiling`` is infinite
    where there is none. ``prices``: currency per unit of a resource. ``cost``: currency
    per unit of share beside that.
    """

    strategy: str
    use: str
    resources: tuple[str, ...]
    amounts: Array
    prices: Array
    names: tuple[str, ...]
    demand: Array
    weight: Array
    floor: Array
    ceiling: Array
    cost: Array
    value: Array
    needs: Array

    @property
    def reach(self) -> Array:
        """U_i, the share task i would have if it were alone; infinite when it needs nothing, shape (n,)."""
        taken = self.needs > 0
        alone = np.divide(self.amounts, self.needs, out=np.full(self.needs.shape, np.inf), where=taken)
        if self.use == "all":
            return alone.min(axis=1, initial=np.inf)
        return np.where(taken, alone, 0.0).sum(axis=1)

    def only(self, chosen: Array) -> Instance:
        """The same problem with the tasks of the boolean mask ``chosen`` alone."""
        picked = {name: getattr(self, name)[chosen] for name in ("demand", "weight", "floor", "ceiling", "cost")}
        names = tuple(name for name, kept in zip(self.names, chosen.tolist()) if kept)
        return replace(self, names=names, value=self.value[chosen], needs=self.needs[chosen], **picked)


@dataclass(frozen=True, eq=False)
class Division:
    """The answer of one strategy.

    Attributes:
        shares: C_i, shape (n,).
        prices: marginal value of one more unit of each resource, in units of the objective, shape (m,).
        unit_prices: what one unit of C_i costs the others at these prices, shape (n,).
        unit_values: what one more unit of C_i itself adds to the objective, shape (n,).
        method: how it was found, in words.
        residual: how far from proven optimal, relative: a Karush-Kuhn-Tucker residual or a duality gap.
        parts: y_ir, the share that comes from each pool, shape (n, m); None where resources are used together.
    """

    shares: Array
    prices: Array
    unit_prices: Array
    unit_values: Array
    method: str
    residual: float
    parts: Array = None


def per_unit(prices: Array, amounts: Array) -> Array:
    """Prices of whole resources as prices of one unit; 0 where there is nothing, shape (m,)."""
    return np.divide(prices, amounts, out=np.zeros(len(amounts)), where=amounts > 0)


def without_overuse(instance: Instance, parts: Array, shares: Array) -> tuple[Array, Array]:
    """Parts and shares where a pool that rounding or a solver's tolerance overused is brought back to its amount.

    Args:
        parts: y_ir, shape (n, m).
        shares: their sums, to be kept where no part is touched, shape (n,).
    """
    used = (parts * instance.needs).sum(axis=0)
    over = used > instance.amounts
    if not over.any():
        return parts, shares
    trimmed = parts * np.where(over, instance.amounts / np.where(over, used, 1.0), 1.0)
    return trimmed, np.where((parts[:, over] > 0).any(axis=1), trimmed.sum(axis=1), shares)
