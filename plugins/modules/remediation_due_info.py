#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``remediation_due_info``: what remediation has to look at again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remediation_due_info
short_description: Say which restarts remediation has to look at again
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Reads the record of actions for restarts that helped and that, five minutes later, are to be compared with their peers.
    The playbook C(answer_alerts) asks it on the host that keeps the record, so that a run comes for them although nothing
    fires.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.attributes.info_module
options:
  history:
    description: The record of actions. One that does not exist has nothing to look at.
    type: path
    default: /var/lib/modelops/remediation.jsonl
  policy:
    description: Limits to replace, by name; see the guide to remediation.
    type: dict
    default: {}
seealso:
  - module: modelops.datacenter.remediation_decision
"""

EXAMPLES = r"""
- name: Is there something to look at again?
  modelops.datacenter.remediation_due_info:
  delegate_to: "{{ groups['all'] | modelops.datacenter.state_host(hostvars) }}"
  register: again
"""

RETURN = r"""
due:
  description: Actions to look at again, each with C(id), C(step), C(target) and C(ended), epoch seconds.
  type: list
  elements: dict
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    parse_history,
    read_history,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import build_policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.review import ripe
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "history": {"type": "path", "default": "/var/lib/modelops/remediation.jsonl"},
    "policy": {"type": "dict", "default": {}},
}


def execute(params: Mapping[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Read the record."""
    history = parse_history(read_history(params["history"]), where=params["history"])
    actions = ripe(history, clock.now(), build_policy(params["policy"]))
    return {
        "changed": False,
        "due": [{"id": one.id, "step": one.step, "target": one.target, "ended": one.ended} for one in actions],
    }


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
