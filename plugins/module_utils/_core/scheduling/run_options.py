# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Every way to run a job that may not be interrupted: start, accelerators, type.

A run is a rectangle: constant accelerators of one type from its first period to its last.
Its value is the work it does by the deadline, so a run that ends late still counts in part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ledger import run_sizes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import TOLERANCE, Problem

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
MOST_OPTIONS = 20_000
MOST_USES = 200_000


@dataclass(frozen=True, eq=False)
class Options:
    """Arrays with one entry an option; ``use_of`` and ``use_period`` have one entry an option and period of it."""

    job: Array
    kind: Array
    start: Array
    length: Array
    accelerators: Array
    value: Array
    use_of: Array
    use_period: Array

    def __len__(self) -> int:
        return len(self.job)


def no_options() -> Options:
    return _assemble([])


def run_options(problem: Problem, jobs: Iterable[int]) -> Options | None:
    """All runs of ``jobs`` that do work on time and end inside the horizon; None when they are too many."""
    blocks: list[Array] = []
    count, uses = 0, 0.0
    for job in jobs:
        for kind in range(len(problem.capacity.types)):
            for size in run_sizes(problem.jobs[job].sizes):
                block = _block(problem, job, kind, size)
                count += block.shape[1]
                uses += float(block[3].sum())
                if count > MOST_OPTIONS or uses > MOST_USES:
                    return None
                blocks.append(block)
    return _assemble(blocks)


def _block(problem: Problem, job: int, kind: int, size: int) -> Array:
    """Options of one job, type and size, shape (6, options)."""
    capacity = problem.capacity
    starts = np.flatnonzero((problem.limit[job, kind] >= size) & (problem.on_time[job] > 0))
    rate = size * float(problem.speed[job, kind]) * capacity.hours
    if not len(starts) or rate <= 0:
        return np.zeros((6, 0))
    usable = problem.usable[job, starts]
    span = problem.work[job] / rate
    length = 1 + np.maximum(0, np.ceil(span - usable - TOLERANCE)).astype(np.int64)
    deadline = (problem.jobs[job].deadline - capacity.start) / capacity.period_seconds
    value = rate * np.clip(np.minimum(deadline - (starts + 1 - usable), span), 0.0, None)
    keep = (starts + length <= capacity.periods) & (value > 0)
    columns = (np.full(len(starts), job), np.full(len(starts), kind), starts, length, np.full(len(starts), size), value)
    return np.array(columns, dtype=float)[:, keep]


def _assemble(blocks: list[Array]) -> Options:
    table = np.concatenate(blocks, axis=1) if blocks else np.zeros((6, 0))
    job, kind, start, length, accelerators = (row.astype(np.int64) for row in table[:5])
    use_of = np.repeat(np.arange(len(job)), length)
    offset = np.arange(len(use_of)) - np.repeat(np.cumsum(length) - length, length)
    return Options(job, kind, start, length, accelerators, table[5], use_of, start[use_of] + offset)
