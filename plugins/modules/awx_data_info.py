#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``awx_data_info``: whether data for AWX can be sent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: awx_data_info
short_description: Look at the data for AWX before anything is sent
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - AWX refuses a wrong survey, schedule or reference after it has made half of the objects. This looks at all of them
    without a controller and names each fault with its object.
  - It also refuses what AWX would take but should not be given, such as free variables at launch, approvals without a
    timeout, and secrets in the data.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.attributes.info_module
options:
  data:
    description: What AWX shall hold, or the path of a JSON file with it. The schema is C(docs/schemas/awx.schema.json).
    type: raw
    required: true
  playbooks:
    description: Names of the playbooks the project has, without C(.yml).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Look at the data
  modelops.datacenter.awx_data_info:
    data: "{{ lookup('file', 'awx.yml') | from_yaml }}"
    playbooks: [plan, apply, site, remediate]
"""

RETURN = r"""
faults:
  description: What is wrong, one sentence each; empty when all can be sent.
  type: list
  elements: str
  returned: always
  sample: ["schedules 'hourly': its RRULE must have an INTERVAL of 1 or more"]
objects:
  description: How many objects of each kind there are.
  type: dict
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.objects import FIELDS, faults_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import load
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "data": {"type": "raw", "required": True},
    "playbooks": {"type": "list", "elements": "str", "required": True},
}


def execute(params: Mapping[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Find the faults, and fail when there are any."""
    data = load(params["data"], what="AWX data")
    faults = faults_of(data, playbooks=params["playbooks"])
    objects = {kind: len(data[kind]) for kind in FIELDS if isinstance(data.get(kind), list)}
    result: dict[str, Any] = {"changed": False, "faults": faults, "objects": objects}
    if faults:
        more = f" ({len(faults) - 1} more in faults)" if len(faults) > 1 else ""
        result.update(failed=True, msg=f"Nothing may be sent to AWX. {faults[0]}{more}.")
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
