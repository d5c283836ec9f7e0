#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``job_step``: what became of jobs, and what is started, stopped and tried again now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: job_step
short_description: Keep the record of jobs, and decide what is started, preempted, retried and canceled now
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs on the host that keeps what all controllers share. Puts what the hosts say of jobs on record, charges what
    they used to their owners, and without O(schedule) hands out what M(modelops.datacenter.job_schedule) is to schedule.
  - With O(schedule) it decides as well. Jobs on accelerators that the plan gives to replicas are stopped, what the
    schedule runs first is started on accelerators that nothing holds, and a job has to give way to another only when
    there is no other room. Every start is on record before it is handed out.
  - An attempt on a host that does not answer counts as running until its lease has run out; then the host has stopped
    it by itself, and the job starts elsewhere. So a job never runs twice at once.
  - Inside plays the role P(modelops.datacenter.run_jobs#role) calls it, and M(modelops.datacenter.job_units) carries it out.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - Everything is looked at and decided, and nothing is put on record.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - The same observations put nothing more on record. Leases are prolonged each time; that is no change.
options:
  jobs:
    description:
      - The jobs (C(modelops_jobs)) as M(modelops.datacenter.job_schedule) takes them, and for each what is needed to run it.
      - C(command) is a list of words; a line is split into words, but no shell runs it. C(owner) is who it belongs to.
      - C(environment) are its variables, C(environment_file) the path of a file on the hosts with more, for secrets.
      - C(resources) limits C(cpu_cores) and C(memory_gib).
      - C(checkpoint) says with which C(signal) (V(SIGTERM) by default) its main process is asked to save its work and
        stop, and the C(grace_seconds) (V(60) by default) after which it is killed.
      - C(retries) (V(2) by default) is how often it starts anew after a failure, C(backoff_seconds) (V(60) by default)
        how long it waits first, twice as long each time.
      - C(stalled_after_seconds) (V(3600) by default, V(0) for never) is after how long without output and progress it is
        said to be stalled.
      - C(canceled) stops it for good.
    type: raw
    required: true
  hosts:
    description: Host records, as for M(modelops.datacenter.capacity_plan).
    type: list
    elements: dict
    required: true
  planned:
    description: The C(placements) of the plan. Their accelerators are not for jobs.
    type: list
    elements: dict
    required: true
  running:
    description: The replicas that run now. What they hold is not for jobs either.
    type: list
    elements: dict
    default: []
  observed:
    description: What M(modelops.datacenter.job_units) returned as C(units) on each host that answered, by host.
    type: dict
    default: {}
  schedule:
    description: The schedule that M(modelops.datacenter.job_schedule) returned. Without it nothing is decided.
    type: dict
  owners:
    description:
      - Who may own jobs (C(modelops_job_owners)), each with the C(user) its jobs run as on the hosts and the C(account)
        that Slurm charges, both optional. Empty lets anybody.
    type: dict
    default: {}
  vendors:
    description: Vendor of the accelerators by host, where it does not follow from their type.
    type: dict
    default: {}
  cancel:
    description: Names of jobs to cancel, as C(canceled) does.
    type: list
    elements: str
    default: []
  again:
    description: Names of jobs that are over and shall run once more, from the start.
    type: list
    elements: str
    default: []
  state:
    description: The record, a JSON file.
    type: path
    default: /var/lib/modelops/jobs.json
  lease_seconds:
    description:
      - How long a job runs on without any run of this. After that its host stops it, with a checkpoint.
      - Also how long it takes until a job of a host that went down starts elsewhere.
    type: float
    default: 3600
  lease_margin_seconds:
    description: How far apart the clocks of hosts may be.
    type: float
    default: 60
  settle_seconds:
    description: How long a job runs at least before it gives way to another job. Serving does not wait.
    type: float
    default: 600
  work_shared:
    description:
      - Whether what a job saves on one host can be read on all. Otherwise a job that has saved something goes on where
        it was, or waits for that host.
    type: bool
    default: false
seealso:
  - module: modelops.datacenter.job_schedule
  - module: modelops.datacenter.job_units
"""

EXAMPLES = r"""
- name: Put on record what the hosts say, and see what is to be scheduled
  modelops.datacenter.job_step:
    jobs: "{{ modelops_jobs }}"
    hosts: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
    planned: "{{ plan.placements }}"
    observed: {gpu-a1: "{{ hostvars['gpu-a1'].job_units.units }}"}
  register: looked

- name: Schedule
  modelops.datacenter.job_schedule:
    jobs: "{{ looked.schedulable }}"
    hosts: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
    plan: plan.json
  register: scheduled
  delegate_to: localhost

- name: Decide
  modelops.datacenter.job_step:
    jobs: "{{ modelops_jobs }}"
    hosts: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
    planned: "{{ plan.placements }}"
    observed: {gpu-a1: "{{ hostvars['gpu-a1'].job_units.units }}"}
    schedule: "{{ scheduled.schedule }}"
"""

RETURN = r"""
changed:
  description: Whether something happened to a job, or is to happen.
  returned: always
  type: bool
summary:
  description: How many jobs are in which phase, in one line.
  returned: success
  type: str
  sample: 3 running, 2 waiting, 7 done; 1 will be late
lines:
  description: What happened, what is to be done, which jobs will be late, are stalled or refused, a line each.
  returned: success
  type: list
  elements: str
accounts:
  description: What each owner used, a line each.
  returned: success
  type: list
  elements: str
schedulable:
  description: Jobs with what is left of them, for O(modelops.datacenter.job_schedule#module:jobs).
  returned: success
  type: list
  elements: dict
hosts:
  description: O(hosts), of which those that were not looked at do not answer.
  returned: success
  type: list
  elements: dict
work:
  description: By host what is to be done there, C(stop), C(start) and C(renew) for M(modelops.datacenter.job_units).
  returned: success
  type: dict
closed:
  description: Attempts that were found ended now (C(name), C(host), C(attempt)).
  returned: success
  type: list
  elements: dict
refused:
  description: Jobs that cannot run as they are asked for, with why.
  returned: success
  type: dict
figures:
  description: The record as metrics in Prometheus' text format, for node_exporter's textfile collector.
  returned: success
  type: str
counts:
  description: Jobs by phase, and how many will be late or are stalled.
  returned: success
  type: dict
jobs:
  description: The record of each job.
  returned: success
  type: dict
owners:
  description: Accelerator-hours of each owner, and how many of them came to nothing.
  returned: success
  type: dict
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.given import given_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import hosts_not_seen, parse_seen
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.turn import take_turn, to_carry_out
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "jobs": {"type": "raw", "required": True},
    "hosts": {"type": "list", "elements": "dict", "required": True},
    "planned": {"type": "list", "elements": "dict", "required": True},
    "running": {"type": "list", "elements": "dict", "default": []},
    "observed": {"type": "dict", "default": {}},
    "schedule": {"type": "dict"},
    "owners": {"type": "dict", "default": {}},
    "vendors": {"type": "dict", "default": {}},
    "cancel": {"type": "list", "elements": "str", "default": []},
    "again": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "path", "default": "/var/lib/modelops/jobs.json"},
    "lease_seconds": {"type": "float", "default": 3600},
    "lease_margin_seconds": {"type": "float", "default": 60},
    "settle_seconds": {"type": "float", "default": 600},
    "work_shared": {"type": "bool", "default": False},
}
SECONDS = {"lease_seconds": 5.0, "lease_margin_seconds": 0.0, "settle_seconds": 0.0}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Look, decide where there is a schedule, put it on record unless in check mode."""
    seen = parse_seen(params["observed"])
    seconds = {
        name: documents.expect_number(params[name], what=name, minimum=minimum) for name, minimum in SECONDS.items()
    }
    given = given_of(params, seen, vendors=params["vendors"], shared=params["work_shared"], **seconds)
    # A host that was not looked at takes nothing, whatever it was before.
    hosts = [replace(one, reachable=one.reachable and one.name in seen) for one in given.hosts]
    given = replace(given, hosts=hosts)
    turn = take_turn(params["state"], given, now=clock.now(), dry=check_mode)
    document = turn.state.document()
    return {
        **turn.report(seen, hosts_not_seen(turn.state, seen)),
        "hosts": [one.as_record() for one in given.hosts],
        "work": to_carry_out(turn, given),
        "jobs": document["jobs"],
        "owners": document["owners"],
    }


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
