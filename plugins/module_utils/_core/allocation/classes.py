# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Hosts that are alike form one class: same accelerator type, room, reserved accelerators, cost and
state, and, where some model must spread over zones or regions, the same of those.

The linear programme over classes has the same optimum as the one over hosts at a
fraction of the size, since alike hosts are interchangeable.

Where no host states a cost, 1/h stands in; a host that states none among hosts that do is
taken at a thousandth of the dearest, so that fewer replicas still win.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host

DOMAINS = ("zone", "region")


@dataclass(frozen=True)
class HostClass:
    """Hosts that are alike; ``example`` stands for all of them."""

    example: Host
    hosts: tuple[str, ...]
    room: resources.Vector
    cost_per_hour: float

    @property
    def draining(self) -> bool:
        return self.example.state == "draining"

    def domain(self, kind: str) -> str:
        """The zone or region of the class, where a model must spread over it."""
        return self.example.zone if kind == "zone" else self.example.region


def host_classes(hosts: Iterable[Host], *, domains: Iterable[str] = DOMAINS) -> tuple[HostClass, ...]:
    """Group the hosts that serve; classes are ordered by what they are, hosts by name.

    Args:
        hosts: the stock.
        domains: which of zone and region tell hosts apart.
    """
    apart = tuple(kind for kind in DOMAINS if kind in set(domains))
    serving = sorted((host for host in hosts if host.serves), key=lambda host: host.name)
    costs = decision_costs(serving)
    groups: dict[tuple[Any, ...], list[Host]] = {}
    for host in serving:
        groups.setdefault(likeness(host, apart), []).append(host)
    return tuple(
        HostClass(
            example=group[0],
            hosts=tuple(host.name for host in group),
            room=resources.room(group[0]),
            cost_per_hour=costs[group[0].name],
        )
        for _unused, group in sorted(groups.items())
    )


def likeness(host: Host, domains: tuple[str, ...]) -> tuple[Any, ...]:
    """Equal for hosts of one class."""
    return (
        host.accelerator_type,
        *(getattr(host, kind) for kind in domains),
        host.accelerator_count,
        host.accelerator_memory_gib,
        host.cpu_cores,
        host.memory_gib,
        -1 if host.max_replicas is None else host.max_replicas,
        host.cost_per_hour,
        host.state,
        host.reserved,
    )


def decision_costs(hosts: Sequence[Host]) -> dict[str, float]:
    """Currency/h to decide by, for each host: never zero."""
    dearest = max((host.cost_per_hour for host in hosts), default=0.0)
    least = dearest / 1000.0 if dearest > 0 else 1.0
    return {host.name: max(host.cost_per_hour, least) for host in hosts}
