# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The price of a start and the look ahead: how many starts they avoid, and what that costs.

    .venv/bin/python tests/benchmarks/allocation/starts.py

1,000 hosts and 100 models over twelve periods of five minutes. Demand follows a daily curve
and jitters by 3 % from period to period. Rolled through the day, each plan acts on its
first period, with models spread over three zones and without: without a price of starts, with one of 0.05 h of a
replica's cost, with that and the next two periods in view, and with one of 10 h, which shows how few starts serve
this demand at all. Costs are those of hosts alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import common
import numpy as np
from allocation_instances import LADDER, instance

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import search
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import formulate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import build_problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.solver import solve
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import value
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import planned_demand

HOSTS, MODELS, PERIODS = 1_000, 100, 12
PERIOD_HOURS, JITTER = 1 / 12, 0.03
DEMAND = ("layer_model", "layer_rate", "layer_price", "layer_cost", "layer_served", "floor")


def demands(fields: dict[str, Any]) -> tuple[Any, list[Any]]:
    some, rng = instance(HOSTS, MODELS, **fields), np.random.default_rng(1)
    phase = rng.uniform(0, 2 * np.pi, MODELS)
    periods = []
    for t in range(PERIODS + 1):
        curve = (1 + 0.4 * np.sin(2 * np.pi * t * PERIOD_HOURS / 24 + phase)) * rng.lognormal(0, JITTER, MODELS)
        rates = {model.name: some.rates[model.name] * curve[m] for m, model in enumerate(some.models)}
        asked = {name: {level: share * rate for level, share in LADDER.items()} for name, rate in rates.items()}
        periods.append(planned_demand(some.models, asked, None, [])[0])
    return some, periods


def rolled(problem: Any, look_ahead: int, method: str) -> dict[str, Any]:
    """Plan and act, period by period."""
    before, starts, cost, shortage = problem.running, 0.0, 0.0, 0.0
    for t, wanted in enumerate(problem.periods):
        ahead = problem.periods[t + 1 : t + 1 + look_ahead]
        now = replace(problem, running=before, later=ahead, **{name: getattr(wanted, name) for name in DEMAND})
        replicas = search.replica_counts(now, method=method, time_limit_seconds=20).replicas
        starts += float(np.maximum(replicas - before, 0).sum())
        cost += float(problem.cost @ replicas)
        shortage += float(value(now, replicas).missing_rate.sum())
        before = replicas
    return {"starts": int(starts), "host_cost": round(cost, 1), "unserved_requests_per_second": round(shortage, 3)}


def measured(zones: bool) -> list[dict[str, Any]]:
    """All rows of one fleet; the first is what the others are compared with."""
    some, periods = demands({"spread": {"zone": 0.6}} if zones else {})
    first = search.replica_counts(build_problem(some.hosts, some.models, periods[0], [], period_hours=PERIOD_HOURS))
    rows: list[dict[str, Any]] = []
    for way, churn, ahead in (
        ("no price", 0.0, 0),
        ("0.05 h a start", 0.05, 0),
        ("and three periods in view", 0.05, 2),
        ("10 h a start", 10.0, 0),
    ):
        problem = build_problem(
            some.hosts, some.models, periods[1], [], period_hours=PERIOD_HOURS, churn_hours=churn, later=periods[2:]
        )
        problem = replace(problem, running=first.replicas)
        seconds, row = common.cpu(lambda problem=problem, ahead=ahead: rolled(problem, ahead, "box"))
        rows.append({"zones": zones, "way": way, "method": "box", **row, "cpu_seconds": round(seconds, 1)})
        rows[-1]["starts_over_no_price"] = round(row["starts"] / rows[0]["starts"], 3)
        rows[-1]["cost_over_no_price"] = round(row["host_cost"] / rows[0]["host_cost"] - 1, 5)
    problem = replace(_with_price(some, periods), running=first.replicas)
    for method in ("lp_repair", "box"):
        relaxation = solve(formulate(problem).model, integer=False)
        seconds, counts = common.cpu(
            lambda method=method, problem=problem: search.replica_counts(problem, method=method, time_limit_seconds=60)
        )
        rows.append(
            {
                "zones": zones,
                "way": f"one solve of {PERIODS} periods",
                "method": method,
                "integers": problem.pairs * PERIODS,
                "over_bound": round(counts.objective / relaxation.objective - 1, 5),
                "cpu_seconds": round(seconds, 1),
            }
        )
    return rows


def _with_price(some: Any, periods: list[Any]) -> Any:
    return build_problem(some.hosts, some.models, periods[1], [], period_hours=PERIOD_HOURS, later=periods[2:])


def main() -> None:
    common.warm_up()
    rows = [row for zones in (True, False) for row in measured(zones)]
    common.write(__file__, rows, hosts=HOSTS, models=MODELS, periods=PERIODS)


if __name__ == "__main__":
    main()
