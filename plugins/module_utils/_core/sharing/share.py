# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One division from beginning to end: bounds, overload, strategy, and what was found for each task.

Tasks that need no deciding are set aside first: those that can have nothing (no amount
of something they need, a ceiling of 0) and those that take nothing of any resource.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.least_cost import least_cost
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.least_response_time import (
    least_response_time,
    response_slopes,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.max_min_fairness import max_min_fairness
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.max_utilization import (
    max_utilization,
    worth,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.overload import cut_to_fit
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.problem import (
    Division,
    Instance,
    without_overuse,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
SOLVERS = {
    "least_response_time": least_response_time,
    "max_utilization": max_utilization,
    "max_min_fairness": max_min_fairness,
    "least_cost": least_cost,
}
AT_BOUND = 1e-9


@dataclass(frozen=True, eq=False)
class Shares:
    """What was divided and how it came out; arrays are in the order of the instance's tasks.

    Attributes:
        division: shares, prices and parts of all tasks.
        must: what every task had to be given if it could be, shape (n,).
        lower, upper: the bounds that held, shape (n,).
        binding: "floor", "ceiling" or "none" for each task.
        marginal: what the objective gains when the binding bound gives way by a unit, shape (n,).
        objective: its value; NaN when it has none.
        used: units of each resource, shape (m,).
    """

    instance: Instance
    division: Division
    must: Array
    lower: Array
    upper: Array
    binding: tuple[str, ...]
    marginal: Array
    objective: float
    used: Array


def divide(instance: Instance) -> Shares:
    """Divide what there is by the instance's strategy. Never infeasible: what does not fit is cut."""
    must, upper = _bounds(instance)
    reach = instance.reach
    active = (reach > 0) & np.isfinite(reach) & (upper > 0)
    lower = np.where(active | np.isinf(reach), must, 0.0)
    division = _set_aside(instance, np.where(np.isinf(reach), upper, 0.0))
    if active.any():
        some = instance.only(active)
        lower[active] = cut_to_fit(some, some.floor, np.zeros(len(some.names)))
        if instance.strategy == "least_cost":
            lower[active] = cut_to_fit(some, must[active], lower[active])
        division = _merge(instance, division, active, SOLVERS[instance.strategy](some, lower[active], upper[active]))
    wanting = (reach <= 0) & (upper > 0)
    unpriced = (instance.amounts <= 0) & (instance.needs[wanting] > 0).any(axis=0)
    division = replace(division, prices=np.where(unpriced, np.nan, division.prices))
    binding, marginal = _binding(division, lower, upper, active)
    return Shares(
        instance,
        division,
        must,
        lower,
        upper,
        binding,
        marginal,
        _objective(instance, division, upper),
        _used(instance, division),
    )


def _bounds(instance: Instance) -> tuple[Array, Array]:
    """What each task must have and may have, capacity units. A floor above the demand is kept as a reserve."""
    if instance.strategy == "least_response_time":
        return np.array(instance.floor), np.array(instance.ceiling)
    wanted = instance.demand
    if instance.strategy == "least_cost":
        wanted = np.where(np.isnan(wanted), instance.floor, wanted)
        target = np.maximum(np.minimum(instance.ceiling, wanted), instance.floor)
        return np.where(np.isnan(instance.value), target, instance.floor), target
    upper = np.fmin(instance.ceiling, wanted)
    return np.array(instance.floor), np.maximum(upper, instance.floor)


def _unit_values(instance: Instance, shares: Array) -> Array:
    if instance.strategy == "least_response_time":
        return response_slopes(instance, shares)
    if instance.strategy == "max_utilization":
        return worth(instance)
    return np.nan_to_num(instance.value) if instance.strategy == "least_cost" else np.zeros(len(shares))


def _set_aside(instance: Instance, shares: Array) -> Division:
    """The division in which everybody has what needs no deciding."""
    count, resources = instance.needs.shape
    return Division(
        shares=shares,
        prices=np.zeros(resources),
        unit_prices=np.zeros(count),
        unit_values=_unit_values(instance, shares),
        method="nothing to decide",
        residual=0.0,
        parts=np.zeros((count, resources)) if instance.use == "any" else None,
    )


def _merge(instance: Instance, whole: Division, active: Array, part: Division) -> Division:
    def put(old: Array, new: Array) -> Array:
        if old is None or new is None:
            return old
        merged = np.array(old)
        merged[active] = new
        return merged

    shares, parts = put(whole.shares, part.shares), put(whole.parts, part.parts)
    if parts is not None:
        parts, shares = without_overuse(instance, parts, shares)
    return Division(
        shares=shares,
        prices=part.prices,
        unit_prices=put(whole.unit_prices, part.unit_prices),
        unit_values=put(whole.unit_values, part.unit_values),
        method=part.method,
        residual=part.residual,
        parts=parts,
    )


def _binding(division: Division, lower: Array, upper: Array, active: Array) -> tuple[tuple[str, ...], Array]:
    shares = division.shares
    with np.errstate(invalid="ignore"):
        pull = np.nan_to_num(division.unit_values - division.unit_prices, nan=0.0, posinf=np.inf, neginf=-np.inf)
    at_floor = active & (shares <= lower * (1.0 + AT_BOUND))
    at_ceiling = np.isfinite(upper) & (shares >= upper * (1.0 - AT_BOUND))
    at_floor &= ~(at_ceiling & (pull > 0))
    at_ceiling &= ~at_floor
    words = np.where(at_floor, "floor", np.where(at_ceiling, "ceiling", "none"))
    marginal = np.where(at_floor, np.maximum(-pull, 0.0), np.where(at_ceiling, pull, 0.0))
    return tuple(words.tolist()), marginal


def _objective(instance: Instance, division: Division, upper: Array) -> float:
    shares = division.shares
    if instance.strategy == "least_response_time":
        effort = instance.weight * instance.demand
        if ((effort > 0) & (shares <= 0)).any():
            return float("nan")
        with np.errstate(over="ignore"):  # a share so small that its response time is beyond float64
            return float(np.divide(effort, shares, out=np.zeros(len(shares)), where=effort > 0).sum())
    if instance.strategy == "max_utilization":
        return float(worth(instance) @ shares)
    if instance.strategy == "least_cost":
        each = instance.needs * instance.prices + instance.cost[:, None]
        return float((each * division.parts).sum())
    unit = instance.weight
    if instance.use == "all" and len(instance.resources) > 1:
        reach = instance.reach
        unit = unit * np.where(reach > 0, reach, 1.0)
    waiting = shares < upper * (1.0 - AT_BOUND)
    return float((shares / unit)[waiting].min()) if waiting.any() else float("nan")


def _used(instance: Instance, division: Division) -> Array:
    if division.parts is None:
        return division.shares @ instance.needs
    return (division.parts * instance.needs).sum(axis=0)
