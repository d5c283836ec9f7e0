# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""In which order jobs are served: earliest deadline, least laxity, weight.

The laxity of a job is how long it could wait and still be on time: time to the deadline
minus the work left at its most accelerators of the fastest type.

Source: Liu and Layland, Journal of the ACM 20(1), 1973 (earliest deadline first); Mok,
MIT, 1983 (least laxity); Smith, Naval Research Logistics Quarterly 3, 1956 (weight by work).
"""

from __future__ import annotations

import math
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ledger import Ledger
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import TOLERANCE

PRESSING_PERIODS = 2
# (ledger, job, period) -> a key that ends in the job's index; the smallest is served first
Order = Callable[[Ledger, int, int], "tuple[Any, ...]"]


def laxity_seconds(ledger: Ledger, job: int, period: int) -> float:
    """How long the job could still wait at the start of the period; negative when it is late already."""
    problem = ledger.problem
    spec = problem.jobs[job]
    fastest = ledger.fastest[job]
    span = math.inf if fastest <= 0 else 3600 * max(ledger.left[job], 0.0) / fastest
    return spec.deadline - max(problem.capacity.moment(period), spec.release) - span


def earliest_deadline(ledger: Ledger, job: int, period: int) -> tuple[Any, ...]:
    """By deadline, equal ones by laxity. A job whose deadline has passed goes behind those that can be on time."""
    deadline = ledger.problem.jobs[job].deadline
    return (_missed(ledger, deadline, period), deadline, _laxity(ledger, job, period), job)


def least_laxity(ledger: Ledger, job: int, period: int) -> tuple[Any, ...]:
    """By laxity, equal ones by deadline. A job whose deadline has passed goes behind those that can be on time."""
    deadline = ledger.problem.jobs[job].deadline
    return (_missed(ledger, deadline, period), _laxity(ledger, job, period), deadline, job)


def heaviest_first(ledger: Ledger, job: int, period: int) -> tuple[Any, ...]:
    """By weight, equal ones by deadline."""
    spec = ledger.problem.jobs[job]
    return (-spec.weight, spec.deadline, job)


def heaviest_pressing(ledger: Ledger, job: int, period: int) -> tuple[Any, ...]:
    """Jobs that cannot wait two periods more before all others; the heaviest first in both."""
    laxity = _laxity(ledger, job, period)
    pressing = laxity <= PRESSING_PERIODS * ledger.problem.capacity.period_seconds
    return (not pressing, -ledger.problem.jobs[job].weight, laxity, job)


def weight_by_work(ledger: Ledger, job: int, period: int) -> tuple[Any, ...]:
    """By weight for each accelerator-hour left, which makes weighted completion earliest on one machine."""
    spec = ledger.problem.jobs[job]
    return (-spec.weight / max(ledger.left[job], TOLERANCE), spec.deadline, job)


def _missed(ledger: Ledger, deadline: float, period: int) -> bool:
    return deadline <= ledger.problem.capacity.moment(period)


def _laxity(ledger: Ledger, job: int, period: int) -> float:
    """Laxity as a key: what has no deadline and cannot run anyway comes first."""
    value = laxity_seconds(ledger, job, period)
    return value if not math.isnan(value) else -math.inf
