# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""All replicas of one model, request by request.

Requests queue first come, first served, in front of the replicas (at the gateway). The head
of the queue goes to the ready replica that holds the fewest requests and has room: in its
batch, and in its cache for all of the request's tokens, those still to be generated included.
So nothing is ever preempted, which real engines do when their guess was too bold. Cached
prefixes are not modelled, nor is prefill in chunks between decode steps.

A replica starts (it costs, and serves nothing), is ready, drains (it finishes what it holds),
and is gone. When one fails, what it holds is lost.

With c the sum of the largest batches, a step that takes s seconds at every batch size, no
prefill, Poisson arrivals and exponential lengths, this is the M/M/c queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.server import (
    DRAINING,
    GONE,
    NEVER,
    READY,
    STARTING,
    Server,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


@dataclass(frozen=True, eq=False)
class Requests:
    """A trace of one model: arrival in seconds, ascending, and tokens in and out; arrays of shape (n,)."""

    arrival: Array
    input_tokens: Array
    output_tokens: Array

    def __post_init__(self) -> None:
        arrays = (self.arrival, self.input_tokens, self.output_tokens)
        if len({len(one) for one in arrays}) != 1:
            raise InputError("a trace needs as many arrivals as input and output lengths")
        if not all(np.isfinite(one).all() for one in arrays):
            raise InputError("a trace holds finite numbers only")
        if len(self.arrival) and (np.diff(self.arrival) < 0).any():
            raise InputError("a trace must be sorted by arrival", remedy="Sort its rows by time")

    def __len__(self) -> int:
        return len(self.arrival)


@dataclass
class Counts:
    """Replicas over time and what they took; ``ready`` and ``provisioned`` are steps (moment, count)."""

    starts: int = 0
    stops: int = 0
    failures: int = 0
    accelerator_seconds: float = 0.0
    ready: list[tuple[float, int]] = field(default_factory=list)
    provisioned: list[tuple[float, int]] = field(default_factory=list)


class Station:
    """The queue and the replicas of one model.

    Args:
        profile: of one replica.
        requests: the trace.
        patience_seconds: who has queued for longer leaves unserved; infinite for never.
        ready: replicas that are ready at the first moment.
        start: the first moment, seconds.
    """

    def __init__(
        self,
        profile: Profile,
        requests: Requests,
        *,
        patience_seconds: float = NEVER,
        ready: int = 0,
        start: float = 0.0,
    ) -> None:
        self.profile = profile
        self.requests = requests
        self.now = start
        self.counts = Counts()
        size = len(requests)
        self.first_token: list[float] = [NEVER] * size
        self.finish: list[float] = [NEVER] * size
        self._arrival: list[float] = np.asarray(requests.arrival, dtype=np.float64).tolist()
        self._prefill: list[float] = (profile.prefill_seconds(requests.input_tokens) + np.zeros(size)).tolist()
        self._decode: list[float] = np.maximum(requests.output_tokens - 1.0, 0.0).tolist()
        self._tokens: list[float] = (requests.input_tokens + requests.output_tokens).tolist()
        self._patience = patience_seconds
        self._next = int(np.searchsorted(requests.arrival, start))
        self._queue: deque[int] = deque()
        self._events: list[tuple[float, int, int, Server]] = []
        self._order = 0
        self._servers: list[Server] = []
        self._ready: list[Server] = []
        self._numbers = 0
        for _number in range(ready):
            server = self._start(start)
            server.state = READY
            self._ready.append(server)
        self.counts.starts = 0
        self._note()

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def in_service(self) -> int:
        return sum(server.held for server in self._servers)

    @property
    def ready(self) -> int:
        return len(self._ready)

    @property
    def provisioned(self) -> int:
        """Replicas that start or are ready; those that drain are on their way out."""
        return sum(server.state != DRAINING for server in self._servers)

    def run_until(self, end: float) -> None:
        """Let everything happen that is due at or before ``end``."""
        arrivals, events, number = self._arrival, self._events, self._next
        last = len(arrivals)
        while True:
            due = events[0][0] if events else NEVER
            if number < last and arrivals[number] <= due:
                moment = arrivals[number]
                if moment > end:
                    break
                self._arrive(number, moment)
                number += 1
                continue
            if due > end or due == NEVER:
                break
            _due, _order, version, server = heappop(events)
            if version == server.version:
                self._happen(server, due)
        self._next = number
        self.now = end

    def set_replicas(self, wanted: int) -> None:
        """Start what is missing, drain what is too much: what still starts first, then who holds least."""
        surplus = self.provisioned - wanted
        for _number in range(-surplus):
            server = self._start(self.now)
            self._schedule(server, self.now + self.profile.startup_seconds)
        if surplus > 0:
            kept = [server for server in self._servers if server.state != DRAINING]
            kept.sort(key=lambda server: (server.state != STARTING, server.held, -server.number))
            for server in kept[:surplus]:
                self._drain(server)
        if surplus:
            self._note()

    def fail(self) -> None:
        """The oldest ready replica dies with all it holds."""
        if self._ready:
            server = self._ready[0]
            self.counts.failures += 1
            self._remove(server)
            self._note()

    def close(self) -> None:
        """Count what still runs, at the last moment."""
        for server in self._servers:
            self.counts.accelerator_seconds += (self.now - server.since) * self.profile.accelerators
            server.since = self.now

    def arrived_between(self, begin: float, end: float) -> int:
        found = np.searchsorted(self.requests.arrival, [begin, end])
        return int(found[1] - found[0])

    def _arrive(self, request: int, now: float) -> None:
        queue = self._queue
        if queue:
            queue.append(request)
            if now - self._arrival[queue[0]] > self._patience:
                self._serve_queue(now)
            return
        server = self._least_loaded(self._tokens[request])
        if server is None:
            queue.append(request)
        else:
            self._admit(server, request, now)

    def _least_loaded(self, tokens: float) -> Server | None:
        best: Server | None = None
        for server in self._ready:
            if (best is None or server.held < best.held) and server.fits(tokens):
                best = server
        return best

    def _admit(self, server: Server, request: int, now: float) -> None:
        server.held += 1
        server.kv_left -= self._tokens[request]
        seconds = self._prefill[request]
        if seconds > 0:
            server.begin_prefill(request, seconds, now)
        else:
            self._first_token(server, request, now)
        self._schedule(server, server.next_event())

    def _first_token(self, server: Server, request: int, now: float) -> None:
        self.first_token[request] = now
        tokens = self._decode[request]
        if tokens > 0:
            server.decode(request, tokens, now)
        else:
            self._leave(server, request, now)

    def _leave(self, server: Server, request: int, now: float) -> None:
        self.finish[request] = now
        server.held -= 1
        server.kv_left += self._tokens[request]

    def _happen(self, server: Server, now: float) -> None:
        if server.state == STARTING:
            server.state = READY
            self._ready.append(server)
            self.now = now
            self._note()
            self._serve_queue(now)
            return
        if server.prefilling >= 0:
            self._first_token(server, server.end_prefill(now), now)
        else:
            self._leave(server, server.finish_decode(now), now)
        if self._queue and server.state == READY:
            self._fill(server, now)
        if server.state == DRAINING and server.held == 0:
            self.now = now
            self._remove(server)
            self._note()
            return
        self._schedule(server, server.next_event())

    def _fill(self, server: Server, now: float) -> None:
        """Requests from the queue into the one replica that has got room."""
        while self._forget_impatient(now) and server.fits(self._tokens[self._queue[0]]):
            self._admit(server, self._queue.popleft(), now)

    def _serve_queue(self, now: float) -> None:
        while self._forget_impatient(now):
            server = self._least_loaded(self._tokens[self._queue[0]])
            if server is None:
                return
            self._admit(server, self._queue.popleft(), now)

    def _forget_impatient(self, now: float) -> bool:
        """Whether somebody still waits, after those who have left."""
        queue = self._queue
        while queue and now - self._arrival[queue[0]] > self._patience:
            queue.popleft()
        return bool(queue)

    def _start(self, now: float) -> Server:
        server = Server(self._numbers, self.profile, now)
        self._numbers += 1
        self._servers.append(server)
        self.counts.starts += 1
        return server

    def _drain(self, server: Server) -> None:
        if server.state == READY:
            self._ready.remove(server)
        starting = server.state == STARTING
        server.state = DRAINING
        self.counts.stops += 1
        if starting or server.held == 0:
            self._remove(server)

    def _remove(self, server: Server) -> None:
        if server in self._ready:
            self._ready.remove(server)
        self._servers.remove(server)
        server.state = GONE
        server.version += 1
        self.counts.accelerator_seconds += (self.now - server.since) * self.profile.accelerators

    def _schedule(self, server: Server, due: float) -> None:
        server.version += 1
        if due < NEVER:
            self._order += 1
            heappush(self._events, (due, self._order, server.version, server))

    def _note(self) -> None:
        self.counts.ready.append((self.now, len(self._ready)))
        self.counts.provisioned.append((self.now, len(self._servers)))


def replay(profile: Profile, requests: Requests, replicas: int) -> Station:
    """The whole trace against a fixed number of replicas, until the last request is done."""
    station = Station(profile, requests, ready=replicas)
    station.run_until(NEVER)
    return station


def response_seconds(station: Station, kinds: Sequence[float] | None = None) -> Array:
    """Seconds from arrival to ``kinds`` (default: the last token), for those that got there; shape (served,)."""
    moments = np.asarray(station.finish if kinds is None else kinds)
    served = np.isfinite(moments)
    return (moments - np.asarray(station.requests.arrival))[served]
