#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``host_tuning``: a host's own settings during a tuning."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_tuning
short_description: Set a host for a measurement, and put back what was there
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs on a serving host. Puts settings in force in the running system alone; a reboot undoes them. To make them last
    is for M(modelops.datacenter.kernel_settings) and the role C(provision).
  - What was there before is kept in O(record) before anything is changed, so that O(state=restored) also mends what a
    killed tuning left.
  - Only settings on a list are taken. V(sysctl:NAME) for network buffers, queues and memory, V(governor),
    V(transparent_hugepage), V(transparent_hugepage_defrag) and V(tuned_profile); as parameters also the pins
    V(cpu_affinity) and V(numa_node), which belong to the unit of a replica. A name that is not on it is answered with the
    whole list.
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
  state:
    description: V(present) puts O(settings) in force, V(restored) puts back what the record says.
    type: str
    choices: [present, restored]
    default: present
  settings:
    description: Value by setting. A value of a form or a choice that the setting does not have is refused.
    type: dict
    default: {}
  parameters:
    description:
      - Parameters of a tuning, as M(modelops.datacenter.tuning_step) takes them. Those of C(kind=host) come back in
        RV(parameters) with what is in force here as their C(default), which need not be given.
    type: dict
    default: {}
  service_manager:
    description: What runs the replicas, which decides whether they can be pinned; V(auto) is systemd where it is PID 1.
    type: str
    choices: [auto, systemd, supervisord]
    default: auto
  service_properties:
    description: Properties that units of replicas have, as C(deploy_service_properties) says them.
    type: dict
    default: {}
  record:
    description: File of what was there before. It belongs below C(/run), so that it goes with what it tells of.
    type: path
    default: /run/modelops/host-tuning.json
seealso:
  - module: modelops.datacenter.tuning_step
  - module: modelops.datacenter.kernel_settings
"""

EXAMPLES = r"""
- name: Measure with other settings
  block:
    - name: Set the host
      modelops.datacenter.host_tuning:
        settings: {governor: performance, transparent_hugepage: always, sysctl:net.core.rmem_max: 16777216}
    - name: Measure
      ansible.builtin.command: /usr/local/bin/measure
      changed_when: false
  always:
    - name: Put the host back
      modelops.datacenter.host_tuning:
        state: restored
"""

RETURN = r"""
actions:
  description: What was changed, or in check mode would be, in words.
  returned: success
  type: list
  elements: str
parameters:
  description: O(parameters) as this host can take them.
  returned: success
  type: dict
left_out:
  description: Parameters that this host cannot take, each with the reason, in words.
  returned: success
  type: list
  elements: str
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.host import (
    Host,
    apply_for_now,
    fitted,
    put_back,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "restored"], "default": "present"},
    "settings": {"type": "dict", "default": {}},
    "parameters": {"type": "dict", "default": {}},
    "service_manager": {"type": "str", "choices": ["auto", "systemd", "supervisord"], "default": "auto"},
    "service_properties": {"type": "dict", "default": {}},
    "record": {"type": "path", "default": "/run/modelops/host-tuning.json"},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Set or put back, then fit the parameters to what is there."""
    manager = params["service_manager"]
    systemd = os.path.isdir("/run/systemd/system") if manager == "auto" else manager == "systemd"
    host = Host(systemd=systemd, properties=params["service_properties"])
    if params["state"] == "restored":
        outcome = put_back(host, record=params["record"], dry=check_mode)
    else:
        outcome = apply_for_now(host, params["settings"], record=params["record"], dry=check_mode)
    parameters, left_out = fitted(params["parameters"], host)
    result: dict[str, Any] = {
        "changed": bool(outcome.changes),
        "actions": outcome.changes,
        "parameters": parameters,
        "left_out": left_out,
    }
    if diff and outcome.changes:
        result["diff"] = {"before": outcome.before, "after": outcome.after}
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
