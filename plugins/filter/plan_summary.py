# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``plan_summary``: a plan in a few lines for a person."""

from __future__ import annotations

DOCUMENTATION = r"""
name: plan_summary
short_description: Say in a few lines what a plan decided and why
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes a plan document and returns lines of text - what was decided, for which demand and why, what changes,
    what is short, and what it costs. Models that are short or change come first.
options:
  _input:
    description: The plan document, the content of C(plan.json).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the plan in short
  ansible.builtin.debug:
    msg: "{{ lookup('ansible.builtin.file', 'plan.json') | from_json | modelops.datacenter.plan_summary }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.summary import summary_lines


def plan_summary(plan: Mapping[str, Any]) -> list[str]:
    """See ``DOCUMENTATION``."""
    try:
        return summary_lines(plan)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"plan_summary": plan_summary}
