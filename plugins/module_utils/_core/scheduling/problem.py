# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Jobs and free capacity as arrays, shared by every policy.

J jobs by name, K accelerator types by name, T periods of H hours.

    speed[j, k]     accelerator-hours of work one accelerator does in an hour, 0 where it cannot run
    usable[j, t]    share of period t after the release
    on_time[j, t]   share of period t after the release and before the deadline
    limit[j, k, t]  most accelerators the job may have there, 0 where it cannot run at all:
                    the largest allowed size that fits the largest bin of the type

n accelerators of type k do n speed usable H accelerator-hours of work in period t.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.capacity import FreeCapacity
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.jobs import Job

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Problem:
    """See the file's docstring. ``work`` and ``weight`` have shape (J,)."""

    jobs: tuple[Job, ...]
    capacity: FreeCapacity
    work: Array
    weight: Array
    speed: Array
    usable: Array
    on_time: Array
    limit: Array

    @property
    def weighted_work(self) -> float:
        """All of the work, by weight: what weighted work on time is a share of."""
        return float((self.weight * self.work).sum())


def build_problem(jobs: Sequence[Job], capacity: FreeCapacity) -> Problem:
    """The arrays of ``jobs`` (sorted by name) on ``capacity``."""
    periods, length = capacity.periods, capacity.period_seconds
    starts = capacity.start + length * np.arange(periods)
    release = np.array([job.release for job in jobs]).reshape(-1, 1)
    deadline = np.array([job.deadline for job in jobs]).reshape(-1, 1)
    begin = np.maximum(starts, release)
    usable = np.clip((starts + length - begin) / length, 0.0, 1.0)
    on_time = np.clip((np.minimum(starts + length, deadline) - begin) / length, 0.0, 1.0)
    speed = np.array([[job.speed(name) for name in capacity.types] for job in jobs]).reshape(
        len(jobs), len(capacity.types)
    )
    limit = np.zeros((len(jobs), len(capacity.types), periods), dtype=np.int64)
    largest = capacity.largest_bin
    for index, job in enumerate(jobs):
        sizes = np.array((0, *job.sizes))
        limit[index] = sizes[np.searchsorted(sizes, largest, side="right") - 1]
    limit *= (speed[:, :, None] > 0) & (usable[:, None, :] > 0)
    return Problem(
        jobs=tuple(jobs),
        capacity=capacity,
        work=np.array([job.work for job in jobs], dtype=float),
        weight=np.array([job.weight for job in jobs], dtype=float),
        speed=speed,
        usable=usable,
        on_time=on_time,
        limit=limit,
    )


def size_for(job: Job, wanted: float, room: int) -> int:
    """The smallest allowed number of accelerators that is at least ``wanted``, or else the largest; inside ``room``.

    0 when not even the least fits.
    """
    fits = bisect_right(job.sizes, room)
    if not fits:
        return 0
    return job.sizes[min(bisect_left(job.sizes, math.ceil(wanted - TOLERANCE)), fits - 1)]
