# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns of jobs, one situation each, over the real code of hosts and record and a made-up systemd."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from job_world import LEASE, MARGIN, START, _moment, maker

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import words

SCHEMA = Path(__file__).resolve().parents[3] / "docs/schemas/jobs.schema.json"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Worlds; whatever a test left on record keeps to the schema."""
    yield maker(tmp_path, monkeypatch)
    path = tmp_path / "jobs.json"
    if path.exists() and path.read_text(encoding="utf-8").startswith("{"):
        jsonschema.validate(
            json.loads(path.read_text(encoding="utf-8")), json.loads(SCHEMA.read_text(encoding="utf-8"))
        )


def lines(turn: Any) -> str:
    return "\n".join(turn.lines([]))


def test_a_job_runs_to_its_end_and_its_hours_are_charged_once(make: Any) -> None:
    # 0.1 accelerator-hours on 2 accelerators: 180 s.
    world = make({"a": {"accelerators": 2, "owner": "research"}})
    turn = world.turn()
    assert world.running_now() == {"a": ["h0"]}
    assert world.held("h0") == {"a": [2, 3]}  # replicas are planned from 0 on
    assert "a starts on h0, accelerators 2, 3" in lines(turn)
    world.pass_time(200)
    assert "a finished on h0: done" in lines(world.turn())
    for _again in range(2):
        assert not world.turn().changed
    record = world.state().jobs["a"]
    assert (record.phase, record.share, record.current) == ("done", 1.0, None)
    assert world.state().owners["research"]["accelerator_hours"] == pytest.approx(0.1, rel=1e-6)
    assert sum(hours for _name, hours in world.used) == pytest.approx(0.1)
    assert world.starts == [("a", 1, "h0")]


def test_a_second_turn_changes_nothing_and_prolongs_the_lease_without_a_gap(make: Any) -> None:
    world = make({"a": {}})
    world.turn()
    world.pass_time(60)
    turn = world.turn()
    assert not turn.changed
    assert list(world.systemd["h0"].timers.values()) == [START + 60 + LEASE]


def test_serving_takes_its_accelerators_back_and_the_job_goes_on_elsewhere_from_its_checkpoint(make: Any) -> None:
    world = make({"a": {"accelerators": 2, "checkpoint": {"signal": "usr1", "grace_seconds": 30}}})
    world.turn()
    world.pass_time(90)
    world.planned = [world.replica("h0", 0, 2), world.replica("h0", 1, 0, 1)]
    turn = world.turn()
    assert world.running_now() == {"a": ["h1"]}
    assert "a starts (attempt 2) on h1, accelerators 2, 3, 50% of it done" in lines(turn)
    ended = world.state().jobs["a"].ended[-1]
    assert ended["end"] == "preempted"
    assert ended["reason"] == "chat takes accelerator 2 of h0 back"
    world.pass_time(90)
    world.turn()
    assert world.state().jobs["a"].phase == "done"
    assert world.state().owners[world.state().jobs["a"].owner]["wasted_accelerator_hours"] == pytest.approx(0, abs=1e-5)


def test_a_replica_that_leaves_holds_its_accelerators_until_it_has_gone(make: Any) -> None:
    world = make({"a": {"accelerators": 4}}, hosts=1)
    world.running = [world.replica("h0", 0, 1)]
    assert "a waits for 4 free l40s-48gb on one host" in lines(world.turn())
    assert world.running_now() == {}
    world.running = []
    world.turn()
    assert world.running_now() == {"a": ["h0"]}


def test_a_job_that_may_not_be_interrupted_goes_on_and_is_named(make: Any) -> None:
    world = make({"a": {"accelerators": 4, "preemptible": False}}, hosts=1)
    world.turn()
    world.planned = [world.replica("h0", 0, 0)]
    turn = world.turn()
    assert world.running_now() == {"a": ["h0"]}
    assert "CONFLICT a may not be interrupted and goes on, though chat takes accelerator 0 of h0 back" in lines(turn)


def test_without_shared_storage_a_job_waits_for_the_host_of_its_checkpoint(make: Any) -> None:
    world = make({"a": {"accelerators": 2}}, shared=False)
    world.turn()
    world.pass_time(60)
    world.planned = [world.replica("h0", 0, 0, 1, 2, 3)]
    world.turn()
    world.turn()
    assert world.running_now() == {}
    world.planned = []
    world.turn()
    assert world.running_now() == {"a": ["h0"]}


def test_the_heavier_job_takes_the_place_of_the_lightest_that_the_schedule_does_without(make: Any) -> None:
    soon = _moment(START + 400)
    world = make({"light": {"accelerators": 4, "weight": 0.1}}, hosts=1)
    world.turn()
    world.jobs["heavy"] = {"work_accelerator_hours": 0.3, "command": ["true"], "accelerators": 4, "deadline": soon}
    world.settle = 60.0
    world.pass_time(30)
    assert world.turn().decision.waiting.keys() == {"heavy"}  # it has just begun
    world.pass_time(30)
    world.turn()
    assert world.running_now() == {"heavy": ["h0"]}
    assert world.state().jobs["light"].ended[-1]["reason"] == "heavy needs its accelerators"
    world.pass_time(280)
    world.turn()
    assert world.state().jobs["heavy"].phase == "done"
    assert world.running_now() == {"light": ["h0"]}


def test_what_runs_stays_where_it_is_when_there_is_room_for_all(make: Any) -> None:
    world = make({"light": {"accelerators": 2, "weight": 0.1}}, hosts=1)
    world.turn()
    world.pass_time(60)
    world.jobs["heavy"] = {"work_accelerator_hours": 0.3, "command": ["true"], "accelerators": 2, "weight": 9}
    world.turn()
    assert world.held("h0") == {"light": [2, 3], "heavy": [0, 1]}
    assert len(world.starts) == 2


def test_a_job_that_would_be_late_is_stopped_to_go_on_with_more(make: Any) -> None:
    world = make({"other": {"accelerators": 3, "deadline": _moment(START + 140)}}, hosts=1)
    world.jobs["a"] = {"accelerators": {"min": 1, "max": 4}, "command": ["true"]}
    world.jobs["a"] |= {"work_accelerator_hours": 0.2, "deadline": _moment(START + 480)}
    world.turn()
    assert world.held("h0") == {"other": [1, 2, 3], "a": [0]}  # alone it would take 720 s
    world.pass_time(140)
    world.turn()
    assert world.held("h0") == {"a": [0, 1, 2, 3]}
    assert "else late" in world.state().jobs["a"].ended[-1]["reason"]
    world.pass_time(200)
    world.turn()
    assert world.state().jobs["a"].finished_at <= START + 480


def test_a_failure_is_tried_again_after_a_wait_that_doubles_until_the_retries_are_used_up(make: Any) -> None:
    world = make({"a": {"behaves": "fails", "retries": 2, "backoff_seconds": 60, "work_accelerator_hours": 9}})
    begins = []
    for _look in range(60):
        before = len(world.starts)
        world.turn()
        begins += [world.now - START] * (len(world.starts) - before)
        world.pass_time(10)
    assert begins == [0, 80, 220]  # it runs 20 s, and waits 60 s, then 120 s
    record = world.state().jobs["a"]
    assert (record.phase, record.reason) == ("failed", "failed 3 times, last with exit-code, status 1")
    assert record.accelerator_hours == pytest.approx(60 / 3600, rel=1e-3)
    turn = world.turn(again=["a"])
    assert "a starts (attempt 4)" in lines(turn)


def test_a_job_that_ignores_its_signal_keeps_what_it_had_saved_and_that_is_said(make: Any) -> None:
    world = make({"a": {"accelerators": 4, "behaves": "ignores"}}, hosts=1)
    world.turn()
    world.pass_time(30)
    world.planned = [world.replica("h0", 0, 0)]
    world.turn()
    record = world.state().jobs["a"]
    assert record.preemptions == 1
    assert record.reason.endswith("it did not stop within its grace time and was killed")


def test_cancel_stops_for_good_and_a_waiting_job_never_runs(make: Any) -> None:
    world = make({"a": {"accelerators": 4}, "b": {"accelerators": 4}}, hosts=1)
    world.turn()
    turn = world.turn(cancel=["a", "b"])
    assert world.running_now() == {}
    assert {name: one.phase for name, one in world.state().jobs.items()} == {"a": "canceled", "b": "canceled"}
    assert words.summary(turn.state, {}) == "2 canceled"
    world.turn()
    assert world.running_now() == {}


def test_a_job_on_a_host_that_does_not_answer_starts_elsewhere_only_when_its_lease_is_over(make: Any) -> None:
    world = make({"a": {"work_accelerator_hours": 1.0}})
    world.turn()
    world.cut_off.add("h0")  # it goes on there
    for _look in range(int((LEASE + MARGIN) / 10)):
        world.pass_time(10)
        world.turn()
        assert sum(len(hosts) for hosts in world.running_now().values()) <= 1
    assert world.running_now() == {}
    world.pass_time(10)
    turn = world.turn()
    assert "a was lost on h0" in lines(turn)
    assert world.running_now() == {"a": ["h1"]}
    world.cut_off.clear()
    world.turn()
    assert world.running_now() == {"a": ["h1"]}


def test_a_host_that_rebooted_is_used_again_at_once(make: Any) -> None:
    world = make({"a": {"work_accelerator_hours": 1.0}})
    world.turn()
    world.pass_time(60)
    world.systemd["h0"].crash()
    turn = world.turn()
    assert "a was lost on h0" in lines(turn)
    assert len(world.running_now()["a"]) == 1
    assert world.state().jobs["a"].losses == 1


def test_a_drained_host_is_emptied_of_jobs(make: Any) -> None:
    world = make({"a": {"work_accelerator_hours": 1.0}})
    world.turn()
    world.states["h0"] = "draining"
    world.turn()
    assert world.running_now() == {"a": ["h1"]}


def test_a_job_that_is_asked_for_no_more_runs_to_its_end_and_is_not_started_again(make: Any) -> None:
    world = make({"a": {"accelerators": 4}}, hosts=1)
    world.turn()
    world.pass_time(10)
    gone = world.jobs.pop("a")
    world.turn()
    assert world.running_now() == {"a": ["h0"]}
    world.jobs["a"] = gone
    world.pass_time(90)
    world.turn()
    assert world.state().jobs["a"].phase == "done"


@pytest.mark.parametrize("end", ["done", "canceled"])
def test_a_month_later_a_job_that_is_asked_for_no_more_is_forgotten_and_its_name_can_be_used_again(
    make: Any, end: str
) -> None:
    world = make({"a": {"accelerators": 4, "owner": "x"}}, hosts=1)
    for _attempt in range(3):
        world.turn()
        world.pass_time(10)
        world.turn(again=["a"])
        world.states["h0"] = "draining"
        world.turn()
        world.states["h0"] = "active"
    if end == "canceled":
        world.turn()
        world.turn(cancel=["a"])
    else:
        world.turn()
        world.pass_time(100)
        world.turn()
    attempts = world.state().jobs["a"].attempts
    assert world.state().jobs["a"].phase == end
    gone = world.jobs.pop("a")
    world.pass_time(29 * 86_400, 86_400)
    world.turn()
    assert list(world.state().jobs) == ["a"]
    world.pass_time(2 * 86_400, 86_400)
    world.turn()
    assert world.state().jobs == {}
    assert world.state().owners["x"]["accelerator_hours"] > 0
    world.jobs["a"] = gone
    turn = world.turn()
    assert world.running_now() == {"a": ["h0"]}, lines(turn)
    record = world.state().jobs["a"]
    assert (record.attempts, record.losses, record.ended) == (attempts + 1, 0, [])


def test_a_lost_record_takes_up_what_runs_and_a_stray_is_stopped(make: Any) -> None:
    world = make({"a": {"work_accelerator_hours": 1.0}})
    world.turn()
    kept = world.record.read_bytes()
    world.pass_time(30)
    world.record.unlink()
    assert "a runs on h0 and is on record again" in lines(world.turn())
    assert world.running_now() == {"a": ["h0"]}
    # The record says it is done, yet a unit of it is up.
    document = json.loads(kept)
    document["jobs"]["a"] |= {"phase": "done", "current": None}
    world.record.write_text(json.dumps(document))
    world.turn()
    assert world.running_now() == {}


def test_a_stalled_job_is_named(make: Any) -> None:
    world = make({"a": {"stalled_after_seconds": 60, "work_accelerator_hours": 1.0}})
    world.turn()
    turn = world.turn()
    assert "STALLED" not in lines(turn)
    world.now += 90  # no sign of life: neither its output nor its progress was touched
    for path in (world.place("h0").log("a"), f"{world.place('h0').work('a')}/progress"):
        if os.path.exists(path):
            os.utime(path, (START, START))
    assert "STALLED a on h0: no progress and no output any more" in lines(world.turn())


def test_the_figures_say_who_will_be_late_or_shows_no_life_and_who_used_what(make: Any) -> None:
    late = {"accelerators": 4, "work_accelerator_hours": 0.4, "deadline": _moment(START + 300), "owner": "x"}
    world = make({"late": late, "quiet": {"accelerators": 4, "stalled_after_seconds": 60, "owner": "y"}, "over": late})
    world.turn(cancel=["over"])
    world.pass_time(20)
    world.now += 70
    os.utime(f"{world.place('h1').work('quiet')}/progress", (START, START))
    text = world.turn().report({}, [])["figures"]
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert found == {
        "modelops_jobs_turn_seconds": repr(world.now),
        **{f'modelops_jobs{{phase="{phase}"}}': "0.0" for phase in ("waiting", "done", "failed")},
        'modelops_jobs{phase="running"}': "2.0",
        'modelops_jobs{phase="canceled"}': "1.0",
        'modelops_job_late{name="late",owner="x"}': "1.0",
        'modelops_job_late{name="quiet",owner="y"}': "0.0",
        'modelops_job_deadline_seconds{name="late",owner="x"}': repr(START + 300),
        'modelops_job_stalled{host="h0",name="late",owner="x"}': "0.0",
        'modelops_job_stalled{host="h1",name="quiet",owner="y"}': "1.0",
        'modelops_job_share{name="late",owner="x"}': found['modelops_job_share{name="late",owner="x"}'],
        'modelops_job_share{name="quiet",owner="y"}': found['modelops_job_share{name="quiet",owner="y"}'],
    }
    assert 0 < float(found['modelops_job_share{name="late",owner="x"}']) < 1


def test_jobs_that_will_be_late_are_named_before_they_are(make: Any) -> None:
    world = make({"a": {"accelerators": 4, "work_accelerator_hours": 0.4, "deadline": _moment(START + 120)}}, hosts=1)
    turn = world.turn()
    found = [line for line in turn.lines([]) if line.startswith("LATE a")]
    assert found
    assert "late for" in found[0]
    assert world.now < START + 120


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ({"deadline": _moment(START - 60)}, "its deadline 2027-01-15T07:59:00Z had passed when it was asked for"),
        ({"accelerators": 16}, "it needs 16 accelerators on one host, and no host has more than 4"),
        ({"accelerator_types": ["h100-80gb"]}, "no host has h100-80gb; there are l40s-48gb"),
        ({"owner": "somebody"}, "its owner 'somebody' is not known; modelops_job_owners has research"),
        ({"command": []}, "it has no command; say what to run as a list of words"),
    ],
)
def test_a_job_that_cannot_be_is_refused_by_name_and_the_others_go_on(make: Any, job: Any, why: str) -> None:
    world = make({"bad": {"owner": "research", **job}, "good": {"owner": "research"}})
    turn = world.turn(owners={"research": {}})
    assert turn.refused["bad"].startswith(why)
    assert [line for line in turn.lines([]) if "bad" in line] == [f"REFUSED bad: {turn.refused['bad']}"]
    assert world.running_now() == {"good": ["h0"]}
    assert "bad" not in world.state().jobs


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"name": "a/b"}, "its name holds a character that no unit or file should have"),
        ({"command": "say 'hello"}, "its command cannot be split into words (No closing quotation)"),
        ({"checkpoint": {"signal": "SIGKILL"}}, "'SIGKILL' is no signal for a checkpoint"),
        ({"checkpoint": {"grace": 1}}, "unknown field checkpoint.grace"),
        ({"retries": -1}, "retries must be between 0 and 1000"),
        ({"environment": {"A B": "1"}}, "'A B' is not a name for an environment variable"),
        ({"environment_file": "secrets"}, "environment_file must be an absolute path on the hosts"),
    ],
)
def test_what_is_not_understood_is_refused_before_anything_is_done(make: Any, job: Any, message: str) -> None:
    world = make({})
    world.jobs = {job.get("name", "a"): {"work_accelerator_hours": 1, "command": ["true"], **job}}
    world.jobs[next(iter(world.jobs))].pop("name", None)
    with pytest.raises(InputError) as caught:
        world.turn()
    assert message.split(" (")[0] in caught.value.message
    assert "job " in caught.value.message


def test_a_damaged_record_stops_everything(make: Any) -> None:
    world = make({"a": {}})
    world.record.write_text('{"kind": "jobs", "schema_version": 1, "jobs": {"a": {}}, "owners": {}}')
    with pytest.raises(InputError, match="damaged"):
        world.turn()
    assert world.starts == []
    world.record.unlink()
