# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The ways a task gets its share, as columns of a linear programme with coefficients about 1.

A route is one way: for resources used together the only one of its task, for pools one
for each pool a task may use. In scaled variables

    x_i = C_i / U_i in [0, 1]      share over what the task would have alone
    x_i = sum_{routes of i} g_p z_p,      sum_p B_rp z_p <= 1 for each resource r,  z >= 0.

All coefficients lie in (0, 1] whatever the units, so a solver's absolute tolerances are
relative ones, and multiplying all capacities by a number multiplies the shares by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.problem import Instance

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


@dataclass(frozen=True, eq=False)
class Routes:
    """p routes of n tasks over m resources.

    Attributes:
        task: index of each route's task, shape (p,), not falling.
        gain: g_p, shape (p,).
        usage: B, SciPy CSR matrix, shape (m, p).
        share: the matrix of x = share z, SciPy CSR, shape (n, p).
        pool: index of each route's resource, shape (p,); None for resources used together.
        reach: U_i, shape (n,).
    """

    task: Array
    gain: Array
    usage: Array
    share: Array
    pool: Array
    reach: Array

    def best_of(self, figures: Array) -> Array:
        """The largest of ``figures`` (p,) over the routes of each task, shape (n,)."""
        return np.maximum.reduceat(figures, np.flatnonzero(np.diff(self.task, prepend=-1)))

    def surrogate(self, prices: Array) -> Array:
        """Least price of one unit of x_i at ``prices`` (m,) of the resources, shape (n,)."""
        return -self.best_of(-(self.usage.T @ prices) / self.gain)

    def parts(self, amounts: Array, ways: Array) -> Array:
        """y_ir from z, shape (n, m); None for resources used together."""
        if self.pool is None:
            return None
        table = np.zeros((len(self.reach), len(amounts)))
        table[self.task, self.pool] = ways * self.gain * self.reach[self.task]
        return table


def build_routes(instance: Instance) -> Routes:
    """Routes of an instance in which every task can reach something: 0 < U_i < infinity."""
    sparse = require("scipy.sparse", purpose="Sharing several resources")
    reach = instance.reach
    count, resources = instance.needs.shape
    task, pool = np.nonzero(instance.needs > 0)
    if instance.use == "all":
        used = instance.needs[task, pool] * reach[task] / instance.amounts[pool]
        usage = sparse.csr_matrix((used, (pool, task)), shape=(resources, count))
        everyone = np.arange(count)
        return Routes(everyone, np.ones(count), usage, sparse.identity(count, format="csr"), None, reach)
    offered = instance.amounts[pool] > 0
    task, pool = task[offered], pool[offered]
    gain = instance.amounts[pool] / instance.needs[task, pool] / reach[task]
    columns = np.arange(len(task))
    usage = sparse.csr_matrix((np.ones(len(task)), (pool, columns)), shape=(resources, len(task)))
    share = sparse.csr_matrix((gain, (task, columns)), shape=(count, len(task)))
    return Routes(task, gain, usage, share, pool, reach)
