# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small scheduling problems for the tests: jobs and free capacity in whole hours from one moment."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.capacity import parse_capacity
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.jobs import parse_jobs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import (
    Problem,
    build_problem,
)

START = 1_795_392_000.0  # 2026-11-23T00:00:00Z


def at(hour: float) -> str:
    return format_moment(START + 3600 * hour)


def job(
    name: str, work: float, release: float | None = None, deadline: float | None = None, **fields: Any
) -> dict[str, Any]:
    record: dict[str, Any] = {"name": name, "work_accelerator_hours": work, **fields}
    if release is not None:
        record["release"] = at(release)
    if deadline is not None:
        record["deadline"] = at(deadline)
    return record


def free(accelerator_type: str, counts: list[int], **fields: Any) -> list[dict[str, Any]]:
    return [
        {"start": at(hour), "accelerator_type": accelerator_type, "accelerators": count, **fields}
        for hour, count in enumerate(counts)
    ]


def problem_of(jobs: list[dict[str, Any]], capacity: list[dict[str, Any]]) -> Problem:
    return build_problem(parse_jobs(jobs), parse_capacity(capacity, period_seconds=3600))


TYPES = ("a100-80gb", "h100-80gb")


@st.composite
def inputs(draw: st.DrawFn, *, plain: bool = False) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Jobs and capacity.

    ``plain``: one type, interruptible, any number of accelerators from 1, whole hours and
    whole work, where the linear programme ends in whole accelerators.
    """
    periods = draw(st.integers(1, 7))
    capacity: list[dict[str, Any]] = []
    hosts = [""] if plain else draw(st.sampled_from([[""], [""], ["n1", "n2"]]))
    for kind in TYPES[: 1 if plain else draw(st.integers(1, 2))]:
        for host in hosts:
            counts = draw(st.lists(st.integers(0, 6), min_size=periods, max_size=periods))
            capacity += free(kind, counts, **({"host": host} if host else {}))
    known = sorted({one["accelerator_type"] for one in capacity})
    jobs = []
    for index in range(draw(st.integers(0, 6))):
        step = 1 if plain else draw(st.sampled_from([1, 1, 0.25]))
        release = draw(st.integers(0, periods - 1)) * step
        deadline = release + draw(st.integers(1, periods)) * step
        least = 1 if plain else draw(st.integers(1, 3))
        most = least + draw(st.integers(0, 4))
        record = job(
            f"job-{index}",
            draw(st.integers(0, 12)) * (1 if plain else draw(st.sampled_from([1, 0.3]))),
            release,
            deadline,
            accelerators={"min": least, "max": most},
            weight=draw(st.sampled_from([0, 1, 1, 2, 5])),
        )
        if not plain:
            record["preemptible"] = draw(st.booleans())
            record["accelerator_types"] = draw(
                st.sampled_from([known, {name: 1.0 + 0.5 * place for place, name in enumerate(known)}, known[:1]])
            )
        jobs.append(record)
    return jobs, capacity
