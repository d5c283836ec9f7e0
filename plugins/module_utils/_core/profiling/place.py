# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Where on a host a replica can be profiled that no user reaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    parse_hosts,
    parse_models,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.surge import free_places

# A model that has not been profiled yet may say nothing of its capacity; where it runs does not depend on it.
_ANY = {"requests_per_second": 1.0}


def free_place(model: str, host: str, models: Any, hosts: Any, running: Any) -> dict[str, Any]:
    """A replica record in the lowest free slot of the host, beside everything that runs there.

    Raises:
        InputError: the model or the host is not known, or the host has no room.
    """
    catalogue = expect_mapping(models, what="catalogue of models (modelops_models)")
    if model not in catalogue:
        raise InputError(
            f"the catalogue has no model {model!r}", remedy=f"It has {', '.join(sorted(map(str, catalogue)))}"
        )
    stock = [one for one in parse_hosts(hosts) if one.name == host]
    if not stock:
        raise InputError(
            "the host is not in the fleet", where=f"host {host}", remedy="Set modelops_accelerator_type for it"
        )
    kind = stock[0].accelerator_type
    parsed = parse_models(
        {
            name: {**entry, "capacity": {**(entry.get("capacity") or {}), kind: _ANY}}
            if isinstance(entry, Mapping)
            else entry
            for name, entry in catalogue.items()
        }
    )
    wanted = next(one for one in parsed if one.name == model)
    places = free_places(wanted, parsed, stock, parse_replicas(running), 1)
    if not places:
        raise InputError(
            f"there is no room for one more replica of {model}",
            where=f"host {host}",
            remedy="Profile a replica that runs there (profile_replica: running), or free the host first",
        )
    return places[0].as_record()
