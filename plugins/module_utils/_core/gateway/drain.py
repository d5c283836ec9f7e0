# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Take servers out and wait until no worker has a request for them, nor can get one.

A worker that a reload replaced no longer takes commands for its servers, and a client's idle
connection to it may still bring one request. So a server is drained when

- the current worker has it out, with nothing in flight or queued for it, and
- every old worker has nothing in flight or queued for it, nothing queued for its backend, and no
  connection of a client that is open without a request. Those end by themselves within the
  keep-alive timeout, and with their next answer.

Seen twice in a row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.configuration import backends_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.master_socket import (
    MasterSocket,
    Worker,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.members import Member
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.runtime_state import (
    Load,
    parse_load,
    parse_servers_state,
)

POLL_SECONDS = 0.5
QUIET_LOOKS = 2


@dataclass
class Drained:
    """One replica: what was left in flight when the wait ended, and how long it took."""

    member: Member
    left_in_flight: int = 0
    seconds: float = 0.0
    quiet: int = 0
    done: bool = False
    idle_connections: int = 0

    def as_record(self) -> dict[str, object]:
        return {
            "model": self.member.model,
            "host": self.member.host,
            "slot": self.member.slot,
            "left_in_flight": self.left_in_flight,
            "seconds": round(self.seconds, 2),
        }


@dataclass
class Drain:
    """``limit_seconds`` limits the wait for all of them together. Each look happens inside ``guard``."""

    socket: MasterSocket
    members: Sequence[Member]
    limit_seconds: float
    poll_seconds: float = POLL_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    guard: Callable[[], AbstractContextManager[None]] = nullcontext
    drained: list[Drained] = field(default_factory=list)
    commands: int = 0

    def run(self) -> list[Drained]:
        """Drain, wait, and put into maintenance what has drained.

        Raises:
            GatewayDownError: HAProxy went away while waiting.
        """
        started = self.clock()
        self.drained = [Drained(member) for member in self.members]
        while True:
            with self.guard():
                self._look(self.clock() - started)
            waiting = [one for one in self.drained if not one.done]
            if not waiting or self.clock() - started >= self.limit_seconds:
                return self.drained
            self.sleep(self.poll_seconds)

    def _look(self, elapsed: float) -> None:
        workers = self.socket.workers()
        current = [worker for worker in workers if not worker.old]
        for worker in current:
            self._keep_out(worker, "drain", [one.member for one in self.drained if not one.done])
        loads = [(worker, load) for worker in workers if (load := self._load(worker)) is not None]
        if not current or not any(not worker.old for worker, _load in loads):
            return  # between two workers: nothing is known, so nothing is over
        for one in self.drained:
            if one.done:
                continue
            one.left_in_flight, blocked, one.idle_connections = in_the_way(one.member, loads)
            one.seconds = elapsed
            one.quiet = 0 if one.left_in_flight or blocked else one.quiet + 1
            if one.quiet >= QUIET_LOOKS:
                one.done = True
                for worker in current:
                    self._keep_out(worker, "maint", [one.member])

    def _load(self, worker: Worker) -> Load | None:
        printed = self.socket.ask_worker(worker, "show stat")
        # A worker may end, or be replaced, between two questions.
        return parse_load(printed) if printed.lstrip().startswith("# pxname") else None

    def _keep_out(self, worker: Worker, state: str, members: Sequence[Member]) -> None:
        """Also for a worker that came up since the last look."""
        if not members:
            return
        states = {one.key: one for one in parse_servers_state(self.socket.ask_worker(worker, "show servers state"))}
        for member in members:
            for backend in backends_of(member.model):
                found = states.get((backend, member.server))
                if found is None or (found.in_maintenance if state == "maint" else found.is_out):
                    continue
                self.socket.ask_worker(worker, f"set server {backend}/{member.server} state {state}")
                self.commands += 1


def in_the_way(member: Member, loads: Sequence[tuple[Worker, Load]]) -> tuple[int, int, int]:
    """In flight for the member over all workers; what else may bring it a request; idle connections of old workers."""
    flight = blocked = idle = 0
    for worker, load in loads:
        for backend in backends_of(member.model):
            flight += load.servers.get((backend, member.server), 0)
            if worker.old:
                blocked += load.queued.get(backend, 0)
        if worker.old and _knows(member, load):
            idle += load.idle
    return flight, blocked + idle, idle


def _knows(member: Member, load: Load) -> bool:
    """Whether a worker could send the member anything: it has it, and not in maintenance or drained."""
    status: Mapping[tuple[str, str], str] = load.status
    return any(
        not status.get((backend, member.server), "MAINT").startswith(("MAINT", "DRAIN"))
        for backend in backends_of(member.model)
    )
