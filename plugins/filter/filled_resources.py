# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``filled_resources``: a catalogue whose resources come from estimates where it leaves them out."""

from __future__ import annotations

DOCUMENTATION = r"""
name: filled_resources
short_description: Fill the resources of a catalogue from estimates
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes a catalogue of models and what M(modelops.datacenter.resource_estimate) said of some of them, and returns the
    catalogue with C(resources) filled in. What the catalogue says itself stays.
positional: _input, estimates
options:
  _input:
    description: The catalogue (C(modelops_models)).
    type: dict
    required: true
  estimates:
    description: Results of M(modelops.datacenter.resource_estimate), by model.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Plan with estimated resources
  ansible.builtin.include_role:
    name: modelops.datacenter.plan
  vars:
    plan_models: "{{ modelops_models | modelops.datacenter.filled_resources({'chat-8b': chat}) }}"
"""

RETURN = r"""
_value:
  description: The catalogue.
  type: dict
"""

from collections.abc import Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources import catalogue


def filled_resources(models: Mapping[str, Any], estimates: Mapping[str, Any]) -> dict[str, Any]:
    """See ``DOCUMENTATION``."""
    try:
        return catalogue.filled_resources(models, estimates)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"filled_resources": filled_resources}
