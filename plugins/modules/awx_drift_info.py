#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``awx_drift_info``: where a controller differs from the data it should hold."""

from __future__ import annotations

DOCUMENTATION = r"""
module: awx_drift_info
short_description: Where AWX differs from the data it should hold
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Compares what is declared for AWX with what a controller answered, field by field, and writes what the controller
    has in the form of the data. The role P(modelops.datacenter.awx_setup#role) asks the controller and calls this.
  - Secrets cannot be compared, since AWX does not show them.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.attributes.info_module
options:
  data:
    description: What AWX shall hold, or the path of a JSON file with it, as for M(modelops.datacenter.awx_data_info).
    type: raw
    required: true
  controller:
    description:
      - What the controller has, lists of objects of its API by endpoint, with C(surveys), C(grants) and C(notified).
        Empty where the organization does not exist.
    type: dict
    default: {}
seealso:
  - module: modelops.datacenter.awx_data_info
"""

EXAMPLES = r"""
- name: Compare
  modelops.datacenter.awx_drift_info:
    data: "{{ awx_setup_data }}"
    controller:
      teams: "{{ query('awx.awx.controller_api', 'teams', query_params={'organization__name': 'modelops'}, return_all=true) }}"
  register: drift
"""

RETURN = r"""
lines:
  description: One line a difference, V(+) for what is missing and V(~) for what differs, with its fields.
  type: list
  elements: str
  returned: always
  sample: ["~ job_templates plan: timeout_seconds 600 -> 3600"]
due:
  description: The declared objects that are missing or differ, by kind.
  type: dict
  returned: always
extra:
  description: Names of what the organization has beyond the data, by kind.
  type: dict
  returned: always
nodes:
  description: Nodes of declared workflows that are not declared, each with C(workflow) and C(id).
  type: list
  elements: dict
  returned: always
exported:
  description: All that the controller has, in the form of the data and without secrets.
  type: dict
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.controller import data_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.drift import drift_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import load
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "data": {"type": "raw", "required": True},
    "controller": {"type": "dict", "default": {}},
}


def execute(params: Mapping[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Compare."""
    data = load(params["data"], what="AWX data")
    drift = drift_of(data, params["controller"])
    return {
        "changed": False,
        "lines": drift.lines,
        "due": drift.due,
        "extra": drift.extra,
        "nodes": drift.nodes,
        "exported": {"organization": data["organization"], **data_of(params["controller"])},
    }


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
