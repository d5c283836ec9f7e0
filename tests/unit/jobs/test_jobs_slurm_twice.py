# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways in which a job could be in Slurm's queue twice, or run on where serving is, and does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from slurm_world import KIND, NOW, Site, site_at

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import slurm
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import parse_orders
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Attempt


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return site_at(tmp_path, monkeypatch)


def test_the_number_that_sbatch_gave_is_on_record(site: Site) -> None:
    site.turn()
    assert site.record.current.slurm_job == 1
    for _again in range(2):
        assert not site.turn().changed
    assert list(site.slurm.jobs) == [1]


@pytest.mark.parametrize("said", ["nothing", "Socket timed out on send/recv operation"])
@pytest.mark.parametrize("taken", [True, False])
def test_a_job_whose_submission_was_not_answered_is_looked_for_before_it_is_submitted_again(
    site: Site, said: str, taken: bool
) -> None:
    site.slurm.sbatch_says, site.slurm.takes = said, taken
    turn = site.turn()
    words = "was taken as job 1 of Slurm" if taken else "the next run looks whether it was taken"
    assert words in "\n".join(turn.decision.lines)
    assert (site.record.attempts, site.record.current.slurm_job) == (1, 1 if taken else None)
    site.slurm.sbatch_says, site.slurm.takes = None, True
    site.turn()
    assert [job["comment"] for job in site.slurm.jobs.values()] == ["modelops 1"]
    assert site.record.current.slurm_job == 1


def test_what_sbatch_took_after_the_look_is_removed_when_it_was_submitted_twice(site: Site) -> None:
    site.slurm.sbatch_says, site.slurm.takes = "nothing", False
    site.turn()
    site.slurm.sbatch_says, site.slurm.takes = None, True
    site.turn()
    site.slurm.add()  # the first one, at last
    turn = site.turn()
    assert "a waits twice in Slurm's queue: job 2 is removed" in turn.decision.lines
    assert site.slurm.names("PENDING") == [1]
    assert not site.turn().changed


def test_a_refused_job_uses_no_number_up(site: Site) -> None:
    site.slurm.sbatch_says, site.slurm.takes = "Invalid account or account/partition combination specified", False
    assert "a was not taken" in "\n".join(site.turn().decision.lines)
    assert (site.record.attempts, site.record.current) == (0, None)


def test_a_run_that_died_after_sbatch_finds_its_job(site: Site) -> None:
    site.turn()
    document = json.loads((site.path / "jobs.json").read_text())
    document["jobs"]["a"]["current"]["slurm_job"] = None
    (site.path / "jobs.json").write_text(json.dumps(document))
    site.turn()
    assert list(site.slurm.jobs) == [1]
    assert site.record.current.slurm_job == 1


def test_a_lost_record_takes_up_what_is_in_the_queue(site: Site) -> None:
    site.slurm.add(
        job_state="RUNNING", nodes="n1", start_time=NOW, comment="modelops 4", tres_req_str="cpu=1,gres/gpu=2"
    )
    turn = site.turn()
    assert "a is job 1 of Slurm and is on record again" in turn.changes.lines
    record = site.record
    assert (record.attempts, record.current.slurm_job, record.current.accelerators) == (4, 1, [0, 1])
    assert record.current.accelerator_type == KIND
    assert list(site.slurm.jobs) == [1]


def test_nothing_is_submitted_while_an_attempt_that_is_over_on_record_has_processes_left(site: Site) -> None:
    site.turn()
    site.slurm.jobs[1] |= {"job_state": "NODE_FAIL", "nodes": "n1", "start_time": NOW, "end_time": NOW + 60}
    document = json.loads((site.path / "jobs.json").read_text())
    document["jobs"]["a"]["current"] = None
    (site.path / "jobs.json").write_text(json.dumps(document))
    site.slurm.jobs[1]["job_state"] = ["NODE_FAIL", "COMPLETING"]
    turn = site.turn()
    assert turn.decision.waiting == {"a": "waits until its job 1 of Slurm is gone (NODE_FAIL)"}
    assert list(site.slurm.jobs) == [1]
    site.slurm.jobs[1]["job_state"] = ["NODE_FAIL"]
    site.turn()
    assert list(site.slurm.jobs) == [1, 2]


def test_a_job_that_began_while_its_node_was_being_reserved_gives_way_in_the_same_turn(site: Site) -> None:
    site.turn()
    site.planned = [Replica("n1", 0, "chat", "1", 8100, (0,))]

    def begins() -> None:
        site.slurm.jobs[1] |= {"job_state": "RUNNING", "nodes": "n1", "start_time": site.now}

    site.slurm.as_reserved = begins  # type: ignore[method-assign]
    site.slurm.lingers = 2
    turn = site.turn()
    assert "a on n1: stopping, serving takes n1 back" in turn.decision.lines
    # It was waited for until its processes were gone, and not submitted beside them.
    assert (list(site.slurm.jobs), site.slurm.names("CANCELLED")) == ([1], [1])
    site.turn()
    assert site.slurm.names("PENDING") == [2]
    assert site.record.ended[-1]["end"] == "preempted"


def test_a_job_that_ends_before_its_signal_does_not_stop_the_turn(site: Site) -> None:
    site.turn()
    site.slurm.jobs[1] |= {"job_state": "RUNNING", "nodes": "n1", "start_time": NOW + 300}
    site.turn()
    site.planned = [Replica("n1", 0, "chat", "1", 8100, (0,))]
    run, looks = site.slurm.run, []

    def ends_after_the_second_look(words: Sequence[str], **options: Any) -> tuple[int, str]:
        answer = run(words, **options)
        looks.extend(word for word in words if word == "squeue")
        if len(looks) == 2:
            site.slurm.jobs[1] |= {"job_state": "COMPLETED", "end_time": site.now}
        return answer

    site.slurm.run = ends_after_the_second_look  # type: ignore[method-assign]
    site.turn()
    site.turn()
    assert site.record.phase == "done"
    assert list(site.slurm.jobs) == [1]


def test_a_job_that_was_never_submitted_can_be_canceled(site: Site) -> None:
    site.slurm.sbatch_says, site.slurm.takes = "nothing", False
    site.turn()
    turn = site.turn(cancel=["a"])
    assert "a: canceled before it ran" in turn.decision.lines
    assert (site.record.phase, site.slurm.jobs) == ("canceled", {})


class Script:
    """What Slurm would run on a node, really run."""

    def __init__(self, work: Path, number: int, command: list[str], *, after_loss: bool = False) -> None:
        order = parse_orders({"a": {"work_accelerator_hours": 1, "command": command}})["a"]
        attempt = Attempt(number, slurm.HOST, [0], KIND, NOW, NOW)
        _words, text = slurm.submission(
            order, attempt, user="", account="", work=str(work), begins_at=0, hours=1, now=NOW, after_loss=after_loss
        )
        self.process = subprocess.Popen(["/bin/sh", "-c", text], cwd=work, start_new_session=True)

    def ended_within(self, seconds: float) -> int | None:
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(slurm, "FENCE_SECONDS", 0.5)
    running: list[Script] = []

    def start(*args: Any, **options: Any) -> Script:
        running.append(Script(tmp_path, *args, **options))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def test_an_attempt_on_a_lost_node_ends_when_a_later_one_begins_and_before_that_one_works(
    started: Any, tmp_path: Path
) -> None:
    # Its child is ended with it.
    first = started(1, ["sh", "-c", "while sleep 0.05; do date +%s.%N > l && mv l last; done"])
    while not (tmp_path / "last").exists():
        assert first.ended_within(0.05) is None
    second = started(2, ["sh", "-c", "date +%s.%N > b && mv b begun; sleep 60"], after_loss=True)
    assert first.ended_within(10) == -signal.SIGKILL
    while not (tmp_path / "begun").exists():
        assert second.ended_within(0.05) is None
    assert float((tmp_path / "last").read_text()) < float((tmp_path / "begun").read_text())
    assert second.ended_within(1.2) is None


def test_an_attempt_whose_storage_cannot_be_read_goes_on_and_its_end_is_its_own(started: Any, tmp_path: Path) -> None:
    job = started(1, ["sh", "-c", "sleep 1; exit 7"])
    while not (tmp_path / slurm.ATTEMPT_FILE).exists():
        assert job.ended_within(0.05) is None
    (tmp_path / slurm.ATTEMPT_FILE).unlink()
    assert job.ended_within(10) == 7


def test_a_job_that_waits_for_all_its_children_does_not_wait_for_the_watcher(started: Any) -> None:
    wait_for_all = "import os\ntry:\n    while True: os.wait()\nexcept ChildProcessError: pass"
    assert started(1, [sys.executable, "-c", wait_for_all]).ended_within(10) == 0
