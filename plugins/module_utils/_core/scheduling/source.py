# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From the options of a module to a problem: inline or path, a capacity list or hosts with a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Replica,
    parse_hosts,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.capacity import (
    FreeCapacity,
    capacity_of_hosts,
    parse_capacity,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.expectation import (
    Step,
    expected_steps,
    plan_digest,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.jobs import (
    Job,
    check_types,
    parse_jobs,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import (
    Problem,
    build_problem,
)

LEAST_PERIODS = 24
MOST_PERIODS_BY_DEFAULT = 168


def read_problem(params: Mapping[str, Any], *, now: float) -> tuple[Problem, dict[str, str]]:
    """The problem that the options ``jobs``, ``capacity``, ``hosts``, ``plan``, ``start``, ``periods`` describe.

    Args:
        params: the options of the module.
        now: epoch seconds, where a schedule on hosts begins by default, up to the full minute.

    Returns:
        The problem, and the digest of each input.

    Raises:
        InputError: see :mod:`jobs` and :mod:`capacity`; neither or both of capacity and hosts.
    """
    period_seconds = params["period_seconds"]
    if period_seconds < 1:
        raise InputError("period_seconds must be at least 1", where="period_seconds")
    records = documents.load(params["jobs"], what="list of jobs")
    jobs = parse_jobs(records)
    given, hosts = params.get("capacity"), params.get("hosts")
    if (given is None) == (hosts is None):
        raise InputError(
            "there is no capacity" if given is None else "capacity and hosts are both given",
            where="capacity",
            remedy="Give either capacity, the accelerators free by period, or hosts, best with a plan",
        )
    inputs = {"jobs": _digest(records)}
    if given is not None:
        capacity_records = documents.load(given, what="list of free capacity")
        capacity = parse_capacity(capacity_records, period_seconds=period_seconds)
        inputs["capacity"] = _digest(capacity_records)
    else:
        capacity = _on_hosts(params, jobs, now, inputs)
    check_types(jobs, capacity.types)
    return build_problem(jobs, capacity), inputs


def _on_hosts(params: Mapping[str, Any], jobs: Sequence[Job], now: float, inputs: dict[str, str]) -> FreeCapacity:
    records = documents.load(params["hosts"], what="list of hosts")
    inputs["hosts"] = _digest(records)
    placements: list[Replica] = []
    expected: tuple[Step, ...] = ()
    if params.get("plan") is not None:
        plan = documents.expect_mapping(documents.load(params["plan"], what="plan"), what="plan", where="plan")
        if plan.get("kind") != "plan":
            raise InputError(f"this is no plan but {plan.get('kind')!r}", where="plan", remedy="Give a plan.json")
        placements = parse_replicas(plan.get("placements") or [], what="placements")
        expected = expected_steps(plan)
        inputs["plan"] = plan_digest(plan)
    start = 60.0 * math.ceil(now / 60)
    if params.get("start"):
        start = float(round(parse_moment(params["start"], what="start", where="start")))
    periods = params.get("periods")
    if periods is None:
        ends = [job.deadline - start for job in jobs if math.isfinite(job.deadline)]
        reach = math.ceil(max(ends, default=0.0) / params["period_seconds"])
        periods = min(max(reach, LEAST_PERIODS), MOST_PERIODS_BY_DEFAULT)
    if periods < 1:
        raise InputError("periods must be at least 1", where="periods")
    return capacity_of_hosts(
        parse_hosts(records),
        placements,
        start=start,
        period_seconds=params["period_seconds"],
        periods=periods,
        expected=expected,
    )


def _digest(records: Any) -> str:
    """The digest of an input whose records may come in any order."""
    if isinstance(records, Mapping):
        return documents.digest(records)
    try:
        return documents.digest(sorted(documents.digest(record) for record in records))
    except ValueError as error:  # NaN, which the parsers name better where they can
        raise InputError(f"an input holds a number JSON cannot write ({error})") from error
