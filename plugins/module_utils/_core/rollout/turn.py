# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One turn of an upgrade: files and facts in, the next step out.

Joins the record of releases, the journal, the headroom and the step rules. Both files are written
before a step is handed out, so what is about to happen is known whatever becomes of the run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import release
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.allowance import Room, room_for
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.batches import Running
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.journal import (
    BACK,
    Journal,
    journal_for,
    parse_journal,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.question import (
    Question,
    absent_hosts,
    running_of,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.steps import Step, Wishes, next_step

SUCCESSES = ("done", "paused")


@dataclass(frozen=True)
class Turn:
    """The step, the release it leads to, the records for the deploy role, and both files as they should be.
    ``stage_on``: hosts that fetch the artefact before anything is touched."""

    step: Step
    entry: Mapping[str, Any]
    deploy: list[dict[str, Any]]
    journal: Journal
    record: dict[str, Any]
    stage_on: list[str]
    spare_requests_per_second: float

    @property
    def succeeded(self) -> bool:
        return self.step.kind in SUCCESSES


def take_turn(question: Question) -> Turn:
    """The next step; nothing is written here.

    Raises:
        InputError: the model is not in the catalogue, nothing of it runs, or no good release is on record.
    """
    name = question.model
    if name not in question.catalogue:
        known = ", ".join(sorted(question.catalogue)) or "none"
        raise InputError(f"the catalogue has no model {name!r}", where="upgrade_model", remedy=f"It has {known}")
    entry = release.serving_part(question.catalogue[name])
    record = read_releases(question.releases)
    good = (record["models"].get(name) or {}).get("good")
    if good is None:
        raise InputError(
            f"no good release of {name} is on record, so there would be no way back",
            where=question.releases,
            remedy="Apply once with the version that runs now in the catalogue",
        )
    target = {"digest": release.release_digest(entry), "version": str(entry.get("version", ""))}
    found = (
        parse_journal(documents.read_document(question.journal, what="journal"), where=question.journal)
        if os.path.exists(os.path.expanduser(question.journal))
        else None
    )
    running = running_of(question, good)
    journal = _journal(found, name, target, good, question, running)
    refused = "" if question.force else release.bad_digests(record, name).get(target["digest"], "")
    hindered = _enter_outcome(journal, question)
    if question.abort and not refused:
        journal.turn_back(["the operator aborted it"], blamed=False, now=question.now)
    room = room_for(question, running, target["digest"])
    if hindered:
        step = Step("incomplete", f"{'; '.join(hindered)}; that is not the release's fault: see to it and run again")
    else:
        step = next_step(running, journal, room.allowance, _wishes(question, journal, refused))
    return _turn(question, step, entry, good, journal, record, running, room)


def _turn(
    question: Question,
    step: Step,
    entry: Mapping[str, Any],
    good: Mapping[str, Any],
    journal: Journal,
    record: dict[str, Any],
    running: Sequence[Running],
    room: Room,
) -> Turn:
    name, now, back = question.model, question.now, journal.direction == BACK
    if step.kind in ("canary", "batch", "judge", "surge"):
        record = release.note_tried(record, name, entry, now=now)
    if step.kind == "done" and journal.target != good["digest"]:
        record = release.note_good(release.note_tried(record, name, entry, now=now), name, now=now)
    if back and journal.blamed:
        record = release.note_bad(record, name, journal.target, journal.reasons, now=now)
    if step.kind == "rolled_back" and not journal.blamed:
        record = release.note_dropped(record, name)
    stage_on = _stage_on(step, journal, running)
    _note_step(journal, step, running, now)
    to = good["entry"] if back or step.kind == "baseline" else entry
    placed = step.change or step.add or step.judge
    deploy = [_placement(question, one, to, room.places) for one in placed]
    return Turn(step, to, deploy, journal, record, stage_on, room.spare_requests_per_second)


def _note_step(journal: Journal, step: Step, running: Sequence[Running], now: float) -> None:
    """Enter what is about to happen."""
    journal.known = sorted({*journal.known, *(one.server for one in running)})
    fleet = {
        "on_target": sum(one.release == journal.target for one in running),
        "on_origin": sum(one.release == journal.origin for one in running),
        "running": len(running),
    }
    if step.kind in ("done", "rolled_back") and not journal.finished:
        journal.finished = step.kind
        journal.note(step.kind, now, reason=step.reason, **fleet)
    elif step.change or step.add or step.remove:
        touched = [one.server for one in (*step.change, *step.add, *step.remove)]
        journal.note(step.kind, now, servers=touched, reason=step.reason, **fleet)
    elif step.is_last and not journal.finished:
        journal.note(step.kind, now, reason=step.reason, **fleet)
    if step.kind == "surge":
        journal.added = sorted({*journal.added, *(one.server for one in step.add)})
    if step.kind == "baseline":
        journal.restarted = step.change[0].server


def _stage_on(step: Step, journal: Journal, running: Sequence[Running]) -> list[str]:
    """All hosts of the model before the first replica is touched, and the host of each that is added."""
    hosts = {one.host for one in step.add}
    if step.kind in ("canary", "baseline") or (step.kind == "surge" and not journal.added):
        hosts |= {one.host for one in running if one.reachable}
    return sorted(hosts)


def read_releases(path: str) -> dict[str, Any]:
    """The record of releases; an empty one when there is none yet."""
    if not os.path.exists(os.path.expanduser(path)):
        return release.empty_record()
    return release.parse_record(documents.read_document(path, what="record of releases"), where=path)


def _wishes(question: Question, journal: Journal, refused: str) -> Wishes:
    return Wishes(
        question.pause,
        question.abort,
        refused,
        question.undecided_limit,
        question.when_full,
        question.strategy,
        question.fresh_baseline,
        absent_hosts(question, journal.known),
    )


def _journal(
    found: Journal | None,
    name: str,
    target: Mapping[str, str],
    good: Mapping[str, Any],
    question: Question,
    running: Sequence[Running],
) -> Journal:
    if question.begins is False and found is not None:
        return found
    journal = journal_for(found, model=name, target=target, origin=good, now=question.now)
    if target["digest"] == good["digest"]:
        known = [one.server for one in running if one.release == good["digest"]]
        journal.judged = sorted({*journal.judged, *known})
    journal.undecided = 0
    # What was added and is gone again is added no more.
    running_now, away = {one.server for one in running}, set(question.unreachable)
    journal.added = [one for one in journal.added if one in running_now or one.rpartition("-")[0] in away]
    return journal


def _enter_outcome(journal: Journal, question: Question) -> list[str]:
    """Enter what became of the step before; returns what stands in the way and is not the release's doing."""
    outcome = question.outcome
    if not outcome:
        return []
    failures = [str(one) for one in outcome.get("failures") or ()]
    hindrances = [str(one) for one in outcome.get("hindrances") or ()]
    judged = [str(one) for one in outcome.get("judged") or ()]
    drained = [dict(one) for one in outcome.get("drained") or ()]
    if drained:
        journal.note("drained", question.now, replicas=drained)
    if hindrances:
        journal.note("hindered", question.now, reasons=hindrances)
    if journal.direction == BACK:
        if failures:
            journal.undecided += 1
            journal.note("way back failed", question.now, reasons=failures)
    elif failures:
        journal.take_verdict("fail", failures, judged, now=question.now)
    elif outcome.get("verdict") and not hindrances:
        reasons = [str(one) for one in outcome.get("reasons") or ()]
        journal.take_verdict(str(outcome["verdict"]), reasons, judged, now=question.now, figures=outcome.get("figures"))
    return [] if failures else hindrances


def _placement(question: Question, one: Running, entry: Mapping[str, Any], places: Sequence[Replica]) -> dict[str, Any]:
    """The record with which the deploy role starts the replica in another release, where it is; or a new one."""
    held = next(
        (
            {"port": record.get("port"), "accelerators": record.get("accelerators") or []}
            for record in question.replicas
            if str(record["host"]) == one.host and int(record["slot"]) == one.slot
        ),
        None,
    ) or next(
        {"port": place.port, "accelerators": list(place.accelerators)}
        for place in places
        if (place.host, place.slot) == (one.host, one.slot)
    )
    return {
        "host": one.host,
        "slot": one.slot,
        "model": question.model,
        "version": str(entry.get("version", "")),
        **held,
    }
