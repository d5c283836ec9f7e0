#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: capacity_plan
short_description: Plan how many replicas of which model run on which host, and in which order to get there
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Decides for all models at once, by integer programming, how many replicas each gets, and puts them on hosts,
    slots and accelerators. It weighs the price of unserved requests, the cost of hosts and the price of change
    in one currency.
  - Keeps within the room of every host, and keeps replica limits and the spread over zones or regions as long as
    demand can be served.
  - Never fails for lack of room. What cannot be served becomes a named shortage with its price, its reason and what
    would remove it.
  - Orders the work in waves that never need room that is not yet free and keep serving capacity above demand where
    that is possible.
  - Writes the plan as a file; contacts no host and changes nothing on any. Apply it with the C(apply) playbook.
requirements:
  - numpy >= 1.26
  - scipy >= 1.11
  - ortools >= 9.12
  - joblib >= 1.3 (fleets beyond one solve)
  - distributed >= 2024.8 (O(parallel.backend=dask))
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
attributes:
  check_mode:
    support: full
    details:
      - The plan is computed and returned, but O(dest) is not written.
  diff_mode:
    support: full
    details:
      - Shows the replicas that run now against the planned ones, a line each.
  idempotent:
    support: full
    details:
      - The same input gives the same plan but for the moment it was created. A plan that was applied is a fixed
        point, so planning again for the same demand changes nothing.
options:
  hosts:
    description:
      - The fleet, a list of host records or the path of a JSON file with one. The filter
        P(modelops.datacenter.fleet_records#filter) makes it from the inventory.
      - A host whose C(state) is V(draining) takes nothing new and is emptied when there is room elsewhere. A host in
        V(maintenance) is emptied. What runs on a host with C(reachable) false is not counted and left alone.
      - Accelerator memory is in GiB of each accelerator. A resource that is 0 does not limit, except accelerators.
    type: raw
    required: true
  models:
    description:
      - The catalogue of models (C(modelops_models)), or the path of a JSON file with it.
      - Accelerator memory is in GiB a replica, over all of its accelerators.
    type: raw
    required: true
  demand:
    description:
      - What to plan for. The path of the file that M(modelops.datacenter.demand_forecast) wrote, or its content; or
        requests/s by model; or by model a mapping of quantile level to requests/s.
      - A model without demand here and in O(observed) keeps what runs.
    type: raw
    default: {}
  observed:
    description:
      - Requests/s observed now by model, with the queued and the rejected; or the path of a JSON file with it.
      - Without it, the last samples of the forecast's history stand in. An empty mapping says that nothing could be
        measured, which stops nothing.
    type: raw
  observed_seconds:
    description:
      - Over how many seconds O(observed) was counted. Where a forecast is there to be guarded, the scatter of such a count
        is taken off first, so that a chance crowd of few requests starts no replica.
      - With V(0) it is taken as exact.
    type: float
    default: 0
  current:
    description:
      - What runs now, a list of replica records or the path of a JSON file with one. The filter
        P(modelops.datacenter.running_replicas#filter) makes it from facts.
    type: raw
    default: []
  reserved:
    description:
      - Accelerators that somebody else holds now, as indexes by host and holder, such as jobs that may not be interrupted.
        Replicas are placed around them; one that names such an accelerator as its own is moved.
      - The filter P(modelops.datacenter.reserved_by_jobs#filter) makes it from the record of C(run_jobs). It is no part of
        the fleet, so a plan stays valid when it changes.
    type: dict
    default: {}
  objective:
    description:
      - V(weighted) minimises the sum of all money.
      - V(lexicographic) minimises the price of shortage first, then serves the model with the least served share of
        its demand as well as possible (max-min fairness), then minimises cost and change.
    type: str
    choices: [weighted, lexicographic]
    default: weighted
  method:
    description:
      - How the plan is found. V(auto) chooses by size.
      - V(direct) solves the mixed-integer programme as it is, V(lp_repair) rounds and repairs its linear relaxation,
        V(box) then solves the mixed-integer programme near that.
      - V(columns) plans whole host fillings, for fleets where replicas share accelerators, or take so much processor
        or memory that what fits in total does not fit on hosts; it is for one period and O(objective=weighted), and
        V(auto) tries it where that shows.
    type: str
    choices: [auto, direct, lp_repair, box, columns]
    default: auto
  headroom:
    description:
      - Factor on observed demand, at least 1.
      - Beside a forecast it counts as far as the forecast did not expect what is observed, not at all at its median and
        whole above its highest level.
    type: float
    default: 1.2
  planning_interval_seconds:
    description: Seconds until the next plan; the demand of the time to start and of this interval is planned for.
    type: float
    default: 3600
  periods:
    description:
      - How many periods to plan for, this one included. The plan acts on the first and is aware of the others, so it
        does not stop what is wanted again soon, and starts in time what takes longer to start than a period.
      - Later periods follow the forecast; RV(plan) has them as C(outlook).
    type: int
    default: 1
  period_seconds:
    description: Seconds of one period; O(planning_interval_seconds) where it is not given.
    type: float
  churn_hours:
    description: The price of a start, in hours of the replica's cost. V(0) makes change free.
    type: float
    default: 0.05
  response_time_price:
    description:
      - What a second that one request waits costs, in currency, times the model's weight over the least weight.
      - With it, a model gets replicas beyond its demand as long as the waiting they save is worth more than they cost.
    type: float
    default: 0
  tenants:
    description:
      - Whom each model belongs to. With O(objective=lexicographic), fairness is then between tenants; a model that is
        not named stands for itself.
    type: dict
    default: {}
  hold_scale_in:
    description: Plan no fewer replicas of any model than run now.
    type: bool
    default: false
  scale_in_hold_seconds:
    description:
      - How many seconds demand must have been low, all of it known, before fewer replicas run; V(0) for no hold.
      - The plans remember what was asked for of late (O(previous)). Without that memory the recent maximum of the
        forecast's history stands in, where it reaches back that far; otherwise what runs stays. Scale-in goes no
        further than the highest demand of that time needs. Demand given as numbers is not held.
    type: float
    default: 0
  previous:
    description:
      - The plan before this one, its path or content. A file that does not exist yet, or is no plan of this
        release, is none.
    type: raw
  startup_seconds:
    description: Measured seconds from start to first answer by model; they override the catalogue.
    type: dict
    default: {}
  as_of:
    description:
      - The moment to plan for, ISO 8601 UTC. Without it, now; the plan then says V(null), and its C(created_at) is
        that moment.
    type: str
  time_limit_seconds:
    description:
      - Wall time in seconds after which the solver gives the best plan found so far.
      - A plan that was cut off by time may differ from run to run; C(status) in RV(solver) says how the solver ended.
    type: float
    default: 30
  parallel:
    description: Where the parts of a fleet beyond one solve (some 60000 whole variables) are solved.
    type: dict
    suboptions:
      backend:
        description: V(loky) is this machine; V(dask) is an existing scheduler, and all of its workers are used.
        type: str
        choices: [loky, dask]
        default: loky
      address:
        description: Where the scheduler of V(dask) listens, for example V(tcp://10.0.0.5:8786).
        type: str
  dest:
    description: Where to write the plan, a JSON file with mode C(0640). Its directory must exist.
    type: path
seealso:
  - module: modelops.datacenter.demand_forecast
  - module: modelops.datacenter.plan_validation
  - module: modelops.datacenter.capacity_report
"""

EXAMPLES = r"""
- name: Plan for a forecast
  modelops.datacenter.capacity_plan:
    hosts: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
    models: "{{ modelops_models }}"
    demand: forecast.json
    current: "{{ groups['all'] | modelops.datacenter.running_replicas(hostvars) }}"
    dest: plan.json
  register: plan

- name: Say what was decided
  ansible.builtin.debug:
    msg: "{{ plan.summary.splitlines() }}"

- name: What would 30 requests/s of one model need on two hosts?
  modelops.datacenter.capacity_plan:
    hosts:
      - {name: gpu-a1, zone: a, accelerator_type: h100-80gb, accelerator_count: 8, cost_per_hour: 24}
      - {name: gpu-b1, zone: b, accelerator_type: h100-80gb, accelerator_count: 8, cost_per_hour: 24}
    models:
      chat-8b:
        resources: {accelerators: 1}
        capacity: {h100-80gb: {requests_per_second: 6.5, service_time_seconds: 1.2}}
        spread: {zone: 0.6}
    demand: {chat-8b: 30}
"""

RETURN = r"""
changed:
  description: Whether the planned placements differ from what runs.
  returned: always
  type: bool
summary:
  description: The plan for a person, a few lines of text.
  returned: success
  type: str
starts:
  description: How many replicas start.
  returned: success
  type: int
stops:
  description: How many replicas stop.
  returned: success
  type: int
keeps:
  description: How many replicas stay as they are.
  returned: success
  type: int
moves:
  description: How many starts and stops belong together, because one replica takes over from another.
  returned: success
  type: int
shortages:
  description:
    - What cannot be served, dearest first. C(requests_per_second) is short against the highest demand level,
      C(replicas) more would serve it, C(cost_per_hour) is the expected price of not serving it.
    - For a model without C(shortage_cost), a request is put at 10 times what it costs on the dearest host that can
      serve it, times the model's weight over the least weight.
  returned: success
  type: list
  elements: dict
  sample:
    - cost_per_hour: 412.0
      model: chat-8b
      reason: >-
        chat-8b is 3.2 requests/s short: no host of a type it can run on (h100-80gb) has 2 free accelerators;
        one more h100-80gb host like gpu-a1 would remove it
      replicas: 1
      requests_per_second: 3.2
violations:
  description: Policy limits that could not be kept (least replicas, spread), with the reason.
  returned: success
  type: list
  elements: dict
marginal_values:
  description:
    - What one more host of each kind would save an hour at most, most first, in currency. C(like) names a host of the
      kind. Kinds that would save nothing are left out.
  returned: success
  type: list
  elements: dict
cost_per_hour:
  description: The cost of the hosts' share that is used, in currency per hour; a full host counts with its whole cost.
  returned: success
  type: float
reasons:
  description: Why each model gets what it gets, a line each.
  returned: success
  type: list
  elements: str
digest:
  description: The plan's digest, V(sha256:...) over everything it says but when it was created.
  returned: success
  type: str
dest:
  description: The file that was written, or would be in check mode.
  returned: when O(dest) is given
  type: str
solver:
  description:
    - How the decision was found. C(method), C(status), C(objective) and C(bound) in currency over the planning
      interval, C(gap) between them as a share, and the C(seconds) of wall time it took.
    - The objective counts demand without a stated C(shortage_cost) with the weight it has in the decision, which is
      more than C(shortages) says it costs. With O(objective=lexicographic), C(bound) and C(gap) are V(null).
  returned: success
  type: dict
plan:
  description: The plan itself, as it would be written.
  returned: when O(dest) is not given
  type: dict
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    parse_hosts,
    parse_models,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import write_plan
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.previous import previous_plan
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.reservations import parse_reserved
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.summary import summary_lines
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import ENCRYPTION
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "hosts": {"type": "raw", "required": True},
    "models": {"type": "raw", "required": True},
    "demand": {"type": "raw", "default": {}},
    "observed": {"type": "raw"},
    "observed_seconds": {"type": "float", "default": 0},
    "current": {"type": "raw", "default": []},
    "reserved": {"type": "dict", "default": {}},
    "objective": {"type": "str", "choices": ["weighted", "lexicographic"], "default": "weighted"},
    "method": {"type": "str", "choices": ["auto", "direct", "lp_repair", "box", "columns"], "default": "auto"},
    "headroom": {"type": "float", "default": 1.2},
    "planning_interval_seconds": {"type": "float", "default": 3600},
    "periods": {"type": "int", "default": 1},
    "period_seconds": {"type": "float"},
    "churn_hours": {"type": "float", "default": 0.05},
    "response_time_price": {"type": "float", "default": 0},
    "tenants": {"type": "dict", "default": {}},
    "hold_scale_in": {"type": "bool", "default": False},
    "scale_in_hold_seconds": {"type": "float", "default": 0},
    "previous": {"type": "raw"},
    "startup_seconds": {"type": "dict", "default": {}},
    "as_of": {"type": "str"},
    "time_limit_seconds": {"type": "float", "default": 30},
    "parallel": {
        "type": "dict",
        "options": {
            "backend": {"type": "str", "choices": ["loky", "dask"], "default": "loky"},
            "address": {"type": "str"},
        },
    },
    "dest": {"type": "path"},
    **ENCRYPTION,
}
RETURNED = (
    "starts",
    "stops",
    "keeps",
    "moves",
    "shortages",
    "violations",
    "cost_per_hour",
    "reasons",
    "digest",
    "marginal_values",
)


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Plan, and write the plan unless in check mode."""
    # One thread: the arrays are small, and the same input then gives the same bytes everywhere.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for library in ("numpy", "ortools"):
        require(library, purpose="Capacity planning")
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.plan_document import (
        placement_lines,
        plan_capacity,
    )
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.policy_options import policy_of

    inputs, policy = _inputs(params), policy_of(params)
    planned = plan_capacity(inputs, policy, now=clock.now())
    plan = planned.plan
    result: dict[str, Any] = {key: plan[key] for key in RETURNED}
    result["changed"] = bool(plan["starts"] or plan["stops"])
    result["summary"] = "\n".join(summary_lines(plan))
    result["solver"] = {**plan["solver"], "seconds": round(planned.seconds, 3)}
    result["warnings"] = plan["warnings"]
    if diff:
        before, after = ([one.as_record() for one in inputs.current], plan["placements"])
        result["diff"] = {
            "before": "".join(f"{line}\n" for line in placement_lines(before)),
            "after": "".join(f"{line}\n" for line in placement_lines(after)),
            "before_header": "what runs",
            "after_header": "what is planned",
        }
    if params.get("dest"):
        result["dest"] = params["dest"]
        if not check_mode:
            write_plan(params["dest"], plan)
    else:
        result["plan"] = plan
    return result


def _inputs(params: Mapping[str, Any]) -> Any:
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.plan_document import Inputs

    demand, observed = params["demand"], params.get("observed")
    hosts = parse_hosts(documents.load(params["hosts"], what="list of hosts"))
    return Inputs(
        hosts=hosts,
        models=parse_models(documents.load(params["models"], what="catalogue of models")),
        current=parse_replicas(documents.load(params["current"], what="list of running replicas")),
        forecast=documents.expect_mapping(documents.load(demand, what="forecast or demand") or {}, what="demand"),
        observed=None
        if observed is None
        else documents.expect_mapping(documents.load(observed, what="observed demand"), what="observed demand"),
        startup_seconds=params["startup_seconds"],
        previous=previous_plan(params.get("previous")),
        forecast_digest=documents.file_digest(demand) if demand and isinstance(demand, str) else "",
        reserved=parse_reserved(params.get("reserved"), hosts),
    )


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, sealed=("demand", "observed", "previous", "dest"))


if __name__ == "__main__":
    main()
