# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Groups of hosts by what a plan puts on them, so that plays can name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# field of a host record: how its groups begin
BY_FIELD = {"zone": "zone", "region": "region", "accelerator_type": "accelerator"}


def group_name(kind: str, name: object) -> str:
    """``model_chat_8b`` of model ``chat-8b``: letters, digits and underscores, as Ansible wants."""
    return f"{kind}_{re.sub(r'[^A-Za-z0-9_]', '_', str(name))}"


def groups_of(plan: Mapping[str, Any]) -> dict[str, list[str]]:
    """Sorted hosts by group.

    ``model_X``: has a replica of X in the plan. ``zone_X``, ``region_X``, ``accelerator_X``: what the host is. ``plan_starts``,
    ``plan_stops``: something starts or stops there. ``plan_idle``: nothing is placed there.
    """
    found: dict[str, set[str]] = {}

    def put(group: str, host: str) -> None:
        found.setdefault(group, set()).add(host)

    used = set()
    for place in plan["placements"]:
        used.add(place["host"])
        put(group_name("model", place["model"]), place["host"])
    for action in plan["actions"]:
        if action["action"] in ("start", "stop"):
            put(f"plan_{action['action']}s", action["host"])
    for host in plan["hosts"]:
        for field, kind in BY_FIELD.items():
            if host.get(field):
                put(group_name(kind, host[field]), host["name"])
        if host["name"] not in used:
            put("plan_idle", host["name"])
    return {group: sorted(hosts) for group, hosts in sorted(found.items())}


def planned_on(plan: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What is placed on each host: ``model``, ``version``, ``slot`` and ``port``, by slot."""
    found: dict[str, list[dict[str, Any]]] = {}
    for place in sorted(plan["placements"], key=lambda place: (place["host"], place["slot"])):
        record = {field: place[field] for field in ("model", "version", "slot", "port") if field in place}
        found.setdefault(place["host"], []).append(record)
    return found
