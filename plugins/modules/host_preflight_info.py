#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_preflight_info
short_description: May this host serve? What it is, what it has, and what it lacks
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Looks at a host's system, processor, accelerators, memory, disks, clock and ports, and says in RV(unmet) which
    requirements it does not meet. All of them at once, each with what to do about it.
  - Never fails because of what it finds.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.attributes.info_module
options:
  systems:
    description: Versions by system, with the names of C(ID) and C(VERSION_ID) in C(/etc/os-release). Empty asks for nothing.
    type: dict
    default: {}
  architectures:
    description: Names of machines as C(uname -m) says them. Empty asks for nothing.
    type: list
    elements: str
    default: []
  cpu_flags:
    description: Features of the processor that engines need, as C(/proc/cpuinfo) names them.
    type: list
    elements: str
    default: []
  driver_versions:
    description: Lowest version of the driver by accelerator vendor (V(nvidia), V(amd), V(ascend)).
    type: dict
    default: {}
  runtime_versions:
    description: Lowest version by runtime that the driver offers, for example C(cuda) or C(rocm).
    type: dict
    default: {}
  accelerators:
    description: How many accelerators the host must have.
    type: int
    default: 0
  memory_gib:
    description: How much memory it must have.
    type: float
    default: 0
  disk_gib:
    description: How much space must be free, by directory. A directory that is not there yet counts as its parent.
    type: dict
    default: {}
  controller_time:
    description: Epoch seconds of the controller's clock just now; V(0) compares no clocks.
    type: float
    default: 0
  max_clock_offset_seconds:
    description:
      - How far the clock may be behind O(controller_time); V(0) asks for nothing. Whether it is ahead shows only
        afterwards, by RV(found.time), since on a busy controller the way to the host takes a while.
    type: float
    default: 0
  clock_synchronised:
    description: Whether a time service must keep the clock. Not asked inside a container, whose clock is the machine's.
    type: bool
    default: false
  ports:
    description: Ports that must be free, or held by whom they are meant for.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The TCP port.
        type: int
        required: true
      purpose:
        description: What for.
        type: str
        required: true
      count:
        description: How many ports, this one and those above it.
        type: int
        default: 1
      owners:
        description: Patterns of the systemd services that may hold it.
        type: list
        elements: str
        default: []
  state_file:
    description: The host's local fact. The ports of the replicas it names may be taken.
    type: path
    default: /etc/ansible/facts.d/modelops.fact
  timeout_seconds:
    description: Seconds that one call of a vendor's tool may take.
    type: float
    default: 20
"""

EXAMPLES = r"""
- name: May it serve?
  modelops.datacenter.host_preflight_info:
    systems: {debian: ["12", "13"]}
    cpu_flags: [avx2]
    driver_versions: {nvidia: "550"}
    disk_gib: {/opt/modelops: 100}
    controller_time: "{{ now().timestamp() }}"
    max_clock_offset_seconds: 30
  register: preflight

- name: Say what it lacks
  ansible.builtin.debug:
    msg: "{{ preflight.unmet }}"
"""

RETURN = r"""
unmet:
  description: Requirements that are not met, each as a sentence about the host and what to do.
  returned: success
  type: list
  elements: str
found:
  description: What the host is and has.
  returned: success
  type: dict
  contains:
    system:
      description: Name of the system.
      type: str
    system_version:
      description: Its version.
      type: str
    architecture:
      description: Name of the machine.
      type: str
    kernel:
      description: Release of the kernel.
      type: str
    container:
      description: Whether this is a container.
      type: bool
    memory_gib:
      description: GiB of memory.
      type: float
    free_gib:
      description: Free GiB by directory.
      type: dict
    accelerator_vendor:
      description: Vendor of the accelerators, or V(none).
      type: str
    accelerator_count:
      description: Number of accelerators.
      type: int
    driver_version:
      description: Version of their driver.
      type: str
    runtime_versions:
      description: Versions of what the driver offers.
      type: dict
    time:
      description: The host's clock in epoch seconds.
      type: float
    clock_offset_seconds:
      description: That minus O(controller_time); the time to reach the host is in it.
      type: float
    clock_synchronised:
      description: Whether a time service keeps the clock; null where the kernel does not say.
      type: bool
    listeners:
      description: Who listens on which of the ports.
      type: dict
"""

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.inventory import take_inventory
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.findings import look
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.requirements import (
    Requirements,
    WantedPort,
    as_record,
    unmet,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

PORT_SPEC: dict[str, Any] = {
    "port": {"type": "int", "required": True},
    "purpose": {"type": "str", "required": True},
    "count": {"type": "int", "default": 1},
    "owners": {"type": "list", "elements": "str", "default": []},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "systems": {"type": "dict", "default": {}},
    "architectures": {"type": "list", "elements": "str", "default": []},
    "cpu_flags": {"type": "list", "elements": "str", "default": []},
    "driver_versions": {"type": "dict", "default": {}},
    "runtime_versions": {"type": "dict", "default": {}},
    "accelerators": {"type": "int", "default": 0},
    "memory_gib": {"type": "float", "default": 0},
    "disk_gib": {"type": "dict", "default": {}},
    "controller_time": {"type": "float", "default": 0},
    "max_clock_offset_seconds": {"type": "float", "default": 0},
    "clock_synchronised": {"type": "bool", "default": False},
    "ports": {"type": "list", "elements": "dict", "default": [], "options": PORT_SPEC},
    "state_file": {"type": "path", "default": "/etc/ansible/facts.d/modelops.fact"},
    "timeout_seconds": {"type": "float", "default": 20},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Look at the host; the same in check mode, since looking changes nothing."""
    accelerators, warnings = take_inventory(timeout_seconds=params["timeout_seconds"])
    try:
        disks = {str(path): float(gib) for path, gib in params["disk_gib"].items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"not a number of GiB ({error})", where="disk_gib") from error
    ports = [WantedPort(**port) for port in params["ports"]]
    found = look(
        accelerators=accelerators,
        disks=disks,
        ports=[number for port in ports for number in port.numbers],
        own_ports=_own_ports(params["state_file"]),
        controller_time=params["controller_time"],
    )
    wanted = Requirements(
        systems=params["systems"],
        architectures=params["architectures"],
        cpu_flags=params["cpu_flags"],
        driver_versions={name: str(version) for name, version in params["driver_versions"].items()},
        runtime_versions={name: str(version) for name, version in params["runtime_versions"].items()},
        accelerators=params["accelerators"],
        memory_gib=params["memory_gib"],
        disk_gib=disks,
        max_clock_offset_seconds=params["max_clock_offset_seconds"],
        clock_synchronised=params["clock_synchronised"],
        ports=ports,
    )
    return {"changed": False, "found": as_record(found), "unmet": unmet(found, wanted), "warnings": warnings}


def _own_ports(state_file: str) -> list[int]:
    """Ports of the replicas that the host's state names; none where there is no state to read."""
    try:
        with open(state_file, encoding="utf-8") as stream:
            return [int(replica["port"]) for replica in json.load(stream)["replicas"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
