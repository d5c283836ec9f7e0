# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How many replicas of what size do not fit one host, whatever the totals say.

More than p replicas that each take over 1/(p+1) of a host do not fit one, so a class of n
hosts holds at most p n of them. Sizes that divide each other need no such row: what fits
in total then fits on hosts.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
TOLERANCE = 1e-9


def packing_sets(problem: Problem) -> list[tuple[int, Array, float]]:
    """For each class, resource and p at which the row says more than the resource row: pairs and most replicas."""
    sets: list[tuple[int, Array, float]] = []
    by_class = np.argsort(problem.pair_class, kind="stable")
    edges = np.searchsorted(problem.pair_class[by_class], np.arange(len(problem.classes) + 1))
    for k in range(len(problem.classes)):
        mine = by_class[edges[k] : edges[k + 1]]
        for r in np.flatnonzero(np.isfinite(problem.room[k])):
            share = problem.need[mine, r] / max(problem.room[k, r], TOLERANCE)
            times = np.floor(1.0 / np.maximum(share, TOLERANCE) * (1 + TOLERANCE))
            for p in sorted(set(times[share > TOLERANCE].tolist())):
                large = (share > TOLERANCE) & (times <= p)
                if share[large].min() * p < 1.0 - TOLERANCE:
                    sets.append((k, mine[large], p * float(problem.host_count[k])))
    return sets
