# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How filters are told of the hosts of the fleet."""

from __future__ import annotations


class ModuleDocFragment:
    """Options shared by the filters that read the variables of all hosts."""

    DOCUMENTATION = r"""
options:
  hostvars:
    description:
      - The magic variable C(hostvars). What a host said of itself is read from C(modelops_host_state), which the roles set.
    type: dict
    required: true
"""

    # A filter that is given the names of hosts.
    HOSTS = r"""
options:
  _input:
    description: Inventory names, such as C(groups['all']).
    type: list
    elements: str
    required: true
"""

    # A filter that is given something else, and the names of hosts beside it.
    NAMES = r"""
options:
  names:
    description: Inventory names, such as C(groups['all']).
    type: list
    elements: str
    required: true
"""
