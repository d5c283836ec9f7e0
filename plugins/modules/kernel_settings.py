#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_settings
short_description: Settings of the kernel, now and after the next boot
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Keeps parameters in a file of C(sysctl.d) and paths below C(/sys) in a file of C(tmpfiles.d), and makes the live
    values equal to them. A value that somebody set by hand is put back.
  - What cannot be set here, such as most settings inside a container, is told of in RV(unapplied) and is no change.
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
  parameters:
    description: Values by name, as C(sysctl) writes them.
    type: dict
    default: {}
  sysfs:
    description: Values by path below C(/sys), which may hold C(*). Of a file that lists choices the one in brackets counts.
    type: dict
    default: {}
  sysctl_file:
    description: Where parameters are kept. Removed when there are none.
    type: path
    default: /etc/sysctl.d/60-modelops.conf
  tmpfiles_file:
    description: Where paths below C(/sys) are kept. Removed when there are none.
    type: path
    default: /etc/tmpfiles.d/modelops-kernel.conf
"""

EXAMPLES = r"""
- name: Little swapping, and huge pages for who asks for them
  modelops.datacenter.kernel_settings:
    parameters: {vm.swappiness: 10, vm.max_map_count: 1048576}
    sysfs: {/sys/kernel/mm/transparent_hugepage/enabled: madvise}
"""

RETURN = r"""
actions:
  description: What was changed, or in check mode would be, in words.
  returned: success
  type: list
  elements: str
unapplied:
  description: Settings that are in the files and could not be made true now, in words.
  returned: success
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.kernel import apply_settings
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "parameters": {"type": "dict", "default": {}},
    "sysfs": {"type": "dict", "default": {}},
    "sysctl_file": {"type": "path", "default": "/etc/sysctl.d/60-modelops.conf"},
    "tmpfiles_file": {"type": "path", "default": "/etc/tmpfiles.d/modelops-kernel.conf"},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Make the settings so, or say what would be done."""
    outcome = apply_settings(
        {name: str(value) for name, value in params["parameters"].items()},
        {path: str(value) for path, value in params["sysfs"].items()},
        sysctl_file=params["sysctl_file"],
        tmpfiles_file=params["tmpfiles_file"],
        dry=check_mode,
    )
    result: dict[str, Any] = {
        "changed": bool(outcome.changes),
        "actions": outcome.changes,
        "unapplied": outcome.unapplied,
    }
    if diff and outcome.differences:
        result["diff"] = outcome.differences
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
