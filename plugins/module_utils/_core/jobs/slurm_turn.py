# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One turn of jobs that Slurm runs: look at its queue, keep the record, make the reservation follow the plan, act.

Slurm knows nodes, not which of their accelerators a replica holds, so a node on which anything serves
is reserved whole; its jobs get their signal, their grace time, and are submitted again for what is left.
An attempt is on record before it is submitted. A run that dies between the two finds, the next time,
either the job in the queue or nothing, and submits it then under the same number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.commands import run_command
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.files import Directory
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import slurm
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.decide import Decision
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.given import Given
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.host import last_touched, read_share
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import left_share, observe
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order, Owner
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Record
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.turn import (
    Turn,
    accepted,
    alone,
    forget,
    keep,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.words import late_words

COMMAND_SECONDS = 60.0
POLL_SECONDS = 0.5
# A start that the schedule moves by less is left as it is.
BEGIN_TOLERANCE_SECONDS = 60.0
Run = Callable[..., "tuple[int, str]"]


@dataclass(frozen=True)
class Cluster:
    """Where and how Slurm is asked. ``time_factor``: how much longer than expected a job may run."""

    work_dir: str
    user: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    time_factor: float = 2.0
    run: Run = run_command

    def node(self, host: str) -> str:
        return self.nodes.get(host, host)

    def ask(self, words: Sequence[str], script: str = "") -> str:
        """What a command of Slurm prints.

        Raises:
            SourceUnavailableError: it failed, which mostly means that Slurm is down.
        """
        code, output = self.run(["env", "TZ=UTC", *words], timeout_seconds=COMMAND_SECONDS, given=script)
        if code != 0:
            name = next(word for word in words if word.startswith(("s", "/")) and word != "runuser")
            raise SourceUnavailableError(
                f"{name} failed with exit code {code}: {output or 'no output'}",
                where="Slurm",
                remedy=slurm.REMEDY,
            )
        return output


def slurm_turn(path: str, given: Given, cluster: Cluster, *, now: float, dry: bool = False) -> Turn:
    """Look, and with a schedule decide and act.

    Raises:
        ModelOpsError: Slurm does not answer, or the record cannot be used; nothing was started then.
    """
    with alone(path, dry=dry):
        return _turn(path, given, cluster, now, dry)


def _turn(path: str, given: Given, cluster: Cluster, now: float, dry: bool) -> Turn:
    queue = slurm.parse_queue(cluster.ask(["squeue", "--json", "--states=all"]))
    state, orders, refused = accepted(path, given, now)
    works = {name: f"{cluster.work_dir}/{name}" for name in state.jobs}
    progress = {name: read_share(f"{work}/progress") for name, work in works.items()}
    touched = {name: last_touched(f"{work}/{slurm.OUTPUT}", f"{work}/progress") for name, work in works.items()}
    seen = {slurm.HOST: slurm.units_of(state, queue, progress, touched)}
    changes = observe(state, orders, seen, now=now, lease_margin_seconds=0.0, shared=True)
    turn = Turn(state, orders, refused, changes, Decision(), bool(changes.lines), now)
    acting = _Acting(turn, given, cluster, queue, path, dry)
    forget(state, given.orders, now)
    acting.save()
    if given.schedule is not None:
        acting.act()
        turn.changed = turn.changed or bool(turn.decision.lines)
    return turn


@dataclass
class _Acting:
    """What is done with Slurm in one turn."""

    turn: Turn
    given: Given
    cluster: Cluster
    queue: Mapping[str, slurm.QueuedJob]
    path: str
    dry: bool

    def save(self) -> None:
        if not self.dry:
            keep(self.path, self.turn.state)

    def act(self) -> None:
        serving = {replica.host for replica in (*self.given.planned, *self.given.running) if replica.accelerators}
        emptied = {host.name for host in self.given.hosts if host.state != "active"}
        nodes = sorted(self.cluster.node(host) for host in serving | emptied)
        self._reserve(nodes)
        self._stop(set(nodes))
        self._submit()

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

    def _stop(self, nodes: set[str]) -> None:
        """Signal, wait for the checkpoint, cancel what is left."""
        asked: list[tuple[int, float]] = []
        for name, record in sorted(self.turn.state.jobs.items()):
            attempt, job, order = record.current, self.queue.get(name), self.turn.orders.get(name)
            if attempt is None or job is None or not job.active or job.attempt != attempt.number:
                continue
            cancel = order is not None and order.canceled
            claimed = not job.pending and job.nodes in nodes and (order is None or order.job.preemptible)
            if not (cancel or claimed or attempt.stopping):
                continue
            attempt.cancel = attempt.cancel or cancel
            attempt.stopping = attempt.stopping or ("canceled" if cancel else f"serving takes {job.nodes} back")
            self.turn.decision.lines.append(f"{name} on {job.nodes or 'no node yet'}: stopping, {attempt.stopping}")
            asked.append((job.id, 0.0 if job.pending or order is None else order.grace_seconds))
            if not self.dry and not job.pending and order is not None:
                self.save()
                self.cluster.ask(["scancel", "--batch", f"--signal={order.signal[3:]}", str(job.id)])
        self.save()
        if asked and not self.dry:
            self._await(asked)

    def _await(self, asked: Sequence[tuple[int, float]]) -> None:
        """Until they are gone, each for its grace time at the most; then an end."""
        begun, left = time.monotonic(), dict(asked)
        while left:
            queue = slurm.parse_queue(self.cluster.ask(["squeue", "--json", "--states=all"]))
            active = {job.id for job in queue.values() if job.active}
            left = {number: grace for number, grace in left.items() if number in active}
            over = [number for number, grace in left.items() if time.monotonic() - begun >= grace]
            for number in over:
                self.cluster.ask(["scancel", str(number)])
                del left[number]
            if left:
                time.sleep(POLL_SECONDS)

    def _submit(self) -> None:
        schedule = self.given.schedule or {}
        for name, fields in sorted((schedule.get("jobs") or {}).items()):
            record, order = self.turn.state.jobs.get(name), self.turn.orders.get(name)
            if record is None or order is None or record.over:
                continue
            record.late = late_words(fields, order)
            runs = fields.get("runs") or []
            if not runs:
                continue
            begins_at = max(parse_moment(runs[0]["start"]), record.not_before)
            begins_at = begins_at if begins_at > self.turn.now + BEGIN_TOLERANCE_SECONDS / 2 else 0.0
            if record.current is None and not order.canceled:
                self._enter(record, order, int(runs[0]["accelerators"]), str(runs[0]["accelerator_type"]))
                self._hand_over(record, order, begins_at)
            elif record.current is not None and name not in self.queue and record.current.seen_at is None:
                self._hand_over(record, order, begins_at)
            else:
                self._move(name, begins_at)
        self.save()

    def _enter(self, record: Record, order: Order, count: int, kind: str) -> None:
        now, speed = self.turn.now, order.job.speed(kind) or 1.0
        record.enter(slurm.HOST, list(range(count)), kind, speed=speed, now=now, lease_until=now)
        self.save()

    def _hand_over(self, record: Record, order: Order, begins_at: float) -> None:
        attempt = record.current
        if attempt is None:
            return
        owner = self.given.owners.get(order.owner, Owner())
        user, work = owner.user or self.cluster.user, f"{self.cluster.work_dir}/{order.name}"
        hours = left_share(record, order, self.turn.now) * order.job.work / len(attempt.accelerators) / attempt.speed
        words, script = slurm.submission(
            order, attempt, user=user, account=owner.account, work=work, begins_at=begins_at,
            hours=hours * self.cluster.time_factor + order.grace_seconds / 3600, now=self.turn.now,
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
            self.cluster.ask(words, script)
        except SourceUnavailableError as error:
            # Its number was used up by nobody; a wrong account of one job does not keep the others.
            record.current, record.attempts = None, record.attempts - 1
            self.turn.decision.lines.append(f"{order.name} was not taken: {error.what}")

    def _move(self, name: str, begins_at: float) -> None:
        """A pending job follows the schedule."""
        job = self.queue.get(name)
        if job is None or not job.pending:
            return
        if abs(max(begins_at, self.turn.now) - max(job.begins_at, self.turn.now)) > BEGIN_TOLERANCE_SECONDS:
            self.turn.decision.lines.append(f"{name} begins at another time")
            if not self.dry:
                moment = slurm.local_moment(begins_at) if begins_at else "now"
                self.cluster.ask(["scontrol", "update", f"JobId={job.id}", f"StartTime={moment}"])
