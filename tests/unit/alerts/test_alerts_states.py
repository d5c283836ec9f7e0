# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alert states: hold time, hysteresis, missing data, the state file."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.alerts.readings import readings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.alerts.rules import BUILT_IN, build_rules
from ansible_collections.modelops.datacenter.plugins.module_utils._core.alerts.states import (
    Book,
    book_document,
    evaluate,
    parse_book,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

HOT = {"hot": {"value": "heat", "above": 10, "clear": 8, "hold_seconds": 20, "missing_hold_seconds": 30}}


def course(values: list[float | None], *, seconds: float = 10, **change: Any) -> list[list[str]]:
    """The transitions of each look, ``seconds`` apart."""
    rules = build_rules([], {"hot": {**HOT["hot"], **change}})
    book: Book = {}
    told = []
    for look, value in enumerate(values):
        found = evaluate(rules, {"heat": value}, book, now=1000 + look * seconds, forget_seconds=200)
        book = parse_book(json.loads(canonical_bytes(book_document(found.book))), where="test")
        told.append([entry["to"] for entry in found.transitions])
    return told


def test_fires_only_after_the_hold_and_once() -> None:
    assert course([11, 11, 11, 11, 11]) == [[], [], ["firing"], [], []]
    assert course([11, 11, 9, 11, 11, 11]) == [[], [], [], [], [], ["firing"]]
    assert course([11], hold_seconds=0) == [["firing"]]
    assert course([10, 10, 10, 10]) == [[], [], [], []], "at the threshold is not above it"


def test_resolves_behind_the_clear_threshold_only() -> None:
    assert course([11, 11, 11, 9, 9, 8]) == [[], [], ["firing"], [], [], ["resolved"]]
    assert course([11, 11, 11, 8, 8, 9, 8, 8, 8], clear_hold_seconds=20)[3:] == [[], [], [], [], [], ["resolved"]]


def test_missing_data_neither_fires_nor_resolves_and_is_told() -> None:
    assert course([11, 11, None, 11, 11, 11]) == [[], [], [], [], [], ["firing"]], "a gap proves no hold"
    assert course([11, 11, 11, None, None, None, None, None, 8])[3:] == [
        [],
        [],
        [],
        ["missing"],
        [],
        ["returned", "resolved"],
    ]
    assert course([11, 11, 11, *[None] * 21])[-1] == ["forgotten"]


def test_a_clock_set_back_neither_fires_nor_breaks() -> None:
    rules = build_rules([], HOT)
    book = evaluate(rules, {"heat": 11}, {}, now=5000, forget_seconds=100).book
    later = evaluate(rules, {"heat": 11}, book, now=1000, forget_seconds=100)
    assert not later.transitions
    assert evaluate(rules, {"heat": 11}, later.book, now=1020, forget_seconds=100).firing


def test_random_courses_hold_their_promises() -> None:
    """Against a plain model: every firing stands on a full hold of values above, every resolve on a value at clear."""
    dice = random.Random(6)
    for _round in range(300):
        values = [dice.choice([None, 7, 8, 9, 11, 11, 11]) for _look in range(30)]
        told = course(values)
        firing = False
        for look, names in enumerate(told):
            if "firing" in names:
                assert not firing
                assert values[look - 2 : look + 1] == [11, 11, 11]
                firing = True
            if "resolved" in names:
                assert firing
                assert values[look] is not None and values[look] <= 8
                firing = False
            if not firing and look >= 2:
                assert values[look - 2 : look + 1] != [11, 11, 11]


def test_instances_are_named_skipped_and_told_apart() -> None:
    (rule,) = (rule for rule in build_rules(["host"], {}) if rule.name == "disk_full")
    mounts = [
        {"mount": "/", "fstype": "ext4", "size_available": 4, "size_total": 100},
        {"mount": "/snap", "fstype": "squashfs", "size_available": 0, "size_total": 9},
        {"mount": "/data", "fstype": "xfs", "size_available": 50, "size_total": 100},
        {"mount": "/data", "fstype": "xfs", "size_available": 1, "size_total": 100},
        {"mount": "/odd", "fstype": "xfs", "size_available": 1, "size_total": 0},
    ]
    assert readings(rule, {"mounts": mounts}) == {"/": 0.04, "/data": 0.01, "/odd": None}
    assert readings(rule, {"mounts": []}) == {}
    assert readings(rule, {}) == {"": None}, "nobody looked"


def test_what_nobody_looked_at_is_missing_until_somebody_does() -> None:
    rules = build_rules(["server"], {"server_not_ready": {"missing_hold_seconds": 0}})
    blind = evaluate(rules, {}, {}, now=0, forget_seconds=99)
    assert [(entry["rule"], entry["to"]) for entry in blind.transitions] == [("server_not_ready", "missing")]
    assert blind.topics == ["modelops alert: no data"]
    seen = evaluate(rules, {"servers": {"a": {"ready": True}}}, blind.book, now=1, forget_seconds=99)
    assert [(entry["instance"], entry["to"]) for entry in seen.transitions] == [("", "returned")]
    assert not seen.missing


def test_a_device_that_does_not_tell_is_no_fault() -> None:
    rules = build_rules(["accelerator"], {})
    facts = {"modelops_accelerators": {"devices": [{"index": 0, "temperature_celsius": None, "ecc_uncorrected": None}]}}
    found = evaluate(rules, facts, {}, now=0, forget_seconds=99)
    assert not found.book
    assert not evaluate(rules, facts, {}, now=900, forget_seconds=9999).transitions


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"x": {"value": "a"}}, "exactly one"),
        ({"x": {"value": "a", "above": 1, "below": 2}}, "exactly one"),
        ({"x": {"value": "a", "above": 1, "clear": 2}}, "beyond the threshold"),
        ({"x": {"above": 1}}, "value is missing"),
        ({"x": {"value": "a.*.b.*", "above": 1}}, "one \\*"),
        ({"x": {"value": "a.*.b", "of": "c.*.b", "above": 1}}, "the same up to"),
        ({"x": {"value": "a", "above": "hot"}}, "must be a number"),
        ({"x": {"value": "a", "above": 1, "for": 3}}, "unknown keys for"),
        ({"x": 3}, "must be a mapping"),
        ({}, "no rule"),
    ],
)
def test_bad_rules_are_named(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_rules([], rules)


def test_rules_can_be_changed_turned_and_taken_out() -> None:
    changed = build_rules(["host"], {"cpu_saturated": {"below": 3}, "disk_full": {"enabled": False}})
    assert [rule.name for rule in changed] == ["cpu_saturated", "memory_short"]
    assert (changed[0].above, changed[0].below, changed[0].clear) == (None, 3.0, None)
    assert build_rules(list(BUILT_IN), {}), "the built-in rules are sound"


@pytest.mark.parametrize("document", [[], {}, {"schema": "modelops.alerts/1", "rules": {"a": {"b": {"state": "x"}}}}])
def test_a_damaged_state_file_is_refused(document: Any) -> None:
    with pytest.raises(InputError):
        parse_book(document, where="file")
