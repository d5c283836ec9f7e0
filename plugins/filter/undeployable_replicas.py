# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``undeployable_replicas``: why a host's replicas cannot be deployed from a catalogue."""

from __future__ import annotations

DOCUMENTATION = r"""
name: undeployable_replicas
short_description: Why a host's replicas cannot be deployed from a catalogue
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Compares what a host shall run with the model catalogue, for all its replicas in one go.
options:
  _input:
    description: Records of the plan's C(placements) for one host.
    type: list
    elements: dict
    required: true
  models:
    description: The catalogue, C(modelops_models).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Can this be deployed?
  ansible.builtin.assert:
    that: objections | length == 0
    fail_msg: "{{ objections | join(' ') }}"
  vars:
    objections: "{{ deploy_replicas | modelops.datacenter.undeployable_replicas(models=modelops_models) }}"
"""

RETURN = r"""
_value:
  description: One sentence a reason; empty when there is none.
  type: list
  elements: str
"""

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import host_services


def undeployable_replicas(replicas: Sequence[Mapping[str, Any]], models: Mapping[str, Any]) -> list[str]:
    """See ``DOCUMENTATION``."""
    try:
        return host_services.objections(replicas, models)
    except ModelOpsError as error:
        raise AnsibleFilterError(f"undeployable_replicas: {error.message}") from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"undeployable_replicas": undeployable_replicas}
