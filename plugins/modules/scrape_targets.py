#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``scrape_targets``: the files of Prometheus' service discovery."""

from __future__ import annotations

DOCUMENTATION = r"""
module: scrape_targets
short_description: Write what Prometheus scrapes as files of its service discovery
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs on a monitoring host. Writes one file a job, each in one step and only when it changes. Prometheus sees a
    new file by itself, without a reload.
  - A host that does not answer says nothing of what it runs; name it in O(unknown_hosts), and its replicas stay
    targets. Otherwise a dead host would silence the alerts on what it ran.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  dir:
    description: Directory of the files.
    type: path
    required: true
  jobs:
    description: Target groups by job, as the filter P(modelops.datacenter.scrape_jobs#filter) gives them.
    type: dict
    required: true
  unknown_hosts:
    description: Hosts that did not answer.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Scrape what runs
  modelops.datacenter.scrape_targets:
    dir: /etc/modelops/monitoring/targets
    jobs: "{{ groups['all'] | modelops.datacenter.scrape_jobs(hostvars, modelops_models) }}"
"""

RETURN = r"""
written:
  description: The files that changed, or would.
  type: list
  elements: str
  returned: always
targets:
  description: How many targets each job has.
  type: dict
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.targets import write_targets
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "dir": {"type": "path", "required": True},
    "jobs": {"type": "dict", "required": True},
    "unknown_hosts": {"type": "list", "elements": "str", "default": []},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Compare, write, count."""
    written, differences, targets = write_targets(
        params["dir"], params["jobs"], unknown_hosts=params["unknown_hosts"], dry_run=check_mode
    )
    result: dict[str, Any] = {"changed": bool(written), "written": written, "targets": targets}
    return {**result, "diff": differences} if diff else result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
