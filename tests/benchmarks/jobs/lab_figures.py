# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of the jobs and of every request of lab_day.py."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import record

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment

# A request is good when it is answered whole within this: hosts share two cores with whatever else the machine does.
GOOD_SECONDS = 2.0
# Requests due in this span may be lost with the host that dies.
AROUND_LOSS = (-10.0, 60.0)


def job_figures(document: Mapping[str, Any], jobs: Mapping[str, Any], hour_seconds: float) -> dict[str, Any]:
    """From jobs.json; hours are those of the day, not of the clock on the wall."""
    found = document["jobs"]
    on_time = [
        name
        for name, record in found.items()
        if record["phase"] == "done" and record["finished_at"] <= parse_moment(jobs[name]["deadline"]) + 1
    ]
    weight = {name: job["weight"] * job["work_accelerator_hours"] for name, job in jobs.items()}
    ends = [one["end"] for record in found.values() for one in record["ended"]]
    resumed = sum(
        one["end"] == "preempted" and later["share"] > one["share"] > 0
        for record in found.values()
        for one, later in zip(record["ended"], record["ended"][1:])
    )
    hours = 3600 / hour_seconds
    return {
        "jobs": len(jobs),
        "jobs_on_time": len(on_time),
        "weighted_work_on_time_share": round(sum(weight[name] for name in on_time) / sum(weight.values()), 4),
        "jobs_done": sum(record["phase"] == "done" for record in found.values()),
        "late": sorted(set(jobs) - set(on_time)),
        "ends": {end: ends.count(end) for end in sorted(set(ends))},
        "preempted_and_resumed_from_checkpoint": resumed,
        "accelerator_hours": {
            what: round(hours * sum(account[what] for account in document["owners"].values()), 2)
            for what in ("accelerator_hours", "wasted_accelerator_hours")
        },
    }


def figures(day: Any) -> dict[str, Any]:
    """All of a day; see lab_day.py."""
    document = json.loads(day.rig.sh("lab-gw1", "cat /var/lib/modelops/jobs.json"))
    late = job_figures(document, day.jobs, day.times.hour_seconds)["late"]
    named = day.seen["named_late"]
    turns = [seconds for _began, seconds, _count in day.seen["turns"]]
    return {
        **job_figures(document, day.jobs, day.times.hour_seconds),
        "late_jobs_named_before_their_deadline": sorted(
            name for name in late if name in named and named[name] <= parse_moment(day.jobs[name]["deadline"])
        ),
        "jobs_named_late_that_were_on_time_after_all": sorted(set(named) - set(late)),
        "starts_from_a_checkpoint": starts_from_checkpoint(day),
        "ran_twice_at_once": day.seen["twice"] + int(day.rig.sh("lab-gw1", "ls /srv/work/*/twice 2>/dev/null | wc -l")),
        "accelerators_that_serving_waited_for_after_a_turn": max(day.seen["serving_waited"]),
        "turns": {"count": len(turns), "failed": day.seen["failed_turns"]},
        "turn_seconds": {"median": statistics.median(turns), "longest": max(turns)},
        "start_after_seconds": round(start_after(document, day), 1),
        "serving": serving(day),
        "moments": {"turns": day.seen["turns"], "applies": day.seen["applies"], "events": day.seen["events"]},
    }


def starts_from_checkpoint(day: Any) -> int:
    """What the jobs themselves say: how many of their starts found work that was done."""
    files = "/srv/work/*/output.log" if day.slurm else "/var/log/modelops/jobs/*.log"
    hosts = ["lab-gw1"] if day.slurm else day.hosts
    lines = [line for host in hosts for line in day.rig.sh(host, f"cat {files}", check=False).splitlines()]
    return sum(line.startswith("from ") and not line.startswith("from 0 ") for line in lines)


def start_after(document: Mapping[str, Any], day: Any) -> float:
    """Median of the seconds from a turn's begin to the starts it made."""
    begins = [day.times.begun + began for began, _seconds, _count in day.seen["turns"]]
    found = []
    for job in document["jobs"].values():
        for one in job["ended"]:
            before = [began for began in begins if one["started_at"] and began <= one["started_at"]]
            if before:
                found.append(one["started_at"] - before[-1])
    return statistics.median(found) if found else 0.0


def serving(day: Any) -> dict[str, Any]:
    """Requests by part of the day, and around the loss of the host."""
    rows = record.read_record(day.load.record)
    begun, lost = day.times.begun, day.times.begun + day.seen["events"]["host dies"]
    around = (lost + AROUND_LOSS[0], lost + AROUND_LOSS[1])
    calm = [row for row in rows if not around[0] <= row.at < around[1]]
    parts = {"night": (0, 8), "morning": (8, 11), "noon": (11, 15), "afternoon": (15, 19), "evening": (19, 24)}
    return {
        "good_within_seconds": GOOD_SECONDS,
        "around_the_loss_of_the_host": shares(rows, *around),
        "all_other_requests": shares(calm),
        "by_part": {
            name: shares(calm, begun + day.times.after(begin), begun + day.times.after(end))
            for name, (begin, end) in parts.items()
        },
    }


def shares(rows: Sequence[record.Answered], begin: float = 0, end: float = float("inf")) -> dict[str, Any]:
    """Of the requests due in a span of epoch seconds."""
    own = [one for one in rows if begin <= one.at < end]
    # A stream is as long as its answer: what its user waits for is the first token.
    waited = sorted(one.ttft if one.stream else one.latency for one in own if one.good)
    good = sum(seconds <= GOOD_SECONDS for seconds in waited)
    return {
        "requests": len(own),
        "failed": sum(one.failed for one in own),
        "cut": sum(one.cut for one in own),
        "good_share": round(good / len(own), 5) if own else None,
        "waited_p50_seconds": waited[len(waited) // 2] if waited else None,
        "waited_p99_seconds": waited[int(0.99 * len(waited))] if waited else None,
    }
