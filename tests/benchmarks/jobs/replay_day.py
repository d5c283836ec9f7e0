# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A day of lab_day.py once more with other policies: its turns, its plan and its faults at their real moments.

    python tests/benchmarks/jobs/replay_day.py tests/benchmarks/jobs/lab_day_systemd.json

What decides and what starts jobs is the real code, time and systemd are made up (tests/unit/jobs/job_world.py). That
this project does here what it did on the lab says how far the others can be believed. One day of twenty jobs is little
to compare policies by, so the same moments are also replayed with nine other lists of jobs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "rollout")]

import day_world  # noqa: E402
from day import POLICIES, Day  # noqa: E402
from job_world import KilledError, Systemd  # noqa: E402
from lab_figures import job_figures  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock  # noqa: E402

STEP_SECONDS = 2.0


class Replay(Day):
    """One day under one policy. Slurm itself is not made up: both back ends are replayed as systemd's, for Slurm's with
    its whole nodes: one that serves with some of its accelerators has none for jobs."""

    def __init__(self, root: Path, lab: Mapping[str, Any], jobs: dict[str, Any], policy: str) -> None:
        super().__init__(root, jobs, policy)
        self.times, self.moments = times_of(lab), lab["moments"]
        self.packed, self.lost = lab["backend"] == "slurm", day_world.LOST[lab["backend"]]
        self.start_after = float(lab["start_after_seconds"])
        self.names = list(day_world.HOSTS)
        self.systemd = {name: Systemd(self, name) for name in self.names}
        self.states = dict.fromkeys(self.names, "active")
        self.now = self.times.begun
        self.serving: dict[str, set[int]] = {}
        given = day_world.settings(self.times)
        self.settle = given["run_jobs_settle_seconds"]
        self.grid = {"period_seconds": given["run_jobs_period_seconds"], "periods": given["run_jobs_periods"]}
        self.lease = given["run_jobs_lease_seconds"]

    @property
    def hour(self) -> float:
        return (self.now - self.times.begun) / self.times.hour_seconds

    def advance(self, until: float) -> None:
        while self.now < until:
            step = min(STEP_SECONDS, until - self.now)
            self.pass_time(step, step)
            for host in self.names:
                held = {index for own in self.held(host).values() for index in own}
                self.missing_hours += len(self.serving.get(host, set()) & held) * step / self.times.hour_seconds

    def follow(self) -> None:
        self.serving = self.served(self.hour)
        self.planned = self.kept_from_jobs(self.serving)
        for name, job in self.all_jobs.items():
            if job["came"] <= self.now and name not in self.jobs:
                given = {key: value for key, value in job.items() if key not in ("came", "steps", "owner")}
                kept = {"preemptible": False} if self.policy_name == "no preemption" else {}
                self.jobs[name] = {**given, **kept, "command": ["true"], "backoff_seconds": 5}

    def served(self, hour: float) -> dict[str, set[int]]:
        """The accelerators that serve, by host."""
        up = [name for name in self.names if name not in self.down]
        found: dict[str, set[int]] = {}
        for host, slot in day_world.places(up, day_world.serving_at(hour), packed=self.packed):
            found.setdefault(host, set()).add(slot)
        return found

    def kept_from_jobs(self, serving: Mapping[str, set[int]]) -> list[Any]:
        """What jobs may not use, as placements."""
        whole = range(day_world.EACH)
        return [
            self.replica(host, slot, slot) for host in serving for slot in (whole if self.packed else serving[host])
        ]

    def plan(self) -> dict[str, Any]:
        ahead = []
        for hours in range(1, 9):
            later = self.kept_from_jobs(self.served(self.hour + hours))
            free = {
                host: day_world.EACH - sum(one.host == host for one in later)
                for host in self.names
                if host not in self.down
            }
            ahead.append({"begins_after_seconds": hours * self.times.hour_seconds, "free_accelerators": free})
        return {
            "kind": "plan",
            "placements": [one.as_record() for one in self.planned],
            "as_of": clock.format_moment(self.now),
            "outlook": {"period_seconds": self.times.hour_seconds, "periods": ahead},
        }

    def live(self) -> None:
        """The turns of the lab, each deciding when the lab's did."""
        begun, after = self.times.begun, self.start_after
        events = {name: begun + at for name, at in self.moments["events"].items()}
        turns = [(begun + at + after, True) for at, _seconds, _count in self.moments["turns"]]
        for moment, whole in sorted([*turns, (events["controller dies"] + after, False)]):
            for what, at in sorted(events.items(), key=lambda one: one[1]):
                if what != "controller dies" and self.now < at <= moment:
                    self.advance(at)
                    self.host_goes() if what == "host dies" else self.down.clear()
            self.advance(moment)
            self.follow()
            self.lives = None if whole else 6
            with contextlib.suppress(KilledError):
                self.turn(policy="lp", lease_seconds=self.lease, lease_margin_seconds=5.0)
        self.lives = None

    def host_goes(self) -> None:
        self.down.add(self.lost)
        self.systemd[self.lost].crash()


def times_of(lab: Mapping[str, Any]) -> day_world.Times:
    return day_world.Times(lab["minutes"] * 60, clock.parse_moment(lab["measured_at"]))


def replay(lab: Mapping[str, Any], seed: int) -> dict[str, dict[str, Any]]:
    """Figures by policy of the day that ``lab`` is the result of, with one list of jobs."""
    times = times_of(lab)
    jobs = day_world.jobs_of(times, seed)
    found = {}
    sync, now = os.fsync, clock.now
    os.fsync = lambda _handle: None  # type: ignore[assignment]  # nothing is to outlive this
    try:
        for policy in POLICIES:
            with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as root:
                one = Replay(Path(root), lab, jobs, policy)
                clock.now = lambda one=one: one.now  # type: ignore[assignment]
                one.live()
                document = json.loads(one.record.read_text(encoding="utf-8"))
                found[policy] = {
                    **job_figures(document, jobs, times.hour_seconds),
                    "serving_accelerator_hours_missing": round(one.missing_hours, 2),
                    "twice_at_once": len(one.twice),
                }
    finally:
        os.fsync, clock.now = sync, now  # type: ignore[assignment]
    return found


def summed(lists: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Over lists of jobs, by policy; shares are means."""
    keys = ("jobs", "jobs_on_time", "jobs_done", "serving_accelerator_hours_missing", "twice_at_once")
    share = "weighted_work_on_time_share"
    return {
        policy: {
            **{key: round(sum(one[policy][key] for one in lists), 2) for key in keys},
            share: round(sum(one[policy][share] for one in lists) / len(lists), 4),
        }
        for policy in POLICIES
    }


def replays(lab: Mapping[str, Any], others: int = 9) -> dict[str, Any]:
    """What lab_day.py keeps of it."""
    own = replay(lab, day_world.SEED)
    seeds = [seed for seed in range(others + 1) if seed != day_world.SEED]
    return {
        "same_jobs": own,
        f"sum_over_{others + 1}_lists_of_jobs": summed([own, *(replay(lab, seed) for seed in seeds)]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path, help="of lab_day.py; its replays are made anew")
    path = parser.parse_args().result
    lab = json.loads(path.read_text(encoding="utf-8"))
    lab["replayed"] = replays(lab)
    path.write_text(json.dumps(lab, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(lab["replayed"], indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
