# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab host and the playbook run_jobs on it, whoever carries the jobs out there."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab_fleet import LabFleet, Run

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica

TRAIN = (Path(__file__).parent / "load" / "train.py").read_text(encoding="utf-8")


def training(steps: int, **fields: Any) -> dict[str, Any]:
    """A job that counts its steps and saves how far it is."""
    return {
        "work_accelerator_hours": steps / 36_000,
        "command": ["/usr/bin/python3", "-c", TRAIN, str(steps)],
        "checkpoint": {"signal": "SIGUSR1", "grace_seconds": 20},
        **fields,
    }


def said(run: Run) -> str:
    """What it printed, on one line: YAML breaks long ones."""
    return " ".join(run.output.split())


@contextlib.contextmanager
def one_host(name: str, *flags: str) -> Iterator[LabFleet]:
    """A lab of one host, for one test session at a time; MODELOPS_LAB gives it another name."""
    lab = LabFleet(os.environ.get("MODELOPS_LAB", name), {})
    lab.directory.parent.mkdir(parents=True, exist_ok=True)
    with open(lab.directory.parent / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            lab.down()  # what an aborted session left
            lab.up(1, *flags)
            yield lab
        finally:
            lab.down()


class JobHost:
    """The host, and the jobs that the next run is given. ``settings``: variables of every run."""

    settings: dict[str, Any] = {}

    def __init__(self, lab: LabFleet, output: Path) -> None:
        self.lab, self.output = lab, output
        self.jobs: dict[str, Any] = {}
        self.serve([])

    def serve(self, replicas: list[Replica]) -> None:
        plan = {"schema_version": 1, "kind": "plan", "outlook": None, "created_at": "2026-11-27T00:00:00Z"}
        plan["placements"] = [one.as_record() for one in replicas]
        (self.output / "plan.json").write_text(json.dumps(plan))

    def run(self, *flags: str, **variables: Any) -> Run:
        extra = self.output / "extra.json"
        given = {"modelops_jobs": self.jobs, "modelops_output_dir": str(self.output), **self.settings, **variables}
        extra.write_text(json.dumps(given))
        return self.lab.play("run_jobs", "-e", f"@{extra}", *flags)

    def sh(self, command: str, **options: Any) -> str:
        return self.lab.sh("lab-a1", command, **options)

    def record(self, name: str) -> dict[str, Any]:
        return json.loads(self.sh("cat /var/lib/modelops/jobs.json"))["jobs"][name]
