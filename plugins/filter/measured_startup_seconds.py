# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``measured_startup_seconds``: how long each model takes to start, as the hosts measured it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: measured_startup_seconds
short_description: How long each model takes to start, as the hosts measured it
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes what the hosts say of themselves and gives, per model, the start-up time to plan with - the median of
    each host's last starts, then the slowest host.
extends_documentation_fragment:
  - modelops.datacenter.fleet
  - modelops.datacenter.fleet.hosts
"""

EXAMPLES = r"""
- name: Show the measured start-up times
  ansible.builtin.debug:
    msg: "{{ groups['all'] | modelops.datacenter.measured_startup_seconds(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Seconds from process start to first answer, by model.
  type: dict
"""

from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core import host_state
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import inventory


def measured_startup_seconds(names: Iterable[str], hostvars: Mapping[str, Any]) -> dict[str, float]:
    """See the documentation above."""
    return host_state.measured_startup_seconds(inventory.recorded_states(names, hostvars))


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"measured_startup_seconds": measured_startup_seconds}
