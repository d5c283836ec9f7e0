# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A smaller programme with the same meaning: alike types as one, and neighbouring periods as one.

Types at which every job has the same speed are one group: the programme over groups has the
optimum of the programme over types but for jobs whose largest size differs between them, at
a twentieth of the time for three types.

Where that leaves too many cells, m neighbouring periods become one. Capacity and limits are
summed, and the share of a period on time is the best of the m. The size row of m periods
allows as many of them as the job may work in, at the largest limit of each type:
sum_k x_k / max_t b_kt <= m. All of this only relaxes the programme, so its value stays an
upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import Problem

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
MOST_CELLS = 20_000


@dataclass(frozen=True, eq=False)
class Coarse:
    """``problem`` has groups for types; ``members`` are the types of each group, ``merged`` the periods made one.

    ``size`` is the largest limit in one original period, shape (J, G, T/m), and ``spells``
    the number of original periods a job may work on time in, shape (J, T/m).
    """

    problem: Problem
    free: Array
    size: Array
    spells: Array
    members: tuple[tuple[int, ...], ...]
    merged: int

    def expand(self, accelerators: Array, periods: int) -> Array:
        """Accelerators by job, group and original period, from the programme's (J, G, T/m)."""
        if self.merged == 1:
            return accelerators
        return (np.repeat(accelerators, self.merged, axis=2) / self.merged)[:, :, :periods]


def group_types(problem: Problem) -> tuple[tuple[int, ...], ...]:
    """Types with equal speeds for all jobs, each group ascending, by first member."""
    groups: dict[bytes, list[int]] = {}
    for kind in range(len(problem.capacity.types)):
        groups.setdefault(problem.speed[:, kind].tobytes(), []).append(kind)
    return tuple(tuple(members) for members in groups.values())


def coarsen(problem: Problem, free: Array, jobs: Array) -> Coarse:
    """The programme's data over groups, and over merged periods where there are more than :data:`MOST_CELLS`.

    Args:
        problem: jobs and periods.
        free: accelerators by type and period, shape (K, T).
        jobs: the jobs with cells, bool of shape (J,).
    """
    members = group_types(problem)
    limit = np.stack([problem.limit[:, kinds].max(axis=1) for kinds in members], axis=1) if members else problem.limit
    grouped = np.stack([free[list(kinds)].sum(axis=0) for kinds in members]) if members else free
    cells = int(((limit > 0) & (problem.on_time[:, None, :] > 0))[jobs].sum())
    merged = -(-cells // MOST_CELLS) if cells > MOST_CELLS else 1
    limit = limit * (problem.on_time[:, None, :] > 0)
    parts = _merge(limit, merged)
    capacity = replace(problem.capacity, free=np.zeros((0, parts.shape[2]), dtype=np.int64))
    small = replace(
        problem,
        capacity=capacity,
        speed=problem.speed[:, [kinds[0] for kinds in members]],
        limit=parts.sum(axis=-1),
        on_time=_merge(problem.on_time, merged).max(axis=-1),
    )
    spells = _merge(limit.max(axis=1, initial=0) > 0, merged).sum(axis=-1)
    return Coarse(small, _merge(grouped, merged).sum(axis=-1), parts.max(axis=-1), spells, members, merged)


def as_it_is(problem: Problem, free: Array) -> Coarse:
    """Nothing grouped and nothing merged."""
    members = tuple((kind,) for kind in range(len(problem.capacity.types)))
    return Coarse(problem, free, problem.limit, np.ones(problem.on_time.shape), members, 1)


def _merge(values: Array, merged: int) -> Array:
    """The last axis cut into stretches of ``merged`` periods, the last one filled up with zeros."""
    missing = -values.shape[-1] % merged
    padded = np.concatenate([values, np.zeros((*values.shape[:-1], missing), dtype=values.dtype)], axis=-1)
    return padded.reshape(*values.shape[:-1], -1, merged)
