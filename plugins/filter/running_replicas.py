# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``running_replicas``: what the hosts say they run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: running_replicas
short_description: List what the hosts of the fleet say they run
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes inventory names and returns one record for each replica on a host that defines
    C(modelops_accelerator_type).
  - The replicas come from C(modelops_host_state) where a role has set it, else from the local fact
    C(ansible_local.modelops).
  - A host with C(modelops_reachable) false says nothing. A host that answers and whose local facts were not
    gathered is an error, because what runs there is not known.
positional: _input, hostvars
extends_documentation_fragment:
  - modelops.datacenter.fleet
  - modelops.datacenter.fleet.hosts
"""

EXAMPLES = r"""
- name: Show what runs
  ansible.builtin.debug:
    msg: "{{ groups['all'] | modelops.datacenter.running_replicas(hostvars) }}"
"""

RETURN = r"""
_value:
  description:
    - Replica records with C(host), C(slot), C(model), C(version), C(port) and C(accelerators), sorted by host and
      slot.
  type: list
  elements: dict
  sample: [{"host": "gpu-a1", "slot": 0, "model": "chat-8b", "version": "1", "port": 8100, "accelerators": [0]}]
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import inventory


def running_replicas(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """See ``DOCUMENTATION``."""
    try:
        return inventory.running_replicas(names, hostvars)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"running_replicas": running_replicas}
