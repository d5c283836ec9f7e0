# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a turn of jobs is given, from the options of the modules that take one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import load
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Host,
    Replica,
    parse_hosts,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import Seen
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import (
    Order,
    Owner,
    parse_orders,
    parse_owners,
)


@dataclass(frozen=True)
class Given:
    """What a turn is given. ``cancel`` and ``again``: jobs to cancel, and jobs that are over to run once more."""

    orders: Mapping[str, Order]
    hosts: Sequence[Host]
    planned: Sequence[Replica]
    running: Sequence[Replica]
    seen: Seen
    owners: Mapping[str, Owner] = field(default_factory=dict)
    vendors: Mapping[str, str] = field(default_factory=dict)
    schedule: Mapping[str, Any] | None = None
    cancel: Sequence[str] = ()
    again: Sequence[str] = ()
    lease_seconds: float = 3600.0
    lease_margin_seconds: float = 60.0
    settle_seconds: float = 600.0
    shared: bool = False


def given_of(params: Mapping[str, Any], seen: Seen, **fields: Any) -> Given:
    """From the options that all who carry jobs out have in common.

    Raises:
        InputError: what cannot be understood, and where.
    """
    return Given(
        orders=parse_orders(load(params["jobs"], what="list of jobs")),
        hosts=parse_hosts(params["hosts"]),
        planned=parse_replicas(params["planned"], what="placements"),
        running=parse_replicas(params["running"], what="running"),
        seen=seen,
        owners=parse_owners(params["owners"]),
        schedule=params["schedule"],
        cancel=params["cancel"],
        again=params["again"],
        **fields,
    )
