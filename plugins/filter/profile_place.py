# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``profile_place``: where on a host a replica can be profiled."""

from __future__ import annotations

DOCUMENTATION = r"""
name: profile_place
short_description: Where on a host a replica can be profiled that no user reaches
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes the name of a model and returns a replica record for the lowest free slot of the host, beside everything that
    runs there. Fails where the host has no room.
positional: _input, host, names, hostvars, models
extends_documentation_fragment:
  - modelops.datacenter.fleet
  - modelops.datacenter.fleet.names
options:
  _input:
    description: Name of the model.
    type: str
    required: true
  host:
    description: Name of the host.
    type: str
    required: true
  models:
    description: The catalogue.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ 'chat-8b' | modelops.datacenter.profile_place('gpu-a1', groups['all'], hostvars, modelops_models) }}"
"""

RETURN = r"""
_value:
  description: A replica record.
  type: dict
  sample: {"host": "gpu-a1", "slot": 2, "model": "chat-8b", "version": "1", "port": 8102, "accelerators": [3]}
"""

from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import inventory
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.place import free_place


def profile_place(
    model: str, host: str, names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], models: Any
) -> dict[str, Any]:
    """See ``DOCUMENTATION``."""
    try:
        fleet = list(names)
        hosts, running = inventory.fleet_records(fleet, hostvars), inventory.running_replicas(fleet, hostvars)
        return free_place(str(model), str(host), models, hosts, running)
    except ModelOpsError as error:
        raise AnsibleFilterError(f"profile_place: {error.message}") from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"profile_place": profile_place}
