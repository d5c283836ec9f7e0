# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Problems to divide, and references computed another way."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linprog

from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.problem import Instance
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.share import Shares, divide
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.tasks import parse_instance


def shared(strategy: str, tasks: list[dict[str, Any]], **options: Any) -> Shares:
    return divide(parse_instance({"strategy": strategy, "tasks": tasks, **options}))


def by_name(shares: Shares) -> dict[str, float]:
    return dict(zip(shares.instance.names, shares.division.shares.tolist()))


def random_tasks(seed: int, count: int, resources: list[str], spare: float = 1.0) -> list[dict[str, Any]]:
    """Tasks with needs of some of the resources, half of them with floors, half with ceilings."""
    rng = np.random.default_rng(seed)
    tasks = []
    for index in range(count):
        chosen = rng.choice(len(resources), rng.integers(1, len(resources) + 1), replace=False)
        task: dict[str, Any] = {
            "name": f"task-{index:04}",
            "demand": float(rng.uniform(0.1, 2.0)),
            "weight": float(rng.uniform(0.2, 5.0)),
            "needs": {resources[one]: float(rng.uniform(0.2, 3.0)) for one in sorted(chosen.tolist())},
        }
        if rng.random() < 0.5:
            task["floor"] = float(rng.uniform(0, 0.15) * spare / count)
        if rng.random() < 0.5:
            task["ceiling"] = task.get("floor", 0.0) + float(rng.uniform(0, 2.5) * spare / count)
        tasks.append(task)
    return tasks


def random_problem(seed: int, count: int, resource_count: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed + 1000)
    names = [f"r{index}" for index in range(resource_count)]
    amounts = rng.uniform(1.0, 10.0, resource_count)
    tasks = random_tasks(seed, count, names, float(amounts.min()))
    return {"tasks": tasks, "resources": dict(zip(names, amounts.tolist()))}


def routes_of(instance: Instance) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Task and pool of each route, and the matrices of use (m, p) and of share (n, p), unscaled."""
    task, pool = np.nonzero(instance.needs > 0)
    use = np.zeros((len(instance.amounts), len(task)))
    use[pool, np.arange(len(task))] = instance.needs[task, pool]
    share = np.zeros((len(instance.names), len(task)))
    share[task, np.arange(len(task))] = 1.0
    return task, pool, use, share


def sequential_max_min(instance: Instance, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, int]:
    """The textbook way with HiGHS: raise the smallest share over weight, freeze what is stopped, again."""
    _task, _pool, use, share = routes_of(instance)
    count, columns = share.shape
    active, fixed, programmes = np.ones(count, dtype=bool), np.zeros(count), 0
    use, share = np.column_stack((use, np.zeros(len(use)))), np.column_stack((share, np.zeros(count)))
    while active.any():
        level_row = -share.copy()
        level_row[active, -1] = instance.weight[active]
        most = float((upper / instance.weight)[active].min())
        found = linprog(
            np.append(np.zeros(columns), -1.0),
            np.vstack((use, level_row, -share)),
            np.concatenate((instance.amounts, np.where(active, 0.0, -fixed), -lower)),
            bounds=[(0, None)] * columns + [(0, most)],
            method="highs",
        )
        programmes += 1
        assert found.status == 0, found.message
        level = found.x[-1]
        prices = -found.ineqlin.marginals[len(use) : len(use) + count]
        stopped = active & ((prices * instance.weight > 1e-7) | (upper / instance.weight <= level * (1 + 1e-12)))
        fixed[stopped] = np.clip(level * instance.weight[stopped], lower[stopped], upper[stopped])
        active &= ~stopped
    return fixed, programmes
