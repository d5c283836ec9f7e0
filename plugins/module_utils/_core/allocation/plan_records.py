# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The parts of the plan document that say what was decided, what is done and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.allocate import Allocation
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.expected_hosts import (
    later_free_accelerators,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.marginal import host_values
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.outlook import (
    class_labels,
    outlook_record,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.response_time import (
    expected_demand,
    response_time_seconds,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.shortages import (
    shortages,
    violations,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import demand as top_demand
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.reasons import model_reasons
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.serving import serving_capacity
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.waves import Waves


def decision_record(
    allocation: Allocation,
    hosts_list: Sequence[Host],
    periods: Sequence[Mapping[str, ModelDemand]],
    current: Sequence[Replica],
    period_seconds: float,
) -> dict[str, Any]:
    """What was decided, by the names of ``docs/files.md``.

    Args:
        allocation: the decision.
        hosts_list: the stock.
        periods: what was planned for in each period.
        current: what runs now.
        period_seconds: how long a period is.
    """
    demands = periods[0]
    counts, target = allocation.counts, allocation.assignment.replicas
    hosts = {host.name: host for host in hosts_list}
    models = {model.name: model for model in allocation.problem.models}
    planned, running = serving_capacity(target, hosts, models), serving_capacity(current, hosts, models)
    types = _types_by_model(target, hosts)
    wanted = top_demand(allocation.problem).tolist()
    missing = allocation.worth.missing_rate.tolist()
    return {
        "capacity": {
            name: {
                "planned_requests_per_second": round(planned.get(name, 0.0), 6),
                "running_requests_per_second": round(running.get(name, 0.0), 6),
            }
            for name in models
        },
        "shortages": shortages(allocation, hosts_list, demands),
        "violations": violations(allocation, hosts_list, demands),
        "reasons": model_reasons(target, hosts_list, list(models.values()), demands),
        "fairness": {
            model.name: round(1.0 - short / want, 6) if want > 0 else 1.0
            for model, want, short in zip(allocation.problem.models, wanted, missing)
        },
        "cost_per_hour": round(_cost_per_hour(allocation, hosts), 4),
        "expected_response_time_seconds": {
            name: _response_time(types.get(name, {}), models[name], demands[name]) for name in models
        },
        "outlook": outlook_record(
            allocation.problem,
            counts.path,
            periods,
            period_seconds,
            later_free_accelerators(allocation.problem, counts.path, hosts_list, target),
        ),
        "marginal_values": _marginal_values(allocation),
        "solver": {
            "method": counts.method,
            "status": counts.status.value,
            "objective": round(allocation.objective, 6),
            "bound": None if allocation.bound is None else round(allocation.bound, 6),
            "gap": None if allocation.gap is None else round(allocation.gap, 6),
        },
    }


def work_record(waves: Waves, target: Sequence[Replica]) -> dict[str, Any]:
    """What is done, and in which wave."""
    done = Counter(action["action"] for action in waves.actions)
    wave_of = {
        (action["host"], action["slot"]): action["wave"] for action in waves.actions if action["action"] == "start"
    }
    return {
        "placements": [
            {**replica.as_record(), "wave": wave_of.get((replica.host, replica.slot), 0)} for replica in target
        ],
        "actions": waves.actions,
        "waves": waves.waves,
        "rollout": {
            "floors_requests_per_second": waves.floors,
            "dips": [dip.as_record() for dip in waves.dips],
        },
        "moves": waves.moves,
        "starts": done["start"],
        "stops": done["stop"],
        "keeps": done["keep"],
    }


def _types_by_model(target: Sequence[Replica], hosts: Mapping[str, Host]) -> dict[str, Counter[str]]:
    """How many replicas of each model are on which accelerator type."""
    types: dict[str, Counter[str]] = defaultdict(Counter)
    for replica in target:
        types[replica.model][hosts[replica.host].accelerator_type] += 1
    return types


def _cost_per_hour(allocation: Allocation, hosts: Mapping[str, Host]) -> float:
    """Each host's cost times the dominant share of it that is used; a full host costs what it costs."""
    rooms = allocation.assignment.rooms
    used = {state: min(1.0, rooms.states.room(state).used) for state in set(rooms.state_of.values())}
    return sum(hosts[name].cost_per_hour * used[state] for name, state in rooms.state_of.items())


def _response_time(types: Mapping[str, int], model: Model, demand: ModelDemand) -> float | None:
    pool = [model.capacity[kind] for kind in sorted(types) for _unused in range(types[kind])]
    seconds = response_time_seconds(pool, expected_demand(demand.levels))
    return None if seconds is None else round(seconds, 6)


def _marginal_values(allocation: Allocation) -> list[dict[str, Any]]:
    """What one more host of each class would save an hour, most first; classes that would save nothing are left out."""
    classes = allocation.problem.classes
    saved = host_values(allocation.problem)
    records = [
        {"hosts": label, "like": one.example.name, "saves_per_hour": round(value, 4)}
        for label, one, value in zip(class_labels(classes), classes, saved.tolist())
        if round(value, 4) > 0
    ]
    return sorted(records, key=lambda one: (-one["saves_per_hour"], one["hosts"]))
