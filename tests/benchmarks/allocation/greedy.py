# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Greedy schedulers and per-model solvers on the same fleets: cost where all is served, shortage where not.

    .venv/bin/python tests/benchmarks/allocation/greedy.py

A greedy scheduler takes replicas one by one, models with the most accelerators first (it
knows all demand, which an online scheduler does not), and for each a host by its rule:

first fit        the first host with room
best fit         the host that is left with least
least allocated  the emptiest host (Kubernetes' default)
most allocated   the fullest host with room (Kubernetes' bin packing)

A scheduler takes any type that serves; ``by cost`` it takes types in the order of their cost
a request for the model, which no scheduler of the four does by itself. ``per model`` solves each model alone, the least
cost that serves it, by CBC through PuLP in the manner of Melange and SageServe, on what
the models before it left. All use the same demand, the highest level of the ladder.

``bound_over_this`` is the least cost any plan may have (the linear relaxation) over the cost
of the way, for what the way itself serves: no plan can be cheaper than that share of it.
"""

from __future__ import annotations

from typing import Any

import common
import numpy as np
from allocation_instances import Instance, instance

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.allocate import Settings, allocate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import formulate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem, build_problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.solver import solve
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import planned_demand

RULES = ("first fit", "best fit", "least allocated", "most allocated")


class Hosts:
    """Free accelerators of every host, all classes behind each other."""

    def __init__(self, problem: Problem) -> None:
        self.host_class = np.repeat(np.arange(len(problem.classes)), problem.host_count.astype(int))
        self.size = problem.room[self.host_class, 0]
        self.free = self.size.copy()

    def take(self, among: np.ndarray, need: float, rule: str) -> int:
        """The class of the host that was chosen among these hosts, -1 when none has room."""
        able = among[self.free[among] >= need]
        if not len(able):
            return -1
        share = self.free[able] / self.size[able]
        chosen = {
            "first fit": able[0],
            "best fit": able[np.argmin(self.free[able])],
            "least allocated": able[np.argmax(share)],
            "most allocated": able[np.argmin(share)],
        }[rule]
        self.free[chosen] -= need
        return int(self.host_class[chosen])


def greedy(problem: Problem, rates: np.ndarray, rule: str, *, by_cost: bool) -> np.ndarray:
    """Replicas a pair."""
    hosts, counts = Hosts(problem), np.zeros(problem.pairs)
    order = sorted(range(len(problem.models)), key=lambda m: (-problem.models[m].accelerators, m))
    for m in order:
        mine = np.flatnonzero(problem.pair_model == m)
        pair_of = {int(problem.pair_class[pair]): int(pair) for pair in mine}
        ranked = mine[np.argsort(problem.cost[mine] / problem.rate[mine], kind="stable")]
        groups = [problem.pair_class[[pair]] for pair in ranked] if by_cost else [problem.pair_class[mine]]
        missing = rates[m]
        for group in groups:
            among = np.flatnonzero(np.isin(hosts.host_class, group))
            while missing > 1e-9:
                k = hosts.take(among, problem.models[m].accelerators, rule)
                if k < 0:
                    break
                counts[pair_of[k]] += 1
                missing -= problem.rate[pair_of[k]]
    return counts


def per_model(problem: Problem, rates: np.ndarray) -> np.ndarray:
    import pulp

    counts, free = np.zeros(problem.pairs), problem.room[:, 0] * problem.host_count
    for m in range(len(problem.models)):
        mine = np.flatnonzero(problem.pair_model == m)
        programme = pulp.LpProblem("model", pulp.LpMinimize)
        x = [
            pulp.LpVariable(f"x{p}", 0, int(free[problem.pair_class[p]] // problem.need[p, 0]), "Integer") for p in mine
        ]
        missing = pulp.LpVariable("missing", 0)
        dear = 100 * float((problem.cost[mine] / problem.rate[mine]).max())
        programme += pulp.lpSum(float(problem.cost[p]) * one for p, one in zip(mine, x)) + dear * missing
        programme += pulp.lpSum(float(problem.rate[p]) * one for p, one in zip(mine, x)) + missing >= float(rates[m])
        programme.solve(pulp.PULP_CBC_CMD(msg=False))
        for p, one in zip(mine, x):
            counts[p] = round(one.value())
            free[problem.pair_class[p]] -= counts[p] * problem.need[p, 0]
    return counts


def measured(problem: Problem, rates: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """Cost per hour, and unserved requests/s in accelerators' worth: weighted by what a request costs."""
    served = np.bincount(problem.pair_model, weights=problem.rate * counts, minlength=len(rates))
    price = np.zeros(len(rates))
    np.maximum.at(price, problem.pair_model, problem.cost / problem.rate)
    short = np.maximum(rates - served, 0.0)
    return {
        "cost_per_hour": round(float(problem.cost @ counts), 1),
        "shortage": round(float(price @ short), 2),
        "unserved_share": round(float((price @ short) / (price @ rates)), 5),
    }


def least_cost(some: Instance, problem: Problem, rates: np.ndarray, counts: np.ndarray) -> float:
    """The least cost per hour of serving what ``counts`` serve, fractional replicas allowed."""
    served = np.minimum(np.bincount(problem.pair_model, weights=problem.rate * counts, minlength=len(rates)), rates)
    demands = {name: {"1.0": float(rate)} for name, rate in zip(sorted(some.rates), served)}
    same = build_problem(some.hosts, some.models, planned_demand(some.models, demands, None, [])[0], [], churn_hours=0)
    formulation = formulate(same)
    return float(same.cost @ formulation.replicas(solve(formulation.model, integer=False).values)[0])


def compare(hosts: int, models: int, affinity: float, factor: float, peers: bool) -> list[dict[str, Any]]:
    some: Instance = instance(hosts, models, affinity=affinity, min_replicas=0)
    rates = np.array([factor * some.rates[name] for name in sorted(some.rates)])
    demands = {name: {"1.0": float(rate)} for name, rate in zip(sorted(some.rates), rates)}
    asked = planned_demand(some.models, demands, None, [])[0]
    problem = build_problem(some.hosts, some.models, asked, [])
    rows: list[dict[str, Any]] = []

    def add(name: str, call: Any) -> None:
        seconds, counts = common.cpu(call)
        about = {"hosts": hosts, "models": models, "affinity": affinity, "demand_factor": factor, "way": name}
        rows.append({**about, **measured(problem, rates, counts), "cpu_seconds": round(seconds, 2)})
        if name != "ours":
            rows[-1]["bound_over_this"] = round(least_cost(some, problem, rates, counts) / rows[-1]["cost_per_hour"], 4)

    def ours() -> Any:
        found = allocate(some.hosts, some.models, asked, [], Settings())
        counts = np.zeros(problem.pairs)
        for pair, count in enumerate(found.counts.replicas):
            counts[pair] = count
        return counts

    add("ours", ours)
    for rule in RULES:
        add(rule, lambda rule=rule: greedy(problem, rates, rule, by_cost=False))
    add("best fit by cost", lambda: greedy(problem, rates, "best fit", by_cost=True))
    if peers:
        add("per model, CBC", lambda: per_model(problem, rates))
    for one in rows[1:]:
        one["cost_ours_over_this"] = round(rows[0]["cost_per_hour"] / one["cost_per_hour"], 4)
        if one["shortage"]:
            one["shortage_ours_over_this"] = round(rows[0]["shortage"] / one["shortage"], 4)
    return rows


def main() -> None:
    try:
        import pulp  # noqa: F401
    except ImportError:
        peers = False
    else:
        peers = True
    common.warm_up()
    rows = [
        row
        for size in ((1_000, 100, 0.15), (1_000, 100, 0.4), (10_000, 1_000, 0.4))
        for f in (0.8, 1.3, 2.5)
        for row in compare(*size, f, peers)
    ]
    common.write(__file__, rows, "pulp", peers=peers)


if __name__ == "__main__":
    main()
