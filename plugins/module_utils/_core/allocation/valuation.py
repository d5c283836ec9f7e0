# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a plan in counts is worth, computed from the counts alone.

Independent of any solver, so plans from different routes, and what runs now, are
compared on the same scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import (
    PeriodDemand,
    Problem,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Value:
    """Money over the first period, and what it is made of.

    ``capacity`` and ``missing_rate`` (requests/s of demand not served) have shape (M,), ``missing`` shape (J,),
    ``below`` (replicas) shape (M,), ``beyond`` one entry a spread limit.
    """

    shortage: float
    policy: float
    running: float
    capacity: Array
    missing: Array
    missing_rate: Array
    below: Array
    beyond: Array

    @property
    def objective(self) -> float:
        return self.shortage + self.policy + self.running


def value(
    problem: Problem, replicas: Array, *, wanted: PeriodDemand | None = None, before: Array | None = None
) -> Value:
    """One period of the objective of formulation.py at ``replicas``, shape (P,).

    Args:
        problem: the arrays.
        replicas: replicas a pair.
        wanted: what the period asks for; the first period's where None.
        before: replicas of the period before; what runs where None.
    """
    period, before = (problem if wanted is None else wanted), (problem.running if before is None else before)
    model_count = len(problem.models)
    capacity = np.bincount(problem.pair_model, weights=problem.rate * replicas, minlength=model_count)
    missing = _missing(period, capacity)
    per_model = np.bincount(problem.pair_model, weights=replicas, minlength=model_count)
    below = np.maximum(period.floor - per_model, 0.0)
    beyond = np.array(
        [max(0.0, replicas[limit.pairs].sum() - limit.share * per_model[limit.model] - 1.0) for limit in problem.spread]
    )
    starts = np.maximum(replicas - before, 0.0)
    start_price = problem.start_price + problem.lead[problem.pair_model] * problem.cost
    return Value(
        shortage=float(period.layer_price @ missing),
        policy=float(problem.floor_price @ below + sum(e * one.price for e, one in zip(beyond, problem.spread))),
        running=float((problem.cost + problem.leave_price) @ replicas + start_price @ starts),
        capacity=capacity,
        missing=missing,
        missing_rate=np.bincount(period.layer_model, weights=missing * period.layer_served, minlength=model_count),
        below=below,
        beyond=beyond,
    )


def path_objective(problem: Problem, path: Array) -> float:
    """The objective of formulation.py at ``path``, replicas of shape (T, P)."""
    before = np.concatenate([problem.running[None], path[:-1]])
    periods = zip(problem.periods, path, before)
    return sum(value(problem, now, wanted=wanted, before=then).objective for wanted, now, then in periods)


def demand(problem: Problem) -> Array:
    """Requests/s at the highest level, shape (M,)."""
    rate = problem.layer_rate * problem.layer_served
    return np.bincount(problem.layer_model, weights=rate, minlength=len(problem.models))


def used_room(problem: Problem, replicas: Array) -> Array:
    """What the replicas of each class take, shape (K, R)."""
    used = np.zeros_like(problem.room)
    np.add.at(used, problem.pair_class, problem.need * replicas[:, None])
    return used


def admissible(problem: Problem, replicas: Array) -> bool:
    """Whether the counts respect bounds, ceilings and the room of every class."""
    per_model = np.bincount(problem.pair_model, weights=replicas, minlength=len(problem.models))
    total = problem.room * problem.host_count[:, None]
    return bool(
        (replicas <= problem.upper + TOLERANCE).all()
        and (per_model <= problem.ceiling + TOLERANCE).all()
        and (used_room(problem, replicas) <= total + TOLERANCE).all()
    )


def _missing(period: PeriodDemand, capacity: Array) -> Array:
    """Layers without capacity, which fills the likeliest first."""
    ends = np.cumsum(period.layer_rate)
    first = np.searchsorted(period.layer_model, np.arange(len(capacity)))
    before = np.concatenate([[0.0], ends])[first] if len(ends) else np.zeros(len(capacity))
    return np.clip(ends - before[period.layer_model] - capacity[period.layer_model], 0.0, period.layer_rate)
