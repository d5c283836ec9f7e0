# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a plan expects to be free on each host later: its outlook as steps in time.

A period of jobs may have what is free in every step it touches. Beyond the last step
nothing is known; there a host counts with the fewest it has in any step, since the next
peak may be as high as the ones in view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    digest,
    expect_mapping,
    expect_number,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


@dataclass(frozen=True)
class Step:
    """From ``begin`` to ``end``, epoch seconds, the hosts in ``free`` have that many accelerators free."""

    begin: float
    end: float
    free: Mapping[str, int]


def expected_steps(plan: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps of a plan's outlook, what its placements leave first; none without an outlook.

    Raises:
        InputError: an outlook that no plan has.
    """
    outlook = plan.get("outlook")
    if not outlook:
        return ()
    fields = expect_mapping(outlook, what="outlook", where="plan")
    key = "as_of" if plan.get("as_of") else "created_at"
    moment = parse_moment(str(plan.get(key)), what=key, where="plan")
    length = expect_number(fields.get("period_seconds"), what="period_seconds", where="plan.outlook", minimum=1)
    steps = [Step(-math.inf, moment + length, {})]
    for row, record in enumerate(fields.get("periods") or ()):
        where = f"plan.outlook.periods[{row}]"
        period = expect_mapping(record, what="period", where=where)
        after = expect_number(period.get("begins_after_seconds"), what="begins_after_seconds", where=where, minimum=0)
        free = expect_mapping(period.get("free_accelerators") or {}, what="free_accelerators", where=where)
        counts = {
            str(host): int(expect_number(count, what=f"free accelerators of {host}", where=where, minimum=0))
            for host, count in free.items()
        }
        steps.append(Step(moment + after, moment + after + length, counts))
    return tuple(steps)


def plan_digest(plan: Mapping[str, Any]) -> str:
    """The digest of what a schedule takes from a plan: its placements, in any order, and what is free later."""
    placements = sorted(digest(record) for record in plan.get("placements") or ())
    outlook = [
        [one.begin if math.isfinite(one.begin) else None, one.end, dict(one.free)] for one in expected_steps(plan)
    ]
    return digest({"placements": placements, "outlook": outlook})


def fewest_free(hosts: Sequence[str], now: Sequence[int], steps: Sequence[Step], periods: Sequence[float]) -> Array:
    """Free accelerators, shape (hosts, T).

    Args:
        hosts: names.
        now: free on each while the placements stand.
        steps: what is expected; none for the same throughout.
        periods: T + 1 epoch seconds between which the periods lie.
    """
    base = np.array(now, dtype=np.int64).reshape(len(hosts), 1)
    if not steps:
        return np.repeat(base, len(periods) - 1, axis=1)
    expected = np.repeat(base, len(steps), axis=1)
    row_of = {name: row for row, name in enumerate(hosts)}
    for column, step in enumerate(steps):
        for name, count in step.free.items():
            if name in row_of:
                expected[row_of[name], column] = count
    free = np.empty((len(hosts), len(periods) - 1), dtype=np.int64)
    for t, (begin, end) in enumerate(zip(periods, periods[1:])):
        touched = [column for column, one in enumerate(steps) if one.begin < end and one.end > begin]
        known = end <= steps[-1].end and touched
        free[:, t] = (expected[:, touched] if known else expected).min(axis=1)
    return free
