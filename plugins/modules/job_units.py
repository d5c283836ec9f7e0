#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``job_units``: looks at the jobs of a host, starts, stops and prolongs them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: job_units
short_description: Start, stop and look at jobs as systemd units on one host
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Carries out on a host what M(modelops.datacenter.job_step) decided, and says what is known of every job there.
  - A job is a unit of this boot, in a slice of its own, run by an unprivileged user, confined, with limits on CPU and memory,
    and in memory pressure ended before any replica. The unit's name is made of the job's, so that systemd itself keeps
    a second one from starting. How it ended is written down by systemd's last step of the unit.
  - A timer stops the unit when its lease runs out, whatever became of the controller.
  - Stopping means the job's own signal, its grace time to save its work, then an end to whatever is left.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - An attempt that was started is not started again, whether it still runs or not. Prolonging a lease is no change.
options:
  start:
    description: Attempts to start, as C(work) of M(modelops.datacenter.job_step) has them.
    type: list
    elements: dict
    default: []
  stop:
    description: Attempts to stop, by C(name) and C(attempt). The module returns when they have ended.
    type: list
    elements: dict
    default: []
  renew:
    description: Leases to prolong, by C(name), to C(until) (epoch seconds).
    type: list
    elements: dict
    default: []
  logs:
    description: Names of jobs of which to return the end of what they wrote.
    type: list
    elements: str
    default: []
  state_dir:
    description: Where what is known of each job is kept.
    type: path
    default: /var/lib/modelops-jobs/state
  work_dir:
    description: Where each job has a directory of its own, for checkpoints. Best on storage that all hosts share.
    type: path
    default: /var/lib/modelops-jobs/work
  log_dir:
    description: Where the output of each job is kept.
    type: path
    default: /var/log/modelops/jobs
  slice:
    description: The slice of all jobs.
    type: str
    default: modelops_jobs.slice
  user:
    description: Who runs jobs whose owner has no user.
    type: str
    default: modelops-jobs
  protect_home:
    description: What jobs see of home directories, as systemd's C(ProtectHome).
    type: str
    default: read-only
  writable_paths:
    description: Absolute paths that jobs may write to beside their own directory.
    type: list
    elements: path
    default: []
seealso:
  - module: modelops.datacenter.job_step
"""

EXAMPLES = r"""
- name: What is known of jobs here?
  modelops.datacenter.job_units:
  register: job_units

- name: Do what was decided
  modelops.datacenter.job_units:
    stop: "{{ decided.work[inventory_hostname].stop }}"
    start: "{{ decided.work[inventory_hostname].start }}"
    renew: "{{ decided.work[inventory_hostname].renew }}"
"""

RETURN = r"""
units:
  description:
    - What is known of each job, as O(modelops.datacenter.job_step#module:observed) takes it. C(attempt) is its last here,
      C(active) whether its unit is up, C(asked) whether it was told to stop, C(ended) how it ended, C(progress) the share
      of its work it says is safe, C(touched_at) when it last wrote something.
  returned: success
  type: list
  elements: dict
started:
  description: Jobs that were started, or in check mode would be.
  returned: success
  type: list
  elements: str
stopped:
  description: Jobs that were stopped, or in check mode would be.
  returned: success
  type: list
  elements: str
not_started:
  description: Jobs that were not started, with why.
  returned: success
  type: dict
logs:
  description: The end of what the jobs of O(logs) wrote.
  returned: success
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import host, units
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "start": {"type": "list", "elements": "dict", "default": []},
    "stop": {"type": "list", "elements": "dict", "default": []},
    "renew": {"type": "list", "elements": "dict", "default": []},
    "logs": {"type": "list", "elements": "str", "default": []},
    "state_dir": {"type": "path", "default": "/var/lib/modelops-jobs/state"},
    "work_dir": {"type": "path", "default": "/var/lib/modelops-jobs/work"},
    "log_dir": {"type": "path", "default": "/var/log/modelops/jobs"},
    "slice": {"type": "str", "default": "modelops_jobs.slice"},
    "user": {"type": "str", "default": "modelops-jobs"},
    "protect_home": {"type": "str", "default": "read-only"},
    "writable_paths": {"type": "list", "elements": "path", "default": []},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Start, prolong, stop, look."""
    place = units.Place(
        state_dir=params["state_dir"],
        work_dir=params["work_dir"],
        log_dir=params["log_dir"],
        slice=params["slice"],
        user=params["user"],
        protect_home=params["protect_home"],
        writable=params["writable_paths"],
    )
    starts = [units.parse_start(one, where=f"start[{row}]") for row, one in enumerate(params["start"])]
    try:
        stops = [(units.expect_name(one["name"]), int(one["attempt"])) for one in params["stop"]]
        renewals = [(units.expect_name(one["name"]), float(one["until"])) for one in params["renew"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"stop and renew must be as job_step gives them ({error})") from error
    outcome = host.start(place, starts, dry=check_mode)
    if not check_mode:
        host.renew(place, renewals)
    stopped = host.stop(place, stops, dry=check_mode)
    return {
        "changed": bool(outcome.started or stopped),
        "started": outcome.started,
        "stopped": stopped,
        "not_started": outcome.refused,
        "logs": {name: host.log_tail(place, name) for name in params["logs"]},
        "units": host.look(place),
    }


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
