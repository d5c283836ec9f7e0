# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What can be done with jobs in a turn: start one, ask one to stop, keep room for one."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import (
    WAITING,
    Attempt,
    Record,
    State,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.room import Room, room_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.situation import (
    Decision,
    Situation,
    Wish,
)


class Moves:
    """One turn while it is decided. ``entered``: jobs that start in it."""

    def __init__(self, state: State, situation: Situation) -> None:
        self.state, self.given, self.decision = state, situation, Decision()
        self.open = {host.name for host in situation.hosts if host.reachable}
        self.room: Room = room_of(situation.hosts, situation.planned, situation.running, self.attempts_under_way())
        self.stock = {host.name: host for host in situation.hosts}
        self.entered: list[str] = []

    def attempts_under_way(self) -> list[Attempt]:
        return [record.current for record in self.state.jobs.values() if record.current]

    def current(self) -> Iterable[tuple[Record, Attempt]]:
        for _name, record in sorted(self.state.jobs.items()):
            if record.current is not None:
                yield record, record.current

    def stop(self, record: Record, attempt: Attempt, why: str) -> None:
        if attempt.host not in self.open:
            return  # its lease ends it
        if not attempt.stopping:
            self.decision.lines.append(f"{record.name} on {attempt.host}: stopping, {why}")
        attempt.stopping = why
        self.decision.stops.append((attempt.host, record.name, attempt.number))
        self.room.give_back(attempt)

    def may_start(self, wish: Wish) -> bool:
        record, order = self.state.jobs.get(wish.name), self.given.orders.get(wish.name)
        if record is None or record.current is not None or record.over or order is None:
            return False
        return max(record.not_before, order.job.release) <= self.given.now

    def urgency(self, name: str) -> tuple[float, float, str]:
        order = self.given.orders.get(name)
        return (-order.job.weight, order.job.deadline, name) if order else (0.0, float("inf"), name)

    def candidates(self, wish: Wish, count: int) -> list[str]:
        """Hosts it may go to; only one where its checkpoint lies on that host alone and the host is still there."""
        home = self.state.jobs[wish.name].checkpoint_host
        if home in self.stock and not self.given.shared:
            return [home] if home in self.room.now else []
        return self.room.hosts_like(wish.accelerator_type, count, wish.host)

    def may_move(self, order: Order | None, attempt: Attempt) -> bool:
        if order is None or not order.job.preemptible or attempt.stopping or attempt.started_at is None:
            return False
        return self.given.now - attempt.started_at >= self.given.settle_seconds

    def place_up_to(self, wish: Wish, most: int) -> bool:
        """Start it on as many accelerators as it may have and finds, ``most`` at the most."""
        for count in reversed(self.given.orders[wish.name].job.sizes):
            if count <= most:
                for host in self.candidates(wish, count):
                    if len(self.room.now[host]) >= count:
                        self.start(wish, host, count)
                        return True
        return False

    def start(self, wish: Wish, host: str, count: int) -> None:
        order, record = self.given.orders[wish.name], self.state.jobs[wish.name]
        kind = self.room.type_of[host]
        if not self.given.shared and record.checkpoint_host and record.checkpoint_host != host:
            record.share = 0.0  # its host is gone from the stock, and the checkpoint with it
        record.phase, record.reason = WAITING, ""
        record.enter(
            host,
            self.room.take(host, count),
            kind,
            speed=order.job.speed(kind) or 1.0,
            now=self.given.now,
            lease_until=self.given.now + self.given.lease_seconds,
        )
        self.decision.starts.append((host, wish.name))
        self.entered.append(wish.name)

    def say_starts(self) -> None:
        """When it is known on how many accelerators."""
        for name in self.entered:
            record = self.state.jobs[name]
            if record.current is not None:
                done = f", {record.share:.0%} of it done" if record.share else ""
                verb = "starts" if record.attempts == 1 else f"starts (attempt {record.attempts})"
                on = f"on {record.current.host}, accelerators {listed(record.current.accelerators)}"
                self.decision.lines.append(f"{name} {verb} {on}{done}")


def listed(indexes: Iterable[int]) -> str:
    return ", ".join(str(index) for index in sorted(indexes))
