# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``plan_floors``: what a plan says must go on being served, if it is the plan that was written."""

from __future__ import annotations

DOCUMENTATION = r"""
name: plan_floors
short_description: Read what must go on being served out of a plan file
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes the content of C(plan.json) as M(ansible.builtin.slurp) gives it, and checks its digest as C(apply) does.
  - A plan that was changed since it was written says nothing, so that nothing is done on its word.
positional: _input, path, passwords, password_files
options:
  _input:
    description: The content, in Base64.
    type: str
    required: true
  path:
    description: Where it lies, for the message.
    type: str
    default: plan.json
  passwords:
    description: Passwords, where it is encrypted at rest.
    type: list
    elements: str
    default: []
  password_files:
    description: Files on the controller with a password each.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Read the plan
  ansible.builtin.slurp:
    src: plan.json
  register: plan

- name: Keep what matters of it
  ansible.builtin.set_fact:
    floors: "{{ plan.content | modelops.datacenter.plan_floors }}"
"""

RETURN = r"""
_value:
  description: C(rollout) as in the plan, and C(refused), why nothing is taken from it, empty when it is good.
  type: dict
"""

from collections.abc import Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import sealing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import parse_plan


def plan_floors(
    content: str, path: str = "plan.json", passwords: Sequence[str] = (), password_files: Sequence[str] = ()
) -> dict[str, Any]:
    """See ``DOCUMENTATION``."""
    try:
        plan = parse_plan(sealing.opened_base64(content, passwords, password_files, where=path), where=path)
    except ModelOpsError as error:
        return {"rollout": {}, "refused": str(error)}
    return {"rollout": plan.get("rollout") or {}, "refused": ""}


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"plan_floors": plan_floors}
