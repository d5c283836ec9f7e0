# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What to start, stop and leave alone now, from a schedule and what really runs.

The schedule says which jobs should run in its first period, and on how many accelerators. What
runs is moved as little as that allows: a job that has its place keeps it whatever host the schedule
names, and one that the schedule would rather have wait goes on until its accelerators are needed.

1. Cancelled jobs stop. Jobs on accelerators that the plan gives to replicas, or on hosts that are
   being emptied, stop: serving comes first. One that may not be interrupted goes on, and is named.
2. Jobs of the first period, heaviest and most urgent first, start on the schedule's host, else on
   another of its type with room; else they wait for room that is being given back.
3. Where there is none, jobs that the schedule does not run now give way, the lightest with the
   latest deadline first, as few as are needed, none that has just begun.
4. Else a job starts on as many accelerators as there are, if it allows so few.
5. A job that would be late on what it has, and on more would not, is stopped to go on there.
6. What is still free does not stay idle; see :mod:`filling`.

Starts are only ever given out on accelerators that nothing holds now; what waits for a stop is
decided again once the stop was seen.
"""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import filling
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.moves import Moves, listed
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import left_share
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import (
    CANCELED,
    RUNNING,
    Attempt,
    Record,
    State,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.room import room_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.situation import (
    Decision,
    Situation,
    Wish,
)


def decide(state: State, situation: Situation) -> Decision:
    """Enter in ``state`` what shall be done, and say it. The same state and situation give the same decision."""
    return weigh(state, situation).decision


def weigh(state: State, situation: Situation) -> Moves:
    """The turn in which it is decided, as it ended."""
    turn = _Turn(state, situation)
    turn.settle_strays()
    turn.stop_what_must()
    turn.hold_started()
    turn.serve_wishes()
    turn.grow()
    filling.fill(turn)
    filling.widen(turn)
    filling.spread(turn)
    turn.say_starts()
    turn.renew()
    return turn


class _Turn(Moves):
    """One decision."""

    def settle_strays(self) -> None:
        """What runs unrecorded: taken on record where the record was lost, else stopped."""
        for unit in self.given.strays:
            record, order = self.state.jobs.get(unit.name), self.given.orders.get(unit.name)
            unknown = record is None or (record.current is None and unit.attempt > record.attempts)
            if unknown and order is not None and unit.host in self.stock:
                record = self.state.jobs.setdefault(unit.name, Record(unit.name, order.owner))
                kind = self.stock[unit.host].accelerator_type
                record.attempts, record.phase = unit.attempt, RUNNING
                record.current = Attempt(
                    unit.attempt, unit.host, list(unit.accelerators), kind, self.given.now, self.given.now,
                    speed=order.job.speed(kind) or 1.0, started_at=unit.started_at, share_at_start=record.share,
                )  # fmt: skip
                self.decision.lines.append(f"{unit.name} runs on {unit.host} and is on record again")
            else:
                self.decision.stops.append((unit.host, unit.name, unit.attempt))
                self.decision.lines.append(f"{unit.name} runs on {unit.host} beside what is on record: stopped")
        if self.given.strays:
            self.room = room_of(self.given.hosts, self.given.planned, self.given.running, self.attempts_under_way())
            for unit in self.given.strays:
                if unit.host in self.room.now:
                    self.room.now[unit.host] -= set(unit.accelerators)

    def stop_what_must(self) -> None:
        for record, attempt in self.current():
            order = self.given.orders.get(record.name)
            if order is not None and order.canceled:
                attempt.cancel = True
                self.stop(record, attempt, "canceled")
                continue
            why = self._claimed(attempt)
            if not why:
                if attempt.stopping and attempt.host in self.open:
                    self.stop(record, attempt, attempt.stopping)
                continue
            if order is None or order.job.preemptible or attempt.started_at is None or attempt.stopping:
                self.stop(record, attempt, attempt.stopping or why)
            else:
                self.decision.conflicts.append(f"{record.name} may not be interrupted and goes on, though {why}")
        for record in self.state.jobs.values():
            order = self.given.orders.get(record.name)
            if record.current is None and not record.over and order is not None and order.canceled:
                record.phase, record.reason, record.finished_at = CANCELED, "canceled", round(self.given.now, 3)
                self.decision.lines.append(f"{record.name}: canceled before it ran")

    def _claimed(self, attempt: Attempt) -> str:
        """Who else has a right to its accelerators; empty when nobody has."""
        host = self.stock.get(attempt.host)
        if host is not None and not host.reachable:
            return ""
        if host is None or host.state != "active":
            return f"{attempt.host} is being emptied"
        wanted = [
            replica
            for replica in (*self.given.planned, *self.given.running)
            if replica.host == attempt.host and set(replica.accelerators) & set(attempt.accelerators)
        ]
        if not wanted:
            return ""
        taken = sorted({index for one in wanted for index in one.accelerators} & set(attempt.accelerators))
        models = ", ".join(sorted({one.model for one in wanted}))
        return f"{models} takes accelerator{'s' if len(taken) > 1 else ''} {listed(taken)} of {attempt.host} back"

    def hold_started(self) -> None:
        """Entered but not seen to run: started again in the same place, where it is still wanted there."""
        for record, attempt in self.current():
            if attempt.started_at is not None or attempt.stopping or attempt.host not in self.open:
                continue
            if record.name in self.given.orders:
                self.decision.starts.append((attempt.host, record.name))
            else:
                self.stop(record, attempt, "nobody asks for it any more")

    def serve_wishes(self) -> None:
        rank = [wish for wish in self.given.wishes.values() if self.may_start(wish)]
        for wish in sorted(rank, key=lambda one: self.urgency(one.name)):
            if (
                self._place(wish, wish.accelerators)
                or self._make_room(wish)
                or self.place_up_to(wish, wish.accelerators - 1)
            ):
                continue
            self.decision.waiting[wish.name] = f"waits for {wish.accelerators} free {wish.accelerator_type} on one host"

    def _place(self, wish: Wish, count: int) -> bool:
        candidates = self.candidates(wish, count)
        for host in candidates:
            if len(self.room.now[host]) >= count:
                self.start(wish, host, count)
                return True
        for host in candidates:
            if len(self.room.soon[host]) >= count:
                self.room.promise(host, count)
                self.decision.waiting[wish.name] = f"waits for accelerators of {host} that are being given back"
                return True
        return False

    def _make_room(self, wish: Wish) -> bool:
        """Stop as few and as light jobs as it needs, which the schedule does not run now, or on fewer."""
        best: list[tuple[Record, Attempt]] = []
        best_cost, place = (float("inf"), 0), ""
        for host in self.candidates(wish, wish.accelerators):
            chosen, room = [], len(self.room.soon[host])
            for record, attempt in self._victims(host):
                if room >= wish.accelerators:
                    break
                chosen.append((record, attempt))
                room += len(set(attempt.accelerators) - self.room.serving[host])
            cost = (sum(-self.urgency(record.name)[0] for record, _attempt in chosen), len(chosen))
            if room >= wish.accelerators and chosen and cost < best_cost:
                best, best_cost, place = chosen, cost, host
        for record, attempt in best:
            self.stop(record, attempt, f"{wish.name} needs its accelerators")
        if best:
            self.room.promise(place, wish.accelerators)
            self.decision.waiting[wish.name] = f"waits for accelerators of {place} that are being given back"
        return bool(best)

    def _victims(self, host: str) -> list[tuple[Record, Attempt]]:
        found = []
        for record, attempt in self.current():
            order, wish = self.given.orders.get(record.name), self.given.wishes.get(record.name)
            smaller = wish is not None and wish.accelerators < len(attempt.accelerators)
            if attempt.host == host and self.may_move(order, attempt) and (wish is None or smaller):
                found.append((record, attempt))

        def rank(one: tuple[Record, Attempt]) -> tuple[bool, float, float, str]:
            minus_weight, deadline, name = self.urgency(one[0].name)
            return (one[0].name in self.given.wishes, -minus_weight, -deadline, name)

        return sorted(found, key=rank)

    def grow(self) -> None:
        """Rule 5: stop what would be late on what it has and has room to be quicker."""
        for record, attempt in self.current():
            order, wish = self.given.orders.get(record.name), self.given.wishes.get(record.name)
            if order is None or wish is None or not self.may_move(order, attempt):
                continue
            have, kind = len(attempt.accelerators), attempt.accelerator_type
            left = left_share(record, order, self.given.now) * order.job.work * 3600 / attempt.speed
            late = self.given.now + left / have > order.job.deadline
            spare = len(self.room.soon.get(attempt.host, ()))
            if late and wish.accelerator_type == kind and have < wish.accelerators <= have + spare:
                deadline = format_moment(order.job.deadline)
                self.stop(record, attempt, f"goes on with {wish.accelerators} accelerators, else late for {deadline}")
                self.room.promise(attempt.host, wish.accelerators)

    def renew(self) -> None:
        until = round(self.given.now + self.given.lease_seconds, 3)
        for record, attempt in self.current():
            if attempt.host in self.open and not attempt.stopping and attempt.started_at is not None:
                attempt.lease_until = until
                self.decision.renewals.append((attempt.host, record.name))
            elif (attempt.host, record.name) in self.decision.starts:
                attempt.lease_until = until
