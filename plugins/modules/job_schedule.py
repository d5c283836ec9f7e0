#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: job_schedule
short_description: Schedule training and batch jobs with deadlines on the accelerators that serving leaves free
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Decides for every period how many accelerators of which type each job has, so that as much weighted work as possible
    is done by its deadline. What cannot be on time is still scheduled, as early as possible.
  - Never gives more than is free, never starts a job before its release, and never runs it on a number of accelerators
    it does not allow. A job runs on one accelerator type, and where hosts are named on one host, at a time.
  - Says for each late job by how much it is late and why, and what extra capacity would make every deadline hold.
  - Writes the schedule as a file; contacts no host and starts no job.
requirements:
  - numpy >= 1.26
  - scipy >= 1.11
  - ortools >= 9.12
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
attributes:
  check_mode:
    support: full
    details:
      - The schedule is computed and returned, but O(dest) is not written.
  diff_mode:
    support: full
    details:
      - Shows the runs in O(dest) before against those of the new schedule, a line each.
  idempotent:
    support: full
    details:
      - The same input gives the same schedule but for the moment it was created. With O(hosts), give O(start), since the
        schedule otherwise begins now.
options:
  jobs:
    description:
      - The jobs (C(modelops_jobs)), a list with a C(name) each or a mapping by name; or the path of a JSON file with it.
      - C(work_accelerator_hours) is the work in accelerator-hours at speed 1; C(remaining_accelerator_hours) what is left
        of it, by default all.
      - C(accelerators) is how many it runs on, a number or C(min), C(max) and optionally C(powers_of_two).
      - C(release) and C(deadline) are ISO 8601 moments, UTC unless they have an offset. Both are optional.
      - C(weight) says how much an accelerator-hour of it on time is worth relative to other jobs, by default V(1).
      - C(preemptible), by default V(true), says whether it may be interrupted, resized and moved between periods. Without,
        it runs on the same number of accelerators from start to end.
      - C(accelerator_types) are the types it can run on, a list, or a mapping to relative speeds; by default all, at
        speed 1.
      - C(state=running) with C(running_on) (C(accelerator_type), C(accelerators), optionally C(host)) says that it runs
        now. If it may not be interrupted it keeps what it has until it ends.
    type: raw
    required: true
  capacity:
    description:
      - What is free when, a list or the path of a JSON file with one. Either this or O(hosts) is required.
      - Each record has C(start) (ISO 8601), C(accelerator_type) and C(accelerators), a whole number. It holds for one
        period, or until C(end). C(host) keeps hosts apart. C(cost_per_hour) is the price of one accelerator-hour, in any
        currency, which only the advice on extra capacity uses.
      - A period that no record names has nothing free.
    type: raw
  hosts:
    description:
      - Host records, a list or the path of a JSON file with one, as for M(modelops.datacenter.capacity_plan).
      - All accelerators of hosts that take new work are free but those that O(plan) uses.
    type: raw
  plan:
    description:
      - The plan that M(modelops.datacenter.capacity_plan) wrote, or its path. Used with O(hosts).
      - Where it looks ahead (O(modelops.datacenter.capacity_plan#module:periods)), its outlook says what is free on each
        host later; a period has what is free in all periods of the plan it touches. Beyond the outlook a host counts
        with the fewest it has free in any of them.
    type: raw
  start:
    description:
      - When the schedule begins (ISO 8601). Used with O(hosts); now by default, rounded up to the minute.
    type: str
  periods:
    description:
      - How many periods to schedule. Used with O(hosts). By default up to the last deadline, at least V(24) and at most
        V(168).
    type: int
  period_seconds:
    description: Length of a period in seconds. Allocations change between periods only.
    type: int
    default: 3600
  policy:
    description:
      - V(lp) solves a linear programme for most weighted work on time and makes whole accelerators of it. It keeps the
        best of several roundings, of earliest deadline first and of least laxity first, so it never has less weighted work
        on time than these. That is proved to be the most when C(exact) is returned true, and a heuristic within
        C(bound_share) otherwise. Where jobs that may not be interrupted are few, their starts are decided by integer
        programming.
      - V(edf) serves the earliest deadline first, equal ones by least laxity. Jobs whose deadline has passed come last.
      - V(least_laxity) serves first what can wait least.
    type: str
    choices: [lp, edf, least_laxity]
    default: lp
  completion_tolerance:
    description:
      - Share of all weighted work that O(policy=lp) may have less on time in order to have more jobs wholly on time, by
        weight. With V(0) work on time alone counts, also that of jobs that end up late.
    type: float
    default: 0.01
  feasibility:
    description:
      - Whether to find the extra capacity with which all deadlines hold, when one does not. It takes several times as long
        as the schedule.
    type: bool
    default: true
  time_limit_seconds:
    description: Longest time in seconds for one run of the solver.
    type: float
    default: 30
  dest:
    description: Where to write the schedule (JSON). Without it, the schedule is returned. The file gets mode 0640.
    type: path
seealso:
  - module: modelops.datacenter.capacity_plan
"""

EXAMPLES = r"""
- name: Schedule the training jobs on what serving leaves free tonight
  modelops.datacenter.job_schedule:
    jobs: "{{ modelops_jobs }}"
    hosts: fleet.json
    plan: plan.json
    start: "2026-11-23T20:00:00Z"
    dest: schedule.json
  register: schedule

- name: Say what was decided
  ansible.builtin.debug:
    msg: "{{ schedule.summary }}"

- name: Two jobs on a list of free accelerators, earliest deadline first
  modelops.datacenter.job_schedule:
    policy: edf
    capacity:
      - start: "2026-11-23T20:00:00Z"
        end: "2026-11-24T06:00:00Z"
        accelerator_type: l40s-48gb
        accelerators: 6
    jobs:
      - name: finetune-chat
        work_accelerator_hours: 24
        accelerators: {min: 2, max: 8, powers_of_two: true}
        deadline: "2026-11-24T04:00:00Z"
        weight: 3
      - name: embed-archive
        work_accelerator_hours: 12
        accelerators: 2
        preemptible: false
        deadline: "2026-11-24T06:00:00Z"
"""

RETURN = r"""
changed:
  description: Whether the schedule in O(dest) says something new. Always false without O(dest).
  returned: always
  type: bool
summary:
  description: How many jobs are on time, how much of the work is, and what would help, in one line.
  returned: success
  type: str
  sample: >-
    4 of 5 jobs on time, 1 late; 93.1% of the weighted work on time, 88% of the free accelerators used. With 2 more
    l40s-48gb for 6 hours from 2026-11-23T22:00:00Z all deadlines hold
late:
  description: Jobs that are not on time, with the reason.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The job.
      type: str
    status:
      description: V(late), V(unfinished) (not done by the end of the schedule) or V(never) (does not run at all).
      type: str
    lateness_seconds:
      description: Seconds after the deadline; null when it is not done by the end of the schedule.
      type: int
    reason:
      description: Why, in words.
      type: str
figures:
  description:
    - Number of jobs by status, the share of the weighted work on time and the share that no schedule can exceed, the
      weighted lateness in hours, and the share of free accelerator-hours in use.
  returned: success
  type: dict
feasibility:
  description:
    - The extra capacity with which all deadlines hold, by accelerator type (C(extra)), the jobs no capacity helps
      (C(impossible)), whether a schedule with it was made and holds (C(verified)), and the same in words (C(text)).
    - Null when O(feasibility=false).
  returned: success
  type: dict
solver:
  description: How the schedule was found, and whether it is proved to have the most weighted work on time (C(exact)).
  returned: success
  type: dict
dest:
  description: The file that holds the schedule.
  returned: when O(dest) is given
  type: str
schedule:
  description: The whole schedule, by period and by job.
  returned: when O(dest) is not given
  type: dict
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_dated, stored_content
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import ENCRYPTION
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "jobs": {"type": "raw", "required": True},
    "capacity": {"type": "raw"},
    "hosts": {"type": "raw"},
    "plan": {"type": "raw"},
    "start": {"type": "str"},
    "periods": {"type": "int"},
    "period_seconds": {"type": "int", "default": 3600},
    "policy": {"type": "str", "choices": ["lp", "edf", "least_laxity"], "default": "lp"},
    "completion_tolerance": {"type": "float", "default": 0.01},
    "feasibility": {"type": "bool", "default": True},
    "time_limit_seconds": {"type": "float", "default": 30},
    "dest": {"type": "path"},
    **ENCRYPTION,
}
LATE = ("status", "lateness_seconds", "reason")


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Schedule the jobs, and write the schedule unless in check mode."""
    # One thread: the arrays are small, and the same input then gives the same bytes everywhere.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for library in ("numpy", "scipy", "ortools"):
        require(library, purpose="Job scheduling")
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling import schedule_document as files
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.feasibility import (
        capacity_for_all_deadlines,
    )
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule import make_schedule
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.source import read_problem

    limit = documents.expect_number(params["time_limit_seconds"], what="time_limit_seconds", minimum=0.1)
    problem, inputs = read_problem(params, now=clock.now())
    schedule = make_schedule(
        problem,
        policy=params["policy"],
        completion_tolerance=documents.expect_number(
            params["completion_tolerance"], what="completion_tolerance", minimum=0, maximum=1
        ),
        time_limit_seconds=limit,
    )
    answer = capacity_for_all_deadlines(schedule, time_limit_seconds=limit) if params["feasibility"] else None
    document = files.schedule_document(schedule, answer, inputs=inputs)
    result: dict[str, Any] = {key: document[key] for key in ("summary", "figures", "feasibility", "solver", "warnings")}
    result["late"] = [
        {"name": name, **{key: fields[key] for key in LATE}}
        for name, fields in document["jobs"].items()
        if fields["status"] != "on_time"
    ]
    result["changed"] = False
    dest = params.get("dest")
    if diff:
        before = stored_content(dest) if dest else None
        result["diff"] = {
            "before": "".join(f"{line}\n" for line in files.run_lines(before or {})),
            "after": "".join(f"{line}\n" for line in files.run_lines(document)),
            "before_header": "the schedule before",
            "after_header": "the new schedule",
        }
    if dest:
        result["dest"] = dest
        result["changed"] = store_dated(dest, document, now=clock.now(), dry=check_mode)
    else:
        result["schedule"] = document
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, sealed=("plan", "dest"))


if __name__ == "__main__":
    main()
