# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Period by period, in one order: earliest deadline first, least laxity first.

Each period, jobs in their order take the accelerators that finish them in it, at most what
they may have; a job that may not be interrupted starts when a whole run of it fits. Nothing
stays idle that a job could use. With one type, whole periods and no limits on the number of
accelerators, earliest deadline first has nobody late whenever that is possible.
"""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ledger import Ledger
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ordering import Order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import TOLERANCE


def serve_in_order(ledger: Ledger, jobs: Iterable[int], order: Order) -> None:
    """Place ``jobs`` over all periods in what the ledger has free."""
    problem = ledger.problem
    first = _first_periods(ledger)
    waiting = sorted((first[job], job) for job in jobs if ledger.left[job] > TOLERANCE and first[job] >= 0)
    waiting.reverse()
    active: list[int] = []
    for period in range(problem.capacity.periods):
        while waiting and waiting[-1][0] <= period:
            active.append(waiting.pop()[1])
        active = [job for job in active if ledger.left[job] > TOLERANCE]
        for job in sorted(active, key=lambda one: order(ledger, one, period)):
            if not ledger.any_free(period):
                break
            serve(ledger, job, period)


def serve(ledger: Ledger, job: int, period: int) -> None:
    """What one job takes in one period, when its turn comes."""
    if not ledger.problem.jobs[job].preemptible:
        run = None if ledger.places[job] else ledger.find_run(job, period, period)
        if run is not None:
            ledger.place_run(job, run)
        return
    if period in ledger.places[job]:
        ledger.raise_in(job, period, ledger.left[job] + ledger.done_in(job, period))
        return
    found = ledger.offer(job, period, ledger.left[job])
    if found is not None:
        ledger.place(job, period, *found)


def _first_periods(ledger: Ledger) -> list[int]:
    """The first period each job can do anything in; -1 when there is none."""
    can = (ledger.problem.limit > 0).any(axis=1)
    return [int(row.argmax()) if row.any() else -1 for row in can]
