# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty real jobs over a day of minutes on two lab hosts: the playbook run_jobs, one turn after the other.

    python tests/benchmarks/jobs/lab_day.py --minutes 16 --dest tests/benchmarks/jobs/lab_day.json

Real are the hosts' systemd, the jobs' processes, signals and checkpoints, and every turn a whole ansible-playbook;
accelerators are pretended, and serving is the placements of a plan that follows the clock, with its peak at noon. In
the late morning one host dies and comes back two hours later; in the afternoon a running ansible-playbook is killed.
Needs what tests/lab/lab needs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from lab_fleet import BIN, LabFleet  # noqa: E402

HOSTS, EACH = ("lab-a1", "lab-b1"), 4
TRAIN = (ROOT / "tests" / "lab" / "load" / "train.py").read_text(encoding="utf-8")
STEPS_AN_HOUR = 36_000  # of one accelerator
HOST_DIES, HOST_RETURNS, CONTROLLER_DIES = 10.5, 12.5, 15.0
LEASE_SECONDS = 90.0
# Several processes of one job at once would be several of these in its unit's place.
LOOK = "systemctl list-units --plain --no-legend 'modelops-job-*.service' | awk '{print $1}'"


def serving_at(hour: float) -> int:
    """Accelerators that serving needs, of eight: one at night, five at noon."""
    return round(1 + 4 * math.exp(-(((hour - 12) / 3.5) ** 2)))


def jobs_of(day_seconds: float, begun: float) -> dict[str, dict[str, Any]]:
    """Twenty jobs; together about three quarters of what serving leaves."""
    chance = random.Random(7)
    jobs = {}
    for number in range(20):
        came = 0.0 if number < 10 else chance.uniform(0, 0.6) * day_seconds
        most = chance.choice([1, 2, 2, 4])
        # accelerator-seconds: the whole day has eight times day_seconds, serving takes a third
        work = chance.choice([0.06, 0.15, 0.3, 0.4]) * day_seconds
        due = came + work / most * chance.uniform(2.0, 5.0) + 0.12 * day_seconds
        steps = max(50, round(work * 10))
        jobs[f"j{number:02}"] = {
            "came": came,
            "work_accelerator_hours": steps / STEPS_AN_HOUR,
            "accelerators": {"min": 1, "max": most},
            "deadline": datetime.fromtimestamp(begun + min(day_seconds, due), tz=timezone.utc).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
            "weight": chance.choice([1, 1, 3]),
            "owner": chance.choice(["vision", "speech"]),
            "command": ["/usr/bin/python3", "-c", TRAIN, str(steps)],
            "checkpoint": {"signal": "SIGUSR1", "grace_seconds": 20},
            "backoff_seconds": 5,
        }
    return jobs


class LabDay:
    """One day on the lab."""

    def __init__(self, lab: LabFleet, minutes: float, output: Path) -> None:
        self.lab, self.seconds, self.output = lab, minutes * 60, output
        self.begun = time.time()
        self.jobs = jobs_of(self.seconds, self.begun)
        self.turns, self.failed_turns, self.twice, self.late_gives = 0, 0, 0, 0
        self.named_late: dict[str, float] = {}
        self.turn_seconds: list[float] = []

    @property
    def hour(self) -> float:
        return (time.time() - self.begun) / self.seconds * 24

    def placements(self) -> list[dict[str, Any]]:
        places = [(host, index) for index in range(EACH) for host in HOSTS]
        return [
            {
                "host": host,
                "slot": index,
                "model": "chat",
                "version": "1",
                "port": 8100 + index,
                "accelerators": [index],
            }
            for host, index in places[: serving_at(self.hour)]
        ]

    def prepare(self) -> list[str]:
        plan = {"schema_version": 1, "kind": "plan", "outlook": None, "placements": self.placements()}
        (self.output / "plan.json").write_text(json.dumps({**plan, "created_at": "2026-11-27T00:00:00Z"}))
        here = {
            name: {key: value for key, value in job.items() if key != "came"}
            for name, job in self.jobs.items()
            if job["came"] <= time.time() - self.begun
        }
        given = {
            "modelops_jobs": here,
            "modelops_job_owners": {"vision": {}, "speech": {}},
            "modelops_output_dir": str(self.output),
            "modelops_job_work_dir": "/srv/work",
            "modelops_job_work_shared": True,
            "run_jobs_period_seconds": max(10, round(self.seconds / 24)),
            "run_jobs_settle_seconds": 10,
            "run_jobs_lease_seconds": LEASE_SECONDS,
            "run_jobs_lease_margin_seconds": 3,
            "run_jobs_fail_on_refused": False,
        }
        (self.output / "extra.json").write_text(json.dumps(given))
        return ["-e", f"@{self.output / 'extra.json'}"]

    def turn(self) -> None:
        flags = self.prepare()
        run = self.lab.play("run_jobs", *flags)
        self.turns += 1
        self.turn_seconds.append(round(run.seconds, 1))
        self.failed_turns += run.code != 0
        for line in run.output.splitlines():
            if "LATE " in line:
                self.named_late.setdefault(line.split("LATE ")[1].split(":")[0], time.time() - self.begun)
        self.look()

    def look(self) -> None:
        """Does serving have what the plan gave it, and does nothing run twice?"""
        up: list[str] = []
        held = {
            (one["host"], index)
            for one in json.loads((self.output / "plan.json").read_text())["placements"]
            for index in one["accelerators"]
        }
        for host in HOSTS:
            names = self.lab.sh(host, LOOK, check=False).split()
            up += names
            for name in names:
                job = name[len("modelops-job-") : -len(".service")]
                text = self.lab.sh(host, f"cat /var/lib/modelops/jobs/{job}/attempt.json", check=False)
                for index in json.loads(text)["accelerators"] if text else []:
                    self.late_gives += (host, index) in held
        self.twice += len(up) - len(set(up))

    def kill_a_turn(self) -> None:
        """SIGKILL to ansible-playbook and what it started here, four seconds into the tasks of the role."""
        words = [
            str(BIN / "ansible-playbook"),
            "-i",
            str(self.lab.directory / "hosts.yml"),
            "-e",
            f"@{self.lab.directory / 'catalogue.json'}",
        ]
        child = subprocess.Popen(
            [*words, "modelops.datacenter.run_jobs", *self.prepare()],
            cwd=ROOT, env=self.lab.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        for line in child.stdout or []:
            if "run_jobs : Decide]" in line:
                break
        time.sleep(1)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def live(self) -> None:
        died = returned = cut = False
        while self.hour < 24:
            if self.hour >= HOST_DIES and not died:
                died = True
                self.lab.podman("kill", "lab-b1")
            if self.hour >= HOST_RETURNS and died and not returned:
                returned = True
                self.lab.podman("start", "lab-b1")
            if self.hour >= CONTROLLER_DIES and not cut:
                cut = True
                self.kill_a_turn()
            self.turn()
        self.turn()

    def figures(self) -> dict[str, Any]:
        document = json.loads(self.lab.sh("lab-a1", "cat /var/lib/modelops/jobs.json"))
        on_time, ends, resumed = [], [], 0
        for name, record in document["jobs"].items():
            due = datetime.fromisoformat(self.jobs[name]["deadline"].replace("Z", "+00:00")).timestamp()
            if record["phase"] == "done" and record["finished_at"] <= due + 1:
                on_time.append(name)
            ends += [one["end"] for one in record["ended"]]
            shares = [one["share"] for one in record["ended"]]
            resumed += sum(
                1
                for one, later in zip(record["ended"], shares[1:])
                if one["end"] == "preempted" and later >= one["share"] > 0
            )
        warned = [name for name in self.jobs if name not in on_time and name in self.named_late]
        return {
            "jobs": len(self.jobs),
            "jobs_done": sum(record["phase"] == "done" for record in document["jobs"].values()),
            "jobs_on_time": len(on_time),
            "late_jobs_named_before": len(warned),
            "preempted": ends.count("preempted"),
            "resumed_from_checkpoint": resumed,
            "lost_with_their_host": ends.count("lost"),
            "stopped_from_outside": ends.count("stopped"),
            "failed": ends.count("failed"),
            "twice_at_once": self.twice,
            "accelerators_held_after_a_turn_that_serving_was_given": self.late_gives,
            "owners": document["owners"],
            "turns": self.turns,
            "failed_turns": self.failed_turns,
            "turn_seconds": {
                "median": sorted(self.turn_seconds)[len(self.turn_seconds) // 2],
                "longest": max(self.turn_seconds),
            },
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=16)
    parser.add_argument("--dest", default="")
    given = parser.parse_args()
    lab = LabFleet(os.environ.get("MODELOPS_LAB", "jobsday"), {})
    try:
        lab.down()
        lab.up(len(HOSTS))
        output = lab.directory / "output"
        output.mkdir()
        day = LabDay(lab, given.minutes, output)
        day.live()
        result = {
            "what": __doc__.splitlines()[0],
            "date": datetime.now(tz=timezone.utc).date().isoformat(),
            "python": platform.python_version(),
            "minutes": given.minutes,
            **day.figures(),
        }
        print(json.dumps(result, indent=1, sort_keys=True))
        if given.dest:
            Path(given.dest).write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    finally:
        lab.down()


if __name__ == "__main__":
    main()
