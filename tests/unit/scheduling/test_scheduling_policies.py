# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schedules whose right answer can be worked out by hand, and the programme against another solver."""

from __future__ import annotations

import numpy as np
import pytest
from scheduling_builders import START, free, inputs, job, problem_of
from scipy.optimize import linprog

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling import coarsening
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.linear_program import solve_on_time
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.run_options import run_options
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule import (
    Schedule,
    make_schedule,
)

SIX = {"min": 1, "max": 6}


def finishes(schedule: Schedule) -> dict[str, float | None]:
    """Hours from the start."""
    return {
        spec.name: None if done.finish is None else (done.finish - START) / 3600
        for spec, done in zip(schedule.problem.jobs, schedule.outcome.jobs)
    }


def counts(schedule: Schedule, name: str) -> dict[int, int]:
    index = [spec.name for spec in schedule.problem.jobs].index(name)
    return {slot.period: slot.accelerators for slot in schedule.outcome.jobs[index].slots}


def share(schedule: Schedule) -> float:
    return schedule.outcome.weighted_on_time / schedule.problem.weighted_work


def test_edf_is_optimal_when_everything_fits_and_lp_says_the_same():
    """Three jobs fill 6 accelerators for 4 hours exactly: any order but by deadline is late."""
    jobs = [
        job("a", 12, 0, 2, accelerators=SIX),
        job("b", 6, 0, 3, accelerators=SIX),
        job("c", 6, 0, 4, accelerators=SIX),
    ]
    for policy in ("edf", "least_laxity", "lp"):
        schedule = make_schedule(problem_of(jobs, free("x", [6] * 4)), policy=policy)
        assert finishes(schedule) == {"a": 2.0, "b": 3.0, "c": 4.0}
        assert share(schedule) == 1.0


def test_in_overload_lp_keeps_the_heavy_job_and_edf_the_early_one():
    """4 accelerators, 2 hours: 'early' (weight 1) and 'heavy' (weight 3) want all of them. LP 8*3/(8*3+8*1)."""
    jobs = [job("early", 8, 0, 2, accelerators=4), job("heavy", 8, 0, 3, accelerators=4, weight=3)]
    capacity = free("x", [4, 4, 0, 4, 4])
    assert share(make_schedule(problem_of(jobs, capacity), policy="edf")) == pytest.approx(8 / 32)
    schedule = make_schedule(problem_of(jobs, capacity))
    assert share(schedule) == pytest.approx(24 / 32)
    assert schedule.exact
    assert finishes(schedule) == {"early": 5.0, "heavy": 2.0}  # late is better than never


def test_inside_equal_weight_the_earlier_deadline_is_kept():
    jobs = [job(name, 4, 0, deadline, accelerators=2) for name, deadline in (("z", 2), ("a", 3))]
    schedule = make_schedule(problem_of(jobs, free("x", [2, 2, 0, 2])))
    assert finishes(schedule)["z"] == 2.0


def test_least_laxity_saves_a_long_narrow_job_that_edf_starves():
    """'narrow' needs 1 accelerator for all of its 4 hours; EDF gives the first hour to 'wide', due before it."""
    problem = problem_of(
        [job("wide", 3, 0, 3, accelerators={"min": 1, "max": 2}), job("narrow", 4, 0, 4)], free("x", [2] * 5)
    )
    assert finishes(make_schedule(problem, policy="edf")) == {"wide": 2.0, "narrow": 5.0}
    for policy in ("least_laxity", "lp"):
        assert finishes(make_schedule(problem, policy=policy)) == {"wide": 3.0, "narrow": 4.0}


def test_release_and_deadline_inside_a_period_count_to_the_minute():
    """2 accelerators from 0:30: 3 accelerator-hours end at 2:00; due 1:45, so 2.5 of them are on time."""
    schedule = make_schedule(problem_of([job("a", 3, 0.5, 1.75, accelerators=2)], free("x", [2, 2, 2])))
    assert finishes(schedule)["a"] == 2.0
    assert schedule.outcome.jobs[0].on_time_work == pytest.approx(2.5)
    assert schedule.outcome.jobs[0].slots[0].begin == START + 1800


def test_a_job_takes_no_more_than_it_needs_and_ends_inside_the_period():
    schedule = make_schedule(problem_of([job("a", 2.5, 0, 5, accelerators=SIX)], free("x", [2, 6])))
    assert counts(schedule, "a") == {0: 2, 1: 1}
    assert finishes(schedule)["a"] == 1.5


def test_least_numbers_and_powers_of_two_are_respected():
    jobs = [job("a", 12, 0, 6, accelerators={"min": 2, "max": 8, "powers_of_two": True})]
    schedule = make_schedule(problem_of(jobs, free("x", [7, 1, 3, 9])))
    assert counts(schedule, "a") == {0: 4, 2: 2, 3: 8}


def test_a_faster_type_is_worth_its_speed():
    """Work 8: one fast accelerator (speed 2) does it in 4 hours, one slow in 8."""
    record = job("a", 8, 0, 4, accelerator_types={"fast": 2, "slow": 1})
    schedule = make_schedule(problem_of([record], free("fast", [1] * 8) + free("slow", [4] * 8)))
    assert finishes(schedule)["a"] == 4.0
    problem = schedule.problem
    assert {problem.capacity.bins[slot.bin][0] for slot in schedule.outcome.jobs[0].slots} == {"fast"}


@pytest.mark.parametrize("policy", ["lp", "edf", "least_laxity"])
def test_a_job_that_may_not_be_interrupted_runs_in_one_go_at_one_size(policy):
    """Free: 2 2 0 2 2 2. Two accelerators for 3 hours are free only from 3 on."""
    record = job("a", 6, 0, 6, accelerators=2, preemptible=False)
    schedule = make_schedule(problem_of([record], free("x", [2, 2, 0, 2, 2, 2])), policy=policy)
    assert counts(schedule, "a") == {3: 2, 4: 2, 5: 2}


def test_runs_without_a_pause_are_decided_by_integer_programming_where_edf_fails():
    """One accelerator: EDF starts 'long' (due 5) at once and 'short', released at 1 and due 2, comes too late."""
    jobs = [
        job("long", 3, 0, 5, preemptible=False),
        job("short", 1, 1, 2, preemptible=False, weight=4),
    ]
    problem = problem_of(jobs, free("x", [1] * 5))
    assert share(make_schedule(problem, policy="edf")) < 1
    schedule = make_schedule(problem)
    assert finishes(schedule) == {"long": 5.0, "short": 2.0}
    assert schedule.exact
    assert share(schedule) == 1.0


def test_a_running_job_keeps_what_it_has_when_it_may_not_be_interrupted():
    held = {"accelerator_type": "x", "accelerators": 3}
    running = job("running", 12, None, 99, accelerators=SIX, preemptible=False, state="running", running_on=held)
    running["remaining_accelerator_hours"] = 6
    urgent = job("urgent", 8, 0, 2, accelerators=SIX, weight=100)
    for policy in ("lp", "edf", "least_laxity"):
        schedule = make_schedule(problem_of([running, urgent], free("x", [4] * 4)), policy=policy)
        assert counts(schedule, "running") == {0: 3, 1: 3}
        assert finishes(schedule)["urgent"] == 4.0 if policy != "lp" else finishes(schedule)["urgent"] is not None


def test_a_running_job_that_serving_takes_the_accelerators_from_is_named():
    held = {"accelerator_type": "x", "accelerators": 3}
    record = job("a", 9, preemptible=False, accelerators=3, state="running", running_on=held)
    schedule = make_schedule(problem_of([record], free("x", [4, 2, 4, 4])))
    assert schedule.broken_off == {
        0: "it holds 3 x and may not be interrupted, but only 2 are left to it until it would end"
    }
    assert schedule.outcome.jobs[0].slots == ()


def test_a_job_runs_on_one_host_at_a_time():
    capacity = free("x", [3, 3], host="n1") + free("x", [3, 3], host="n2")
    jobs = [job("a", 8, 0, 2, accelerators=4), job("b", 6, 0, 2, accelerators={"min": 1, "max": 6})]
    schedule = make_schedule(problem_of(jobs, capacity))
    assert counts(schedule, "a") == {}  # 6 are free, but never 4 on one host
    assert counts(schedule, "b") == {0: 3, 1: 3}
    assert len({slot.bin for slot in schedule.outcome.jobs[1].slots}) == 1


def test_no_jobs_and_nothing_free_are_fine():
    assert make_schedule(problem_of([], free("x", [2]))).outcome.jobs == ()
    schedule = make_schedule(problem_of([job("a", 1, 0, 1), job("done", 0, 0, 1)], free("x", [0])))
    assert finishes(schedule) == {"a": None, "done": 0.0}


def _reference(problem, free_by_type) -> float:
    """The programme of the docstring, term by term, by HiGHS."""
    terms = [
        (j, k, t, problem.speed[j, k] * problem.on_time[j, t] * problem.capacity.hours)
        for j, k, t in np.ndindex(problem.limit.shape)
        if problem.limit[j, k, t] and problem.on_time[j, t]
    ]
    if not terms:
        return 0.0
    rows, bounds = [], []
    for k, t in np.ndindex(free_by_type.shape):
        rows.append([1.0 if (kk, tt) == (k, t) else 0.0 for _j, kk, tt, _v in terms])
        bounds.append(free_by_type[k, t])
    for j in range(len(problem.jobs)):
        rows.append([v if jj == j else 0.0 for jj, _k, _t, v in terms])
        bounds.append(problem.work[j])
        for t in range(problem.capacity.periods):
            rows.append([1 / problem.limit[jj, k, tt] if (jj, tt) == (j, t) else 0.0 for jj, k, tt, _v in terms])
            bounds.append(1.0)
    cost = [-problem.weight[j] * v for j, _k, _t, v in terms]
    return -float(linprog(cost, A_ub=np.array(rows), b_ub=bounds, method="highs").fun)


@pytest.mark.parametrize("seed", range(12))
def test_the_programme_has_the_optimum_that_highs_finds(seed, monkeypatch):
    """Types of different speed, so that nothing is grouped; then grouping and merging only relax."""
    rng = np.random.default_rng(seed)
    jobs = [
        job(
            f"j{i}",
            float(rng.integers(1, 15)),
            int(rng.integers(0, 4)) / 2,
            float(rng.integers(3, 7)),
            accelerators={"min": 1, "max": int(rng.integers(1, 6))},
            weight=int(rng.integers(1, 5)),
            accelerator_types={"x": 1, "y": 1 + i % 3},
        )
        for i in range(6)
    ]
    capacity = free("x", rng.integers(0, 5, 6).tolist()) + free("y", rng.integers(0, 5, 6).tolist())
    problem = problem_of(jobs, capacity)
    everyone = np.ones(6, dtype=bool)
    reference = _reference(problem, problem.capacity.by_type)
    answer = solve_on_time(problem, free=problem.capacity.by_type, fluid=everyone)
    assert answer.bound == pytest.approx(reference, rel=2e-5)
    assert answer.members == ((0,), (1,))
    monkeypatch.setattr(coarsening, "MOST_CELLS", 20)
    coarse = solve_on_time(problem, free=problem.capacity.by_type, fluid=everyone)
    assert coarse.bound >= reference * (1 - 1e-9)
    assert coarse.accelerators.shape == (6, 2, 6)


def test_types_of_equal_speed_are_one_group_with_the_same_optimum():
    rng = np.random.default_rng(5)
    jobs = [
        job(
            f"j{i}",
            float(rng.integers(5, 30)),
            0,
            float(rng.integers(2, 6)),
            accelerators={"min": 1, "max": 4},
            weight=i + 1,
        )
        for i in range(8)
    ]
    capacity = free("x", [5, 4, 6, 4, 5]) + free("y", [4, 8, 4, 5, 4])
    problem = problem_of(jobs, capacity)
    answer = solve_on_time(problem, free=problem.capacity.by_type, fluid=np.ones(8, dtype=bool))
    assert answer.members == ((0, 1),)
    assert answer.bound == pytest.approx(_reference(problem, problem.capacity.by_type), rel=2e-5)


def test_run_options_are_every_start_that_does_work_on_time():
    """3 accelerator-hours on 1 or 2: lengths 3 and 2; due 4, horizon 5."""
    problem = problem_of([job("a", 3, 1, 4, accelerators={"min": 1, "max": 2}, preemptible=False)], free("x", [2] * 5))
    options = run_options(problem, [0])
    assert options is not None
    found = sorted(
        zip(options.accelerators.tolist(), options.start.tolist(), options.length.tolist(), options.value.tolist())
    )
    assert found == [(1, 1, 3, 3.0), (1, 2, 3, 2.0), (2, 1, 2, 3.0), (2, 2, 2, 3.0), (2, 3, 2, 2.0)]
    assert options.use_period.tolist() == [1, 2, 3, 2, 3, 4, 1, 2, 2, 3, 3, 4]


def test_too_many_runs_fall_back_to_the_fluid_programme(monkeypatch):
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling import run_options as module

    monkeypatch.setattr(module, "MOST_OPTIONS", 2)
    jobs = [job("long", 3, 0, 5, preemptible=False), job("short", 1, 1, 2, preemptible=False, weight=4)]
    schedule = make_schedule(problem_of(jobs, free("x", [1] * 5)))
    assert counts(schedule, "short")
    assert schedule.bound is not None
    assert schedule.outcome.weighted_on_time <= schedule.bound + 1e-6


def test_generated_inputs_are_what_they_claim():
    """The property tests need late jobs to be worth anything."""
    late = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        jobs = [
            job(f"j{i}", float(rng.integers(1, 12)), 0, float(rng.integers(1, 6)), accelerators=SIX) for i in range(4)
        ]
        schedule = make_schedule(problem_of(jobs, free("x", rng.integers(0, 6, 6).tolist())))
        late += share(schedule) < 1
    assert late > 5
    assert inputs() is not None
