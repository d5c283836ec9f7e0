# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs, free capacity and hosts as they are given, and the one message for each way to get them wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scheduling_builders import START, at, free, job, problem_of

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.capacity import parse_capacity
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.jobs import parse_jobs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.source import read_problem

OPTIONS = {"period_seconds": 3600}
HOSTS = [
    {"name": "n1", "accelerator_type": "h100-80gb", "accelerator_count": 8, "cost_per_hour": 24},
    {"name": "n2", "accelerator_type": "h100-80gb", "accelerator_count": 8, "cost_per_hour": 24},
    {"name": "n3", "accelerator_type": "l40s-48gb", "accelerator_count": 4, "state": "draining"},
    {"name": "n4", "accelerator_type": "l40s-48gb", "accelerator_count": 4, "cost_per_hour": 4},
    {"name": "n5", "accelerator_type": "cpu", "accelerator_count": 0},
]
PLAN = {
    "kind": "plan",
    "placements": [
        {"host": "n1", "slot": 0, "model": "chat", "version": "1", "accelerators": [0, 1]},
        {"host": "n1", "slot": 1, "model": "code", "version": "1", "accelerators": [2]},
        {"host": "n1", "slot": 2, "model": "code", "version": "1", "accelerators": [2]},
        {"host": "n3", "slot": 0, "model": "code", "version": "1", "accelerators": [0]},
    ],
}


def test_a_job_with_all_its_fields():
    record = job("a", 24, 1, 9.5, accelerators={"min": 2, "max": 9, "powers_of_two": True}, weight="3")
    record.update(preemptible="no", accelerator_types={"h100-80gb": 2}, remaining_accelerator_hours=10)
    record.update(state="running", running_on={"accelerator_type": "h100-80gb", "accelerators": 4, "host": "n1"})
    (parsed,) = parse_jobs([record])
    assert parsed.sizes == (2, 4, 8)
    assert (parsed.work, parsed.weight, parsed.preemptible) == (10.0, 3.0, False)
    assert (parsed.release, parsed.deadline) == (START + 3600, START + 9.5 * 3600)
    assert (parsed.speed("h100-80gb"), parsed.speed("l40s-48gb")) == (2.0, 0.0)
    assert parsed.running is not None
    assert (parsed.running.accelerators, parsed.running.host) == (4, "n1")


def test_a_job_with_a_name_and_work_alone_runs_on_one_accelerator_of_any_type_whenever():
    (parsed,) = parse_jobs({"a": {"work_accelerator_hours": 2}})
    assert (parsed.name, parsed.sizes, parsed.weight, parsed.preemptible) == ("a", (1,), 1.0, True)
    assert (parsed.release, parsed.deadline, parsed.speed("anything")) == (-math.inf, math.inf, 1.0)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (job("a", 1, 5, 5), "job a: the deadline 2026-11-23T05:00:00Z is not after the release"),
        (job("a", 1, accelerators={"min": 4, "max": 2}), "accelerators.min (4) is above accelerators.max (2)"),
        (job("a", 1, accelerators=0), "accelerators must be between 1 and 100000, not 0"),
        (job("a", 1, accelerators=1.5), "accelerators must be"),
        (job("a", 1, accelerators={"min": 5, "max": 7, "powers_of_two": True}), "no power of two from 5 to 7"),
        (job("a", 1, accelerators={"most": 7}), "accelerators.most"),
        (job("a", float("nan")), "job a: work_accelerator_hours must be finite"),
        (job("a", "much"), "must be a number, not 'much'"),
        (job("a", -1), "must be at least 0"),
        ({"name": "a"}, "job a: it has no work_accelerator_hours"),
        ({"work_accelerator_hours": 1}, "jobs[0]: a job has no name"),
        (job("a", 1, deadlin="x"), "unknown field 'deadlin'"),
        (job("a", 1, weight=float("inf")), "weight must be finite"),
        (job("a", 1, preemptible="maybe"), "preemptible must be true or false"),
        (job("a", 1, accelerator_types=[]), "accelerator_types is empty"),
        (job("a", 1, accelerator_types={"h100-80gb": 0}), "speed on h100-80gb"),
        (job("a", 1, state="paused"), "state must be one of waiting, running"),
        (job("a", 1, state="running"), "running_on is not given"),
        (job("a", 1, remaining_accelerator_hours=2), "remaining_accelerator_hours must be between 0 and 1"),
        ({"name": "a", "work_accelerator_hours": 1, "deadline": "soon"}, "the deadline 'soon' is not an ISO 8601"),
        ("a", "the job must be a mapping"),
    ],
)
def test_one_clear_message_for_a_bad_job(record, words):
    with pytest.raises(InputError) as caught:
        parse_jobs([record])
    assert words in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "there is no capacity"),
        ({"a": 1}, "capacity must be a list"),
        ([{"start": at(0), "accelerator_type": "x"}], "capacity[0]: it has no accelerators"),
        (free("x", [1.5]), "accelerators must be a whole number, not 1.5"),
        (free("x", [float("nan")]), "accelerators must be finite"),
        (free("x", [-1]), "accelerators must be between 0 and"),
        (free("x", [1, 2]) + free("x", [1]), "the free x at 2026-11-23T00:00:00Z are given twice"),
        (free("x", [1]) + [{**free("x", [1])[0], "start": at(1.5)}], "not whole periods of 3600 s"),
        ([{**free("x", [1])[0], "end": at(0)}], "end is not after start"),
        ([{**free("x", [1])[0], "end": at(20_000)}], "more than 10000"),
        (free("x", [1], gpus=3), "unknown field 'gpus'"),
    ],
)
def test_one_clear_message_for_bad_capacity(records, words):
    with pytest.raises(InputError) as caught:
        parse_capacity(records, period_seconds=3600)
    assert words in caught.value.message


def test_jobs_twice_and_types_nobody_knows_are_refused():
    with pytest.raises(InputError, match="job a: the job is listed twice"):
        parse_jobs([job("a", 1), job("a", 2)])
    with pytest.raises(InputError, match=r"job a: the accelerator type 'h10' is not in the capacity, which has h100"):
        read_problem(
            {**OPTIONS, "jobs": [job("a", 1, accelerator_types=["h10"])], "capacity": free("h100", [1])}, now=0
        )


def test_capacity_or_hosts_but_not_neither_or_both():
    with pytest.raises(InputError, match="there is no capacity"):
        read_problem({**OPTIONS, "jobs": []}, now=0)
    with pytest.raises(InputError, match="both given"):
        read_problem({**OPTIONS, "jobs": [], "capacity": free("x", [1]), "hosts": HOSTS}, now=0)


def test_a_record_may_cover_many_periods_and_gaps_are_empty():
    capacity = parse_capacity(
        [{**free("x", [3])[0], "end": at(3)}, {"start": at(5), "accelerator_type": "x", "accelerators": 2}],
        period_seconds=3600,
    )
    assert capacity.free.tolist() == [[3, 3, 3, 0, 0, 2]]
    assert capacity.end == START + 6 * 3600


def test_hosts_have_free_what_the_plan_leaves():
    """Shared accelerators count once, and a draining host takes no job."""
    params = {**OPTIONS, "jobs": [job("a", 1, 0, 30)], "hosts": HOSTS, "plan": PLAN, "start": at(0)}
    problem, inputs = read_problem(params, now=0)
    capacity = problem.capacity
    assert capacity.bins == (("h100-80gb", "n1"), ("h100-80gb", "n2"), ("l40s-48gb", "n3"), ("l40s-48gb", "n4"))
    assert capacity.free[:, 0].tolist() == [5, 8, 0, 4]
    assert (capacity.free == capacity.free[:, :1]).all()
    assert capacity.periods == 30
    assert capacity.prices == (3.0, 0.5)
    assert capacity.by_type[:, 0].tolist() == [13, 4]
    assert capacity.largest_bin[:, 0].tolist() == [8, 4]
    assert set(inputs) == {"jobs", "hosts", "plan"}


def test_a_schedule_on_hosts_begins_now_up_to_the_minute():
    problem, _inputs = read_problem({**OPTIONS, "jobs": [], "hosts": HOSTS}, now=START + 61)
    assert problem.capacity.start == START + 120
    assert problem.capacity.periods == 24


def test_a_plan_must_be_one():
    with pytest.raises(InputError, match="this is no plan but 'forecast'"):
        read_problem({**OPTIONS, "jobs": [], "hosts": HOSTS, "plan": {"kind": "forecast"}}, now=0)


def test_limits_are_the_largest_allowed_size_that_fits_one_bin():
    jobs = [job("a", 1, 1.5, 3, accelerators={"min": 2, "max": 16, "powers_of_two": True}), job("b", 1, accelerators=7)]
    problem = problem_of(jobs, free("x", [9, 9, 1, 20]))
    assert problem.limit[:, 0].tolist() == [[0, 8, 0, 16], [7, 7, 0, 7]]
    np.testing.assert_allclose(problem.usable[0], [0, 0.5, 1, 1])
    np.testing.assert_allclose(problem.on_time[0], [0, 0.5, 1, 0])


OUTLOOK = {
    "as_of": at(0.5),
    "outlook": {
        "period_seconds": 3600,
        "periods": [
            {"begins_after_seconds": 3600, "free_accelerators": {"n1": 1, "n4": 2}},
            {"begins_after_seconds": 7200, "free_accelerators": {"n2": 3, "n3": 4}},
        ],
    },
}


def test_periods_have_what_is_free_in_all_of_the_plan_periods_they_touch():
    """The plan's periods begin at half past; the third ends at 03:30, and beyond it the fewest of all counts."""
    problem, inputs = read_problem(
        {**OPTIONS, "jobs": [], "hosts": HOSTS, "plan": {**PLAN, **OUTLOOK}, "start": at(0), "periods": 5}, now=START
    )
    bins = dict(zip((host for _type, host in problem.capacity.bins), problem.capacity.free.tolist()))
    assert bins["n1"] == [5, 1, 1, 1, 1]  # touched from 01:30, free again from 02:30, unknown from 03:30
    assert bins["n2"] == [8, 8, 3, 3, 3]
    assert bins["n3"] == [0, 0, 0, 0, 0]  # draining
    assert bins["n4"] == [4, 2, 2, 2, 2]
    without, digests = read_problem(
        {**OPTIONS, "jobs": [], "hosts": HOSTS, "plan": PLAN, "start": at(0), "periods": 5}, now=START
    )
    assert without.capacity.free.max(axis=1).tolist() == without.capacity.free.min(axis=1).tolist()
    assert digests["plan"] != inputs["plan"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"as_of": None}, "plan: the created_at"),
        ({"outlook": {"period_seconds": 0, "periods": []}}, "period_seconds must be at least 1"),
        ({"outlook": {"period_seconds": 60, "periods": [{}]}}, "plan.outlook.periods[0]: begins_after_seconds"),
        (
            {
                "outlook": {
                    "period_seconds": 60,
                    "periods": [{"begins_after_seconds": 60, "free_accelerators": {"n1": "x"}}],
                }
            },
            "free accelerators of n1 must be a number",
        ),
    ],
)
def test_a_broken_outlook_is_one_clear_message(change, words):
    plan = {**PLAN, **OUTLOOK, **change}
    with pytest.raises(InputError) as caught:
        read_problem({**OPTIONS, "jobs": [], "hosts": HOSTS, "plan": plan, "start": at(0), "periods": 5}, now=START)
    assert words in str(caught.value)
