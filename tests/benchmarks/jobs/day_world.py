# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The day of lab_day.py: its clock, its jobs, what serving needs, and what goes wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import day

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment

HOSTS, EACH = ("lab-a1", "lab-a2", "lab-b1"), 4
# The lost host serves at that hour, and has jobs. With Slurm it only has jobs: serving is packed on the others.
LOST = {"systemd": "lab-b1", "slurm": "lab-b1"}
# (hour, replicas' worth of load from then on); the plan follows LEAD_HOURS ahead.
DEMAND = ((0.0, 2), (8.0, 4), (11.0, 6), (15.0, 4), (19.0, 2))
PEAK, LEAD_HOURS = 6, 2.0
EVENTS = {"host dies": 10.5, "host is back": 16.0, "controller dies": 18.0}
# A turn an hour: a deadline has to leave room for the one that starts a job and the one that lost it.
SLACK_HOURS = 2.5
SEED = 2  # which of day.py's days
STEPS_A_SECOND = 10  # of train.py on one accelerator


@dataclass
class Times:
    """An hour of the day in real seconds."""

    seconds: float
    begun: float = 0.0

    @property
    def hour_seconds(self) -> float:
        return self.seconds / 24

    @property
    def hour(self) -> float:
        return (time.time() - self.begun) / self.hour_seconds

    @property
    def turn_seconds(self) -> float:
        return self.hour_seconds

    def after(self, hour: float) -> float:
        return hour * self.hour_seconds


def serving_at(hour: float) -> int:
    """Replicas of the plan: the most that the load needs from now to the end of the lead time."""
    now = max(count for begin, count in DEMAND if begin <= max(0.0, hour) + LEAD_HOURS)
    last = [count for begin, count in DEMAND if begin <= hour]
    soon = [count for begin, count in DEMAND if hour < begin <= hour + LEAD_HOURS]
    return max([last[-1] if last else now, *soon])


def places(up: Sequence[str], count: int, *, packed: bool) -> list[tuple[str, int]]:
    """Hosts and slots of so many replicas: spread over the hosts, or on as few as hold them."""
    if packed:
        return [(host, slot) for host in up for slot in range(EACH)][:count]
    return [(host, slot) for slot in range(EACH) for host in up][:count]


def outlook(times: Times, up: Sequence[str], *, packed: bool) -> dict[str, Any]:
    """What the next eight hours leave on each host."""
    periods = []
    for ahead in range(1, 9):
        used = [host for host, _slot in places(up, serving_at(times.hour + ahead), packed=packed)]
        free = {host: EACH - used.count(host) for host in up}
        periods.append({"begins_after_seconds": ahead * times.hour_seconds, "free_accelerators": free})
    return {"period_seconds": times.hour_seconds, "periods": periods}


def jobs_of(times: Times, seed: int = SEED) -> dict[str, dict[str, Any]]:
    """The jobs of a day of day.py in this day's seconds; ``came`` is an epoch second."""
    jobs = {}
    for number, (name, job) in enumerate(day.jobs_of(seed).items()):
        due = (parse_moment(job["deadline"]) - day.START) / 3600 + SLACK_HOURS
        steps = round(job["work_accelerator_hours"] * times.hour_seconds * STEPS_A_SECOND)
        jobs[name] = {
            **{"came": times.begun + times.after(job["came"] / 3600), "steps": steps},
            "work_accelerator_hours": steps / STEPS_A_SECOND / 3600,
            "accelerators": job["accelerators"],
            "deadline": format_moment(times.begun + times.after(min(23.5, due))),
            "weight": job["weight"],
            "owner": ("vision", "speech")[number % 2],
        }
    return jobs


def asked(job: dict[str, Any], program: str) -> dict[str, Any]:
    """As modelops_jobs has it."""
    given = {key: value for key, value in job.items() if key not in ("came", "steps")}
    return {
        **given,
        "command": ["/usr/bin/python3", "-c", program, str(job["steps"])],
        "checkpoint": {"signal": "SIGUSR1", "grace_seconds": 20},
        "backoff_seconds": 5,
    }


def settings(times: Times) -> dict[str, Any]:
    """How run_jobs is set where an hour is a minute."""
    return {
        "run_jobs_period_seconds": max(10, round(times.hour_seconds / 2)),
        "run_jobs_periods": 48,
        "run_jobs_settle_seconds": round(times.hour_seconds),
        "run_jobs_lease_seconds": round(4 * times.hour_seconds),
        "run_jobs_lease_margin_seconds": 5,
        "run_jobs_fail_on_refused": False,
        "run_jobs_user_id": "1990",
    }
