# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What more capacity would help, the words for it, the document, its figure, and how it is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from scheduling_builders import START, at, free, job, problem_of

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling import coarsening
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.feasibility import (
    Block,
    capacity_for_all_deadlines,
    impossible_jobs,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.gantt import gantt
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule import make_schedule
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule_document import (
    run_lines,
    schedule_document,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_dated, stored_content

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((ROOT / "docs/schemas/schedule.schema.json").read_text(encoding="utf-8"))
SIX = {"min": 1, "max": 6}


def document_of(jobs: list[dict[str, Any]], capacity: list[dict[str, Any]], policy: str = "lp") -> dict[str, Any]:
    schedule = make_schedule(problem_of(jobs, capacity), policy=policy)
    digest = "sha256:" + "0" * 64
    document = schedule_document(schedule, capacity_for_all_deadlines(schedule), inputs={"jobs": digest})
    jsonschema.Draft202012Validator(SCHEMA).validate({**document, "created_at": at(0)})
    return document


def blocks_of(jobs: list[dict[str, Any]], capacity: list[dict[str, Any]]) -> tuple[Block, ...]:
    answer = capacity_for_all_deadlines(make_schedule(problem_of(jobs, capacity)))
    assert answer.verified
    return answer.blocks


def test_nothing_more_is_needed_when_all_is_on_time():
    feasibility = document_of([job("a", 4, 0, 2, accelerators=2)], free("x", [2, 2]))["feasibility"]
    assert feasibility["all_on_time"] is True
    assert feasibility["extra"] == []
    assert feasibility["text"] == "All deadlines hold"


def test_two_more_for_six_hours():
    """24 accelerator-hours in 6 hours, 2 free: exactly 2 more for all of the 6 hours."""
    feasibility = document_of([job("a", 24, 0, 6, accelerators={"min": 1, "max": 4})], free("l40s-48gb", [2] * 8))[
        "feasibility"
    ]
    assert feasibility["extra"] == [
        {"accelerator_type": "l40s-48gb", "accelerators": 2, "start": at(0), "end": at(6), "hours": 6.0}
    ]
    assert feasibility["extra_accelerator_hours"] == 12.0
    assert feasibility["text"] == f"With 2 more l40s-48gb for 6 hours from {at(0)} all deadlines hold"


def test_more_is_asked_for_only_when_it_is_needed():
    """Only hour 3 is short: 4 wanted, 1 free, so 3 more for that hour."""
    jobs = [job("a", 4, 3, 4, accelerators=SIX), job("b", 6, 0, 3, accelerators=SIX)]
    assert blocks_of(jobs, free("x", [2, 2, 2, 1, 2])) == (Block(0, 3, 3, 4),)


def test_the_type_that_does_the_work_for_least_money_is_asked_for():
    """Type 'fast' does twice the work at three times the price: 'slow' it is; at 1.5 times it is 'fast'."""
    jobs = [job("a", 8, 0, 4, accelerators=SIX, accelerator_types={"fast": 2, "slow": 1})]

    def kinds(price: float) -> set[int]:
        fast = free("fast", [0] * 4, cost_per_hour=price)
        return {block.kind for block in blocks_of(jobs, fast + free("slow", [0] * 4, cost_per_hour=1))}

    assert kinds(3.0) == {1}
    assert kinds(1.5) == {0}


def test_whole_runs_need_whole_accelerators():
    """4 at once are free nowhere; fractions of them would be."""
    record = job("a", 8, 0, 4, accelerators=4, preemptible=False)
    (block,) = blocks_of([record], free("x", [2] * 4))
    assert (block.accelerators, block.last - block.first) == (2, 2)


def test_a_job_no_capacity_helps_is_named_and_the_others_are_answered_for():
    """'hopeless' needs 5 hours at its most accelerators and has 3."""
    jobs = [job("hopeless", 10, 0, 3, accelerators=2), job("a", 6, 0, 2, accelerators=SIX, weight=9)]
    document = document_of(jobs, free("x", [2] * 12))
    assert document["feasibility"]["impossible"] == ["hopeless"]
    assert document["feasibility"]["all_on_time"] is False
    assert document["feasibility"]["text"] == (
        f"With 1 more x for 2 hours from {at(0)} all other deadlines hold; no capacity makes hopeless on time"
    )
    assert document["jobs"]["hopeless"]["reason"] == (
        "it needs 5 hours at its most 2 accelerators, and has 3 between its release and its deadline"
    )
    problem = problem_of(jobs, free("x", [2] * 12))
    assert impossible_jobs(problem) == [1]


@pytest.mark.parametrize(
    ("record", "status", "reason"),
    [
        (
            job("a", 8, accelerators=9),
            "never",
            "it needs at least 9 accelerators at once, and at most 3 of one type are",
        ),
        (job("a", 8, 40, 50), "never", "it is released at 2026-11-24T16:00:00Z, when the schedule has ended"),
        (job("a", 2, -9, -3), "late", "its deadline had passed when the schedule began"),
        (job("a", 99, accelerators=2), "unfinished", "8 of its 99 accelerator-hours fit into the schedule"),
        (
            job("a", 7, 0, 9, accelerators=1, preemptible=False),
            "never",
            "it may not be interrupted, and no time is left in which a whole run of it fits",
        ),
        (
            job("a", 6, 0, 3, accelerators=3),
            "late",
            "3 of its 6 accelerator-hours fit before its deadline; until then b",
        ),
        (job("a", 1, 3, 4, accelerator_types=["y"]), "late", "nothing that it can use is free before its deadline"),
    ],
)
def test_why_a_job_is_late_in_words(record, status, reason):
    capacity = free("x", [3, 3, 0, 3, 3]) + free("y", [0, 0, 0, 0, 1])
    jobs = [record, job("b", 1, 0, 1, weight=50, accelerator_types=["x"])]
    fields = document_of(jobs, capacity)["jobs"]["a"]
    assert (fields["status"], fields["reason"][: len(reason)]) == (status, reason)


def test_the_figures_of_a_small_schedule_by_hand():
    """4 free for 4 hours. 'a' (weight 3) runs 4x1 h on time; 'b' gets 8 of its 12 by hour 3 and ends at hour 4."""
    jobs = [job("a", 4, 0, 1, accelerators=4, weight=3), job("b", 12, 0, 3, accelerators=4)]
    document = document_of(jobs, free("x", [4] * 5))
    figures = document["figures"]
    assert (figures["on_time"], figures["late"], figures["unfinished"], figures["never"]) == (1, 1, 0, 0)
    assert figures["weighted_work_on_time_share"] == pytest.approx((4 * 3 + 8) / (4 * 3 + 12))
    assert figures["weighted_lateness_hours"] == 1.0
    assert figures["utilisation"] == pytest.approx(16 / 20)
    assert document["solver"]["exact"] is True
    fields = document["jobs"]["b"]
    assert (fields["start"], fields["finish"], fields["lateness_seconds"]) == (at(1), at(4), 3600)
    assert fields["runs"] == [{"start": at(1), "end": at(4), "accelerator_type": "x", "host": "", "accelerators": 4}]
    assert document["periods"][0] == {"start": at(0), "accelerators": {"x": {"a": 4}}, "idle": {"x": 0}}
    assert document["periods"][4] == {"start": at(4), "accelerators": {}, "idle": {"x": 4}}
    assert document["summary"].startswith("1 of 2 jobs on time, 1 late; 83.3% of the weighted work on time, 80% of the")


def test_interruptions_and_moves_are_counted():
    capacity = free("x", [2, 0, 2], host="n1") + free("x", [0, 0, 0, 2], host="n2")
    fields = document_of([job("a", 6, 0, 4, accelerators=2)], capacity)["jobs"]["a"]
    assert (fields["interruptions"], fields["moves"]) == (1, 1)
    assert [run["host"] for run in fields["runs"]] == ["n1", "n1", "n2"]


def test_no_jobs_make_a_document_and_no_figure():
    document = document_of([], free("x", [1]))
    assert document["summary"] == "No jobs to schedule"
    assert document["figures"]["weighted_work_on_time_share"] == 1.0
    assert gantt(document) is None


def test_it_is_stored_once_and_changed_by_content_alone(tmp_path):
    path = tmp_path / "schedule.json"
    document = document_of([job("a", 4, 0, 2, accelerators=2)], free("x", [2, 2]))
    assert store_dated(str(path), document, now=START, dry=True) is True
    assert not path.exists()
    assert store_dated(str(path), document, now=START, dry=False) is True
    content = path.read_bytes()
    assert store_dated(str(path), document, now=START + 99, dry=False) is False
    assert path.read_bytes() == content
    assert stored_content(str(path)) == document
    assert store_dated(str(path), {**document, "summary": "other"}, now=START + 99, dry=False) is True
    path.write_text("{", encoding="utf-8")
    assert store_dated(str(path), document, now=START, dry=False) is True
    assert run_lines(document) == [f"a: 2 x from {at(0)} to {at(2)}"]


def test_the_figure_has_a_bar_a_run_cut_at_the_deadline():
    jobs = [job("a", 4, 0, 1, accelerators=4, weight=3), job("b", 12, 0, 3, accelerators=4)]
    document = document_of(jobs, free("x", [4] * 5))
    figure = gantt(document)
    assert figure is not None
    assert figure["rows"] == ["b", "a"]  # late first
    assert figure["layout"]["yaxis"]["categoryarray"] == ["b", "a"]
    roles = {trace["meta"]: trace for trace in figure["data"]}
    assert set(roles) == {"run", "late_run", "deadline", "missed_deadline"}
    bars = list(zip(roles["run"]["y"], roles["run"]["base"], roles["run"]["x"]))
    assert bars == [("b", at(1)[:-1], 2 * 3_600_000), ("a", at(0)[:-1], 3_600_000)]
    late = list(zip(roles["late_run"]["y"], roles["late_run"]["base"], roles["late_run"]["x"]))
    assert late == [("b", at(3)[:-1], 3_600_000)]
    assert roles["missed_deadline"]["x"] == [at(3)[:-1]]
    assert figure["whole"] == [at(0)[:-1], at(5)[:-1]]
    assert json.loads(json.dumps(figure)) == figure
    assert gantt(document, most_jobs=1)["left_out"] == 1


def test_plotly_takes_the_figure():
    objects = pytest.importorskip("plotly.graph_objects")
    document = document_of([job("a", 9, 0, 1, accelerators=4)], free("x", [4] * 5))
    figure = gantt(document)
    assert len(objects.Figure(data=figure["data"], layout=figure["layout"]).data) == len(figure["data"])


def test_a_deadline_after_the_end_of_the_schedule_is_not_called_missed():
    document = document_of([job("a", 99, 0, 300, accelerators=2)], free("x", [2] * 4))
    assert document["jobs"]["a"]["status"] == "unfinished"
    assert document["feasibility"]["extra"] == document["feasibility"]["impossible"] == []
    assert document["feasibility"]["text"] == "All deadlines inside the schedule hold"


def test_many_jobs_are_scheduled_on_a_coarse_programme(monkeypatch):
    """More cells than the programme may have: periods are merged, and the bound still is one."""
    monkeypatch.setattr(coarsening, "MOST_CELLS", 2_000)
    rng = np.random.default_rng(1)
    jobs = [
        job(
            f"j{i:03}",
            float(rng.integers(5, 40)),
            int(rng.integers(0, 30)),
            int(rng.integers(40, 96)),
            accelerators=SIX,
        )
        for i in range(100)
    ]
    schedule = make_schedule(problem_of(jobs, free("x", rng.integers(10, 30, 96).tolist())))
    share = schedule.outcome.weighted_on_time / schedule.problem.weighted_work
    assert schedule.bound is not None
    bound = schedule.bound / schedule.problem.weighted_work
    assert 0.9 * bound < share < min(bound, 0.999)
