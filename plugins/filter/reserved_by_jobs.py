# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``reserved_by_jobs``: the record of jobs to the accelerators that serving is placed around."""

from __future__ import annotations

DOCUMENTATION = r"""
name: reserved_by_jobs
short_description: Accelerators of jobs that may not be interrupted
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes the content of C(jobs.json), the record of C(run_jobs), and returns for O(modelops.datacenter.capacity_plan#module:reserved)
    what running jobs with C(preemptible) false hold.
  - Jobs that are stopping, canceled or asked for no more are left out, since they give way; so are jobs that Slurm runs,
    which places them by itself.
positional: _input, jobs, hosts
options:
  _input:
    description: What C(jobs.json) says, as text or read; empty where there is none yet.
    type: raw
    required: true
  jobs:
    description: The jobs (C(modelops_jobs)).
    type: raw
    required: true
  hosts:
    description: Host records, such as P(modelops.datacenter.fleet_records#filter) makes them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Plan around jobs that may not be interrupted
  modelops.datacenter.capacity_plan:
    hosts: "{{ fleet }}"
    models: "{{ modelops_models }}"
    demand: forecast.json
    reserved: "{{ lookup('ansible.builtin.file', 'jobs.json') | modelops.datacenter.reserved_by_jobs(modelops_jobs, fleet) }}"
"""

RETURN = r"""
_value:
  description: Indexes by host and job.
  type: dict
  sample: {"gpu-a1": {"pretrain-base": [4, 5, 6, 7]}}
"""

import json
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import parse_hosts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.holding import held_for_good
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import parse_orders
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import state_of


def reserved_by_jobs(document: Any, jobs: Any, hosts: Any) -> dict[str, dict[str, list[int]]]:
    """See ``DOCUMENTATION``."""
    if not document:
        return {}
    try:
        read = json.loads(document) if isinstance(document, (str, bytes)) else document
        return held_for_good(state_of(read, where="jobs.json"), parse_orders(jobs), parse_hosts(hosts))
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error
    except ValueError as error:
        raise AnsibleFilterError(f"jobs.json is not JSON ({error})") from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"reserved_by_jobs": reserved_by_jobs}
