# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A schedule of jobs by one of the policies.

``edf`` and ``least_laxity`` serve period by period in one order. ``lp`` makes several
schedules of the linear programme, adds those two, and keeps the best: the most weighted work
on time or nearly so (within a tolerance, never less than EDF and least laxity have), of these
the most weighted jobs on time, of these the least weighted lateness.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.candidates import (
    Fill,
    ledger_with,
    solve_candidates,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.edf import serve_in_order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ledger import Ledger, Run
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ordering import (
    Order,
    earliest_deadline,
    least_laxity,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.outcome import Outcome, outcome_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.running import held_runs

ORDERS: dict[str, tuple[str, Order]] = {
    "edf": ("earliest deadline first", earliest_deadline),
    "least_laxity": ("least laxity first", least_laxity),
}
POLICIES = ("lp", *ORDERS)
COMPLETION_TOLERANCE = 0.01
PROVED = 2e-5  # the preferences inside the programme's weights, and the solver's tolerance


@dataclass(frozen=True, eq=False)
class Schedule:
    """``bound`` is weighted work on time that no schedule can exceed, None where none was computed.

    ``method`` says in words how it was found; ``exact`` that it reaches the bound; ``broken_off``
    names running jobs that may not be interrupted and yet cannot go on, with the reason.
    """

    problem: Problem
    ledger: Ledger
    outcome: Outcome
    policy: str
    method: str
    status: str
    bound: float | None
    exact: bool
    broken_off: dict[int, str]


@dataclass(frozen=True, eq=False)
class _Attempt:
    method: str
    ledger: Ledger
    outcome: Outcome


def make_schedule(
    problem: Problem,
    *,
    policy: str = "lp",
    integer: bool = True,
    completion_tolerance: float = COMPLETION_TOLERANCE,
    time_limit_seconds: float = 30.0,
) -> Schedule:
    """Schedule ``problem`` by one of :data:`POLICIES`.

    Args:
        problem: jobs and free capacity.
        policy: ``lp``, ``edf`` or ``least_laxity``.
        integer: whether ``lp`` may decide runs without a pause by integer programming, where they are few.
        completion_tolerance: share of all weighted work that ``lp`` may have less on time, to have
            more jobs wholly on time.
        time_limit_seconds: for each solve.
    """
    held, broken_off = held_runs(problem)
    fixed = sorted(held.items())
    jobs = [job for job in range(len(problem.jobs)) if job not in held and job not in broken_off]
    attempts = [
        _attempt(problem, fixed, words, lambda ledger, order=order: serve_in_order(ledger, jobs, order))  # type: ignore[misc]
        for name, (words, order) in ORDERS.items()
        if policy in (name, "lp")
    ]
    bound: float | None = None
    status = "complete"
    if policy == "lp":
        least = max(one.outcome.weighted_on_time for one in attempts)
        bound = problem.weighted_work
        if not any(_all_on_time(problem, one.outcome) for one in attempts):
            found = solve_candidates(problem, fixed, jobs, integer, time_limit_seconds)
            bound, status = found.bound, found.status.value
            attempts += [_attempt(problem, found.runs, words, fill) for words, fill in found.fills]
        best = _best(attempts, least, completion_tolerance * problem.weighted_work)
    else:
        best = attempts[0]
    slack = PROVED * max(problem.weighted_work, PROVED)
    return Schedule(
        problem=problem,
        ledger=best.ledger,
        outcome=best.outcome,
        policy=policy,
        method=best.method,
        status=status,
        bound=bound,
        exact=bound is not None and best.outcome.weighted_on_time >= bound - slack,
        broken_off=broken_off,
    )


def _attempt(problem: Problem, runs: Iterable[tuple[int, Run]], words: str, fill: Fill) -> _Attempt:
    ledger = ledger_with(problem, runs)
    fill(ledger)
    return _Attempt(words, ledger, outcome_of(ledger))


def _best(attempts: list[_Attempt], least: float, tolerance: float) -> _Attempt:
    """By jobs on time among those with nearly the most work on time; the first of equals."""
    enough = max(least, max(one.outcome.weighted_on_time for one in attempts) - tolerance)
    enough -= 1e-9 * abs(enough)
    good = [one for one in attempts if one.outcome.weighted_on_time >= enough]

    def merit(one: _Attempt) -> tuple[bool, tuple[float, float, float]]:
        # rounding may hide a job that is a moment late behind equal sums
        on_time = _all_on_time(one.ledger.problem, one.outcome)
        return on_time, one.outcome.merit if tolerance <= 0 else one.outcome.merit_by_jobs

    return max(good, key=merit)


def _all_on_time(problem: Problem, outcome: Outcome) -> bool:
    return all(
        done.finish is not None and done.finish <= spec.deadline for spec, done in zip(problem.jobs, outcome.jobs)
    )
