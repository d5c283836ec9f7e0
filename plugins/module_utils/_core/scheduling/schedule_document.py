# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""schedule.json: the schedule as a document, its summary, and how it is stored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    GENERATOR,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.feasibility import Answer
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.outcome import Slot
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.reasons import (
    STATUSES,
    Reasons,
    status_of,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule import Schedule

SCHEMA_VERSION = 1


def schedule_document(schedule: Schedule, answer: Answer | None, *, inputs: Mapping[str, str]) -> dict[str, Any]:
    """The document without ``created_at``.

    Args:
        schedule: what was decided.
        answer: what would make all deadlines hold, or None when it was not asked.
        inputs: digest of each input.
    """
    problem, capacity = schedule.problem, schedule.problem.capacity
    jobs = _jobs(schedule, answer)
    total = problem.weighted_work
    periods = _periods(schedule)
    classes = _classes(schedule)
    free_hours = sum(entry["free_accelerator_hours"] for entry in classes.values())
    used_hours = sum(entry["used_accelerator_hours"] for entry in classes.values())
    counts = dict.fromkeys(STATUSES, 0)
    for fields in jobs.values():
        counts[fields["status"]] += 1
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "schedule",
        "generator": GENERATOR,
        "inputs": dict(inputs),
        "policy": schedule.policy,
        "start": format_moment(capacity.start),
        "end": format_moment(capacity.end),
        "period_seconds": capacity.period_seconds,
        "periods": periods,
        "classes": classes,
        "jobs": jobs,
        "figures": {
            **counts,
            "weighted_work_on_time_share": _share(schedule.outcome.weighted_on_time, total),
            "bound_share": None if schedule.bound is None else min(1.0, _share(schedule.bound, total)),
            "weighted_lateness_hours": _rounded(schedule.outcome.weighted_lateness_hours),
            "utilisation": _share(used_hours, free_hours) if free_hours else 0.0,
        },
        "solver": {"method": schedule.method, "status": schedule.status, "exact": schedule.exact},
        "feasibility": _feasibility(schedule, answer),
        "warnings": _warnings(schedule),
    }
    document["summary"] = _summary(document)
    return document


def run_lines(document: Mapping[str, Any]) -> list[str]:
    """One line a run, for a diff."""
    lines = []
    for name, fields in (document.get("jobs") or {}).items():
        for run in fields["runs"]:
            where = f"{run['accelerator_type']} on {run['host']}" if run["host"] else run["accelerator_type"]
            lines.append(f"{name}: {run['accelerators']} {where} from {run['start']} to {run['end']}")
    return sorted(lines)


def _jobs(schedule: Schedule, answer: Answer | None) -> dict[str, dict[str, Any]]:
    problem, capacity = schedule.problem, schedule.problem.capacity
    reasons = Reasons(schedule, answer.impossible if answer else ())
    jobs = {}
    for job, (spec, done) in enumerate(zip(problem.jobs, schedule.outcome.jobs)):
        runs = _runs(schedule, done.slots)
        begin = min((slot.begin for slot in done.slots), default=None)
        late = (
            None if done.finish is None or math.isinf(spec.deadline) else round(max(0.0, done.finish - spec.deadline))
        )
        jobs[spec.name] = {
            "status": status_of(schedule, job),
            "reason": reasons.reason(job),
            "weight": spec.weight,
            "preemptible": spec.preemptible,
            "release": None if math.isinf(spec.release) else format_moment(spec.release),
            "deadline": None if math.isinf(spec.deadline) else format_moment(spec.deadline),
            "start": None if begin is None else format_moment(begin),
            "finish": None if done.finish is None else format_moment(done.finish),
            "lateness_seconds": 0 if done.finish is not None and late is None else late,
            "work_accelerator_hours": spec.work,
            "on_time_accelerator_hours": _rounded(min(done.on_time_work, spec.work)),
            "scheduled_accelerator_hours": _rounded(min(sum(slot.work for slot in done.slots), spec.work)),
            "interruptions": sum(1 for one, two in zip(done.slots, done.slots[1:]) if two.period > one.period + 1),
            "moves": sum(1 for one, two in zip(done.slots, done.slots[1:]) if two.bin != one.bin),
            "runs": [
                {
                    "start": format_moment(run[0].begin),
                    "end": format_moment(math.ceil(run[-1].end - 1e-6)),
                    "accelerator_type": capacity.bins[run[0].bin][0],
                    "host": capacity.bins[run[0].bin][1],
                    "accelerators": run[0].accelerators,
                }
                for run in runs
            ],
        }
    return jobs


def _runs(schedule: Schedule, slots: Sequence[Slot]) -> list[list[Slot]]:
    """Slots that follow each other on the same accelerators."""
    runs: list[list[Slot]] = []
    for slot in slots:
        last = runs[-1][-1] if runs else None
        same = last is not None and (last.bin, last.accelerators, last.period + 1) == (
            slot.bin,
            slot.accelerators,
            slot.period,
        )
        if same:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    return runs


def _periods(schedule: Schedule) -> list[dict[str, Any]]:
    capacity = schedule.problem.capacity
    given: list[dict[str, dict[str, int]]] = [{name: {} for name in capacity.types} for _t in range(capacity.periods)]
    for spec, done in zip(schedule.problem.jobs, schedule.outcome.jobs):
        for slot in done.slots:
            given[slot.period][capacity.bins[slot.bin][0]][spec.name] = slot.accelerators
    by_type = capacity.by_type.T.tolist()
    return [
        {
            "start": format_moment(capacity.moment(period)),
            "accelerators": {name: jobs for name, jobs in given[period].items() if jobs},
            "idle": {
                name: by_type[period][kind] - sum(given[period][name].values())
                for kind, name in enumerate(capacity.types)
            },
        }
        for period in range(capacity.periods)
    ]


def _classes(schedule: Schedule) -> dict[str, dict[str, float]]:
    """Accelerator-hours by type; an accelerator counts as used for the whole of a period it is given in."""
    capacity = schedule.problem.capacity
    free = (capacity.by_type.sum(axis=1) * capacity.hours).tolist()
    used = [0.0] * len(free)
    for done in schedule.outcome.jobs:
        for slot in done.slots:
            used[schedule.ledger.type_of[slot.bin]] += slot.accelerators * capacity.hours
    return {
        name: {
            "free_accelerator_hours": _rounded(free[kind]),
            "used_accelerator_hours": _rounded(used[kind]),
            "utilisation": _share(used[kind], free[kind]) if free[kind] else 0.0,
        }
        for kind, name in enumerate(capacity.types)
    }


def _feasibility(schedule: Schedule, answer: Answer | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    problem, capacity = schedule.problem, schedule.problem.capacity
    extra: list[dict[str, Any]] = [
        {
            "accelerator_type": capacity.types[block.kind],
            "accelerators": block.accelerators,
            "start": format_moment(capacity.moment(block.first)),
            "end": format_moment(capacity.moment(block.last)),
            "hours": _rounded((block.last - block.first) * capacity.hours),
        }
        for block in answer.blocks
    ]
    impossible = [problem.jobs[job].name for job in answer.impossible]
    return {
        "all_on_time": not extra and not impossible,
        "extra": extra,
        "extra_accelerator_hours": _rounded(sum(one["accelerators"] * one["hours"] for one in extra)),
        "impossible": impossible,
        "verified": answer.verified,
        "text": _feasibility_text(extra, impossible, answer.verified, beyond=_any_beyond(schedule)),
    }


def _any_beyond(schedule: Schedule) -> bool:
    """Whether a job that is not done has its deadline after the end of the schedule, or none."""
    pairs = zip(schedule.problem.jobs, schedule.outcome.jobs)
    return any(done.finish is None and spec.deadline > schedule.problem.capacity.end for spec, done in pairs)


def _feasibility_text(
    extra: Sequence[Mapping[str, Any]], impossible: Sequence[str], verified: bool, *, beyond: bool
) -> str:
    every = f"all {'other ' if impossible else ''}deadlines {'inside the schedule ' if beyond else ''}hold"
    blocks = " and ".join(
        f"{one['accelerators']} more {one['accelerator_type']} for {one['hours']:g}"
        f" hour{'' if one['hours'] == 1 else 's'} from {one['start']}"
        for one in extra
    )
    if not extra:
        text = every[0].upper() + every[1:]
    elif verified:
        text = f"With {blocks} {every}"
    else:
        text = f"Even with {blocks} some deadlines do not hold; no amount that was tried is enough"
    if impossible:
        names = ", ".join(impossible[:5]) + (f" and {len(impossible) - 5} more" if len(impossible) > 5 else "")
        text += f"; no capacity makes {names} on time"
    return text


def _summary(document: Mapping[str, Any]) -> str:
    """One line for a tired person."""
    figures, count = document["figures"], len(document["jobs"])
    if not count:
        return "No jobs to schedule"
    text = f"{figures['on_time']} of {count} job{'' if count == 1 else 's'} on time"
    words = (("late", "late"), ("unfinished", "not finished by the end"), ("never", "not scheduled"))
    text += "".join(f", {figures[key]} {word}" for key, word in words if figures[key])
    text += f"; {figures['weighted_work_on_time_share']:.1%} of the weighted work on time"
    text += f", {figures['utilisation']:.0%} of the free accelerators used"
    feasibility = document["feasibility"]
    return text if feasibility is None or feasibility["all_on_time"] else f"{text}. {feasibility['text']}"


def _warnings(schedule: Schedule) -> list[str]:
    return [f"job {schedule.problem.jobs[job].name}: {text}" for job, text in sorted(schedule.broken_off.items())]


def _share(part: float, whole: float) -> float:
    return float(f"{part / whole:.9g}") if whole > 0 else 1.0


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")
