#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``model_releases``: which release of each model the fleet serves."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_releases
short_description: Say which release of each model is served, and put on record what was applied
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - The release of a model is the serving part of its catalogue entry. The one that is known to be good is on record
    and never inferred; what plan and apply go by is the catalogue with the serving part of the good releases.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  path:
    description: File of the record of releases.
    type: path
    required: true
  models:
    description: The catalogue (C(modelops_models)); with O(applied), the one that was applied.
    type: dict
    required: true
  replicas:
    description: What the hosts say they run.
    type: list
    elements: dict
    default: []
  version_changes:
    description:
      - V(upgrade) serves the good release until M(modelops.datacenter.upgrade_step) has brought another one in.
      - V(roll) serves the catalogue at once; a change is rolled out by the waves of the next plan.
    type: str
    choices: [upgrade, roll]
    default: roll
  applied:
    description: Names of the models that have just been applied. Those without a good release have one now.
    type: list
    elements: str
    default: []
seealso:
  - module: modelops.datacenter.upgrade_step
"""

EXAMPLES = r"""
- name: What shall be served?
  modelops.datacenter.model_releases:
    path: modelops-output/releases.json
    models: "{{ modelops_models }}"
    replicas: "{{ groups['all'] | modelops.datacenter.running_replicas(hostvars) }}"
    version_changes: upgrade
  register: served
"""

RETURN = r"""
models:
  description: The catalogue to plan and apply with.
  type: dict
  returned: always
held:
  description: Models whose catalogue entry waits for an upgrade.
  type: list
  elements: str
  returned: always
lines:
  description: The same in words, a line a model.
  type: list
  elements: str
  returned: always
  sample: ["chat-8b: the catalogue has 2.0, the fleet serves 1.0 until modelops.datacenter.upgrade -e upgrade_model=chat-8b"]
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import release
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.turn import read_releases
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_content
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "models": {"type": "dict", "required": True},
    "replicas": {"type": "list", "elements": "dict", "default": []},
    "version_changes": {"type": "str", "choices": ["upgrade", "roll"], "default": "roll"},
    "applied": {"type": "list", "elements": "str", "default": []},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Read the record, enter what was applied, say what is served."""
    by_upgrade = params["version_changes"] == "upgrade"
    record, changed = read_releases(params["path"]), False
    if params["applied"]:
        known = [name for name in params["applied"] if name in params["models"]]
        record = release.note_applied(record, params["models"], now=clock.now(), names=known, replace=not by_upgrade)
        changed = store_content(params["path"], documents.canonical_bytes(record), dry=check_mode)
    served = release.served_catalogue(record, params["models"], params["replicas"], by_upgrade=by_upgrade)
    return {"changed": changed, "models": served.models, "held": served.held, "lines": served.lines}


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
