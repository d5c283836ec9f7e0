# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""job_schedule: weighted work on time by policy and load, whole accelerators, and what a large schedule costs.

    .venv/bin/python tests/benchmarks/allocation/deadlines.py [--seeds 10] [--jobs 100] [--no-large]

A day in 24 periods of free accelerators, least at the serving peak, and 100 jobs: work is
log-normal and scaled so that all of it is the load's share of all that is free; sizes up to
8 or what the work needs; windows of 1.5 spans and more; weights 1, 2, 4, 8. Two mixes: 'one'
has one type and jobs that may be interrupted; 'three' has three types at relative speeds 1,
1.6 and 0.5, a tenth of the jobs not interruptible and some that need several accelerators.

Policies: edf and least_laxity are the module's; 'textbook edf' keeps a job whose deadline
has passed at the front; 'weight, then edf' serves the heaviest first. Shares are means over
the seeds of whole-accelerator schedules; 'bound' is the linear programme's, which none can
exceed. 'fits' counts the seeds at which EDF has nobody late, and 'lp equal' those of them at
which lp has nobody late. CPU seconds. Writes deadlines.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.capacity import parse_capacity
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.edf import serve_in_order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.feasibility import (
    capacity_for_all_deadlines,
    late_jobs,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.jobs import parse_jobs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ledger import Ledger
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ordering import heaviest_first
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.outcome import outcome_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import (
    Problem,
    build_problem,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule import make_schedule
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule_document import (
    schedule_document,
)

RESULT = Path(__file__).with_suffix(".json")
START = 1_795_392_000.0  # 2026-11-23T00:00:00Z
LOADS = (0.6, 0.9, 1.2)
MIXES: dict[str, dict[str, tuple[int, float]]] = {
    "one": {"h100-80gb": (96, 1.0)},
    "three": {"a100-80gb": (48, 1.0), "h100-80gb": (32, 1.6), "l40s-48gb": (64, 0.5)},
}


def instance(seed: int, load: float, mix: str, *, jobs: int, periods: int, scale: float = 1.0) -> Problem:
    """Jobs and free capacity from one seed."""
    rng = np.random.default_rng(seed)
    capacity, total = [], 0.0
    for hour in range(periods):
        serving = 0.5 + 0.35 * np.sin(2 * np.pi * (hour % 24 - 8) / 24)
        for name, (stock, speed) in MIXES[mix].items():
            free = int(max(0, round(scale * stock * (1 - serving + rng.normal(0, 0.05)))))
            total += free * speed
            capacity.append({"start": _at(hour), "accelerator_type": name, "accelerators": free})
    work = rng.lognormal(0, 0.8, jobs)
    work *= load * total / work.sum()
    records = []
    for index, amount in enumerate(work.tolist()):
        most = int(max(2 ** rng.integers(0, 4), np.ceil(amount / (0.4 * periods))))
        least = most // 2 if mix == "three" and rng.random() < 0.3 else 1
        length = int(min(periods, max(1, np.ceil(amount / most * (1.5 + rng.exponential(2.0))))))
        release = int(rng.integers(0, periods - length + 1))
        records.append(
            {
                "name": f"job-{index:04}",
                "work_accelerator_hours": round(amount, 3),
                "accelerators": {"min": max(1, least), "max": most},
                "release": _at(release),
                "deadline": _at(release + length),
                "weight": float(2 ** rng.integers(0, 4)),
                "preemptible": bool(mix == "one" or rng.random() >= 0.1),
                "accelerator_types": {name: speed for name, (_stock, speed) in MIXES[mix].items()},
            }
        )
    return build_problem(parse_jobs(records), parse_capacity(capacity, period_seconds=3600))


def compare(load: float, mix: str, seeds: int, jobs: int) -> dict[str, Any]:
    """Means over the seeds of one load."""
    shares: dict[str, list[float]] = {}
    whole: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    fits = equal = never_worse = 0
    for seed in range(seeds):
        problem = instance(seed, load, mix, jobs=jobs, periods=24)
        weights = float(problem.weight.sum())
        late: dict[str, int] = {}
        for policy in ("edf", "least_laxity", "lp"):
            before = time.process_time()
            schedule = make_schedule(problem, policy=policy)
            seconds.setdefault(policy, []).append(time.process_time() - before)
            late[policy] = len(late_jobs(schedule))
            shares.setdefault(policy, []).append(schedule.outcome.weighted_on_time / problem.weighted_work)
            whole.setdefault(policy, []).append(schedule.outcome.weighted_jobs_on_time / weights)
        shares.setdefault("bound", []).append(min(1.0, (schedule.bound or 0.0) / problem.weighted_work))
        for name, order in (("textbook edf", _textbook), ("weight, then edf", heaviest_first)):
            ledger = Ledger(problem)
            serve_in_order(ledger, range(jobs), order)
            outcome = outcome_of(ledger)
            shares.setdefault(name, []).append(outcome.weighted_on_time / problem.weighted_work)
            whole.setdefault(name, []).append(outcome.weighted_jobs_on_time / weights)
        fits += late["edf"] == 0
        equal += late["edf"] == late["lp"] == 0
        never_worse += shares["lp"][-1] >= shares["edf"][-1] - 1e-9
    return {
        "mix": mix,
        "load": load,
        "weighted_work_on_time": {name: round(float(np.mean(values)), 4) for name, values in shares.items()},
        "weighted_jobs_on_time": {name: round(float(np.mean(values)), 4) for name, values in whole.items()},
        "lp_minus_edf_points": round(100 * float(np.mean(shares["lp"]) - np.mean(shares["edf"])), 2),
        "lp_minus_edf_points_least": round(100 * float((np.array(shares["lp"]) - np.array(shares["edf"])).min()), 2),
        "seeds": seeds,
        "fits": fits,
        "lp_equal": equal,
        "lp_never_worse": never_worse,
        "cpu_seconds": {name: round(float(np.mean(values)), 3) for name, values in seconds.items()},
    }


def large(mix: str) -> dict[str, Any]:
    """1,000 jobs, a week of hours: the whole way, in CPU seconds."""
    problem = instance(0, 1.2, mix, jobs=1000, periods=168, scale=1.5)
    marks = [time.process_time()]
    schedule = make_schedule(problem)
    marks.append(time.process_time())
    answer = capacity_for_all_deadlines(schedule)
    marks.append(time.process_time())
    schedule_document(schedule, answer, inputs={})
    marks.append(time.process_time())
    steps = [round(after - before, 2) for before, after in zip(marks, marks[1:])]
    return {
        "mix": mix,
        "jobs": 1000,
        "periods": 168,
        "types": len(MIXES[mix]),
        "load": 1.2,
        "weighted_work_on_time": round(schedule.outcome.weighted_on_time / problem.weighted_work, 4),
        "bound": round((schedule.bound or 0.0) / problem.weighted_work, 4),
        "cpu_seconds": dict(zip(("schedule", "feasibility", "document"), steps)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--no-large", action="store_true")
    options = parser.parse_args()
    rows = [compare(load, mix, options.seeds, options.jobs) for mix in MIXES for load in LOADS]
    report = {
        "date": datetime.now(tz=timezone.utc).strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("numpy", "scipy", "ortools")}},
        "jobs": options.jobs,
        "rows": rows,
        "large": [] if options.no_large else [large(mix) for mix in MIXES],
    }
    RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    _show(report)


def _show(report: dict[str, Any]) -> None:
    names = ("edf", "textbook edf", "weight, then edf", "least_laxity", "lp", "bound")
    write = sys.stdout.write
    write("mix    load  " + "".join(f"{name:>18}" for name in names) + "   lp - edf (least)  fits, lp equal\n")
    for row in report["rows"]:
        shares = "".join(f"{row['weighted_work_on_time'][name]:>18.4f}" for name in names)
        points = f"{row['lp_minus_edf_points']:>8.2f} ({row['lp_minus_edf_points_least']:.2f})"
        write(
            f"{row['mix']:<6} {row['load']:<5} {shares}  {points:>18}  {row['fits']}/{row['seeds']}, {row['lp_equal']}\n"
        )
    write("weighted jobs on time\n")
    for row in report["rows"]:
        jobs = "".join(f"{row['weighted_jobs_on_time'][name]:>18.4f}" for name in names[:-1])
        write(f"{row['mix']:<6} {row['load']:<5} {jobs}   cpu seconds {row['cpu_seconds']}\n")
    for row in report["large"]:
        write(f"{json.dumps(row)}\n")


def _textbook(ledger: Ledger, job: int, period: int) -> tuple[Any, ...]:
    return (ledger.problem.jobs[job].deadline, job)


def _at(hour: float) -> str:
    return format_moment(START + 3600 * hour)


if __name__ == "__main__":
    main()
