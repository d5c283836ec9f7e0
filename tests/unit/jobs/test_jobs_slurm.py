# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Slurm is asked, and what its queue says. The records are of squeue 22.05.8 in the lab, and as 23.11 writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import slurm, slurm_queue
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.given import Given
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import parse_orders
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import (
    Attempt,
    Record,
    State,
    read_state,
    write_state,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_cluster import Cluster
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_turn import slurm_turn

RUNNING = {
    "job_id": 7, "name": "modelops-a", "comment": "modelops 3", "job_state": "RUNNING", "exit_code": 0, "nodes": "n1",
    "eligible_time": 1795767857, "start_time": 1795767857, "end_time": 1827303857,
}  # fmt: skip


def said(*records: dict[str, Any]) -> str:
    return json.dumps({"meta": {}, "errors": [], "jobs": list(records)})


def attempt(number: int = 3, **fields: Any) -> Attempt:
    return Attempt(number, slurm.HOST, [0, 1], "h100-80gb", 1795767000.0, 0.0, **fields)


def answers(queue: str) -> Any:
    return lambda words, **_options: (0, queue if "squeue" in words else "n1  idle  gpu:4  gpu:0")


def only(**fields: Any) -> Any:
    """RUNNING with other fields, as it is read."""
    (job,) = slurm_queue.parse_queue(said({**RUNNING, **fields})).jobs
    return job


def test_only_our_own_are_read_and_each_attempt_is_found_by_its_name_and_comment() -> None:
    others = [{**RUNNING, "job_id": 9, "comment": "hello"}, {**RUNNING, "job_id": 8, "name": "train"}]
    older = {**RUNNING, "job_id": 2, "comment": "modelops 2", "job_state": "COMPLETED"}
    queue = slurm_queue.parse_queue("a library says hello\n" + said(RUNNING, *others, older))
    job = queue.of("a", attempt(3))
    assert (job.id, job.attempt, job.active, job.started_at) == (7, 3, True, 1795767857.0)
    assert queue.of("a", attempt(2)).id == 2
    assert queue.of("a", attempt(4)) is None
    assert [one.id for one in queue.others("a", None)] == [7]
    assert queue.others("a", attempt(3)) == []


def test_a_job_is_found_by_its_number_though_somebody_changed_its_comment_and_not_by_the_number_of_another_s() -> None:
    queue = slurm_queue.parse_queue(
        said({**RUNNING, "comment": "mine"}, {**RUNNING, "job_id": 8, "name": "modelops-b"})
    )
    assert queue.of("a", attempt(3)) is None
    assert queue.of("a", attempt(3, slurm_job=7)).id == 7
    assert queue.of("a", attempt(3, slurm_job=8)) is None


@pytest.mark.parametrize(
    ("state", "active", "pending"),
    [
        ("COMPLETING", True, False),
        (["CANCELLED", "COMPLETING"], True, False),
        (["COMPLETED", "COMPLETING"], True, False),
        (["NODE_FAIL", "COMPLETING"], True, False),
        (["PENDING", "REQUEUED"], True, True),
        (["RUNNING", "CONFIGURING"], True, False),
        (["SOMETHING_NEW"], True, False),
        (["FAILED", "LAUNCH_FAILED"], False, False),
        (["OUT_OF_MEMORY"], False, False),
        ("CANCELLED", False, False),
    ],
)
def test_a_job_is_over_only_when_its_processes_are(state: Any, active: bool, pending: bool) -> None:
    job = only(job_state=state)
    assert (job.active, job.pending) == (active, pending)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"job_state": "FAILED", "exit_code": 768}, 3),
        ({"job_state": "FAILED", "exit_code": 9}, 9),
        ({"job_state": ["FAILED"], "exit_code": {"return_code": {"set": True, "infinite": False, "number": 3}}}, 3),
        ({"job_state": ["FAILED"], "exit_code": {"return_code": 3, "status": "ERROR"}}, 3),
    ],
)
def test_exit_codes_of_old_and_new_releases(fields: dict[str, Any], status: int) -> None:
    start = {"set": True, "infinite": False, "number": 1795767857}
    record = {**RUNNING, **fields, "start_time": start, "end_time": 1795767900}
    job = only(**record)
    assert (job.active, job.exit_status, job.started_at) == (False, status, 1795767857.0)


def test_a_pending_job_has_not_started_though_slurm_says_when_it_might() -> None:
    job = only(job_state="PENDING")
    assert (job.active, job.pending, job.started_at) == (True, True, None)


@pytest.mark.parametrize(
    "text", ["", "nothing", "{}", '{"jobs": [{"job_id": "x"}]}', said({**RUNNING, "job_state": None, "job_id": None})]
)
def test_what_is_no_queue_is_one_message(text: str) -> None:
    with pytest.raises(SourceUnavailableError, match="not understood"):
        slurm_queue.parse_queue(text)


@pytest.mark.parametrize(
    ("state", "stopping", "asked", "ended"),
    [
        ("COMPLETED", "", False, "success"),
        ("COMPLETED", "serving", True, "success"),
        ("CANCELLED", "", True, "cancelled"),
        ("DEADLINE", "", True, "deadline"),
        ("TIMEOUT", "", False, "timeout"),
        ("NODE_FAIL", "", False, None),
    ],
)
def test_how_an_attempt_ended(state: str, stopping: str, asked: bool, ended: str | None) -> None:
    queue = slurm_queue.parse_queue(said({**RUNNING, "job_state": state, "end_time": 1795767900}))
    jobs = State(jobs={"a": Record("a", "x", current=attempt(stopping=stopping))})
    unit = slurm.units_of(jobs, queue, {"a": 0.25}, {})["a"]
    assert (unit.active, unit.asked, unit.progress) == (False, asked, 0.25)
    assert (unit.ended or {}).get("result") == ended


def test_what_was_seen_and_is_forgotten_counts_as_lost_and_what_was_never_there_as_not_submitted() -> None:
    jobs = State(jobs={"a": Record("a", "x", current=attempt(seen_at=1.0)), "b": Record("b", "x", current=attempt())})
    found = slurm.units_of(jobs, slurm_queue.Queue(), {}, {})
    assert list(found) == ["a"]
    assert (found["a"].active, found["a"].ended) == (False, None)
    ended = slurm.units_of(jobs, slurm_queue.Queue(), {"a": 1.0}, {"a": 9.0})["a"].ended
    assert ended == {"attempt": 3, "result": "success", "status": "0", "at": 9.0}


def test_a_submission_has_all_that_the_schedule_says() -> None:
    order = parse_orders(
        {
            "a": {
                "work_accelerator_hours": 4,
                "deadline": "2026-11-28T12:00:00+01:00",
                "command": ["train", "--name", "a b"],
                "environment": {"KEY": "it's"},
                "environment_file": "/etc/x.env",
                "resources": {"cpu_cores": 7.5, "memory_gib": 1.5},
                "checkpoint": {"signal": "usr1", "grace_seconds": 90},
            }
        }
    )["a"]
    where = {"user": "alice", "account": "ml", "work": "/srv/a"}
    words, script = slurm.submission(order, attempt(), begins_at=1795767857.0, hours=1.001, now=1795767000.0, **where)
    assert words[:4] == ["runuser", "-u", "alice", "--"]
    assert {
        "--dependency=singleton", "--job-name=modelops-a", "--comment=modelops 3", "--gres=gpu:2", "--time=61", "--mem=1536M",
        "--begin=2026-11-27T08:24:17", "--deadline=2026-11-28T11:00:00", "--account=ml", "--cpus-per-task=8",
        "--signal=B:USR1@90",
    } <= set(words)  # fmt: skip
    assert "export KEY='it'\"'\"'s'\n" in script
    assert "set -a\n. /etc/x.env\nset +a\n" in script
    assert script.endswith("\nexec train --name 'a b'\n")
    # Slurm would remove it, though it takes half of its time limit: 2026-11-28T11:00 is less than an hour away.
    near, _script = slurm.submission(order, attempt(), begins_at=0.0, hours=1, now=1795860600.0, **where)
    assert not [word for word in near if word.startswith(("--deadline", "--begin"))]


def test_the_reservation_is_made_changed_and_removed_only_where_it_differs() -> None:
    assert slurm.reservation_commands(["n2", "n1"], ["n1", "n2"]) == []
    assert slurm.reservation_commands([], []) == []
    assert slurm.reservation_commands(["n1"], [])[0][:4] == [
        "scontrol",
        "create",
        "ReservationName=modelops_serving",
        "Nodes=n1",
    ]
    assert slurm.reservation_commands(["n2"], ["n1"]) == [
        ["scontrol", "update", "ReservationName=modelops_serving", "Nodes=n2"]
    ]
    assert slurm.reservation_commands([], ["n1"]) == [["scontrol", "delete", "ReservationName=modelops_serving"]]


def test_an_empty_queue_with_an_error_is_no_queue_although_squeue_exits_with_0() -> None:
    # squeue 22.05.8 with slurmctld stopped
    error = {
        "description": "Failed while looking for jobs",
        "error_number": -1,
        "error": "Unspecified error",
        "source": "slurm_load_jobs",
    }
    with pytest.raises(SourceUnavailableError) as caught:
        slurm_queue.parse_queue(json.dumps({"meta": {}, "errors": [error], "jobs": []}))
    assert caught.value.message.startswith("Slurm: squeue failed: Failed while looking for jobs. Look at it with")


def test_a_month_later_a_job_that_is_asked_for_no_more_is_forgotten(tmp_path: Path) -> None:
    path, month = str(tmp_path / "jobs.json"), 30 * 86_400.0
    old = Record("old", "x", phase="done", finished_at=1.0)
    state = State(
        jobs={"old": old, "kept": Record("kept", "x", phase="failed", finished_at=1.0), "never": Record("never", "x")},
        owners={"x": {"accelerator_hours": 3.0, "wasted_accelerator_hours": 0.0}},
    )
    write_state(path, state)
    orders = parse_orders({"kept": {"work_accelerator_hours": 1, "command": ["true"]}})
    host = Host("n1", accelerator_type="h100-80gb", accelerator_count=4)
    given = Given(orders=orders, hosts=[host], planned=[], running=[], seen={})
    cluster = Cluster(str(tmp_path), run=answers(said()))
    slurm_turn(path, given, cluster, now=month)
    assert sorted(read_state(path).jobs) == ["kept", "old"]
    slurm_turn(path, given, cluster, now=month + 2)
    found = read_state(path)
    assert sorted(found.jobs) == ["kept"]
    assert found.owners == state.owners


def test_a_job_that_writes_is_not_stalled_however_long_it_runs(tmp_path: Path) -> None:
    path, begun = str(tmp_path / "jobs.json"), float(RUNNING["start_time"])
    orders = parse_orders({"a": {"work_accelerator_hours": 99, "command": ["true"], "stalled_after_seconds": 600}})
    write_state(path, State(jobs={"a": Record("a", "x", phase="running", attempts=3, current=attempt())}))
    host = Host("n1", accelerator_type="h100-80gb", accelerator_count=4)
    given = Given(orders=orders, hosts=[host], planned=[], running=[], seen={})
    cluster = Cluster(str(tmp_path / "work"), run=answers(said(RUNNING)))
    work = tmp_path / "work" / "a"
    work.mkdir(parents=True)
    log = work / "output.log"
    log.write_text("step 1")
    for written, now, stalled in ((begun + 7000, begun + 7200, False), (begun + 7000, begun + 7700, True)):
        os.utime(log, (written, written))
        slurm_turn(path, given, cluster, now=now)
        current = read_state(path).jobs["a"].current
        assert current is not None
        assert current.stalled is stalled


def test_slurm_down_says_which_command_failed_and_what_to_do() -> None:
    cluster = Cluster("/srv", run=lambda *_words, **_options: (1, "Unable to contact slurm controller"))
    with pytest.raises(SourceUnavailableError) as caught:
        cluster.ask(["squeue", "--json"])
    assert caught.value.message.startswith("Slurm: squeue failed with exit code 1: Unable to contact slurm controller.")
    with pytest.raises(SourceUnavailableError, match="sbatch failed"):
        cluster.ask(["runuser", "-u", "x", "--", "sbatch"])
