# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One replica in the simulation: a batch that decodes in step, a prefill at a time.

Virtual decode clock. All running requests advance alike, one token a step, so what each of
them got is the same function of time::

    dV/dt = 1 / step(b)   while nothing is prefilled, b the running requests;  0 in a prefill

A request that joins at V with d tokens to go is done when the clock reaches V + d, whatever
joins or leaves meanwhile: a heap by that value gives the next to finish, and an event costs
O(log b) whatever the batch.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import Profile

STARTING, READY, DRAINING, GONE = range(4)
NEVER = float("inf")


class Server:
    """One replica. ``held`` counts what it has admitted: waiting for prefill, in it, or decoding."""

    __slots__ = (
        "_clock",
        "_clock_at",
        "_decoding",
        "_step",
        "held",
        "kv_left",
        "number",
        "prefill_ends",
        "prefilling",
        "room",
        "since",
        "state",
        "to_prefill",
        "version",
    )

    def __init__(self, number: int, profile: Profile, since: float) -> None:
        self.number = number
        self.since = since
        self.state = STARTING
        self.version = 0
        self.held = 0
        self.room = profile.max_batch
        self.kv_left = profile.kv_tokens
        self.prefilling = -1
        self.prefill_ends = NEVER
        self.to_prefill: deque[tuple[int, float]] = deque()
        self._step = profile.step_seconds
        self._clock = 0.0
        self._clock_at = since
        self._decoding: list[tuple[float, int]] = []

    @property
    def decoding(self) -> int:
        return len(self._decoding)

    def fits(self, tokens: float) -> bool:
        """Whether a request of that many tokens can be admitted; one that no cache could hold runs alone."""
        return self.held < self.room and (tokens <= self.kv_left or self.held == 0)

    def next_event(self) -> float:
        """When the prefill ends or the next request is done, if nothing else happens."""
        if self.prefilling >= 0:
            return self.prefill_ends
        decoding = self._decoding
        if not decoding:
            return NEVER
        return self._clock_at + (decoding[0][0] - self._clock) * self._step[len(decoding) - 1]

    def begin_prefill(self, request: int, seconds: float, now: float) -> None:
        """Prefill now, or after those that wait for it."""
        if self.prefilling >= 0:
            self.to_prefill.append((request, seconds))
            return
        self._advance(now)
        self.prefilling = request
        self.prefill_ends = now + seconds

    def end_prefill(self, now: float) -> int:
        """The request whose prefill ends now; the next one that waits begins."""
        request = self.prefilling
        self._clock_at = now
        self.prefilling, self.prefill_ends = -1, NEVER
        if self.to_prefill:
            following, seconds = self.to_prefill.popleft()
            self.prefilling, self.prefill_ends = following, now + seconds
        return request

    def decode(self, request: int, tokens: float, now: float) -> None:
        self._advance(now)
        heappush(self._decoding, (self._clock + tokens, request))

    def finish_decode(self, now: float) -> int:
        """The request that is done now."""
        done, request = heappop(self._decoding)
        self._clock, self._clock_at = done, now
        return request

    def requests(self) -> list[int]:
        """All that it holds."""
        prefilled = [self.prefilling] if self.prefilling >= 0 else []
        return [*prefilled, *(one for one, _seconds in self.to_prefill), *(one for _done, one in self._decoding)]

    def _advance(self, now: float) -> None:
        if self._decoding and self.prefilling < 0:
            self._clock += (now - self._clock_at) / self._step[len(self._decoding) - 1]
        self._clock_at = now
