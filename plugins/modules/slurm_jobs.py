#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``slurm_jobs``: jobs carried out by a Slurm that is there already."""

from __future__ import annotations

DOCUMENTATION = r"""
module: slurm_jobs
short_description: Let Slurm run jobs on what serving leaves free
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs as root on a host that submits to Slurm. Puts on record what Slurm's queue says of the jobs, and without
    O(schedule) hands out what M(modelops.datacenter.job_schedule) is to schedule.
  - With O(schedule) it makes a reservation hold the nodes on which replicas run or are planned, signals jobs there to save
    their work and stop, and submits each job that waits, with what is left of it, with deadline, account, number of
    accelerators, time limit, and a place in the queue by schedule and urgency. So Slurm starts the next one whenever one ends.
  - Jobs that the schedule would rather have wait give way to more urgent ones that find no room. A job that may not be
    interrupted does not begin before the schedule says so.
  - A job is submitted under its owner's user with C(--dependency=singleton), so that it never runs twice at once.
  - Slurm does not know which accelerators of a node a replica holds, so a node that serves is reserved whole.
requirements:
  - Slurm >= 22.05 with its JSON plugins
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - Everything is looked at and decided, and nothing is put on record or submitted.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  jobs:
    description: The jobs, as M(modelops.datacenter.job_step) takes them.
    type: raw
    required: true
  hosts:
    description: Host records, as for M(modelops.datacenter.capacity_plan).
    type: list
    elements: dict
    required: true
  planned:
    description: The C(placements) of the plan.
    type: list
    elements: dict
    required: true
  running:
    description: The replicas that run now.
    type: list
    elements: dict
    default: []
  schedule:
    description: The schedule that M(modelops.datacenter.job_schedule) returned. Without it nothing is submitted.
    type: dict
  owners:
    description: Who may own jobs, each with the C(user) that submits and the C(account) that is charged.
    type: dict
    default: {}
  user:
    description: Who submits jobs of owners without a user. Slurm must know it on all nodes.
    type: str
    default: modelops-jobs
  nodes:
    description: Names of Slurm's nodes by host, where they differ.
    type: dict
    default: {}
  cancel:
    description: Names of jobs to cancel.
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
  work_dir:
    description: Where each job has a directory for checkpoints, on storage that this host and all nodes share.
    type: path
    required: true
  settle_seconds:
    description: How long a job runs at least before another job may take its place.
    type: float
    default: 600
  time_factor:
    description: How many times as long as expected a job may run before Slurm ends it.
    type: float
    default: 2
seealso:
  - module: modelops.datacenter.job_schedule
  - module: modelops.datacenter.job_step
"""

EXAMPLES = r"""
- name: What does Slurm say, and what is to be scheduled?
  modelops.datacenter.slurm_jobs:
    jobs: "{{ modelops_jobs }}"
    hosts: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
    planned: "{{ plan.placements }}"
    work_dir: /srv/shared/jobs
  register: looked

- name: Schedule
  modelops.datacenter.job_schedule:
    jobs: "{{ looked.schedulable }}"
    hosts: "{{ looked.hosts }}"
    plan: plan.json
  register: scheduled
  delegate_to: localhost

- name: Submit
  modelops.datacenter.slurm_jobs:
    jobs: "{{ modelops_jobs }}"
    hosts: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
    planned: "{{ plan.placements }}"
    work_dir: /srv/shared/jobs
    schedule: "{{ scheduled.schedule }}"
"""

RETURN = r"""
changed:
  description: Whether something happened to a job, or was done.
  returned: always
  type: bool
summary:
  description: How many jobs are in which phase, in one line.
  returned: success
  type: str
lines:
  description: What happened, what was done, which jobs will be late or were refused, a line each.
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
  description: >-
    The hosts as jobs may use them, for O(modelops.datacenter.job_schedule#module:hosts). Those that serve are draining,
    since they are reserved whole, and so are nodes that are down; the others are without what jobs of others hold.
  returned: success
  type: list
  elements: dict
closed:
  description: Attempts that were found ended now.
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
  description: Jobs by phase, and how many will be late.
  returned: success
  type: dict
stopped:
  description: Whether jobs were asked to stop, so that another turn can submit what is left of them.
  returned: success
  type: bool
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.given import given_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm import HOST
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_cluster import Cluster
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_turn import slurm_turn
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "jobs": {"type": "raw", "required": True},
    "hosts": {"type": "list", "elements": "dict", "required": True},
    "planned": {"type": "list", "elements": "dict", "required": True},
    "running": {"type": "list", "elements": "dict", "default": []},
    "schedule": {"type": "dict"},
    "owners": {"type": "dict", "default": {}},
    "user": {"type": "str", "default": "modelops-jobs"},
    "nodes": {"type": "dict", "default": {}},
    "cancel": {"type": "list", "elements": "str", "default": []},
    "again": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "path", "default": "/var/lib/modelops/jobs.json"},
    "work_dir": {"type": "path", "required": True},
    "settle_seconds": {"type": "float", "default": 600},
    "time_factor": {"type": "float", "default": 2},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Look, and with a schedule make Slurm follow it."""
    settle = documents.expect_number(params["settle_seconds"], what="settle_seconds", minimum=0)
    given = given_of(params, {HOST: {}}, shared=True, settle_seconds=settle)
    cluster = Cluster(
        work_dir=params["work_dir"],
        user=params["user"],
        nodes=params["nodes"],
        time_factor=documents.expect_number(params["time_factor"], what="time_factor", minimum=1),
    )
    turn = slurm_turn(params["state"], given, cluster, now=clock.now(), dry=check_mode)
    return {
        **turn.report(given.seen, []),
        "hosts": [host.as_record() for host in turn.stock],
        "stopped": any(one.current and one.current.stopping for one in turn.state.jobs.values()),
    }


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
