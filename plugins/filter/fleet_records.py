# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``fleet_records``: inventory variables and facts to host records."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_records
short_description: Make host records for planning from inventory variables and facts
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes inventory names and returns one record for each host that defines C(modelops_accelerator_type).
  - The fields come from the host variables C(modelops_zone), C(modelops_region), C(modelops_accelerator_type),
    C(modelops_accelerator_count), C(modelops_accelerator_memory_gib), C(modelops_accelerator_uuids),
    C(modelops_cpu_cores), C(modelops_memory_gib), C(modelops_cost_per_hour), C(modelops_state),
    C(modelops_reachable), C(modelops_base_port) and C(modelops_max_replicas).
  - Where a variable is absent or V(auto), what facts discovered is taken - C(modelops_accelerators),
    C(ansible_processor_vcpus) for CPU cores and C(ansible_memtotal_mb), in whole GiB, for memory.
  - Numbers given as text become numbers.
positional: _input, hostvars
extends_documentation_fragment:
  - modelops.datacenter.fleet
  - modelops.datacenter.fleet.hosts
"""

EXAMPLES = r"""
- name: Write the fleet to a file
  ansible.builtin.copy:
    content: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) | to_nice_json }}"
    dest: fleet.json
    mode: "0640"
"""

RETURN = r"""
_value:
  description: Host records, sorted by name.
  type: list
  elements: dict
  sample: [{"name": "gpu-a1", "zone": "a", "accelerator_type": "h100-80gb", "accelerator_count": 8, "reachable": true}]
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import inventory


def fleet_records(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """See ``DOCUMENTATION``."""
    try:
        return inventory.fleet_records(names, hostvars)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"fleet_records": fleet_records}
