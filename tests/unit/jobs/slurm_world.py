# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Slurm that is made up, and turns with it: its commands answer as the real ones do."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import slurm_turn as turns
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.given import Given
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import parse_orders
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Record, read_state
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_cluster import Cluster
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.turn import Turn

NOW = 1_795_767_000.0
KIND = "h100-80gb"
CARDS = 4


class Slurm:
    """Keeps jobs, starts them when told to, and may lose an answer or start a job in between."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs: dict[int, dict[str, Any]] = {}
        self.reserved: list[str] = []
        self.nodes = {"n1": "idle", "n2": "idle"}
        self.sbatch_says: str | None = None
        self.takes = True
        self.lingers = 0

    def add(self, **fields: Any) -> int:
        number = len(self.jobs) + 1
        given = {"job_id": number, "name": "modelops-a", "job_state": "PENDING", "exit_code": 0, "nodes": ""}
        self.jobs[number] = {
            **given,
            "comment": "modelops 1",
            "eligible_time": NOW,
            "start_time": 0,
            "end_time": 0,
            "tres_req_str": "cpu=1,gres/gpu=1",
            "nice": 0,
            "not_on": [],
            **fields,
        }
        return number

    def run(self, words: Sequence[str], *, timeout_seconds: float, given: str = "") -> tuple[int, str]:
        command = [word for word in words if word not in ("env", "TZ=UTC", "runuser", "-u", "me", "--")]
        if command[0] == "squeue":
            for job in self.jobs.values():  # those that are completing are gone at the second look
                if job["job_state"] == "COMPLETING":
                    job["job_state"] = "COMPLETING" if self.lingers else "CANCELLED"
                    self.lingers = max(0, self.lingers - 1)
            return 0, json.dumps({"errors": [], "jobs": list(self.jobs.values())})
        return getattr(self, command[0])(command)

    def sinfo(self, _words: list[str]) -> tuple[int, str]:
        return 0, "\n".join(
            f"{name:<40}{state:<20}gpu:{CARDS}(S:0) gpu:{CARDS - self.free(name)}(IDX:0-1)"
            for name, state in self.nodes.items()
        )

    def sbatch(self, words: list[str]) -> tuple[int, str]:
        number = 0
        if self.takes:
            told = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
            number = self.add(
                name=told["job-name"],
                comment=told["comment"],
                tres_req_str=f"cpu=1,gres/gpu={told['gres'].rpartition(':')[2]}",
                nice=int(told["nice"]),
                not_on=told.get("exclude", "").split(","),
                begin=told.get("begin"),
            )
        if self.sbatch_says is not None:
            if self.sbatch_says == "nothing":
                raise SourceUnavailableError("'sbatch' did not end within 60 s")
            return 1, f"sbatch: error: Batch job submission failed: {self.sbatch_says}"
        return 0, f"a library says hello\n{number}"

    def scancel(self, words: list[str]) -> tuple[int, str]:
        job = self.jobs[int(words[-1])]
        if job["job_state"] not in ("PENDING", "RUNNING"):
            return 1, ""
        if job["job_state"] == "PENDING":
            # What never ran has a start, that of its end.
            job.update(job_state="CANCELLED", start_time=NOW, end_time=NOW)
        elif "--state=PENDING" not in words:
            job["job_state"] = "COMPLETING"
        return 0, ""

    def scontrol(self, words: list[str]) -> tuple[int, str]:
        if "hostnames" in words:
            return 0, words[-1].replace(",", "\n")
        if "show" in words:
            nodes = ",".join(self.reserved)
            return 0, f"ReservationName=modelops_serving Nodes={nodes}" if nodes else "No reservations in the system"
        told = dict(word.partition("=")[::2] for word in words[1:])
        if "JobId" in told:
            job = self.jobs[int(told["JobId"])]
            job["nice"] = int(told.get("Nice", job["nice"]))
            return 0, ""
        self.reserved = told["Nodes"].split(",") if "Nodes" in told else []
        self.as_reserved()
        return 0, ""

    def as_reserved(self) -> None:
        """What happens in the cluster at that moment."""

    def names(self, *states: str) -> list[int]:
        return [number for number, job in self.jobs.items() if job["job_state"] in states]

    def free(self, node: str) -> int:
        return CARDS - sum(
            cards(job)
            for job in self.jobs.values()
            if job["nodes"] == node and job["job_state"] in ("RUNNING", "COMPLETING")
        )

    def waiting(self) -> list[tuple[str, int]]:
        """Names and accelerators of what waits, in the order in which it would start."""
        waits = sorted((self.jobs[number] for number in self.names("PENDING")), key=lambda job: job["nice"])
        return [(job["name"][len("modelops-") :], cards(job)) for job in waits]

    def running(self) -> dict[str, tuple[str, int]]:
        jobs = [self.jobs[number] for number in self.names("RUNNING")]
        return {job["name"].replace("modelops-", ""): (job["nodes"], cards(job)) for job in jobs}

    def start(self, now: float) -> None:
        """Start what fits, in order."""
        for number in sorted(self.names("PENDING"), key=lambda one: self.jobs[one]["nice"]):
            job = self.jobs[number]
            usable = [
                node
                for node, state in self.nodes.items()
                if state == "idle" and node not in (*self.reserved, *job["not_on"]) and self.free(node) >= cards(job)
            ]
            if usable and not job.get("begin"):
                job.update(job_state="RUNNING", nodes=usable[0], start_time=now)


def cards(job: dict[str, Any]) -> int:
    return int(re.findall("gpu=([0-9]+)", job["tres_req_str"])[0])


class Site:
    """Two nodes of four accelerators, job ``a`` and what a test adds, and turns five minutes apart."""

    def __init__(self, path: Path) -> None:
        self.path, self.slurm, self.now = path, Slurm(path), NOW
        self.job = {"work_accelerator_hours": 1, "command": ["true"], "checkpoint": {"grace_seconds": 0.1}}
        self.jobs: dict[str, dict[str, Any]] = {"a": self.job}
        self.planned: list[Replica] = []
        self.kinds = {"n1": KIND, "n2": KIND}
        # What the schedule has run now, on how many accelerators; the others it has not run at all.
        self.scheduled: dict[str, int] = {"a": 1}
        self.settle = 0.0

    def turn(self, **options: Any) -> Turn:
        hosts = [Host(name, accelerator_type=kind, accelerator_count=CARDS) for name, kind in self.kinds.items()]
        start = format_moment(NOW)
        jobs = {
            name: {
                "status": "on_time",
                "runs": [{"start": start, "host": "n1", "accelerators": count, "accelerator_type": KIND}],
            }
            for name, count in self.scheduled.items()
        }
        schedule = {"start": start, "jobs": jobs}
        given = Given(
            orders=parse_orders(self.jobs), hosts=hosts, planned=self.planned, running=[], seen={},
            settle_seconds=self.settle, **{"schedule": schedule, **options},
        )  # fmt: skip
        self.now += 300
        cluster = Cluster(str(self.path / "work"), run=self.slurm.run)
        return turns.slurm_turn(str(self.path / "jobs.json"), given, cluster, now=self.now)

    @property
    def record(self) -> Record:
        return self.record_of("a")

    def record_of(self, name: str) -> Record:
        return read_state(str(self.path / "jobs.json")).jobs[name]


def site_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(turns, "POLL_SECONDS", 0.01)
    return Site(path)
