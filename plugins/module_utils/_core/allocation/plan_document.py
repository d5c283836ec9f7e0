# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The plan document: what was asked, what was decided, in which order it is done, what is short.

:func:`plan_capacity` is the whole of capacity planning: records in, plan out, as
``docs/files.md`` describes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.allocate import Allocation, allocate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.response_time import (
    expected_demand,
    response_time_seconds,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.shortages import (
    shortages,
    violations,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import demand as top_demand
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import (
    ModelDemand,
    lead_times,
    planned_demand,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import fleet_fingerprint, seal
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.rollout_state import serving_capacity
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.waves import Waves, order_waves

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Inputs:
    """What a plan is made from; ``forecast`` and ``observed`` as planned_demand takes them.

    ``hosts`` and ``models`` are sorted by name, as the parsers of fleet.py leave them.
    ``forecast_digest`` is that of the file the forecast came from, empty when it was given inline.
    """

    hosts: Sequence[Host]
    models: Sequence[Model]
    current: Sequence[Replica] = ()
    forecast: Mapping[str, Any] | None = None
    observed: Mapping[str, float] | None = None
    startup_seconds: Mapping[str, float] = field(default_factory=dict)
    forecast_digest: str = ""


@dataclass(frozen=True)
class Policy:
    """How to plan. ``as_of`` is epoch seconds, None for the moment of planning."""

    objective: str = "weighted"
    headroom: float = 1.2
    planning_interval_seconds: float = 3600.0
    churn_hours: float = 0.03
    hold_scale_in: bool = False
    time_limit_seconds: float = 30.0
    as_of: float | None = None


@dataclass(frozen=True)
class Planned:
    """The sealed ``plan``, and the wall ``seconds`` it took, which are no part of it."""

    plan: dict[str, Any]
    seconds: float


def plan_capacity(inputs: Inputs, policy: Policy, *, now: float) -> Planned:
    """Plan.

    Args:
        inputs: fleet, catalogue, demand and what runs.
        policy: objective, margins and limits.
        now: epoch seconds, written as ``created_at``.

    Raises:
        InputError: a demand that cannot be read.
        MissingLibraryError: NumPy, SciPy or OR-Tools is absent.
    """
    current, warnings = _known_replicas(inputs)
    serving = {host.name for host in inputs.hosts if host.serves}
    demands, notes = planned_demand(
        inputs.models,
        inputs.forecast,
        inputs.observed,
        current,
        headroom=policy.headroom,
        lead_time_seconds=inputs.startup_seconds,
        planning_interval_seconds=policy.planning_interval_seconds,
        hold_scale_in=policy.hold_scale_in,
        as_of=now if policy.as_of is None else policy.as_of,
    )
    allocation = allocate(
        inputs.hosts,
        inputs.models,
        demands,
        [replica for replica in current if replica.host in serving],
        objective=policy.objective,
        period_hours=max(policy.planning_interval_seconds, 1.0) / SECONDS_PER_HOUR,
        churn_hours=policy.churn_hours,
        time_limit_seconds=policy.time_limit_seconds,
    )
    target = allocation.assignment.replicas
    floors = {name: one.levels[-1][1] for name, one in demands.items() if one.source != "held"}
    waves = order_waves(current, target, inputs.hosts, inputs.models, floor_requests_per_second=floors)
    plan = {
        "created_at": format_moment(now),
        "as_of": None if policy.as_of is None else format_moment(policy.as_of),
        "generator": documents.GENERATOR,
        "inputs": _digests(inputs),
        "fleet_fingerprint": fleet_fingerprint(inputs.hosts, inputs.models),
        "lead_time_seconds": lead_times(inputs.models, inputs.startup_seconds),
        "demand": {name: _demand_record(one) for name, one in demands.items()},
        **_decision(allocation, inputs, demands, current),
        **_work(waves, target),
        "hosts": [host.as_record() for host in inputs.hosts],
        "models": {model.name: model.as_record() for model in inputs.models},
        "warnings": warnings + notes + _solver_warnings(allocation),
    }
    return Planned(seal(plan), allocation.seconds)


def placement_lines(placements: Iterable[Mapping[str, Any]]) -> list[str]:
    """``gpu-a1 slot 0: chat-8b 2026.11.1``, for a diff."""
    ordered = sorted(placements, key=lambda one: (one["host"], one["slot"]))
    return [f"{one['host']} slot {one['slot']}: {one['model']} {one['version']}" for one in ordered]


def _known_replicas(inputs: Inputs) -> tuple[list[Replica], list[str]]:
    """What runs on hosts that can be asked, and warnings about the rest."""
    hosts = {host.name: host for host in inputs.hosts}
    models = {model.name for model in inputs.models}
    strange = [replica for replica in inputs.current if replica.host not in hosts]
    silent = [replica for replica in inputs.current if replica.host in hosts and not hosts[replica.host].reachable]
    known = [replica for replica in inputs.current if replica.host in hosts and hosts[replica.host].reachable]
    unlisted = [replica for replica in known if replica.model not in models]
    warnings = []
    if strange:
        warnings.append(
            f"{_tally(strange)} on hosts that are not in the inventory ({_hosts_of(strange)}): not counted as capacity"
        )
    if silent:
        warnings.append(
            f"{_tally(silent)} on hosts that do not answer ({_hosts_of(silent)}): not counted as capacity, left alone"
        )
    if unlisted:
        names = ", ".join(sorted({replica.model for replica in unlisted}))
        warnings.append(f"{_tally(unlisted)} of models that are not in the catalogue ({names}): planned to stop")
    return known, warnings


def _solver_warnings(allocation: Allocation) -> list[str]:
    counts = allocation.counts
    if counts.status.has_values:
        return []
    return [
        f"The solver gave no answer ({counts.status.value}), the plan is a makeshift ({counts.method}):"
        " raise time_limit_seconds, or check the installation of OR-Tools"
    ]


def _decision(
    allocation: Allocation, inputs: Inputs, demands: Mapping[str, ModelDemand], current: Sequence[Replica]
) -> dict[str, Any]:
    counts, target = allocation.counts, allocation.assignment.replicas
    hosts = {host.name: host for host in inputs.hosts}
    models = {model.name: model for model in inputs.models}
    planned, running = serving_capacity(target, hosts, models), serving_capacity(current, hosts, models)
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
        "shortages": shortages(allocation, inputs.hosts, demands),
        "violations": violations(allocation, inputs.hosts, demands),
        "reasons": _reasons(target, hosts, demands),
        "fairness": {
            model.name: round(1.0 - short / want, 6) if want > 0 else 1.0
            for model, want, short in zip(allocation.problem.models, wanted, missing)
        },
        "cost_per_hour": round(_cost_per_hour(allocation), 4),
        "expected_response_time_seconds": {
            name: _response_time(target, hosts, models[name], demands[name]) for name in models
        },
        "solver": {
            "method": counts.method,
            "status": counts.status.value,
            "objective": round(allocation.objective, 6),
            "bound": None if allocation.bound is None else round(allocation.bound, 6),
            "gap": None if allocation.gap is None else round(allocation.gap, 6),
        },
    }


def _work(waves: Waves, target: Sequence[Replica]) -> dict[str, Any]:
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
        "moves": waves.moves,
        "starts": done["start"],
        "stops": done["stop"],
        "keeps": done["keep"],
    }


def _demand_record(demand: ModelDemand) -> dict[str, Any]:
    return {
        "levels": {repr(level): rate for level, rate in demand.levels},
        "observed": demand.observed,
        "source": demand.source,
        "floor_replicas": demand.floor_replicas,
        "reason": demand.reason,
    }


def _reasons(target: Sequence[Replica], hosts: Mapping[str, Host], demands: Mapping[str, ModelDemand]) -> list[str]:
    """One line a model: how many replicas, on what, for which demand, and why that demand."""
    lines = []
    for name, demand in demands.items():
        types = Counter(hosts[replica.host].accelerator_type for replica in target if replica.model == name)
        where = ", ".join(f"{types[one]} on {one}" for one in sorted(types)) or "none"
        level, rate = demand.levels[-1]
        lines.append(f"{name}: replicas {where}, for {rate:.4g} requests/s at level {level:g}; {demand.reason}")
    return lines


def _cost_per_hour(allocation: Allocation) -> float:
    """Each host's cost times the dominant share of it that is used; a full host costs what it costs."""
    return sum(room.host.cost_per_hour * min(1.0, room.used) for room in allocation.assignment.rooms.values())


def _response_time(
    target: Sequence[Replica], hosts: Mapping[str, Host], model: Model, demand: ModelDemand
) -> float | None:
    pool = [model.capacity[hosts[one.host].accelerator_type] for one in target if one.model == model.name]
    seconds = response_time_seconds(pool, expected_demand(demand.levels))
    return None if seconds is None else round(seconds, 6)


def _tally(replicas: Sequence[Replica]) -> str:
    return f"{len(replicas)} running replica{'' if len(replicas) == 1 else 's'}"


def _hosts_of(replicas: Sequence[Replica]) -> str:
    names = sorted({replica.host for replica in replicas})
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _digests(inputs: Inputs) -> dict[str, str]:
    """What each input said, independent of the order of its records."""
    return {
        "forecast": inputs.forecast_digest or documents.digest(inputs.forecast),
        "hosts": documents.digest([host.as_record() for host in inputs.hosts]),
        "models": documents.digest({model.name: model.as_record() for model in inputs.models}),
        "current": documents.digest([replica.as_record() for replica in sorted(inputs.current)]),
        "observed": documents.digest(inputs.observed),
    }
