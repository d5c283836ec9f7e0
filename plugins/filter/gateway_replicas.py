# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``gateway_replicas``: what the hosts run, with the addresses at which a gateway reaches it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gateway_replicas
short_description: List what the hosts run, with the addresses at which a gateway reaches it
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - The records of P(modelops.datacenter.running_replicas#filter), each with C(address) - the host's
    C(modelops_address), else C(ansible_host), else its inventory name.
positional: _input, hostvars
extends_documentation_fragment:
  - modelops.datacenter.fleet
  - modelops.datacenter.fleet.hosts
"""

EXAMPLES = r"""
- name: Show what a gateway would send requests to
  ansible.builtin.debug:
    msg: "{{ groups['all'] | modelops.datacenter.gateway_replicas(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Replica records with C(address), sorted by host and slot.
  type: list
  elements: dict
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway import reach
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import inventory


def gateway_replicas(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """See ``DOCUMENTATION``."""
    try:
        return [
            {**record, "address": reach.host_address(record["host"], hostvars[record["host"]])}
            for record in inventory.running_replicas(names, hostvars)
        ]
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"gateway_replicas": gateway_replicas}
