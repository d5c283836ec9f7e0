# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters: the release of a catalogue entry, and which release each replica runs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: release_replicas
short_description: List what the hosts run with the release of each replica
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - The hosts' own records of their replicas, whole, with C(host). Hosts that did not answer say nothing.
positional: _input, hostvars
extends_documentation_fragment:
  - modelops.datacenter.fleet
  - modelops.datacenter.fleet.hosts
seealso:
  - module: modelops.datacenter.upgrade_step
"""

EXAMPLES = r"""
- name: Show which release each replica runs
  ansible.builtin.debug:
    msg: "{{ groups['all'] | modelops.datacenter.release_replicas(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The records, in the order of the hosts.
  type: list
  elements: dict
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import inventory


def release_replicas(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """See ``DOCUMENTATION``."""
    try:
        return inventory.replica_records(names, hostvars)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"release_replicas": release_replicas}
