# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Jobs that run already and may not be interrupted: they keep what they have, whatever the policy."""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ledger import Ledger, Run
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import TOLERANCE, Problem


def held_runs(problem: Problem) -> tuple[dict[int, Run], dict[int, str]]:
    """What running jobs that may not be interrupted keep; and those that cannot go on, with the reason."""
    ledger = Ledger(problem)
    runs: dict[int, Run] = {}
    broken_off: dict[int, str] = {}
    for job, spec in enumerate(problem.jobs):
        if spec.preemptible or spec.running is None or spec.work <= TOLERANCE:
            continue
        run = _held_run(ledger, job)
        if isinstance(run, str):
            broken_off[job] = run
        else:
            ledger.place_run(job, run)
            runs[job] = run
    return runs, broken_off


def _held_run(ledger: Ledger, job: int) -> Run | str:
    problem, spec = ledger.problem, ledger.problem.jobs[job]
    held = spec.running
    if held is None:
        return "it does not run"
    count = held.accelerators
    kind = problem.capacity.types.index(held.accelerator_type)
    if problem.speed[job, kind] <= 0:
        return f"it runs on {held.accelerator_type}, which is not among its accelerator_types"
    length = min(ledger.run_periods(job, kind, count, 0), problem.capacity.periods)
    where = f"{held.accelerator_type} of {held.host}" if held.host else held.accelerator_type
    here = [b for b in ledger.bins_of[kind] if problem.capacity.bins[b][1] in (held.host, "") or not held.host]
    roomy = [b for b in here if int(ledger.free[b, :length].min(initial=count)) >= count]
    if roomy:
        return 0, length, min(roomy, key=lambda b: (int(ledger.free[b, :length].min()), b)), count
    free = max((int(ledger.free[b, :length].min()) for b in here), default=0)
    return f"it holds {count} {where} and may not be interrupted, but only {free} are left to it until it would end"
