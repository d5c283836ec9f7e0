# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which accelerators serving is expected to leave free on each host in later periods, for jobs.

Period by period the counts of the outlook are put on hosts as a plan would: what runs in
the period before stays where it is. In period t a pair of lead time L occupies what serves,
x_t, and what has begun to start and serves only later: the growth x_s - x_{s-1} of every
s in (t, t + L] that can have begun, s >= L.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.hosts import assign
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.resources import free_accelerators
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Replica

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


def later_free_accelerators(
    problem: Problem, path: Array, hosts: Sequence[Host], placed: Sequence[Replica]
) -> list[dict[str, int]]:
    """Whole accelerators no replica uses, by host, in each period after the first.

    Args:
        problem: the arrays of the plan.
        path: what serves, whole replicas of shape (T, P).
        hosts: the stock.
        placed: the replicas of the plan.

    Returns:
        For each period the hosts where it is another number than ``placed`` leaves.
    """
    now = free_accelerators(hosts, placed)
    later, before = [], list(placed)
    for t in range(1, len(path)):
        before = list(assign(problem, occupied(problem, path, t), hosts, before, elsewhere=False).replicas)
        free = free_accelerators(hosts, before)
        later.append({name: count for name, count in free.items() if count != now[name]})
    return later


def occupied(problem: Problem, path: Array, t: int) -> Array:
    """Replicas that take room in period ``t``, those that still start among them; shape (P,)."""
    taken = path[t].copy()
    lead = problem.lead[problem.pair_model]
    for s in range(t + 1, len(path)):
        begun = (lead >= s - t) & (lead <= s)
        taken[begun] += np.maximum(path[s] - path[s - 1], 0.0)[begun]
    return taken
