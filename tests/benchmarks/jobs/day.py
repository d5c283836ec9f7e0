# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty jobs with deadlines over a day, beside serving with its peak at noon: this project, FIFO, no preemption.

Real are the decision, the record, the schedule, and the code that starts and stops jobs on hosts; time
and systemd are made up (tests/unit/jobs/job_world.py), so that a day takes a minute of CPU. At 11:20 a
host is lost for good; at 13:05 the run under way is cut off, and no other comes for forty minutes.

    python tests/benchmarks/jobs/day.py --days 5 --dest tests/benchmarks/jobs/day.json

Each day has jobs of its own (seed). FIFO starts jobs in the order in which they came, as many
accelerators as they may have, and nothing overtakes the first that does not fit; with backfill, what fits
does. Serving takes its accelerators back from both. Without preemption a job keeps its accelerators to its end, and serving waits.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import random
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "unit" / "jobs"))

from job_world import START, KilledError, World, _moment  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.resources import (  # noqa: E402
    free_accelerators,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import filling  # noqa: E402

HOSTS, EACH, HOURS = 4, 4, 24
TURN_SECONDS = 900
STEP_SECONDS = 300  # how often jobs save their work
HOST_LOST = 11 * 3600 + 20 * 60
CUT_OFF, AWAY_SECONDS = 13 * 3600 + 5 * 60, 40 * 60
LEASE_SECONDS = 1800.0
POLICIES = ("this project", "fifo", "fifo with backfill", "no preemption")


def serving_at(second: float) -> int:
    """Accelerators that serving needs, of sixteen: three at night, eleven at noon."""
    hour = second / 3600 % HOURS
    return round(3 + 8 * math.exp(-(((hour - 13) / 4) ** 2)))


def jobs_of(seed: int) -> dict[str, dict[str, Any]]:
    """Twenty jobs, twelve there at midnight and the rest in the course of the day."""
    chance = random.Random(seed)
    jobs = {}
    for number in range(20):
        came = 0.0 if number < 12 else chance.uniform(0, 16) * 3600
        work, most = chance.choice([2.0, 4.0, 6.0, 10.0, 14.0]), chance.choice([1, 2, 4])
        shortest = work / most * 3600
        jobs[f"j{number:02}"] = {
            "work_accelerator_hours": work,
            "accelerators": {"min": 1 if chance.random() < 0.6 else most, "max": most},
            "deadline": _moment(START + min(23.9 * 3600, came + shortest * chance.uniform(1.3, 4.0) + 1800)),
            "weight": chance.choice([1.0, 1.0, 3.0]),
            "command": ["true"],
            "came": came,
        }
    return jobs


class Day(World):
    """A world whose serving follows the clock, and which can be scheduled in other ways."""

    def __init__(self, root: Path, jobs: dict[str, Any], policy: str) -> None:
        super().__init__(root, {}, hosts=HOSTS)
        self.all_jobs, self.policy_name = jobs, policy
        self.missing_hours = 0.0
        self.settle = 600.0
        self.grid = {"period_seconds": 1800, "periods": 48}

    def advance(self, until: float) -> None:
        while self.now < until:
            self.pass_time(STEP_SECONDS, STEP_SECONDS)
            for host in self.names:
                wanted = {index for one in self.planned if one.host == host for index in one.accelerators}
                held = {index for own in self.held(host).values() for index in own}
                self.missing_hours += len(wanted & held) * STEP_SECONDS / 3600

    def follow(self) -> None:
        """The plan of this hour, and the jobs that have come."""
        self.planned = self.placements(self.now - START)
        for name, job in self.all_jobs.items():
            if job["came"] <= self.now - START and name not in self.jobs:
                given = {key: value for key, value in job.items() if key != "came"}
                self.jobs[name] = {**given, **({"preemptible": False} if self.policy_name == "no preemption" else {})}

    def placements(self, second: float) -> list[Any]:
        up = [name for name in self.names if name not in self.down]
        places = [(host, index) for index in range(EACH) for host in up]
        return [self.replica(host, index, index) for host, index in places[: serving_at(second)]]

    def plan(self) -> dict[str, Any]:
        """What the playbook plan writes: placements, and what four hours ahead are expected to leave."""
        hosts, ahead = self.hosts(), []
        for hour in range(1, 5):
            left = free_accelerators(hosts, self.placements(self.now - START + 3600 * hour))
            ahead.append({"begins_after_seconds": 3600 * hour, "free_accelerators": dict(left)})
        return {
            "kind": "plan", "placements": [one.as_record() for one in self.planned], "as_of": _moment(self.now),
            "outlook": {"period_seconds": 3600, "periods": ahead},
        }  # fmt: skip

    def turn(self, **options: Any) -> Any:
        """The other policies do what they say and no more: what they leave idle stays idle."""
        if self.policy_name == "this project":
            return super().turn(**options)
        with mock.patch.multiple(filling, **dict.fromkeys(("fill", "widen", "spread"), lambda _turn: None)):
            return super().turn(**options)

    def schedule(self, jobs: list[dict[str, Any]], policy: str) -> dict[str, Any]:
        return self.in_order(jobs) if self.policy_name.startswith("fifo") else super().schedule(jobs, policy)

    def in_order(self, jobs: list[dict[str, Any]]) -> dict[str, Any]:
        room = free_accelerators(self.hosts(), self.planned)
        given: dict[str, tuple[str, int]] = {}
        for job in jobs:
            if job.get("state") == "running":
                held = job["running_on"]
                given[job["name"]] = (held["host"], held["accelerators"])
                room[held["host"]] = room.get(held["host"], 0) - held["accelerators"]
        for job in sorted(jobs, key=lambda one: (self.all_jobs[one["name"]]["came"], one["name"])):
            if job["name"] in given:
                continue
            sizes = job["accelerators"]
            host = max(sorted(room), key=lambda name: room[name])
            count = min(room[host], sizes["max"])
            if count < sizes["min"] and self.policy_name == "fifo with backfill":
                continue
            if count < sizes["min"]:
                break
            given[job["name"]] = (host, count)
            room[host] -= count
        runs = {
            name: [{"start": _moment(self.now), "accelerator_type": "l40s-48gb", "host": host, "accelerators": count}]
            for name, (host, count) in given.items()
        }
        return {
            "start": _moment(self.now),
            "jobs": {name: {"runs": run, "status": "on_time"} for name, run in runs.items()},
        }


def live(day: Day) -> None:
    """From midnight to midnight."""
    next_turn = START
    options = {"policy": "lp", "lease_seconds": LEASE_SECONDS, "lease_margin_seconds": 60.0}
    cut = False
    while day.now < START + HOURS * 3600:
        second = day.now - START
        if second >= HOST_LOST and not day.down:
            day.down.add("h3")
            day.systemd["h3"].crash()
        if day.now >= next_turn:
            day.follow()
            if second >= CUT_OFF and not cut:
                cut, day.lives = True, 6
                with contextlib.suppress(KilledError):
                    day.turn(**options)
                day.lives = None
                next_turn = day.now + AWAY_SECONDS
            else:
                day.turn(**options)
                next_turn += TURN_SECONDS
                next_turn = max(next_turn, day.now + STEP_SECONDS)
        day.advance(min(next_turn, day.now + STEP_SECONDS))
    day.follow()
    day.turn(**options)


def figures(day: Day) -> dict[str, Any]:
    state = day.state()
    on_time = [
        name
        for name, record in state.jobs.items()
        if record.phase == "done" and _moment(record.finished_at or 0) <= day.all_jobs[name]["deadline"]
    ]
    weight = {name: job["weight"] * job["work_accelerator_hours"] for name, job in day.all_jobs.items()}
    charged = sum(account["accelerator_hours"] for account in state.owners.values())
    wasted = sum(account["wasted_accelerator_hours"] for account in state.owners.values())
    ends = [one["end"] for record in state.jobs.values() for one in record.ended]
    resumed = [
        two["attempt"]
        for record in state.jobs.values()
        for one, two in zip(record.ended, record.ended[1:])
        if one["end"] == "preempted" and two["share"] > one["share"] > 0
    ]
    return {
        "jobs_on_time": len(on_time),
        "weighted_work_on_time_share": round(sum(weight[name] for name in on_time) / sum(weight.values()), 4),
        "jobs_done": sum(record.phase == "done" for record in state.jobs.values()),
        "preempted": ends.count("preempted"),
        "resumed_from_checkpoint": len(resumed),
        "lost_with_their_host": ends.count("lost"),
        "accelerator_hours_used": round(sum(hours for _name, hours in day.used), 2),
        "accelerator_hours_charged": round(charged, 2),
        "accelerator_hours_wasted": round(wasted, 3),
        "serving_accelerator_hours_missing": round(day.missing_hours, 2),
        "twice_at_once": len(day.twice),
    }


def run(seed: int, policy: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as root:
        day = Day(Path(root), jobs_of(seed), policy)
        clock.now = lambda: day.now  # type: ignore[assignment]
        begun = time.process_time()
        live(day)
        return {**figures(day), "cpu_seconds": round(time.process_time() - begun, 1)}


def summed(days: list[dict[str, Any]]) -> dict[str, Any]:
    total = {key: round(sum(one[key] for one in days), 3) for key in days[0]}
    total["weighted_work_on_time_share"] = round(total["weighted_work_on_time_share"] / len(days), 4)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--dest", default="")
    given = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.fsync = lambda _handle: None  # type: ignore[assignment]  # nothing is to outlive this
    found: dict[str, list[dict[str, Any]]] = {policy: [] for policy in POLICIES}
    for seed in range(given.days):
        for policy in POLICIES:
            found[policy].append(run(seed, policy))
            print(seed, policy, json.dumps(found[policy][-1]), flush=True)
    result = {
        "what": __doc__.splitlines()[0],
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "days": given.days,
        "jobs_a_day": 20,
        "hosts": HOSTS,
        "accelerators": HOSTS * EACH,
        "totals": {policy: summed(days) for policy, days in found.items()},
        "by_day": found,
    }
    if given.dest:
        Path(given.dest).write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result["totals"], indent=1))


if __name__ == "__main__":
    main()
