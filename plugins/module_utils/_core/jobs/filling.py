# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What no job of the schedule needs now is used all the same.

A schedule is made in periods of an hour and of whole hosts; jobs end in between, are kept from moving, or
fit only elsewhere, and then accelerators would idle beside jobs that wait. In this order:

1. Jobs that the schedule has wait start, those that can still be on time first, then the heaviest, each on
   as many accelerators as it may have and finds.
2. Jobs that start now take what is free beside them.
3. Jobs that run on few, and would end much sooner on more that is free, stop with a checkpoint to go on there:
   only such as have said in this attempt how much of their work is safe.

All of them can be interrupted, and give way like any other when the schedule wants their accelerators.
"""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.moves import Moves
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import left_share
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Attempt, Record
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.situation import Wish

SPREADS = "has room for more:"
# By how many times what a job runs at least it has to end sooner, to be worth an interruption.
WORTH_SETTLES = 2.0


def fill(turn: Moves) -> None:
    """Start what the schedule has wait; see the file's docstring."""
    for name in sorted(turn.state.jobs, key=lambda one: chance(turn, one)):
        order = turn.given.orders.get(name)
        if order is None or order.canceled or not order.job.preemptible or name in turn.decision.waiting:
            continue
        for kind in _types(turn, order):
            wish = Wish(name, kind, "", order.job.most)
            if turn.may_start(wish) and turn.place_up_to(wish, order.job.most):
                break


def widen(turn: Moves) -> None:
    """More for what starts now."""
    for name in sorted(turn.entered, key=turn.urgency):
        attempt, sizes = turn.state.jobs[name].current, turn.given.orders[name].job.sizes
        if attempt is not None:
            have = len(attempt.accelerators)
            room = have + len(turn.room.now[attempt.host])
            more = max(size for size in sizes if size <= room) - have
            if more > 0:
                attempt.accelerators = sorted([*attempt.accelerators, *turn.room.take(attempt.host, more)])


def spread(turn: Moves) -> None:
    """More for what runs already."""
    for record, attempt in sorted(turn.current(), key=lambda one: turn.urgency(one[0].name)):
        order = turn.given.orders.get(record.name)
        if order is None or not turn.may_move(order, attempt) or not _is_safe(record, attempt):
            continue
        work = left_share(record, order, turn.given.now) * order.job.work * 3600
        soonest = work / attempt.speed / len(attempt.accelerators) - WORTH_SETTLES * turn.given.settle_seconds
        place, size = "", 0
        for host, count in _larger(turn, order, attempt):
            seconds = work / order.job.speed(turn.room.type_of[host]) / count
            if seconds < soonest:
                soonest, place, size = seconds, host, count
        if place:
            turn.stop(record, attempt, f"{SPREADS} goes on with {size} accelerators of {place}")
            turn.room.promise(place, size)


def _is_safe(record: Record, attempt: Attempt) -> bool:
    """It has a checkpoint of this attempt, and did not come back in vain from the last interruption for more."""
    last = record.ended[-1] if record.ended else {}
    in_vain = str(last.get("reason")).startswith(SPREADS) and len(last["accelerators"]) >= len(attempt.accelerators)
    return record.share > attempt.share_at_start and not in_vain


def _larger(turn: Moves, order: Order, attempt: Attempt) -> list[tuple[str, int]]:
    """Hosts, its own first, on which it may have more than now, and how many."""
    have, found = len(attempt.accelerators), []
    others = [host for host in sorted(turn.room.now) if host != attempt.host] if turn.given.shared else []
    for host in [attempt.host, *others]:
        room = len(turn.room.now.get(host, ())) + (have if host == attempt.host else 0)
        size = max((size for size in order.job.sizes if size <= room), default=0)
        if size > have and order.job.speed(turn.room.type_of[host]) > 0:
            found.append((host, size))
    return found


def chance(turn: Moves, name: str) -> tuple[bool, float, float, str]:
    """Jobs that can still be on time first, then by urgency."""
    order = turn.given.orders.get(name)
    fastest = max((order.job.speed(kind) for kind in turn.room.type_of.values()), default=0.0) if order else 0.0
    if order is None or fastest <= 0:
        return (True, *turn.urgency(name))
    work = left_share(turn.state.jobs[name], order, turn.given.now) * order.job.work * 3600
    return (turn.given.now + work / fastest / order.job.most > order.job.deadline, *turn.urgency(name))


def _types(turn: Moves, order: Order) -> list[str]:
    """Those it can run on, the fastest first."""
    kinds = {turn.room.type_of[host] for host in turn.room.now}
    return sorted((kind for kind in kinds if order.job.speed(kind) > 0), key=lambda one: (-order.job.speed(one), one))
