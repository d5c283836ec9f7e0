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
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import parse_hosts, parse_models
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import headroom, release
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.journal import (
    BACK,
    Journal,
    journal_for,
    parse_journal,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.steps import (
    Allowance,
    Running,
    Step,
    Wishes,
    next_step,
)

SUCCESSES = ("done", "paused")


@dataclass(frozen=True)
class Question:
    """What is asked. ``replicas``: records of the hosts' facts, each with ``host``. ``outcome``: of the step before,
    empty for none. ``begins``: whether this is the first turn of a run."""

    model: str
    catalogue: Mapping[str, Any]
    hosts: Sequence[Mapping[str, Any]]
    replicas: Sequence[Mapping[str, Any]]
    releases: str
    journal: str
    now: float
    outcome: Mapping[str, Any] = field(default_factory=dict)
    begins: bool = True
    forecast: Any = None
    observed: float | None = None
    window_seconds: float = 1800.0
    policy: headroom.HeadroomPolicy = field(default_factory=headroom.HeadroomPolicy)
    pause: bool = False
    abort: bool = False
    force: bool = False
    undecided_limit: int = 6


@dataclass(frozen=True)
class Turn:
    """The step, the release it leads to, the records for the deploy role, and both files as they should be."""

    step: Step
    entry: Mapping[str, Any]
    deploy: list[dict[str, Any]]
    journal: Journal
    record: dict[str, Any]

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
    journal = _journal(found, name, target, good, question)
    running = running_of(question, good)
    refused = "" if question.force else release.bad_digests(record, name).get(target["digest"], "")
    _enter_outcome(journal, question)
    if question.abort and not refused:
        journal.turn_back(["the operator aborted it"], blamed=False, now=question.now)
    wishes = Wishes(question.pause, question.abort, refused, question.undecided_limit)
    step = next_step(running, journal, _allowance(question, running), wishes)
    return _turn(question, step, entry, good, journal, record)


def _turn(
    question: Question,
    step: Step,
    entry: Mapping[str, Any],
    good: Mapping[str, Any],
    journal: Journal,
    record: dict[str, Any],
) -> Turn:
    name, now, back = question.model, question.now, journal.direction == BACK
    if step.kind in ("canary", "batch", "judge"):
        record = release.note_tried(record, name, entry, now=now)
    if step.kind == "done" and journal.target != good["digest"]:
        record = release.note_good(release.note_tried(record, name, entry, now=now), name, now=now)
    if back and journal.blamed:
        record = release.note_bad(record, name, journal.target, journal.reasons, now=now)
    if step.kind == "rolled_back" and not journal.blamed:
        record = release.note_dropped(record, name)
    if step.kind in ("done", "rolled_back") and not journal.finished:
        journal.finished = step.kind
        journal.note(step.kind, now, reason=step.reason)
    elif step.change:
        journal.note(step.kind, now, servers=[one.server for one in step.change], reason=step.reason)
    to = good["entry"] if back else entry
    deploy = [_placement(question, one, to) for one in (step.change or step.judge)]
    return Turn(step, to, deploy, journal, record)


def read_releases(path: str) -> dict[str, Any]:
    """The record of releases; an empty one when there is none yet."""
    if not os.path.exists(os.path.expanduser(path)):
        return release.empty_record()
    return release.parse_record(documents.read_document(path, what="record of releases"), where=path)


def running_of(question: Question, good: Mapping[str, Any]) -> list[Running]:
    """The replicas of the model with the zones of their hosts.

    One that was started before releases were on record counts as the good one when its version does.
    """
    zones = {str(host["name"]): str(host.get("zone") or "") for host in question.hosts}
    silent = {str(server) for server in question.outcome.get("silent") or ()}
    found = []
    for one in question.replicas:
        if one.get("model") != question.model:
            continue
        named = str(one.get("release") or "") or (good["digest"] if str(one.get("version")) == good["version"] else "")
        host, slot = str(one["host"]), int(one["slot"])
        found.append(Running(host, slot, named, zones.get(host, ""), f"{host}-{slot}" not in silent))
    if not found:
        raise InputError(
            f"nothing of {question.model} runs, so there is nothing to upgrade",
            where="upgrade_model",
            remedy="Plan and apply start it; with nothing on record, in the catalogue's version",
        )
    return sorted(found)


def _journal(
    found: Journal | None, name: str, target: Mapping[str, str], good: Mapping[str, Any], question: Question
) -> Journal:
    if question.begins is False and found is not None:
        return found
    journal = journal_for(found, model=name, target=target, origin=good, now=question.now)
    if target["digest"] == good["digest"]:
        known = [one.server for one in running_of(question, good) if one.release == good["digest"]]
        journal.judged = sorted({*journal.judged, *known})
    journal.undecided = 0
    return journal


def _enter_outcome(journal: Journal, question: Question) -> None:
    outcome = question.outcome
    if not outcome:
        return
    failures = [str(one) for one in outcome.get("failures") or ()]
    judged = [str(one) for one in outcome.get("judged") or ()]
    if journal.direction == BACK:
        if failures:
            journal.undecided += 1
            journal.note("way back failed", question.now, reasons=failures)
    elif failures:
        journal.take_verdict("fail", failures, judged, now=question.now)
    elif outcome.get("verdict"):
        reasons = [str(one) for one in outcome.get("reasons") or ()]
        journal.take_verdict(str(outcome["verdict"]), reasons, judged, now=question.now, figures=outcome.get("figures"))


def _allowance(question: Question, running: Sequence[Running]) -> Allowance:
    """How many of those that serve may be away, by the forecast and what was seen."""
    hosts = {host.name: host for host in parse_hosts(list(question.hosts))}
    model = next(one for one in parse_models({question.model: question.catalogue[question.model]}))
    serving = []
    for one in running:
        host = hosts.get(one.host)
        capacity = model.capacity.get(host.accelerator_type) if host is not None else None
        if one.serves and capacity is not None:
            serving.append(headroom.Replica(one.host, str(one.slot), capacity.requests_per_second))
    answer = headroom.headroom(
        serving,
        documents.load(question.forecast, what="forecast") if question.forecast else None,
        question.model,
        as_of=question.now,
        window_seconds=question.window_seconds,
        cap=max(1, len(running)),
        observed=question.observed,
        policy=question.policy,
    )
    return Allowance(answer.batch if answer.decision == "now" else 0, answer.reason, "wait")


def _placement(question: Question, one: Running, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The record with which the deploy role starts the replica in another release, where it is."""
    held = next(
        record for record in question.replicas if str(record["host"]) == one.host and int(record["slot"]) == one.slot
    )
    return {
        "host": one.host,
        "slot": one.slot,
        "model": question.model,
        "version": str(entry.get("version", "")),
        "port": held.get("port"),
        "accelerators": held.get("accelerators") or [],
    }
