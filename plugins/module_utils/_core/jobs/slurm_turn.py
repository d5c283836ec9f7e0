# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One turn of jobs that Slurm runs: look at its queue, keep the record, make the reservation follow the plan, act.

Slurm knows nodes, not which of their accelerators a replica holds, so a node on which anything serves
is reserved whole; its jobs get their signal, their grace time, and are submitted again for what is left.
What else stops and in which order the rest waits is decided by :mod:`slurm_rules`.
An attempt is on record before it is submitted. A run that dies between the two finds, the next time,
either the job in the queue or nothing, and submits it then under the same number. Nothing is submitted
while anything of that name is in the queue, whatever the record says of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.files import Directory
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import slurm
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.given import Given
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.host import last_touched, read_share
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import left_share, observe
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order, Owner
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import (
    CANCELED,
    LOST,
    Attempt,
    Record,
    State,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.situation import Decision
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_cluster import Cluster
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_queue import Queue, QueuedJob
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_rules import (
    Chosen,
    Place,
    View,
    choose,
    stock_for_jobs,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.turn import (
    Turn,
    accepted,
    alone,
    forget,
    keep,
    name_late,
)

POLL_SECONDS = 0.5
# Slurm's KillWait, and what comes after a job.
GONE_SECONDS = 60.0
# A begin that moves by less is left as it is.
BEGIN_TOLERANCE_SECONDS = 60.0
# More than the age of a job in the queue counts, where Slurm orders by that alone.
NICE_STEP = 1000


def slurm_turn(path: str, given: Given, cluster: Cluster, *, now: float, dry: bool = False) -> Turn:
    """Look, and with a schedule decide and act.

    Raises:
        ModelOpsError: Slurm does not answer, or the record cannot be used; nothing was started then.
    """
    with alone(path, dry=dry):
        return _turn(path, given, cluster, now, dry)


def _turn(path: str, given: Given, cluster: Cluster, now: float, dry: bool) -> Turn:
    queue = cluster.queue()
    state, orders, refused = accepted(path, given, now)
    works = {name: f"{cluster.work_dir}/{name}" for name in state.jobs}
    progress = {name: read_share(f"{work}/progress") for name, work in works.items()}
    touched = {name: last_touched(f"{work}/{slurm.OUTPUT}", f"{work}/progress") for name, work in works.items()}
    kinds = {cluster.node(host.name): host.accelerator_type for host in given.hosts}
    lines = take_up(state, orders, queue, kinds, now)
    seen = {slurm.HOST: slurm.units_of(state, queue, progress, touched)}
    changes = observe(state, orders, seen, now=now, lease_margin_seconds=0.0, shared=True)
    changes.lines[:0] = lines
    turn = Turn(state, orders, refused, changes, Decision(), bool(changes.lines), now)
    acting = _Acting(turn, given, cluster, queue, path, dry)
    view = acting.view()
    running = {name: view.running(record) for name, record in state.jobs.items()}
    turn.runs_on = {name: view.host_of(job) for name, job in running.items() if job is not None}
    turn.stock = stock_for_jobs(state, given.hosts, view)
    forget(state, given.orders, now)
    acting.save()
    if given.schedule is not None:
        acting.act()
        turn.changed = turn.changed or bool(turn.decision.lines)
    return turn


def take_up(state: State, orders: Mapping[str, Order], queue: Queue, kinds: Mapping[str, str], now: float) -> list[str]:
    """Enter the numbers of jobs that were submitted by a run that died, jobs whose record was lost, and what they run on.

    Args:
        kinds: accelerator types of the nodes.
    """
    lines = []
    for name, record in sorted(state.jobs.items()):
        attempt, order = record.current, orders.get(name)
        if attempt is not None:
            own = queue.of(name, attempt)
            attempt.slurm_job = own.id if own else attempt.slurm_job
            kind = kinds.get(own.nodes) if own and not own.pending else None
            if order is not None and kind is not None:
                attempt.accelerator_type, attempt.speed = kind, order.job.speed(kind) or 1.0
            continue
        unknown = [one for one in queue.others(name, None) if one.attempt > record.attempts]
        if unknown and order is not None and not record.over:
            job = max(unknown, key=lambda one: (one.attempt, -one.id))
            usable = [kind for _node, kind in sorted(kinds.items()) if order.job.speed(kind) > 0]
            kind = kinds.get(job.nodes) or next(iter(usable), "")
            record.attempts = job.attempt - 1
            enter(record, order, job.accelerators or order.job.least, kind, now).slurm_job = job.id
            lines.append(f"{name} is job {job.id} of Slurm and is on record again")
    return lines


def enter(record: Record, order: Order, count: int, kind: str, now: float) -> Attempt:
    """Put an attempt on so many accelerators of a kind on record. Slurm chooses which; a lease it has none."""
    speed = order.job.speed(kind) or 1.0
    return record.enter(slurm.HOST, list(range(count)), kind, speed=speed, now=now, lease_until=now)


@dataclass
class _Acting:
    """What is done with Slurm in one turn. ``queue`` is read again before each thing that is decided by it."""

    turn: Turn
    given: Given
    cluster: Cluster
    queue: Queue
    path: str
    dry: bool

    def save(self) -> None:
        if not self.dry:
            keep(self.path, self.turn.state)

    def view(self) -> View:
        nodes = self.cluster.look_at_nodes()
        known = {host.name: self.cluster.node(host.name) for host in self.given.hosts}
        return View(self.queue, {host: nodes[node] for host, node in known.items() if node in nodes}, self._closed())

    def act(self) -> None:
        self._reserve(sorted(self.cluster.node(host) for host in self._closed()))
        # What waited may have begun before the reservation was there.
        self.queue = self.cluster.queue()
        chosen = choose(self.turn.state, self.turn.orders, self.given, self.view(), self.turn.now)
        self.turn.decision.conflicts += chosen.conflicts
        self._stop(chosen.stop)
        self._submit(chosen)

    def _closed(self) -> dict[str, str]:
        """Hosts on which no job shall run, and why."""
        found = {host.name: f"{host.name} is being emptied" for host in self.given.hosts if host.state != "active"}
        serving = {replica.host for replica in (*self.given.planned, *self.given.running) if replica.accelerators}
        return {**found, **{host: f"serving takes {self.cluster.node(host)} back" for host in serving}}

    def _reserve(self, nodes: Sequence[str]) -> None:
        known = self.cluster.ask(["scontrol", "--oneliner", "show", "reservation"])
        held = []
        for line in known.splitlines():
            fields = dict(word.partition("=")[::2] for word in line.split())
            if fields.get("ReservationName") == slurm.RESERVATION:
                listed = self.cluster.ask(["scontrol", "show", "hostnames", fields.get("Nodes", "")])
                held = listed.split()
        commands = slurm.reservation_commands(nodes, held)
        if commands:
            self.turn.decision.lines.append(f"serving has the nodes {', '.join(nodes) or 'none'}")
        for words in commands:
            if not self.dry:
                self.cluster.ask(words)

    def _stop(self, stop: Mapping[str, str]) -> None:
        """Signal, wait for the checkpoint, cancel what is left. ``stop``: jobs that run and shall not, with why."""
        asked: list[tuple[int, float]] = []
        unreached: list[Record] = []
        for name, record in sorted(self.turn.state.jobs.items()):
            order = self.turn.orders.get(name)
            asked += [(job.id, 0.0) for job in self._doubles(record)]
            attempt = record.current
            job = self.queue.of_record(record)
            if attempt is None or job is None:
                self._cancel_unsubmitted(record, order)
                continue
            cancel = order is not None and order.canceled
            why = attempt.stopping or ("canceled" if cancel else stop.get(name, ""))
            if not job.active or not why:
                continue
            attempt.cancel, attempt.stopping = attempt.cancel or cancel, why
            self.turn.decision.lines.append(f"{name} on {job.nodes or 'no node yet'}: stopping, {why}")
            asked.append((job.id, 0.0 if job.pending or order is None else order.grace_seconds))
            if not self.dry and not job.pending and order is not None:
                self.save()
                if not self.cluster.tell(["scancel", "--batch", f"--signal={order.signal[3:]}", str(job.id)]):
                    unreached.append(record)
        self.save()
        if asked and not self.dry:
            self._await(asked)
        self.queue = self.cluster.queue()
        for record in unreached:
            self._forgive(record)

    def _forgive(self, record: Record) -> None:
        """It had ended well before it could be asked to stop."""
        job = self.queue.of_record(record)
        if record.current is not None and job is not None and job.state == "COMPLETED":
            record.current.stopping, record.current.cancel = "", False
            self.save()

    def _doubles(self, record: Record) -> list[QueuedJob]:
        """The same attempt once more: sbatch's answer was lost, and it was submitted again."""
        found = [
            job
            for job in self.queue.others(record.name, record.current)
            if job.pending and job.attempt <= record.attempts
        ]
        self.turn.decision.lines += [
            f"{record.name} waits twice in Slurm's queue: job {job.id} is removed" for job in found
        ]
        return found

    def _cancel_unsubmitted(self, record: Record, order: Order | None) -> None:
        attempt = record.current
        submitted = attempt is not None and (attempt.slurm_job is not None or attempt.seen_at is not None)
        if order is not None and order.canceled and not record.over and not submitted:
            record.phase, record.reason, record.current = CANCELED, "canceled", None
            record.finished_at = round(self.turn.now, 3)
            self.turn.decision.lines.append(f"{record.name}: canceled before it ran")

    def _await(self, asked: Sequence[tuple[int, float]]) -> None:
        """Until they are gone: each has its grace time, then it is ended, and what its processes need for that."""
        begun, left, ended = time.monotonic(), dict(asked), set()
        longest = max(left.values()) + GONE_SECONDS
        while left and time.monotonic() - begun < longest:
            active = {job.id for job in self.cluster.queue().jobs if job.active}
            left = {number: grace for number, grace in left.items() if number in active}
            for number, grace in left.items():
                if number not in ended and time.monotonic() - begun >= grace:
                    self.cluster.tell(["scancel", str(number)])
                    ended.add(number)
            if left:
                time.sleep(POLL_SECONDS)

    def _submit(self, chosen: Chosen) -> None:
        """Make Slurm's queue hold what may begin, in that order."""
        name_late(self.turn.state, self.turn.orders, self.given.schedule or {})
        nice = 0
        for place in chosen.queue:
            nice = self._follow(self.turn.state.jobs[place.name], self.turn.orders[place.name], place, nice)
        self.save()

    def _follow(self, record: Record, order: Order, place: Place, after: int) -> int:
        """Put a job in its place behind ``after``, and say how far back it stands now.

        It is handed over only where nothing of it is in Slurm's queue.
        """
        own = self.queue.of_record(record)
        if own is not None and own.pending and place.now and self._fits_no_more(record, place):
            own = self._withdraw(record, own)
        if own is not None:
            return self._move(record.name, own, place.begins_at, after) if own.pending else after
        attempt = record.current
        if attempt is not None and (attempt.seen_at is not None or attempt.slurm_job is not None):
            return after  # the next look says what became of it
        others = self.queue.others(record.name, None)
        if others:
            self.turn.decision.waiting[record.name] = (
                f"waits until its job {others[0].id} of Slurm is gone ({others[0].state})"
            )
            return after
        if attempt is None:
            enter(record, order, place.accelerators, place.accelerator_type, self.turn.now)
            self.save()
        self._hand_over(record, order, place.begins_at, after + NICE_STEP)
        return after + NICE_STEP

    @staticmethod
    def _fits_no_more(record: Record, place: Place) -> bool:
        """It waits for something else than what is there for it now."""
        attempt = record.current
        return attempt is not None and (len(attempt.accelerators), attempt.accelerator_type) != (
            place.accelerators,
            place.accelerator_type,
        )

    def _withdraw(self, record: Record, job: QueuedJob) -> QueuedJob | None:
        """Take it out of the queue unless it has begun just now, and say what is in the queue then."""
        self.turn.decision.lines.append(f"{record.name} no longer waits as job {job.id} of Slurm")
        if self.dry:
            record.current = None
            return None
        self.cluster.tell(["scancel", "--state=PENDING", str(job.id)])
        self.queue = self.cluster.queue()
        left = self.queue.of_record(record)
        if left is not None and (left.active or left.nodes):  # Slurm gives a start to what it removed, but no node
            return left
        record.current = None
        self.save()
        return None

    def _hand_over(self, record: Record, order: Order, begins_at: float, nice: int) -> None:
        attempt = record.current
        if attempt is None:
            return
        owner = self.given.owners.get(order.owner, Owner())
        user, work = owner.user or self.cluster.user, f"{self.cluster.work_dir}/{order.name}"
        hours = left_share(record, order, self.turn.now) * order.job.work / len(attempt.accelerators) / attempt.speed
        words, script = slurm.submission(
            order, attempt, user=user, account=owner.account, work=work, begins_at=begins_at,
            hours=hours * self.cluster.time_factor + order.grace_seconds / 3600, now=self.turn.now,
            nice=nice, not_on=self._other_nodes(attempt.accelerator_type),
            after_loss=bool(record.ended) and record.ended[-1]["end"] == LOST,
        )  # fmt: skip
        count = len(attempt.accelerators)
        done = f", {record.share:.0%} of it done" if record.share else ""
        self.turn.decision.lines.append(
            f"{order.name} is submitted (attempt {attempt.number}) for {count} accelerators{done}"
        )
        if self.dry:
            return
        Directory(work, mode=0o750, owner=user).make()
        try:
            attempt.slurm_job = slurm.number_of(self.cluster.ask(words, script))
            self.save()
        except SourceUnavailableError as error:
            self._not_taken(record, error)

    def _not_taken(self, record: Record, error: SourceUnavailableError) -> None:
        """Refused, or only its answer was lost; then it stays on record, and is not submitted under another number."""
        attempt, lines = record.current, self.turn.decision.lines
        job = self.cluster.queue().of_record(record)
        if attempt is not None and job is not None:
            attempt.slurm_job = job.id
            lines.append(f"{record.name} was taken as job {job.id} of Slurm, though sbatch did not say so")
        elif slurm.UNANSWERED.search(error.what):
            lines.append(f"{record.name}: sbatch did not answer, the next run looks whether it was taken: {error.what}")
        else:
            # Its number was used up by nobody; a wrong account of one job does not keep the others.
            record.current, record.attempts = None, record.attempts - 1
            lines.append(f"{record.name} was not taken: {error.what}")

    def _other_nodes(self, kind: str) -> list[str]:
        """Nodes with another type of accelerator, on which it would take another time."""
        return sorted(self.cluster.node(host.name) for host in self.given.hosts if host.accelerator_type != kind)

    def _move(self, name: str, job: QueuedJob, begins_at: float, after: int) -> int:
        """A pending job follows the order, and when it may begin. Returns how far back it stands."""
        changes = []
        if abs(max(begins_at, self.turn.now) - max(job.begins_at, self.turn.now)) > BEGIN_TOLERANCE_SECONDS:
            self.turn.decision.lines.append(f"{name} begins at another time")
            changes.append(f"StartTime={slurm.local_moment(begins_at) if begins_at else 'now'}")
        nice = job.nice if job.nice > after else after + NICE_STEP
        if nice != job.nice:
            self.turn.decision.lines.append(f"{name} waits behind others now")
            changes.append(f"Nice={nice}")
        if changes and not self.dry:
            # It may have begun just now.
            self.cluster.tell(["scontrol", "update", f"JobId={job.id}", *changes])
        return nice
