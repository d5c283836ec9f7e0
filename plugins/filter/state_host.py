# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``state_host``: the host that keeps what all controllers share."""

from __future__ import annotations

DOCUMENTATION = r"""
name: state_host
short_description: The host that keeps what all controllers share
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - The lock of the fleet and the record of remediation lie on the first gateway host, else on the first serving host,
    else on C(localhost). Set C(modelops_state_host) for another.
positional: _input, hostvars
extends_documentation_fragment:
  - modelops.datacenter.fleet
  - modelops.datacenter.fleet.hosts
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ groups['all'] | modelops.datacenter.state_host(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The inventory name.
  type: str
"""

from collections.abc import Iterable, Mapping
from typing import Any


def state_host(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    """See ``DOCUMENTATION``."""
    known = [str(name) for name in names if name in hostvars]
    for variable in ("modelops_gateway", "modelops_accelerator_type"):
        for name in known:
            if hostvars[name].get(variable):
                return name
    return "localhost"


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"state_host": state_host}
