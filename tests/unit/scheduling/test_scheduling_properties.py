# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no schedule may do, on generated jobs and capacity."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduling_builders import inputs, problem_of

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.feasibility import (
    capacity_for_all_deadlines,
    late_jobs,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import (
    Problem,
    build_problem,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule import (
    Schedule,
    make_schedule,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule_document import (
    schedule_document,
)

POLICIES = ("lp", "edf", "least_laxity")


def check(schedule: Schedule) -> None:
    """Recomputed from the slots alone, not from the ledger."""
    problem, capacity = schedule.problem, schedule.problem.capacity
    used = np.zeros_like(capacity.free)
    for spec, done in zip(problem.jobs, schedule.outcome.jobs):
        work = 0.0
        for slot in done.slots:
            used[slot.bin, slot.period] += slot.accelerators
            assert slot.accelerators in spec.sizes
            assert slot.begin >= max(spec.release, capacity.moment(slot.period))
            assert slot.begin < slot.end <= capacity.moment(slot.period + 1)
            speed = spec.speed(capacity.bins[slot.bin][0])
            assert slot.work <= slot.accelerators * speed * (slot.end - slot.begin) / 3600 + 1e-6
            assert slot.on_time_work <= slot.work + 1e-9
            if slot.begin >= spec.deadline:
                assert slot.on_time_work == 0
            work += slot.work
        assert work <= spec.work + 1e-6
        assert (done.finish is not None) == (work >= spec.work - 1e-6)
        assert len({slot.period for slot in done.slots}) == len(done.slots)
        if not spec.preemptible and done.slots:
            periods = [slot.period for slot in done.slots]
            assert periods == list(range(periods[0], periods[0] + len(periods)))
            assert len({(slot.bin, slot.accelerators) for slot in done.slots}) == 1
            assert done.finish is not None
    assert (used <= capacity.free).all()


def share(schedule: Schedule) -> float:
    return schedule.outcome.weighted_on_time


@settings(max_examples=60, deadline=None)
@given(inputs())
def test_every_policy_keeps_within_capacity_releases_sizes_and_work(drawn):
    problem = problem_of(*drawn)
    schedules = {policy: make_schedule(problem, policy=policy) for policy in POLICIES}
    for schedule in schedules.values():
        check(schedule)
    best = schedules["lp"]
    assert share(best) >= max(share(schedules["edf"]), share(schedules["least_laxity"])) - 1e-7
    assert best.bound is not None
    assert share(best) <= best.bound + 1e-6
    for policy in ("edf", "least_laxity"):
        # A job with a deadline beyond the schedule is not late when it is left undone, and may be worth more.
        all_done = all(done.finish is not None for done in schedules[policy].outcome.jobs)
        if all_done and not late_jobs(schedules[policy]):
            assert not late_jobs(best)


@settings(max_examples=60, deadline=None)
@given(inputs(plain=True), st.integers(0, 6), st.integers(1, 4))
def test_where_the_programme_ends_whole_the_schedule_is_its_optimum_and_more_capacity_never_hurts(drawn, period, more):
    """A transportation problem: whole data have a whole optimum, which the rounding must keep."""
    jobs, capacity = drawn
    before = make_schedule(problem_of(jobs, capacity), completion_tolerance=0)
    check(before)
    assert share(before) == pytest.approx(before.bound, rel=3e-5, abs=1e-6)
    assert before.exact
    record = capacity[period % len(capacity)]
    larger = [{**one, "accelerators": one["accelerators"] + more} if one is record else one for one in capacity]
    after = make_schedule(problem_of(jobs, larger), completion_tolerance=0)
    assert share(after) >= share(before) * (1 - 3e-5) - 1e-6


@settings(max_examples=30, deadline=None)
@given(inputs(), st.integers(0, 6), st.integers(1, 4))
def test_more_capacity_never_lowers_the_bound(drawn, period, more):
    jobs, capacity = drawn
    record = capacity[period % len(capacity)]
    larger = [{**one, "accelerators": one["accelerators"] + more} if one is record else one for one in capacity]
    before, after = (make_schedule(problem_of(jobs, one)) for one in (capacity, larger))
    assert after.bound is not None
    assert after.bound >= share(before) * (1 - 1e-5) - 1e-6


@settings(max_examples=25, deadline=None)
@given(inputs(), st.randoms(use_true_random=False))
def test_the_same_bytes_whatever_the_order_of_the_input(drawn, shuffler: random.Random):
    jobs, capacity = ([dict(record) for record in records] for records in drawn)
    contents = []
    for _turn in range(2):
        problem: Problem = problem_of(jobs, capacity)
        schedule = make_schedule(problem)
        answer = capacity_for_all_deadlines(schedule)
        contents.append(canonical_bytes(schedule_document(schedule, answer, inputs={})))
        shuffler.shuffle(jobs)
        shuffler.shuffle(capacity)
    assert contents[0] == contents[1]


@settings(max_examples=25, deadline=None)
@given(inputs())
def test_verified_extra_capacity_makes_every_possible_deadline_hold(drawn):
    schedule = make_schedule(problem_of(*drawn))
    answer = capacity_for_all_deadlines(schedule)
    hopeless = set(answer.impossible)
    if set(late_jobs(schedule)) <= hopeless:
        assert answer.blocks == ()
        return
    assert answer.blocks
    if answer.verified:
        problem = schedule.problem
        extra = {name: np.zeros(problem.capacity.periods, dtype=int) for name in problem.capacity.types}
        for block in answer.blocks:
            extra[problem.capacity.types[block.kind]][block.first : block.last] += block.accelerators
        helped = build_problem(problem.jobs, problem.capacity.with_extra(extra))
        assert set(late_jobs(make_schedule(helped, integer=False))) <= hopeless
