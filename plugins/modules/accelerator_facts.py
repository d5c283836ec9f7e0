#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: accelerator_facts
short_description: Find a host's accelerators
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Asks C(nvidia-smi), C(amd-smi), C(rocm-smi) or C(npu-smi), whichever is installed and finds devices, and returns
    their number, type, memory and state as facts.
  - A host without accelerators has the type V(cpu). So has one whose tool fails or hangs; a warning then says why,
    and the module does not fail.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.attributes.info_module
options:
  timeout_seconds:
    description: Seconds that one call of a vendor's tool may take.
    type: float
    default: 20
"""

EXAMPLES = r"""
- name: Find the accelerators
  modelops.datacenter.accelerator_facts:

- name: Show them
  ansible.builtin.debug:
    msg: "{{ modelops_accelerators.count }} x {{ modelops_accelerators.type }}"
"""

RETURN = r"""
ansible_facts:
  description: Facts to add.
  returned: always
  type: dict
  contains:
    modelops_accelerators:
      description: The accelerators of the host.
      returned: always
      type: dict
      contains:
        vendor:
          description: V(nvidia), V(amd), V(ascend), or V(none).
          returned: always
          type: str
        type:
          description: Product and memory, as capacities in the catalogue name it, or V(cpu).
          returned: always
          type: str
          sample: h100-80gb
        count:
          description: Number of devices.
          returned: always
          type: int
        memory_gib:
          description: GiB of memory of one device, the smallest when they differ, 0 without devices.
          returned: always
          type: float
        driver_version:
          description: Version of the driver, empty when not known.
          returned: always
          type: str
        runtime_versions:
          description: Versions of what the driver offers to programs, for example C(cuda) or C(rocm).
          returned: always
          type: dict
        devices:
          description:
            - One record a device, by index, with C(index), C(uuid), C(name), C(memory_total_gib), C(memory_free_gib),
              C(utilisation_ratio) in [0, 1], C(temperature_celsius), C(power_watts), C(ecc_uncorrected) (errors since
              the driver was loaded) and C(processes) (process IDs). What a device does not tell is null.
          returned: always
          type: list
          elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.inventory import take_inventory
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {"timeout_seconds": {"type": "float", "default": 20}}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Look at the host; the same in check mode, since looking changes nothing."""
    if params["timeout_seconds"] <= 0:
        raise InputError("timeout_seconds must be above 0")
    facts, warnings = take_inventory(timeout_seconds=params["timeout_seconds"])
    return {"changed": False, "ansible_facts": {"modelops_accelerators": facts}, "warnings": warnings}


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
