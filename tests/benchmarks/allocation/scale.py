# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Size: CPU seconds and distance to the bound of every method, and how time grows with whole variables.

    .venv/bin/python tests/benchmarks/allocation/scale.py

Each row is one plan from records to replicas on hosts. ``over_bound`` is against the linear
relaxation over classes, ``over_proven`` against what branch and bound proves in a minute;
``proven_over_bound`` is the distance between the two, which no plan of whole replicas can
come nearer to the relaxation than. ``affinity`` is how much models differ in what a type
does for them. ``class_lp_difference`` is the relaxation against the one over single hosts.
"""

from __future__ import annotations

import math
from typing import Any

import common
from allocation_instances import instance

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import classes, solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.allocate import Settings, allocate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import formulate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import build_problem

SIZES = (
    (1_000, 100, 3, {}),
    (1_000, 300, 3, {}),
    (2_000, 300, 3, {"spread": {"zone": 0.6}}),
    (10_000, 1_000, 3, {}),
    (10_000, 1_000, 3, {"spread": {"zone": 0.6}}),
    (10_000, 2_000, 5, {"spread": {"zone": 0.6}}),
)


def row(hosts: int, models: int, zones: int, fields: dict[str, Any], method: str, factor: float) -> dict[str, Any]:
    some = instance(hosts, models, zones=zones, **fields)
    demands = some.demands(factor)
    chosen = Settings(method=method, time_limit_seconds=60)
    seconds, found = common.cpu(lambda: allocate(some.hosts, some.models, demands, [], chosen), repeat=2)
    return {
        "hosts": hosts,
        "models": models,
        "spread": bool(fields),
        "demand_factor": factor,
        "method": method,
        "integers": found.problem.pairs,
        "cpu_seconds": round(seconds, 2),
        "over_bound": round(found.objective / found.bound - 1, 5),
        "not_placed": sum(found.assignment.left_over.values()),
    }


def proven(affinity: float) -> list[dict[str, Any]]:
    """10,000 hosts and 1,000 models against a bound that is worth more than the relaxation's."""
    some = instance(10_000, 1_000, affinity=affinity)
    demands = some.demands()
    problem = build_problem(some.hosts, some.models, demands, [])
    model = formulate(problem).model
    relaxed = solver.solve(model, integer=False).objective
    bound = solver.solve(model, time_limit_seconds=60).bound
    rows = []
    for method in ("lp_repair", "box"):
        found = row(10_000, 1_000, 3, {"affinity": affinity}, method, 1.0)
        settings = Settings(method=method, time_limit_seconds=60)
        objective = allocate(some.hosts, some.models, demands, [], settings).objective
        shares = {"over_proven": objective / bound - 1, "proven_over_bound": bound / relaxed - 1}
        rows.append(
            {
                **found,
                "spread": False,
                "affinity": affinity,
                **{name: round(share, 5) for name, share in shares.items()},
            }
        )
    return rows


def class_difference(hosts: int, models: int) -> dict[str, Any]:
    """The relaxation over classes against the one over hosts."""
    some = instance(hosts, models)
    optima, seconds = [], []
    likeness = classes.likeness
    for apart in (False, True):
        if apart:
            classes.likeness = lambda host, domains: (*likeness(host, domains), host.name)
        problem = build_problem(some.hosts, some.models, some.demands(), [])
        taken, solution = common.cpu(lambda problem=problem: solver.solve(formulate(problem).model, integer=False))
        optima.append(solution.objective)
        seconds.append(round(taken, 2))
    classes.likeness = likeness
    return {
        "hosts": hosts,
        "models": models,
        "class_lp_difference": abs(optima[0] / optima[1] - 1),
        "cpu_seconds_classes": seconds[0],
        "cpu_seconds_hosts": seconds[1],
    }


def main() -> None:
    common.warm_up()
    rows = [row(*size, method, 1.0) for size in SIZES for method in ("lp_repair", "box")]
    rows += [row(10_000, 1_000, 3, {}, method, 2.5) for method in ("lp_repair", "box")]
    rows += [one for affinity in (0.15, 0.4) for one in proven(affinity)]
    growth = {}
    for method in ("lp_repair", "box"):
        mine = [
            one for one in rows if one["method"] == method and one["demand_factor"] == 1.0 and "over_proven" not in one
        ]
        small, large = (pick(mine, key=lambda one: one["integers"]) for pick in (min, max))
        growth[method] = round(
            math.log(large["cpu_seconds"] / small["cpu_seconds"]) / math.log(large["integers"] / small["integers"]), 2
        )
    rows.append(class_difference(300, 40))
    common.write(__file__, rows, growth_exponent=growth)
    print("growth exponent", growth)


if __name__ == "__main__":
    main()
