#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``host_cleanup``: room on a disk from what the collection put there and nobody uses."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_cleanup
short_description: Make room on a serving host from what the collection put there and nobody uses
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Removes versions of models that no replica of the host runs, fetches that were broken off, and logs that were turned
    over. Nothing else is touched and links are not followed.
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
  models_dir:
    description: Where the versions of the models lie.
    type: path
    default: /opt/modelops/models
  log_dir:
    description: Where the logs lie.
    type: path
    default: /var/log/modelops
  in_use:
    description: Model to the versions that replicas of this host run or are to run.
    type: dict
    required: true
  min_age_seconds:
    description: What was changed since then, in seconds, is left alone.
    type: float
    default: 600
"""

EXAMPLES = r"""
- name: Make room
  modelops.datacenter.host_cleanup:
    in_use: {chat-8b: ["2026.11.1"]}
"""

RETURN = r"""
removed:
  description: What was removed, or would be.
  type: list
  elements: str
  returned: always
freed_bytes:
  description: What that took on the disk.
  type: int
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations import room
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "models_dir": {"type": "path", "default": "/opt/modelops/models"},
    "log_dir": {"type": "path", "default": "/var/log/modelops"},
    "in_use": {"type": "dict", "required": True},
    "min_age_seconds": {"type": "float", "default": 600},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Find, and remove unless in check mode."""
    age = expect_number(params["min_age_seconds"], what="min_age_seconds", minimum=0)
    found = room.spare(params["models_dir"], params["log_dir"], params["in_use"], min_age_seconds=age, now=clock.now())
    if not check_mode:
        room.remove(found)
    paths = [one.path for one in found]
    result: dict[str, Any] = {
        "changed": bool(found),
        "removed": paths,
        "freed_bytes": sum(one.size_bytes for one in found),
    }
    if diff:
        result["diff"] = {"before": "".join(f"{path}\n" for path in paths), "after": ""}
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
