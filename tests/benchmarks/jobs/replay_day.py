# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A day of lab_day.py once more with other policies: its turns, its plan and its faults at their real moments.

What decides and what starts jobs is the real code, time and systemd are made up (tests/unit/jobs/job_world.py). That
this project does here what it did on the lab says how far the others can be believed.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import day_world
from day import POLICIES, Day
from job_world import KilledError, Systemd
from lab_figures import job_figures

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock

STEP_SECONDS = 2.0


class Replay(Day):
    """One day under one policy. Slurm's rules are not made up: both back ends are replayed as systemd's."""

    def __init__(self, root: Path, lab: Any, policy: str) -> None:
        super().__init__(root, lab.jobs, policy)
        self.lab, self.times = lab, lab.times
        self.names = list(day_world.HOSTS)
        self.systemd = {name: Systemd(self, name) for name in self.names}
        self.states = dict.fromkeys(self.names, "active")
        self.now = self.times.begun
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
                wanted = {index for one in self.planned if one.host == host for index in one.accelerators}
                held = {index for own in self.held(host).values() for index in own}
                self.missing_hours += len(wanted & held) * step / self.times.hour_seconds

    def follow(self) -> None:
        self.planned = self.at(self.hour)
        for name, job in self.all_jobs.items():
            if job["came"] <= self.now and name not in self.jobs:
                given = {key: value for key, value in job.items() if key not in ("came", "steps", "owner")}
                kept = {"preemptible": False} if self.policy_name == "no preemption" else {}
                self.jobs[name] = {**given, **kept, "command": ["true"], "backoff_seconds": 5}

    def at(self, hour: float) -> list[Any]:
        up = [name for name in self.names if name not in self.down]
        found = day_world.places(up, day_world.serving_at(hour), packed=self.lab.slurm is not None)
        return [self.replica(host, slot, slot) for host, slot in found]

    def plan(self) -> dict[str, Any]:
        ahead = []
        for hours in range(1, 9):
            later = self.at(self.hour + hours)
            free = {host: 4 - sum(one.host == host for one in later) for host in self.names if host not in self.down}
            ahead.append({"begins_after_seconds": hours * self.times.hour_seconds, "free_accelerators": free})
        return {
            "kind": "plan",
            "placements": [one.as_record() for one in self.planned],
            "as_of": clock.format_moment(self.now),
            "outlook": {"period_seconds": self.times.hour_seconds, "periods": ahead},
        }

    def live(self, start_after: float) -> None:
        """The turns of the lab, each deciding when the lab's did."""
        events = {name: self.times.begun + at for name, at in self.lab.seen["events"].items()}
        turns = [(self.times.begun + began + start_after, True) for began, _seconds, _count in self.lab.seen["turns"]]
        cut = events["controller dies"] + start_after
        moments = sorted([*turns, (cut, False)])
        for moment, whole in moments:
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
        self.down.add(self.lab.host)
        self.systemd[self.lab.host].crash()


def replay(lab: Any, start_after: float) -> dict[str, Any]:
    """Figures by policy."""
    found = {}
    sync, now = os.fsync, clock.now
    os.fsync = lambda _handle: None  # type: ignore[assignment]  # nothing is to outlive this
    try:
        for policy in POLICIES:
            with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as root:
                one = Replay(Path(root), lab, policy)
                clock.now = lambda one=one: one.now  # type: ignore[assignment]
                one.live(start_after)
                document = json.loads(one.record.read_text(encoding="utf-8"))
                found[policy] = {
                    **job_figures(document, lab.jobs, lab.times.hour_seconds),
                    "serving_accelerator_hours_missing": round(one.missing_hours, 2),
                    "twice_at_once": len(one.twice),
                }
    finally:
        os.fsync, clock.now = sync, now  # type: ignore[assignment]
    return found
