# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Beyond one solve: the fleet in parts with a share of the demand each, solved side by side.

Every part gets an equal share of the hosts of every class and of the demand of every model,
so each is a small picture of the whole and what one part decides is right for the others.
Demand is split, never models: a part with other models than the next would be short while
the next stands idle. A model too small to be split g ways, below :data:`LEAST_REPLICAS` a
part, is split over fewer parts, begun at another part each so that they fill evenly.

Parts are worth it beyond :data:`WHOLE_INTEGERS` whole variables, and sound with at least
:data:`LEAST_HOSTS` hosts of every class in each: then rounding hosts and replicas a part
loses little. The counts of all parts are added up and repaired as one plan, with all hosts
in view; replicas find hosts in the whole fleet. A bound for the whole is not proven this way.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import (
    PeriodDemand,
    Problem,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.rounding import rounded
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.parallel import run_tasks

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
WHOLE_INTEGERS = 60_000
MAX_PARTS = 16
LEAST_HOSTS = 30
LEAST_REPLICAS = 8


def sensible_parts(problem: Problem) -> int:
    """Into how many parts to split, 1 for none."""
    integers = problem.pairs * len(problem.periods)
    if integers <= WHOLE_INTEGERS:
        return 1
    fewest = min(
        (problem.host_count[k] for k in np.unique(problem.pair_class).tolist() if not problem.classes[k].draining),
        default=0,
    )
    wanted = 2 * math.ceil(integers / WHOLE_INTEGERS)
    return max(1, min(MAX_PARTS, int(fewest) // LEAST_HOSTS, wanted))


def solve_in_parts(
    problem: Problem,
    parts: int,
    solve: Callable[[Problem], Array],
    *,
    jobs: int | None = None,
    address: str | None = None,
) -> Array:
    """Replicas of shape (T, P) for the whole.

    Args:
        problem: the whole.
        parts: into how many parts it is split.
        solve: replicas of shape (T, P) for one part; it must be possible to send it to another process.
        jobs: processes at a time; one for each processor where None.
        address: of a Dask scheduler, whose workers solve the parts instead.
    """
    pieces = split(problem, parts)
    workers = min(parts, os.cpu_count() or 1) if jobs is None else jobs
    found = run_tasks(solve, pieces, n_jobs=workers, backend="dask" if address else "loky", address=address)
    together, before, path = np.sum(found, axis=0), problem.running, []
    for t, wanted in enumerate(problem.periods):
        early = problem.lead[problem.pair_model] > t
        most = np.where(early, np.minimum(problem.upper, before), problem.upper)
        before = rounded(problem, together[t], wanted=wanted, before=before, most=most)
        path.append(before)
    return np.stack(path)


def split(problem: Problem, parts: int) -> list[Problem]:
    """The parts; hosts, demand, limits and what runs add up to the whole."""
    weight = _weights(problem, parts)
    hosts = _shared_out(problem.host_count, np.full((parts, len(problem.host_count)), 1.0 / parts))
    running = _shared_out(problem.running, weight[:, problem.pair_model])
    ceiling = _shared_out(np.where(np.isfinite(problem.ceiling), problem.ceiling, 0.0), weight)
    draining = np.array([one.draining for one in problem.classes], dtype=bool)[problem.pair_class]
    pieces = []
    for part in range(parts):
        upper = np.minimum(problem.upper, problem.fits * hosts[part][problem.pair_class])
        upper = np.where(draining, running[part], upper)
        periods = [_share(wanted, weight, part) for wanted in problem.periods]
        pieces.append(
            replace(
                problem,
                **vars(periods[0]),
                host_count=hosts[part],
                running=running[part],
                upper=upper,
                ceiling=np.where(np.isfinite(problem.ceiling), ceiling[part], np.inf),
                later=tuple(periods[1:]),
            )
        )
    return pieces


def _weights(problem: Problem, parts: int) -> Array:
    """The share of each model's demand in each part, shape (parts, M)."""
    count = len(problem.models)
    wanted = np.bincount(problem.layer_model, weights=problem.layer_rate, minlength=count)
    rate = np.full(count, np.inf)
    np.minimum.at(rate, problem.pair_model, problem.rate)
    replicas = np.maximum(np.where(np.isfinite(rate), wanted / rate, 0.0), problem.floor)
    ways = np.clip((replicas / LEAST_REPLICAS).astype(int), 1, parts)
    place = (np.arange(parts)[:, None] - np.arange(count)[None, :]) % parts
    return np.where(place < ways, 1.0 / ways, 0.0)


def _shared_out(whole: Array, weight: Array) -> Array:
    """Whole numbers by weight, adding up to ``whole``; shape (parts, ...)."""
    ends = np.round(np.cumsum(weight, axis=0) * whole + 1e-9)
    return np.diff(ends, axis=0, prepend=0.0)


def _share(wanted: PeriodDemand, weight: Array, part: int) -> PeriodDemand:
    mine = weight[part][wanted.layer_model]
    return PeriodDemand(
        layer_model=wanted.layer_model,
        layer_rate=wanted.layer_rate * mine,
        layer_price=wanted.layer_price,
        layer_cost=wanted.layer_cost,
        layer_served=wanted.layer_served,
        floor=_shared_out(wanted.floor, weight)[part],
    )
