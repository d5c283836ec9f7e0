# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the fault table reads what was recorded, on short stories whose answers are plain to see.

.venv/bin/python -m pytest tests/benchmarks/remediation
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from episodes import done, harmful, requests_between, seconds_until_full, seconds_until_out, summary, was_lost
from fault_lab import MODEL, WANTED, FaultLab
from listening import ENDED

A, B = "lab-a1-0", "lab-b1-0"
BOTH, ONE, MAINT = {A: "UP", B: "UP"}, {A: "DOWN", B: "UP"}, {A: "UP", B: "MAINT"}


def row(at: float, replica: str, status: str = "200", complete: str = "True", kind: str = "short") -> dict[str, str]:
    return {
        "scheduled_at": str(at),
        "latency": "0.5",
        "replica": replica,
        "status": status,
        "complete": complete,
        "kind": kind,
    }


def test_out_is_the_first_state_without_any_server_of_the_host() -> None:
    states = [(90.0, BOTH), (104.0, ONE), (120.0, BOTH)]
    assert seconds_until_out(states, 100.0, ["lab-a1"]) == 4.0
    assert seconds_until_out(states, 100.0, ["lab-b1"]) is None
    assert seconds_until_out([(90.0, BOTH), (101.0, None)], 100.0, ["lab-a1"]) is None


def test_full_is_the_last_first_answer_of_a_replica_since_it_came_in() -> None:
    states = [(90.0, BOTH), (104.0, ONE), (120.0, BOTH)]
    rows = [row(99.8, A), row(100.2, B), row(119.0, B), row(119.8, A), row(122.0, A, status="500"), row(123.0, A)]
    # The answer that ended at 120.3 came after it was in; that of the failed one does not count.
    assert seconds_until_full(states, rows, 100.0, 2) == 20.3
    assert seconds_until_full(states, rows[:3], 100.0, 2) is None
    assert seconds_until_full(states[:2], rows, 100.0, 2) is None


def test_a_replica_that_came_in_elsewhere_counts() -> None:
    states: list[tuple[float, Any]] = [(90.0, BOTH), (104.0, ONE), (150.0, {B: "UP", "lab-b1-1": "UP"})]
    rows = [row(100.2, B), row(151.0, "lab-b1-1")]
    assert seconds_until_full(states, rows, 100.0, 2) == 51.5
    assert was_lost(states, 100.0, 2)
    assert not was_lost(states[:1], 80.0, 2)


def test_what_was_done_to_others_is_harmful_and_what_was_done_to_the_faulty_is_not() -> None:
    before = {"lab-a1/chat-0": 5, "lab-b1/chat-0": 6, "lab-gw1/gateway": 7}
    after = {"lab-a1/chat-0": 9, "lab-b1/chat-0": 6, "lab-gw1/gateway": 7}
    calm: dict[str, Any] = {"hurt": ["lab-a1"], "actions": [], "states": [(100.0, BOTH)], "floor_replicas": 2}
    assert harmful(before, after, **calm) == []
    assert harmful(before, {**after, "lab-b1/chat-0": 8}, **calm) == ["lab-b1/chat-0 was restarted"]
    gone = {key: value for key, value in after.items() if key != "lab-b1/chat-0"}
    assert harmful(before, gone, **calm) == ["lab-b1/chat-0 was taken away"]
    assert harmful(before, gone, **{**calm, "actions": [{"step": "move", "host": "lab-b1"}]}) == []
    held = harmful(before, after, **{**calm, "states": [(100.0, MAINT)]})
    assert held == ["1 replicas in while lab-b1-0 was held out"]


def test_the_record_says_what_was_done_when_and_what_a_person_was_told() -> None:
    intent = {"event": "intent", "at": 130.0, "id": "x", "step": "restart", "target": "replica a", "alert": "Down"}
    events = [
        {**intent, "at": 20.0, "id": "old"},
        {**intent, "at": 125.0, "id": "gone"},
        {"event": "result", "at": 126.0, "id": "gone", "effect": "gone"},
        intent,
        {"event": "result", "at": 150.0, "id": "x", "effect": "effective"},
        {"event": "escalation", "at": 151.0, "alert": "Down", "target": "host b", "reason": "why"},
    ]
    found = done(events, 100.0)
    assert found["action_seconds"] == 30.0
    assert found["actions"] == ["restart replica a for Down: gone", "restart replica a for Down: effective"]
    assert found["told"] == ["Down of host b: why"]


def test_requests_of_the_time_are_counted() -> None:
    rows = [
        row(99.0, A),
        row(100.0, A),
        row(101.0, B, "503"),
        row(102.0, B, complete="False", kind="stream"),
        row(110.0, B),
    ]
    found = requests_between(rows, 100.0, 110.0)
    assert (found["count"], found["failed"], found["cut"], found["streams"]) == (3, 1, 1, 1)


def test_a_figure_that_one_repetition_lacks_has_no_worst() -> None:
    one = {
        "out_seconds": 2.0, "alert_seconds": 20.0, "action_seconds": None, "closed_seconds": 30.0, "closed": True,
        "person": False, "harmful": [], "requests": {"failed": 1, "cut": 0},
    }  # fmt: skip
    found = summary([one, {**one, "out_seconds": 4.0, "alert_seconds": None, "closed": False, "person": True}])
    assert found["out_seconds"] == {"median": 3.0, "worst": 4.0, "in": 2}
    assert found["alert_seconds"] == {"median": 20.0, "worst": None, "in": 1}
    assert (found["closed"], found["person"], found["times"], found["failed"]) == (1, 1, 2, [1, 1])


def test_a_lab_that_stands_already_is_planned_for_by_the_catalogue_that_it_was_built_with() -> None:
    assert FaultLab("stands").catalogue[MODEL]["min_replicas"] == WANTED


def test_a_playbook_that_was_killed_has_ended() -> None:
    log = "PLAY [Ask what fires] ***\n2026-11-27 02:27:18 - ERROR - Error calling action run_playbook, err invalid literal\n"
    assert len(re.findall(ENDED, log + "PLAY [Ask what fires] ***\nPLAY RECAP ****\n", re.MULTILINE)) == 2
