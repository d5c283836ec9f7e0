# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The plan document: what was asked, what was decided, in which order it is done, what is short.

:func:`plan_capacity` is the whole of capacity planning: records in, plan out, as
``docs/files.md`` describes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.allocate import (
    Allocation,
    Settings,
    allocate,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.horizon import (
    later_demands,
    lead_periods,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.plan_records import (
    decision_record,
    work_record,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import (
    lead_times,
    planned_demand,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import fleet_fingerprint, seal
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.reservations import (
    Reserved,
    with_reserved,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.rollout_floor import rollout_floors
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.serving import serving_capacity
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.waves import order_waves

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Inputs:
    """What a plan is made from; ``forecast`` and ``observed`` as planned_demand takes them.

    ``hosts`` and ``models`` are sorted by name, as the parsers of fleet.py leave them.
    ``previous`` is the plan before this one, which remembers recent demand. ``reserved`` are accelerators
    that somebody else holds, by host and holder, checked against the hosts.
    ``forecast_digest`` is that of the file the forecast came from, empty when it was given inline.
    """

    hosts: Sequence[Host]
    models: Sequence[Model]
    current: Sequence[Replica] = ()
    forecast: Mapping[str, Any] | None = None
    observed: Mapping[str, float] | None = None
    startup_seconds: Mapping[str, float] = field(default_factory=dict)
    previous: Mapping[str, Any] | None = None
    forecast_digest: str = ""
    reserved: Reserved = field(default_factory=dict)

    @property
    def stock(self) -> list[Host]:
        """The hosts, without what others hold on them."""
        return with_reserved(self.hosts, self.reserved)


@dataclass(frozen=True)
class Policy:
    """How to plan.

    ``as_of`` is epoch seconds, None for the moment of planning. ``periods`` of ``period_seconds`` are looked
    ahead, the first included; None for the length makes it the planning interval. ``response_time_price`` is
    currency per request and second of waiting. The rest is as Settings of allocate.py has it.
    """

    objective: str = "weighted"
    method: str = "auto"
    headroom: float = 1.2
    observed_seconds: float = 0.0
    planning_interval_seconds: float = 3600.0
    periods: int = 1
    period_seconds: float | None = None
    churn_hours: float = 0.05
    response_time_price: float = 0.0
    tenants: Mapping[str, str] = field(default_factory=dict)
    hold_scale_in: bool = False
    scale_in_hold_seconds: float = 0.0
    time_limit_seconds: float = 30.0
    dask_address: str | None = None
    as_of: float | None = None

    @property
    def period(self) -> float:
        """Seconds of one period."""
        return max(1.0, self.planning_interval_seconds if self.period_seconds is None else self.period_seconds)

    @property
    def settings(self) -> Settings:
        return Settings(
            objective=self.objective,
            method=self.method,
            period_hours=self.period / SECONDS_PER_HOUR,
            churn_hours=self.churn_hours,
            waiting_price=self.response_time_price,
            tenants=self.tenants,
            time_limit_seconds=self.time_limit_seconds,
            dask_address=self.dask_address,
        )


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
        observed_seconds=policy.observed_seconds,
        lead_time_seconds=inputs.startup_seconds,
        planning_interval_seconds=policy.planning_interval_seconds,
        hold_scale_in=policy.hold_scale_in,
        scale_in_hold_seconds=policy.scale_in_hold_seconds,
        previous=inputs.previous,
        hosts=inputs.hosts,
        as_of=now if policy.as_of is None else policy.as_of,
    )
    leads = lead_times(inputs.models, inputs.startup_seconds)
    later = later_demands(
        inputs.forecast,
        demands,
        leads,
        periods=policy.periods,
        period_seconds=policy.period,
        headroom=policy.headroom,
        as_of=now if policy.as_of is None else policy.as_of,
    )
    allocation = allocate(
        inputs.stock,
        inputs.models,
        demands,
        [replica for replica in current if replica.host in serving],
        policy.settings,
        later=later,
        lead_periods=lead_periods(leads, policy.period),
    )
    target = allocation.assignment.replicas
    serves_now = serving_capacity(
        current, {host.name: host for host in inputs.hosts}, {model.name: model for model in inputs.models}
    )
    floors = rollout_floors(demands, serves_now)
    waves = order_waves(current, target, inputs.stock, inputs.models, floor_requests_per_second=floors)
    plan = {
        "created_at": format_moment(now),
        "as_of": None if policy.as_of is None else format_moment(policy.as_of),
        "generator": documents.GENERATOR,
        "inputs": _digests(inputs),
        "fleet_fingerprint": fleet_fingerprint(inputs.hosts, inputs.models),
        "lead_time_seconds": leads,
        "demand": {name: one.as_record() for name, one in demands.items()},
        **decision_record(allocation, inputs.stock, [demands, *later], current, policy.period),
        **work_record(waves, target),
        "hosts": [host.as_record() for host in inputs.hosts],
        "models": {model.name: model.as_record() for model in inputs.models},
        "warnings": warnings + notes + _solver_warnings(allocation),
        **({"reserved": {host: dict(held) for host, held in inputs.reserved.items()}} if inputs.reserved else {}),
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
