# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``remediation_outcomes``: what became of actions."""

from __future__ import annotations

DOCUMENTATION = r"""
name: remediation_outcomes
short_description: Say what became of remediation's actions
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Compares what ran and answered before with what does now, for M(modelops.datacenter.remediation_decision), option
    C(outcomes). What cannot be seen did not help.
positional: _input
options:
  _input:
    description: Actions, as the module gave them out.
    type: list
    elements: dict
    required: true
  reports:
    description: Action's id to what carrying it out said - C(done), C(gone), C(failed), C(freed_bytes).
    type: dict
    default: {}
  before:
    description: What ran before, as P(modelops.datacenter.running_replicas#filter) gives it.
    type: list
    elements: dict
    default: []
  after:
    description: What runs now.
    type: list
    elements: dict
    default: []
  looked:
    description: Server to the last look at it, as for the module.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Say what became of them
  ansible.builtin.debug:
    msg: "{{ decision.actions | modelops.datacenter.remediation_outcomes(looked={'a1-0': {'answers': true, 'at': 1.0}}) }}"
"""

RETURN = r"""
_value:
  description: Outcomes with C(id), C(effect) and C(evidence).
  type: list
  elements: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.effects import effect_of


def remediation_outcomes(
    actions: Sequence[Mapping[str, Any]],
    reports: Mapping[str, Mapping[str, Any]] | None = None,
    before: Sequence[Mapping[str, Any]] = (),
    after: Sequence[Mapping[str, Any]] = (),
    looked: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, str]]:
    """See ``DOCUMENTATION``."""
    said = reports or {}
    return [
        effect_of(one, said.get(one["id"]) or {}, before=before, after=after, looked=looked or {}) for one in actions
    ]


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"remediation_outcomes": remediation_outcomes}
