# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From readings to transitions: ok, pending, firing, and beside them whether data is missing.

States of one instance, with v its value and now - since the age of its state::

    ok       --violated------------------------> pending   (at once firing when hold_seconds is 0)
    pending  --not violated, or v missing------> ok        (a gap proves no hold)
    pending  --violated for hold_seconds-------> firing    transition "firing"
    firing   --cleared for clear_hold_seconds--> ok        transition "resolved"
    firing   --between the thresholds, missing-> firing

Missing data neither fires nor resolves a threshold. After missing_hold_seconds it
is a transition of its own ("missing", then "returned"). An instance without data
for forget_seconds is dropped ("forgotten"), such as a replica that was taken away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.alerts.readings import readings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.alerts.rules import (
    NO_DATA_TOPIC,
    TOPIC_PREFIX,
    Rule,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

SCHEMA = "modelops.alerts/1"
STATES = ("ok", "pending", "firing")


@dataclass(frozen=True)
class Status:
    """One instance of one rule; moments are epoch seconds, None where it does not hold now."""

    state: str = "ok"
    since: float = 0.0
    clearing_since: float | None = None
    missing_since: float | None = None
    missing_told: bool = False


Book = dict[str, dict[str, Status]]  # rule, instance


@dataclass(frozen=True)
class Evaluation:
    """What one look found."""

    book: Book
    transitions: list[dict[str, Any]]
    firing: list[dict[str, Any]]
    missing: list[dict[str, Any]]
    topics: list[str]


def evaluate(
    rules: Sequence[Rule], facts: Mapping[str, Any], book: Book, *, now: float, forget_seconds: float
) -> Evaluation:
    """One look at the facts.

    Args:
        rules: what to look for.
        facts: what was gathered.
        book: the states of the last look; those of rules that are no longer there are dropped.
        now: epoch seconds of the look.
        forget_seconds: how long an instance without data is remembered.
    """
    after: Book = {}
    transitions: list[dict[str, Any]] = []
    firing: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    for rule in rules:
        known = book.get(rule.name, {})
        found = readings(rule, facts)
        if "" in known and "" not in found:  # nobody had looked; now somebody did, at each entry
            if known[""].missing_told:
                known_as = {"rule": rule.name, "instance": "", "severity": rule.severity}
                transitions.append({**known_as, "value": None, "to": "returned", "topic": NO_DATA_TOPIC})
            known = {key: status for key, status in known.items() if key}
        for instance in sorted({*known, *found}):
            value = found.get(instance)
            if value is None and rule.optional and instance not in known:
                continue
            old = _not_ahead(known.get(instance, Status(since=now)), now)
            status, told = _step(rule, old, value, now)
            entry = {"rule": rule.name, "instance": instance, "severity": rule.severity, "value": value}
            if status.missing_since is not None and now - status.missing_since >= forget_seconds:
                transitions.append({**entry, "to": "forgotten", "topic": NO_DATA_TOPIC})
                continue
            topic = TOPIC_PREFIX + rule.topic
            transitions += [
                {**entry, "to": to, "topic": NO_DATA_TOPIC if to in ("missing", "returned") else topic} for to in told
            ]
            if status.state == "firing":
                firing.append({**entry, "topic": topic, "since": status.since})
            if status.missing_told:
                missing.append({**entry, "since": status.missing_since})
            after.setdefault(rule.name, {})[instance] = status
    topics = sorted({entry["topic"] for entry in transitions if entry["to"] in ("firing", "missing")})
    return Evaluation(after, transitions, firing, missing, topics)


def _not_ahead(status: Status, now: float) -> Status:
    """A state from the future, after the clock was set back, counts from now."""
    return replace(
        status,
        since=min(status.since, now),
        clearing_since=None if status.clearing_since is None else min(status.clearing_since, now),
        missing_since=None if status.missing_since is None else min(status.missing_since, now),
    )


def _step(rule: Rule, old: Status, value: float | None, now: float) -> tuple[Status, list[str]]:
    """The state after one value, and the transitions on the way."""
    if value is None:
        since = now if old.missing_since is None else old.missing_since
        tell = now - since >= rule.missing_hold_seconds
        kept = old if old.state != "pending" else replace(old, state="ok", since=now)
        status = replace(kept, clearing_since=None, missing_since=since, missing_told=old.missing_told or tell)
        return status, ["missing"] if tell and not old.missing_told else []
    told = ["returned"] if old.missing_told else []
    status = replace(old, missing_since=None, missing_told=False)
    if status.state == "firing":
        return _maybe_resolve(rule, status, value, now, told)
    if not rule.violated(value):
        return (status if status.state == "ok" else Status("ok", now)), told
    if status.state == "ok":
        status = Status("pending", now)
    if now - status.since >= rule.hold_seconds:
        return Status("firing", now), [*told, "firing"]
    return status, told


def _maybe_resolve(rule: Rule, status: Status, value: float, now: float, told: list[str]) -> tuple[Status, list[str]]:
    if not rule.cleared(value):
        return replace(status, clearing_since=None), told
    since = now if status.clearing_since is None else status.clearing_since
    if now - since >= rule.clear_hold_seconds:
        return Status("ok", now), [*told, "resolved"]
    return replace(status, clearing_since=since), told


def book_document(book: Book) -> dict[str, Any]:
    """The states as they are kept between looks."""
    return {
        "schema": SCHEMA,
        "rules": {name: {key: asdict(status) for key, status in entries.items()} for name, entries in book.items()},
    }


def parse_book(document: Any, *, where: str) -> Book:
    """The states of the last look.

    Raises:
        InputError: not what :func:`book_document` writes. A damaged file is refused, since starting afresh would
            forget what fires.
    """
    remedy = "Remove the file to start afresh; whatever still holds fires again"
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise InputError(f"this is not a state file of schema {SCHEMA}", where=where, remedy=remedy)
    book: Book = {}
    for name, entries in expect_mapping(document.get("rules"), what="rules", where=where).items():
        for instance, entry in expect_mapping(entries, what=f"states of {name}", where=where).items():
            entry = expect_mapping(entry, what=f"state of {name}", where=where)
            if entry.get("state") not in STATES:
                raise InputError(f"{name} has the state {entry.get('state')!r}", where=where, remedy=remedy)
            moments = {
                key: None if entry.get(key) is None else expect_number(entry[key], what=key, where=where)
                for key in ("clearing_since", "missing_since")
            }
            since = expect_number(entry.get("since"), what="since", where=where)
            told = bool(entry.get("missing_told"))
            book.setdefault(name, {})[instance] = Status(entry["state"], since, **moments, missing_told=told)
    return book
