# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in Slurm's queue in which order, and what runs there gives way to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from slurm_world import KIND, NOW, Site, site_at

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import slurm_cluster
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.turn import to_schedule


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = site_at(tmp_path, monkeypatch)
    made.jobs, made.scheduled = {}, {}
    return made


def job(**fields: Any) -> dict[str, Any]:
    return {"work_accelerator_hours": 1, "command": ["true"], "checkpoint": {"grace_seconds": 0.1}, **fields}


def exactly(count: int, **fields: Any) -> dict[str, Any]:
    return job(accelerators={"min": count, "max": count}, **fields)


def test_all_that_may_begin_is_submitted_at_once_in_order_and_asked_again_nothing_changes(site: Site) -> None:
    site.jobs = {
        "light": exactly(4, weight=1), "heavy": exactly(4, weight=5), "soon": exactly(4, deadline=format_moment(NOW + 7200)),
        "late": exactly(4, weight=9, deadline=format_moment(NOW + 600)),
    }  # fmt: skip
    site.scheduled = {"light": 4}
    site.turn()
    # What the schedule runs now, then what fills the other node, then the rest; what is late anyway comes last.
    assert [name for name, _cards in site.slurm.waiting()] == ["light", "heavy", "soon", "late"]
    site.slurm.start(site.now)
    assert site.slurm.running() == {"light": ("n1", 4), "heavy": ("n2", 4)}
    site.turn()
    assert not site.turn().changed
    site.slurm.jobs[site.slurm.names("RUNNING")[0]] |= {"job_state": "COMPLETED", "end_time": site.now}
    site.slurm.start(site.now)
    assert "soon" in site.slurm.running()


def test_a_pending_job_is_moved_behind_one_that_became_more_urgent(site: Site) -> None:
    site.slurm.nodes = {"n1": "down*", "n2": "drained"}
    site.jobs = {"a": exactly(2), "b": exactly(2)}
    site.turn()
    assert [name for name, _cards in site.slurm.waiting()] == ["a", "b"]
    site.jobs["b"]["weight"] = 3
    turn = site.turn()
    assert [name for name, _cards in site.slurm.waiting()] == ["b", "a"]
    assert "a waits behind others now" in turn.decision.lines
    assert not site.turn().changed


def test_a_job_of_the_schedule_that_finds_no_room_gets_that_of_one_the_schedule_would_have_wait(site: Site) -> None:
    site.settle = 500.0
    site.jobs = {"filler": exactly(4), "other": exactly(4, weight=2)}
    site.turn()
    site.slurm.start(site.now)
    site.jobs["urgent"] = exactly(4, weight=7)
    site.scheduled = {"urgent": 4, "other": 4}
    site.turn()  # the others have just begun
    assert sorted(site.slurm.running()) == ["filler", "other"]
    turn = site.turn()
    assert "filler on n2: stopping, urgent needs its accelerators" in turn.decision.lines
    site.slurm.start(site.now)
    assert sorted(site.slurm.running()) == ["other", "urgent"]
    site.turn()
    assert site.slurm.waiting() == [("filler", 4)]
    assert site.record_of("filler").ended[-1]["end"] == "preempted"


def test_accelerators_that_jobs_of_others_hold_are_not_counted_on(site: Site) -> None:
    site.slurm.add(
        name="somebody", comment="", job_state="RUNNING", nodes="n1", start_time=NOW, tres_req_str="gres/gpu=3"
    )
    site.slurm.nodes["n2"] = "down"
    site.jobs = {"a": job(accelerators={"min": 1, "max": 4})}
    site.scheduled = {"a": 4}
    site.turn()
    assert site.slurm.waiting() == [("a", 1)]


def test_the_schedule_is_told_what_jobs_may_use(site: Site) -> None:
    site.kinds["n3"] = KIND
    site.slurm.nodes["n3"] = "down"
    site.slurm.add(name="somebody", job_state="RUNNING", nodes="n2", start_time=NOW, tres_req_str="gres/gpu=3")
    site.jobs, site.scheduled = {"a": exactly(1)}, {"a": 1}
    site.planned = [Replica("n1", 0, "chat", "1", 8100, (0,))]
    site.turn()
    site.slurm.start(site.now)
    stock = {host.name: (host.state, host.accelerator_count) for host in site.turn(schedule=None).stock}
    assert stock == {"n1": ("draining", 4), "n2": ("active", 1), "n3": ("draining", 4)}


def test_a_pending_job_is_resized_to_what_is_free_now(site: Site) -> None:
    site.slurm.nodes["n2"] = "down"
    holder = site.slurm.add(
        name="somebody", comment="", job_state="RUNNING", nodes="n1", start_time=NOW, tres_req_str="gres/gpu=4"
    )
    site.jobs = {"a": job(accelerators={"min": 2, "max": 4})}
    site.turn()
    assert site.slurm.waiting() == [("a", 2)]
    site.slurm.jobs[holder] |= {"job_state": "COMPLETED", "end_time": site.now}
    turn = site.turn()
    assert "a no longer waits as job 2 of Slurm" in turn.decision.lines
    assert site.slurm.waiting() == [("a", 4)]
    assert site.record_of("a").ended == []
    assert not site.turn().changed


def test_what_waits_in_the_queue_is_not_said_to_run(site: Site) -> None:
    site.slurm.nodes["n2"] = "down"
    site.jobs = {"runs": exactly(4, weight=2), "waits": exactly(4)}
    site.turn()
    site.slurm.start(site.now)
    site.turn()
    assert site.turn().report({"slurm": {}}, [])["summary"] == "1 running, 1 waiting"
    assert site.record_of("waits").phase == "waiting"


def test_a_job_that_wrote_once_and_waits_long_for_its_next_start_is_not_stalled(site: Site) -> None:
    site.jobs = {"a": exactly(4, stalled_after_seconds=600)}
    site.turn()
    site.slurm.start(site.now)
    (site.path / "work/a/output.log").write_text("step 1")
    os.utime(site.path / "work/a/output.log", (site.now, site.now))
    site.slurm.nodes["n2"] = "down"
    site.planned = [Replica("n1", 0, "chat", "1", 8100, (0,))]
    for _turn in range(5):
        site.turn()
    current = site.record_of("a").current
    assert current is not None and current.queued
    assert not current.stalled


def test_one_that_begins_while_it_is_taken_out_of_the_queue_goes_on(site: Site) -> None:
    site.slurm.nodes["n2"] = "down"
    holder = site.slurm.add(
        name="somebody", comment="", job_state="RUNNING", nodes="n1", start_time=NOW, tres_req_str="gres/gpu=4"
    )
    site.jobs = {"a": job(accelerators={"min": 2, "max": 4})}
    site.turn()
    site.slurm.jobs[holder] |= {"job_state": "COMPLETED", "end_time": site.now}
    cancel = site.slurm.scancel

    def begins_first(words: list[str]) -> tuple[int, str]:
        site.slurm.start(site.now)
        return cancel(words)

    site.slurm.scancel = begins_first  # type: ignore[method-assign]
    site.turn()
    assert site.slurm.running() == {"a": ("n1", 2)}
    assert site.slurm.waiting() == []
    site.turn()
    assert site.record_of("a").phase == "running"


def test_a_job_is_submitted_for_one_type_and_its_record_follows_the_node(site: Site) -> None:
    site.kinds["n2"] = "l40s-48gb"
    site.jobs = {"a": exactly(2, accelerator_types={KIND: 1.0, "l40s-48gb": 0.5})}
    site.turn()
    assert site.slurm.jobs[1]["not_on"] == ["n2"]
    site.slurm.jobs[1] |= {"job_state": "RUNNING", "nodes": "n2", "start_time": site.now}  # somebody moved it
    site.turn()
    current = site.record_of("a").current
    assert current is not None
    assert (current.accelerator_type, current.speed) == ("l40s-48gb", 0.5)


def test_before_its_release_a_job_stands_in_the_queue_with_a_begin_and_takes_nobody_s_place(site: Site) -> None:
    site.slurm.nodes["n2"] = "down"
    release = NOW + 86_400
    site.jobs = {"later": exactly(4, weight=9, release=format_moment(release)), "now": exactly(4)}
    site.turn()
    assert {job["name"]: job["begin"] for job in site.slurm.jobs.values()} == {
        "modelops-now": None,
        "modelops-later": "2026-11-28T08:10:00",
    }
    site.slurm.start(site.now)
    assert site.slurm.running() == {"now": ("n1", 4)}


def test_a_job_that_may_not_be_interrupted_begins_when_the_schedule_says_so_and_fills_no_gap(site: Site) -> None:
    site.jobs = {"stays": exactly(2, preemptible=False), "fills": exactly(2)}
    site.turn()
    assert site.slurm.waiting() == [("fills", 2)]
    run = {"start": format_moment(NOW + 7200), "host": "n1", "accelerators": 2, "accelerator_type": KIND}
    schedule = {"start": format_moment(NOW), "jobs": {"stays": {"status": "on_time", "runs": [run]}}}
    site.turn(schedule=schedule)
    assert site.slurm.jobs[2]["begin"] == "2026-11-27T10:10:00"


def test_serving_takes_a_node_and_a_job_there_that_may_not_be_interrupted_is_named(site: Site) -> None:
    site.jobs = {"stays": exactly(2, preemptible=False), "goes": exactly(2)}
    site.scheduled = {"stays": 2, "goes": 2}
    site.turn()
    site.slurm.start(site.now)
    assert site.slurm.running() == {"stays": ("n1", 2), "goes": ("n1", 2)}
    site.planned = [Replica("n1", 0, "chat", "1", 8100, (0,))]
    turn = site.turn()
    assert "goes on n1: stopping, serving takes n1 back" in turn.decision.lines
    assert turn.decision.conflicts == ["stays may not be interrupted and goes on, though serving takes n1 back"]
    assert list(site.slurm.running()) == ["stays"]
    site.turn()
    site.slurm.start(site.now)
    assert site.slurm.running()["goes"] == ("n2", 2)


def test_the_schedule_is_told_the_host_of_what_runs_and_that_the_rest_waits(site: Site) -> None:
    site.jobs = {"runs": exactly(2), "waits": exactly(3)}
    site.slurm.nodes["n2"] = "down"
    site.scheduled = {"runs": 2}
    site.turn()
    site.slurm.start(site.now)
    told = {one["name"]: one for one in to_schedule(site.turn(schedule=None), {"slurm": {}})}
    assert told["runs"]["running_on"]["host"] == "n1"
    assert "state" not in told["waits"]


def test_a_run_that_dies_between_stop_and_submission_is_carried_on(site: Site) -> None:
    site.jobs = {"a": exactly(4)}
    site.turn()
    site.slurm.start(site.now)
    site.planned = [Replica("n1", 0, "chat", "1", 8100, (0,))]

    def dies(_words: list[str]) -> tuple[int, str]:
        raise KeyboardInterrupt

    tell, site.slurm.scancel = site.slurm.scancel, dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        site.turn()
    site.slurm.scancel = tell  # type: ignore[method-assign]
    assert json.loads((site.path / "jobs.json").read_text())["jobs"]["a"]["current"]["stopping"]
    site.turn()
    site.turn()
    site.slurm.start(site.now)
    assert site.slurm.running() == {"a": ("n2", 4)}


@pytest.mark.parametrize(
    ("line", "node"),
    [
        ("a1  idle  gpu:4  gpu:0", ("a1", True, 4, 0)),
        ("a1  mixed  gpu:h100:4(S:0-1)  gpu:h100:2(IDX:0,3)", ("a1", True, 4, 2)),
        ("a1  allocated$  gpu:h100:4,gpu:l40s:2,mps:100  gpu:h100:4(IDX:0-3),gpu:l40s:1(IDX:0)", ("a1", True, 6, 5)),
        ("a1  idle*  gpu:4  gpu:0", ("a1", False, 4, 0)),
        ("a1  draining  gpu:4  gpu:(null):2(IDX:0-1)", ("a1", False, 4, 2)),
        ("a1  reserved  (null)  (null)", ("a1", True, 0, 0)),
    ],
)
def test_nodes_are_read_as_sinfo_writes_them(line: str, node: tuple[Any, ...]) -> None:
    assert slurm_cluster.parse_nodes(f"a library says hello\n{line}\n{line}") == {"a1": slurm_cluster.Node(*node)}


def test_no_nodes_at_all_is_one_message() -> None:
    with pytest.raises(SourceUnavailableError, match="sinfo names no nodes: no output"):
        slurm_cluster.parse_nodes("")
