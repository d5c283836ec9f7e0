# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which accelerators of which host are free for jobs.

Free are those that no replica runs on and none is planned on, on hosts that answer and are active.
Two pictures: what is free now, and what will be once attempts that were asked to stop have stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Attempt


@dataclass
class Room:
    """Free indexes by host. ``type_of`` names every host of the stock, ``serving`` what a plan or replica takes."""

    now: dict[str, set[int]]
    soon: dict[str, set[int]]
    type_of: dict[str, str]
    serving: dict[str, set[int]]
    open_hosts: frozenset[str]

    def hosts_like(self, accelerator_type: str, wanted: int, first: str = "") -> list[str]:
        """Open hosts of the type: ``first`` if it is one, then those with the least room to spare."""
        own = [host for host in sorted(self.now) if self.type_of[host] == accelerator_type]
        return sorted(own, key=lambda host: (host != first, len(self.soon[host]) < wanted, len(self.soon[host]), host))

    def take(self, host: str, count: int) -> list[int]:
        """The highest free indexes, now and later: replicas are planned from the lowest on."""
        chosen = sorted(sorted(self.now[host])[-count:])
        self.now[host] -= set(chosen)
        self.soon[host] -= set(chosen)
        return chosen

    def promise(self, host: str, count: int) -> None:
        """Keep so many for a job that waits for another to stop."""
        rest = sorted(self.soon[host] - self.now[host]) + sorted(self.now[host])
        self.soon[host] -= set(rest[:count])
        self.now[host] -= set(rest[:count])

    def give_back(self, attempt: Attempt) -> None:
        """What a stopping attempt will leave, unless serving takes it."""
        if attempt.host in self.soon:
            self.soon[attempt.host] |= set(attempt.accelerators) - self.serving[attempt.host]


def room_of(
    hosts: Sequence[Host],
    planned: Iterable[Replica],
    running: Iterable[Replica],
    attempts: Iterable[Attempt],
) -> Room:
    """Room before anything is decided: all attempts hold what they have, also those that are stopping.

    Args:
        hosts: the stock.
        planned: the plan's placements.
        running: replicas that run now; planned no more, they hold theirs until they are gone.
        attempts: of all jobs, wherever they run.
    """
    serving: dict[str, set[int]] = {host.name: set() for host in hosts}
    for replica in (*planned, *running):
        serving.setdefault(replica.host, set()).update(replica.accelerators)
    free = {host.name: set(range(host.accelerator_count)) - serving[host.name] for host in hosts if _open(host)}
    for attempt in attempts:
        if attempt.host in free:
            free[attempt.host] -= set(attempt.accelerators)
    return Room(
        now={host: set(indexes) for host, indexes in free.items()},
        soon=free,
        type_of={host.name: host.accelerator_type for host in hosts},
        serving=serving,
        open_hosts=frozenset(free),
    )


def _open(host: Host) -> bool:
    return host.reachable and host.state == "active"
