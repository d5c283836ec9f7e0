# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Whole replicas from a fractional plan: floor, then repair.

The linear programme says what is worth having; its floor is admissible, and loses at
most one replica a pair. The repair serves what is missing then, models with the dearest
requests first, each on the class where finishing the model costs least, as long as
there is room.

Source: rounding with greedy repair, as for multidimensional knapsacks (Kellerer,
Pferschy, Pisinger: Knapsack Problems, 2004, section 9).
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import demand, used_room

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
TOLERANCE = 1e-6


def rounded(problem: Problem, fractional: Array) -> Array:
    """Whole counts, shape (P,), near ``fractional`` and admissible when that is."""
    replicas = np.floor(np.maximum(fractional, 0.0) + TOLERANCE)
    free = problem.room * problem.host_count[:, None] - used_room(problem, replicas)
    model_count = len(problem.models)
    missing = demand(problem) - np.bincount(problem.pair_model, weights=problem.rate * replicas, minlength=model_count)
    per_model = np.bincount(problem.pair_model, weights=replicas, minlength=model_count)
    for m in _by_urgency(problem):
        pairs = np.flatnonzero(problem.pair_model == m)
        while len(pairs):
            wanted = np.maximum(missing[m] / problem.rate[pairs], problem.floor[m] - per_model[m])
            wanted = np.ceil(np.minimum(wanted, problem.ceiling[m] - per_model[m]) - TOLERANCE)
            if not (wanted > 0).any():
                break
            best = int(np.lexsort((pairs, problem.cost[pairs] * wanted))[0])
            pair = int(pairs[best])
            space = _room_for(problem.need[pair], free[problem.pair_class[pair]])
            count = min(wanted[best], problem.upper[pair] - replicas[pair], space)
            if count > 0:
                replicas[pair] += count
                free[problem.pair_class[pair]] -= count * problem.need[pair]
                missing[m] -= count * problem.rate[pair]
                per_model[m] += count
            pairs = np.delete(pairs, best)
    return replicas


def _by_urgency(problem: Problem) -> list[int]:
    """Models, those with the dearest request first."""
    dearest = np.zeros(len(problem.models))
    np.maximum.at(dearest, problem.layer_model, problem.layer_price)
    return [int(m) for m in np.lexsort((np.arange(len(dearest)), -dearest))]


def _room_for(need: Array, free: Array) -> float:
    taken = need > 0
    return float(np.floor(((free[taken] + TOLERANCE) / need[taken]).min())) if taken.any() else np.inf
