# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``gateway_client_faults``: what is wrong with the clients of a gateway and their keys."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gateway_client_faults
short_description: What is wrong with the clients of a gateway and their keys
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Finds keys that could be guessed or cannot be sent, one key of two clients, clients without a key, models that are not in the
    catalogue, and limits that are no numbers.
  - Keys are never repeated.
positional: _input, clients, models
options:
  _input:
    description: Names of clients to their keys, C(gateway_api_keys).
    type: dict
    required: true
  clients:
    description: Names of clients to what they may, C(gateway_clients).
    type: dict
    required: true
  models:
    description: The model catalogue.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Are the clients of the gateway right?
  ansible.builtin.assert:
    that: faults | length == 0
    fail_msg: "{{ faults | join(' ') }}"
  vars:
    faults: "{{ gateway_api_keys | modelops.datacenter.gateway_client_faults(gateway_clients, modelops_models) }}"
"""

RETURN = r"""
_value:
  description: One sentence for each; empty when there is none.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.clients import faults


def gateway_client_faults(
    api_keys: Mapping[str, Any], clients: Mapping[str, Any], models: Mapping[str, Any]
) -> list[str]:
    """See ``DOCUMENTATION``."""
    return faults(api_keys, clients, models)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gateway_client_faults": gateway_client_faults}
