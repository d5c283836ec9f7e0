# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What Slurm is asked for, by the rules that hold where this project starts jobs itself.

The rules (:mod:`decide`) see a picture of the cluster: each node that is up and not serving, with the accelerators
that jobs of others hold; each of our running jobs on its node; each pending one as waiting. Which accelerator is
whose does not matter to Slurm, so the picture makes that up. From what they decide:

- Running jobs stop that the rules stop, and those on nodes that serving takes.
- Everything that may begin stands in Slurm's queue, in one order: what the schedule runs now by urgency, what fills
  gaps, then the rest, those first that can still be on time. So Slurm starts the next one when a job ends, without
  waiting for a turn.
- A job that may not be interrupted does not begin before the schedule says so: nothing would take its place back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.decide import weigh
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.filling import chance
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.given import Given
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.moves import Moves
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Attempt, Record, State
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.situation import Situation, wishes_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_cluster import NO_NODE, Node
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_queue import Queue, QueuedJob


@dataclass(frozen=True)
class Place:
    """A job's place in the queue. ``begins_at``: epoch seconds, 0 for at once. ``now``: the picture has room for it."""

    name: str
    accelerators: int
    accelerator_type: str
    begins_at: float = 0.0
    now: bool = False


@dataclass
class Chosen:
    """What Slurm shall do: running jobs to ``stop``, with why, and the ``queue`` in order."""

    stop: dict[str, str] = field(default_factory=dict)
    queue: list[Place] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class View:
    """The cluster as it is: our ``queue``, ``nodes`` by host, and why a host of ``closed`` takes no jobs."""

    queue: Queue
    nodes: Mapping[str, Node]
    closed: Mapping[str, str]

    def running(self, record: Record) -> QueuedJob | None:
        """The job of its attempt while that holds accelerators."""
        job = self.queue.of_record(record)
        return job if job is not None and job.active and not job.pending else None

    def host_of(self, job: QueuedJob) -> str:
        return next((host for host, node in self.nodes.items() if node.name == job.nodes), job.nodes)


def choose(state: State, orders: Mapping[str, Order], given: Given, view: View, now: float) -> Chosen:
    """What shall run next, from the record, the schedule and what is in the cluster; ``state`` stays as it is."""
    chosen = Chosen()
    _clear(state, orders, view, chosen)
    turn = weigh(*_picture(state, orders, given, view, now))
    for _host, name, _number in turn.decision.stops:
        attempt = turn.state.jobs[name].current
        chosen.stop.setdefault(name, attempt.stopping if attempt else "")
    waiting = [name for name in turn.state.jobs if view.running(state.jobs[name]) is None]
    places = (_place(turn, name, given) for name in sorted(waiting, key=lambda one: _rank(turn, one)))
    chosen.queue = [place for place in places if place is not None]
    return chosen


def _clear(state: State, orders: Mapping[str, Order], view: View, chosen: Chosen) -> None:
    """Jobs on nodes that serving takes, or that are being emptied, stop."""
    for name, record in sorted(state.jobs.items()):
        job, order = view.running(record), orders.get(name)
        why = view.closed.get(view.host_of(job)) if job else None
        if why and (order is None or order.job.preemptible or order.canceled):
            chosen.stop[name] = "canceled" if order is not None and order.canceled else why
        elif why:
            chosen.conflicts.append(f"{name} may not be interrupted and goes on, though {why}")


def stock_for_jobs(state: State, hosts: Sequence[Host], view: View) -> list[Host]:
    """The stock as jobs may use it: hosts without what jobs of others hold; where none may run, as draining."""
    ours: Counter[str] = Counter()
    for record in state.jobs.values():
        job = view.running(record)
        if job is not None:
            ours[view.host_of(job)] += _count(job, record)
    found = []
    for host in hosts:
        node = view.nodes.get(host.name, NO_NODE)
        others = max(0, node.used - ours[host.name])
        if node.up and host.name not in view.closed:
            found.append(replace(host, accelerator_count=max(0, node.accelerators - others), reachable=True))
        else:
            found.append(replace(host, state="draining" if host.state == "active" else host.state))
    return found


def _count(job: QueuedJob, record: Record) -> int:
    return job.accelerators or (len(record.current.accelerators) if record.current else 0)


def _picture(
    state: State, orders: Mapping[str, Order], given: Given, view: View, now: float
) -> tuple[State, Situation]:
    hosts = [host for host in stock_for_jobs(state, given.hosts, view) if host.state == "active"]
    picture, left = State(), {host.name: host.accelerator_count for host in hosts}
    for name, record in sorted(state.jobs.items()):
        job, order = view.running(record), orders.get(name)
        if job is not None and record.current is not None:
            host, count = view.host_of(job), _count(job, record)
            left[host] = left.get(host, 0) - count
            own = replace(
                record.current,
                host=host,
                accelerators=list(range(left[host], left[host] + count)),
                started_at=job.started_at or record.current.entered_at,
            )
            picture.jobs[name] = replace(record, current=own)
        elif order is not None and not record.over and not order.canceled and _waits(record, view.queue):
            picture.jobs[name] = replace(record, current=None)
    situation = Situation(
        orders=orders, hosts=hosts, planned=(), running=(), wishes=wishes_of(given.schedule or {}), now=now,
        settle_seconds=given.settle_seconds, shared=True,
    )  # fmt: skip
    return picture, situation


def _waits(record: Record, queue: Queue) -> bool:
    """Not where the next look has to say what became of an attempt."""
    attempt = record.current
    if attempt is None:
        return True
    job = queue.of_record(record)
    if job is not None:
        return job.pending
    return attempt.seen_at is None and attempt.slurm_job is None


def _rank(turn: Moves, name: str) -> tuple[Any, ...]:
    """Its place in the queue; see the file's docstring."""
    entered = name in turn.entered
    if name in turn.given.wishes and (entered or name in turn.decision.waiting):
        return (0, turn.urgency(name))
    return (1, turn.entered.index(name)) if entered else (2, chance(turn, name))


def _place(turn: Moves, name: str, given: Given) -> Place | None:
    """Its size is what it would start on now, else what the schedule gives it, else the least."""
    record, job = turn.state.jobs[name], turn.given.orders[name].job
    started: Attempt | None = record.current
    if started is not None:
        return Place(name, len(started.accelerators), started.accelerator_type, now=True)
    runs = ((given.schedule or {}).get("jobs") or {}).get(name, {}).get("runs") or []
    if not runs and not job.preemptible:
        return None
    begins_at = max(job.release, record.not_before, 0.0 if job.preemptible else parse_moment(runs[0]["start"]))
    begins_at = begins_at if begins_at > turn.given.now else 0.0
    if runs:
        return Place(name, int(runs[0]["accelerators"]), str(runs[0]["accelerator_type"]), begins_at)
    # Also of nodes that are down or serving now: Slurm starts it when they come back.
    kinds = [host.accelerator_type for host in given.hosts if host.accelerator_count >= job.least]
    kind = max(kinds, key=lambda one: (job.speed(one), one), default="")
    return Place(name, job.least, kind, begins_at) if kind and job.speed(kind) > 0 else None
