# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: the event columns of several gateways as one."""

from __future__ import annotations

DOCUMENTATION = r"""
name: merged_events
short_description: Join the event columns of several gateways
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes RV(modelops.datacenter.gateway_events_info#module:events) of each gateway and returns columns with the
    requests of all of them, one gateway after the other.
options:
  _input:
    description: Columns of each gateway; those that a gateway lacks are filled with nothing.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: All requests
  ansible.builtin.debug:
    msg: "{{ [first.events, second.events] | modelops.datacenter.merged_events }}"
"""

RETURN = r"""
_value:
  description: Lists of equal length by name.
  type: dict
"""

from collections.abc import Iterable, Mapping
from typing import Any

NEEDED = ("at", "server", "status", "term")


def merged_events(gateways: Iterable[Mapping[str, list[Any]]]) -> dict[str, list[Any]]:
    """See ``DOCUMENTATION``."""
    given = list(gateways)
    names = sorted({*NEEDED, *(name for columns in given for name in columns)})
    merged: dict[str, list[Any]] = {name: [] for name in names}
    for columns in given:
        rows = len(columns.get("at", []))
        for name in names:
            merged[name] += columns.get(name, [None] * rows)
    return merged


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"merged_events": merged_events}
