# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``unreachable_placements``: which replicas the gateways would not reach, and what to do about it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: unreachable_placements
short_description: Say which replicas the gateways would not reach
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Replicas that listen on the loopback address (C(bind_address) of the model, else C(deploy_bind_address) of the
    host, else 127.0.0.1) of a host that gateways ask at another address. None where no host has C(modelops_gateway).
positional: _input, names, hostvars, models
extends_documentation_fragment:
  - modelops.datacenter.fleet
  - modelops.datacenter.fleet.names
options:
  _input:
    description: Replicas that run or shall run, each with C(host) and C(model).
    type: list
    elements: dict
    required: true
  models:
    description: The catalogue, C(modelops_models).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Would the gateways reach what is planned?
  ansible.builtin.assert:
    that: out_of_reach | length == 0
    fail_msg: "{{ out_of_reach | join(' ') }}"
  vars:
    out_of_reach: "{{ plan.placements | modelops.datacenter.unreachable_placements(groups['all'], hostvars, modelops_models) }}"
"""

RETURN = r"""
_value:
  description: One sentence a host; empty when all are reached.
  type: list
  elements: str
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway import reach


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"unreachable_placements": unreachable_placements}


def unreachable_placements(
    placements: Iterable[Mapping[str, Any]],
    names: Iterable[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    models: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """See ``DOCUMENTATION``."""
    return reach.unreachable_placements(placements, names, hostvars, models)
