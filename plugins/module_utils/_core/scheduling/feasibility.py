# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What more capacity would make every deadline hold: "2 more l40s-48gb for six hours".

Programme
    minimise    sum_kt c_k H e_kt + sum_k c_k h p_k
    subject to  sum_j x_jkt - e_kt <= C_kt,   e_kt <= p_k,   sum_kt s_jk f_jt H x_jkt = W_j,
                sum_k x_jkt / b_jkt <= 1
    with e_kt extra accelerators of type k in period t at c_k an hour, p_k their peak, charged
    as h hours more, so that few accelerators for longer win over many for a moment.

The programme deals in fractions. Its e becomes blocks: as many accelerators as its most, from
the first to the last period that has any without a long break. The blocks are then tried:
jobs are scheduled with them, whole accelerators, uninterrupted runs and all. While a job is
still late the blocks grow; once none is, they are cut back as long as the schedule holds. So an answer marked verified is
one that a schedule was seen to meet; that none is smaller is the programme's word only.

A job that needs more hours at its most accelerators than lie between release and deadline is
late with any capacity. It is named, and still takes part in what is tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import LinearModel, Rows
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.coarsening import coarsen
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.linear_program import (
    add_size_rows,
    make_cells,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import (
    TOLERANCE,
    Problem,
    build_problem,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule import (
    Schedule,
    make_schedule,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
PEAK_HOURS = 4.0
SHORT_BREAK = 6  # periods without need that a block still spans
MOST_GROWTH = 14
# Jobs by periods up to which blocks are tried with the linear programme; beyond, only the two orders are.
# Each cut is a schedule of its own.
MOST_CUT_CELLS = 40_000
MOST_CUTS = 24
MOST_CUTS_OF_MANY = 10


@dataclass(frozen=True, order=True)
class Block:
    """``accelerators`` more of a type from period ``first`` to before period ``last``."""

    kind: int
    accelerators: int
    first: int
    last: int


@dataclass(frozen=True)
class Answer:
    """``impossible`` are jobs that are late with any capacity; ``verified`` whether a schedule met the rest."""

    blocks: tuple[Block, ...]
    impossible: tuple[int, ...]
    verified: bool


def capacity_for_all_deadlines(schedule: Schedule, *, time_limit_seconds: float = 30.0) -> Answer:
    """The smallest extra capacity found with which every job that can be on time is.

    Args:
        schedule: what is planned without it.
        time_limit_seconds: for each solve.
    """
    problem = schedule.problem
    hopeless = {*impossible_jobs(problem), *schedule.broken_off}
    late = [job for job in late_jobs(schedule) if job not in hopeless]
    if not late:
        return Answer((), tuple(sorted(hopeless)), True)
    possible = np.array([job not in hopeless for job in range(len(problem.jobs))], dtype=bool) & _judged(problem)
    blocks = _blocks(problem, _extra(problem, possible, time_limit_seconds)) or _smallest_start(problem, late)

    def holds(tried: Sequence[Block]) -> bool:
        return _holds(problem, tried, hopeless, time_limit_seconds)

    blocks, verified = _grow(problem, blocks, late, holds)
    if verified:
        blocks = _cut(blocks, holds, MOST_CUTS if _is_small(problem) else MOST_CUTS_OF_MANY)
    return Answer(tuple(sorted(blocks)), tuple(sorted(hopeless)), verified)


def _is_small(problem: Problem) -> bool:
    return len(problem.jobs) * problem.capacity.periods <= MOST_CUT_CELLS


def late_jobs(schedule: Schedule) -> list[int]:
    """Jobs that end after their deadline, or are not done by one that lies inside the schedule."""
    problem = schedule.problem
    return [
        job
        for job, (spec, done) in enumerate(zip(problem.jobs, schedule.outcome.jobs))
        if (done.finish is None and spec.deadline <= problem.capacity.end)
        or (done.finish is not None and done.finish > spec.deadline)
    ]


def impossible_jobs(problem: Problem) -> list[int]:
    """Jobs whose work does not fit between release and deadline at most accelerators of the fastest type.

    A deadline after the end of the schedule is not judged.
    """
    fastest = problem.speed.max(axis=1, initial=0.0) * np.array([job.most for job in problem.jobs], dtype=float)
    most = problem.on_time.sum(axis=1) * problem.capacity.hours * fastest
    too_much = (problem.work > most * (1 + TOLERANCE) + TOLERANCE) & _judged(problem)
    return [int(job) for job in np.flatnonzero(too_much)]


def _judged(problem: Problem) -> Array:
    """Whether the deadline of each job lies inside the schedule."""
    return np.array([job.deadline <= problem.capacity.end for job in problem.jobs], dtype=bool)


def _extra(problem: Problem, possible: Array, time_limit_seconds: float) -> Array | None:
    """e of the programme, shape (K, T); None when the solver has no answer."""
    most = np.array([job.most for job in problem.jobs], dtype=np.int64)
    limit = most[:, None, None] * ((problem.speed[:, :, None] > 0) & (problem.usable[:, None, :] > 0))
    small = coarsen(replace(problem, limit=limit), problem.capacity.by_type, possible)
    kinds, periods = small.free.shape
    cells = make_cells(small.problem, possible, small.problem.limit)
    count, extra = len(cells), kinds * periods
    rows = Rows(count + extra + kinds)
    place = np.arange(extra)
    rows.add(
        np.concatenate([cells.kind * periods + cells.period, place]),
        np.arange(count + extra),
        np.concatenate([np.ones(count), -np.ones(extra)]),
        -np.inf,
        small.free.reshape(-1),
    )
    required = np.where(possible, problem.work, 0.0)
    rows.add(cells.job, np.arange(count), cells.amount, required * (1 - TOLERANCE), np.full(len(required), np.inf))
    rows.add(
        np.concatenate([place, place]),
        np.concatenate([count + place, count + extra + np.repeat(np.arange(kinds), periods)]),
        np.concatenate([np.ones(extra), -np.ones(extra)]),
        -np.inf,
        np.zeros(extra),
    )
    add_size_rows(rows, cells, small)
    matrix, row_lower, row_upper = rows.build()
    cheapest = [min(members, key=lambda kind: (problem.capacity.prices[kind], kind)) for members in small.members]
    price = np.array([problem.capacity.prices[kind] for kind in cheapest], dtype=float)
    peak_hours = PEAK_HOURS / small.merged  # a merged period counts accelerators once for each of its periods
    objective = np.concatenate(
        [np.zeros(count), np.repeat(price, periods) * problem.capacity.hours, price * peak_hours]
    )
    upper = np.concatenate([cells.most, np.full(extra + kinds, np.inf)])
    whole = np.zeros(len(upper), dtype=bool)
    model = LinearModel(objective, np.zeros(len(upper)), upper, matrix, row_lower, row_upper, whole)
    solution = solver.solve(model, integer=False, time_limit_seconds=time_limit_seconds)
    if not solution.status.has_values:
        return None
    found = solution.values[count : count + extra].reshape(kinds, periods)
    by_type = np.zeros((len(problem.capacity.types), problem.capacity.periods))
    by_type[cheapest] = small.expand(found[None], problem.capacity.periods)[0]
    return by_type


def _blocks(problem: Problem, extra: Array | None) -> list[Block]:
    blocks: list[Block] = []
    if extra is None:
        return blocks
    for kind in range(len(problem.capacity.types)):
        used = np.flatnonzero(extra[kind] > 1e-6)
        for part in np.split(used, np.flatnonzero(np.diff(used) > SHORT_BREAK) + 1):
            if len(part):
                peak = int(np.ceil(extra[kind][part].max() - 1e-6))
                blocks.append(Block(kind, peak, int(part[0]), int(part[-1]) + 1))
    return blocks


def _smallest_start(problem: Problem, late: list[int]) -> list[Block]:
    """One accelerator of the cheapest type for work, while the late jobs may run: fractions fit, whole ones do not."""
    first, last = _window(problem, late)
    speed = problem.speed[late]
    kinds = np.flatnonzero((speed > 0).any(axis=0))
    kind = min(kinds.tolist(), key=lambda k: (problem.capacity.prices[k] / float(speed[:, k].max()), k))
    return [Block(kind, 1, first, last)]


def _window(problem: Problem, jobs: list[int]) -> tuple[int, int]:
    used = np.flatnonzero((problem.on_time[jobs] > 0).any(axis=0))
    return (int(used[0]), int(used[-1]) + 1) if len(used) else (0, problem.capacity.periods)


def _holds(problem: Problem, blocks: Sequence[Block], hopeless: set[int], time_limit_seconds: float) -> bool:
    extra: dict[str, Array] = {}
    for block in blocks:
        row = extra.setdefault(problem.capacity.types[block.kind], np.zeros(problem.capacity.periods, dtype=np.int64))
        row[block.first : block.last] += block.accelerators
    tried = build_problem(problem.jobs, problem.capacity.with_extra(extra))
    return any(
        hopeless.issuperset(
            late_jobs(make_schedule(tried, policy=policy, integer=False, time_limit_seconds=time_limit_seconds))
        )
        for policy in (("lp",) if _is_small(problem) else ("least_laxity", "edf"))
    )


def _grow(
    problem: Problem, blocks: list[Block], late: list[int], holds: Callable[[Sequence[Block]], bool]
) -> tuple[list[Block], bool]:
    """Larger and larger blocks until they hold; from the fourth time on over all of the late jobs' windows."""
    for attempt in range(MOST_GROWTH):
        if holds(blocks):
            return blocks, True
        first, last = _window(problem, late) if attempt >= 3 else (problem.capacity.periods, 0)
        blocks = _merge(
            [
                replace(
                    block,
                    accelerators=max(block.accelerators + 1, int(block.accelerators * 1.4)),
                    first=min(block.first, first),
                    last=max(block.last, last),
                )
                for block in blocks
            ]
        )
    return blocks, False


def _merge(blocks: Sequence[Block]) -> list[Block]:
    """One block for those of a type that overlap."""
    merged: list[Block] = []
    for block in sorted(blocks, key=lambda one: (one.kind, one.first)):
        before = merged[-1] if merged else None
        if before is not None and before.kind == block.kind and block.first < before.last:
            merged[-1] = replace(
                before,
                accelerators=max(before.accelerators, block.accelerators),
                last=max(before.last, block.last),
            )
        else:
            merged.append(block)
    return merged


def _cut(blocks: list[Block], holds: Callable[[Sequence[Block]], bool], budget: int) -> list[Block]:
    """Fewer accelerators, then fewer periods at either end, in halving steps while everything still holds."""
    for place in range(len(blocks)):
        for shorter in (_fewer, _later_start, _earlier_end):
            block = blocks[place]
            step = max(1, (block.accelerators if shorter is _fewer else block.last - block.first) // 2)
            while step and budget:
                smaller = shorter(blocks[place], step)
                budget -= 1
                if smaller is not None and holds([*blocks[:place], smaller, *blocks[place + 1 :]]):
                    blocks = [*blocks[:place], smaller, *blocks[place + 1 :]]
                else:
                    step //= 2
    return [block for block in blocks if block.accelerators] or blocks


def _fewer(block: Block, step: int) -> Block | None:
    return replace(block, accelerators=block.accelerators - step) if block.accelerators >= step else None


def _later_start(block: Block, step: int) -> Block | None:
    return replace(block, first=block.first + step) if block.last - block.first > step else None


def _earlier_end(block: Block, step: int) -> Block | None:
    return replace(block, last=block.last - step) if block.last - block.first > step else None
