# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty real jobs with deadlines over a day of minutes, beside real replicas under load, on lab hosts.

    python tests/benchmarks/jobs/lab_day.py --minutes 24

Three hosts of four accelerators and a gateway. Real are systemd (or, with ``--backend slurm``, slurmctld and
slurmd), the jobs' processes, signals and checkpoints on storage they share, llama.cpp behind HAProxy, every
request of an open-loop load with its peak at noon, and every turn: a whole ansible-playbook. Accelerators are
pretended, and the plan is written by the clock, two hours ahead of the load. At 10:30 a host dies with all that
runs on it; at 16:00 it comes back; at 18:00 the controller is killed in the middle of a turn.

Then the same day, with the moments at which its turns really decided, is replayed with other policies
(replay_day.py). Brings its lab up and takes it down. Writes lab_day_BACKEND.json. Needs what tests/lab/lab needs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE), str(HERE.parent / "rollout"), str(ROOT / "tests" / "lab")]

import day_world  # noqa: E402
import lab_figures  # noqa: E402
import replay_day  # noqa: E402
from day_world import HOSTS, LOST, Times  # noqa: E402
from job_lab import TRAIN  # noqa: E402
from lab_slurm import Slurm  # noqa: E402
from rig import MODEL, Rig, entry  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica  # noqa: E402

# What no lab has before its first day.
REMAINS = """
systemctl list-units --all --plain --no-legend 'modelops-job-*' 'modelops-lease-*' | sed 's/ .*//; s/^/unit /'
for d in /var/lib/modelops-jobs/state/*/ /var/lib/modelops/jobs.json /srv/work/*; do test ! -e "$d" || echo "$d"; done
"""
LOOK = """
for u in $(systemctl list-units --plain --no-legend 'modelops-job-*.service' | cut -d' ' -f1); do
    n=${u#modelops-job-}; n=${n%.service}
    printf '{"name": "%s", "attempt": %s}\\n' "$n" "$(tr -d '\\n' < /var/lib/modelops-jobs/state/$n/attempt.json)"
done
"""
RATE_A_REPLICA = 0.6


class LabDay:
    """One day on the lab."""

    def __init__(self, rig: Rig, minutes: float, backend: str) -> None:
        self.rig, self.times, self.slurm = rig, Times(minutes * 60), Slurm(rig) if backend == "slurm" else None
        self.host, self.hosts = LOST[backend], HOSTS
        self.down = False
        self.seen: dict[str, Any] = {
            **{"turns": [], "applies": [], "events": {}, "serving_waited": [], "free_after_seconds": []},
            **{"failed_turns": 0, "twice": 0, "named_late": {}},
        }

    def begin(self, *, prepared: bool) -> None:
        """Hosts, gateway, the night's replicas and the load."""
        if prepared:
            self.forget()
        else:
            self.boot()
        self.refuse_remains()
        first = self.wanted(0.0)
        self.rig.serve(first)
        self.rig.running = first
        self.times.begun = time.time()
        self.jobs = day_world.jobs_of(self.times)
        steps = ",".join(
            f"{self.times.after(hour):.0f}:{count / day_world.PEAK:.4f}" for hour, count in day_world.DEMAND
        )
        rate = RATE_A_REPLICA * day_world.PEAK
        seconds = self.times.seconds + 120
        self.load = self.rig.start_load(
            "day", seconds=seconds, rate=rate * 0.9, stream_rate=rate * 0.1, stream_tokens=60, timeout=60, steps=steps
        )

    def boot(self) -> None:
        self.rig.prepare(len(HOSTS), 1, flags=["--bare"] if self.slurm else [])
        self.rig.catalogue_is(entry("1", 1, min_replicas=1))
        if self.slurm:
            self.slurm.install()

    def forget(self) -> None:
        """The jobs of a day before."""
        if self.slurm:
            self.slurm.forget()
        for host in self.hosts:
            self.rig.sh(
                host,
                "systemctl stop 'modelops-job-*' 'modelops-lease-*'; systemctl reset-failed;"
                " rm -rf /var/lib/modelops-jobs /var/log/modelops/jobs",
            )
        self.rig.sh("lab-gw1", "rm -rf /srv/work/* /var/lib/modelops/jobs.json")

    def refuse_remains(self) -> None:
        """Jobs of another day would hold accelerators, be taken for doubles, or go on where they were.

        Raises:
            SystemExit: there are some; with what and where.
        """
        found = {host: self.rig.sh(host, REMAINS).splitlines() for host in (*self.hosts, "lab-gw1")}
        if self.slurm:
            found["Slurm"] = self.slurm.remains()
        said = [f"{place}: {', '.join(left[:5])}{' ...' if left[5:] else ''}" for place, left in found.items() if left]
        if said:
            raise SystemExit(
                f"The lab has remains of another day, so nothing was begun. {'; '.join(said)}. "
                f"Take it down first: MODELOPS_LAB={self.rig.environment['MODELOPS_LAB']} tests/lab/lab down"
            )

    def wanted(self, hour: float) -> list[Replica]:
        """What a plan gives serving at this hour, on the hosts that are up."""
        up = [name for name in HOSTS if not (self.down and name == self.host)]
        packed = self.slurm is not None
        return [
            Replica(host, slot, MODEL, "1", 8100 + slot, (slot,))
            for host, slot in day_world.places(up, day_world.serving_at(hour), packed=packed)
        ]

    def plan(self) -> Path:
        """plan.json as run_jobs reads it, with what the next hours are expected to leave."""
        path = self.rig.directory / "jobs-plan.json"
        up = [name for name in HOSTS if not (self.down and name == self.host)]
        ahead = day_world.outlook(self.times, up, packed=self.slurm is not None)
        plan = {"schema_version": 1, "kind": "plan", "created_at": _moment(time.time()), "as_of": _moment(time.time())}
        plan["placements"] = [one.as_record() for one in self.wanted(self.times.hour)]
        path.write_text(json.dumps({**plan, "outlook": ahead}))
        return path

    def variables(self) -> list[str]:
        jobs = {name: job for name, job in self.jobs.items() if job["came"] <= time.time()}
        given = {
            "modelops_jobs": {name: day_world.asked(job, TRAIN) for name, job in jobs.items()},
            "modelops_job_owners": {"vision": {}, "speech": {}},
            "modelops_job_work_dir": "/srv/work",
            "modelops_job_work_shared": True,
            "modelops_plan": str(self.plan()),
            **day_world.settings(self.times),
            **(self.slurm.variables() if self.slurm else {}),
        }
        path = self.rig.directory / "day.json"
        path.write_text(json.dumps(given))
        return ["-e", f"@{path}"]

    def turn(self) -> None:
        """Jobs give way to what is planned, then what is planned runs."""
        flags, began = self.variables(), time.time()
        planned = self.wanted(self.times.hour)
        run = self.rig.playbook("run_jobs", *flags)
        self.seen["turns"].append([round(began - self.times.begun, 1), round(run.seconds, 1), len(planned)])
        self.log("run_jobs", run.output)
        self.seen["failed_turns"] += run.code != 0
        for line in " ".join(run.output.split()).split("LATE ")[1:]:
            self.seen["named_late"].setdefault(line.split(":")[0], round(time.time(), 1))
        self.look(planned)
        if {(one.host, one.slot) for one in planned} != {(one.host, one.slot) for one in self.rig.running}:
            self.rig.plan(planned)
            run = self.rig.playbook("apply")
            self.log("apply", run.output)
            self.seen["applies"].append([round(time.time() - self.times.begun, 1), round(run.seconds, 1), run.code])
            self.rig.running = planned if run.code == 0 else self.rig.running

    def log(self, name: str, text: str) -> None:
        with open(self.rig.directory / "day.log", "a", encoding="utf-8") as stream:
            stream.write(f"##### {name} at {self.times.hour:.2f} h, load {os.getloadavg()[0]:.1f}\n{text}\n")
        print(f"{self.times.hour:5.2f} h {name}: {_short(text)}", flush=True)

    def look(self, planned: list[Replica]) -> None:
        """Does serving have what the plan gave it, and does nothing run twice?"""
        wanted = {(one.host, index) for one in planned for index in one.accelerators}
        up = [name for name in HOSTS if not (self.down and name == self.host)]
        if self.slurm:
            held, names = self.slurm.held(up)
        else:
            found = {host: [json.loads(line) for line in self.rig.sh(host, LOOK).splitlines() if line] for host in up}
            held = [
                (host, index)
                for host, jobs in found.items()
                for job in jobs
                for index in job["attempt"]["accelerators"]
            ]
            names = [job["name"] for jobs in found.values() for job in jobs]
        self.seen["serving_waited"].append(len(wanted & set(held)))
        self.seen["twice"] += len(names) - len(set(names)) + len(held) - len(set(held))

    def kill_a_turn(self) -> None:
        """SIGKILL to ansible-playbook and all it started here, when it has decided and begins to carry it out."""
        child = subprocess.Popen(
            self.rig.command("run_jobs", *self.variables()), cwd=ROOT, env=self.rig.settings(),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        for line in child.stdout or []:
            if "run_jobs : Decide]" in line or "run_jobs : Let Slurm follow]" in line:
                break
        time.sleep(1)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def happens(self, name: str) -> bool:
        """Whether it is time for it, for the first time."""
        if self.times.hour < day_world.EVENTS[name] or name in self.seen["events"]:
            return False
        self.seen["events"][name] = round(time.time() - self.times.begun, 1)
        print(f"{self.times.hour:5.2f} h {name}", flush=True)
        return True

    def live(self) -> None:
        while self.times.hour < 24:
            began = time.time()
            if self.happens("host dies"):
                self.rig.podman("kill", self.host)
                self.down, self.old = True, [one for one in self.rig.running if one.host == self.host]
                self.rig.running = [one for one in self.rig.running if one.host != self.host]
            if self.happens("host is back"):
                self.rig.podman("start", self.host)
                self.rig.wait(self.host, "systemctl is-system-running | grep -qE 'running|degraded'", seconds=120)
                self.down, self.rig.running = False, [*self.rig.running, *self.old]
                if self.slurm:
                    self.slurm.host_is_back(self.host)
            if self.happens("controller dies"):
                self.kill_a_turn()
            self.turn()
            time.sleep(max(0.0, began + self.times.turn_seconds - time.time()))
        self.turn()


def _short(text: str) -> str:
    words = " ".join(text.split())
    begin = words.find("Jobs: ")
    return words[begin : begin + 160] if begin >= 0 else words[-160:]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=24)
    parser.add_argument("--backend", choices=("systemd", "slurm"), default="systemd")
    parser.add_argument(
        "--prepared", action="store_true", help="the lab of this back end is up; a day before is forgotten"
    )
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    given = parser.parse_args()
    rig = Rig(os.environ.get("MODELOPS_LAB", "jobsday"))
    try:
        if not given.prepared:
            rig.down()
        day = LabDay(rig, given.minutes, given.backend)
        day.begin(prepared=given.prepared)
        try:
            day.live()
        finally:
            day.load.finish()
        result = {
            "what": __doc__.splitlines()[0],
            "measured_at": _moment(day.times.begun),
            "machine": {
                **{"cores": os.cpu_count(), "python": platform.python_version()},
                "load_average_at_its_end": [round(one, 1) for one in os.getloadavg()],
            },
            **{"backend": given.backend, "minutes": given.minutes},
            **lab_figures.figures(day),
        }
        name = HERE / f"lab_day_{given.backend}.json"
        name.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
        if not given.keep:
            rig.down()
        result["replayed"] = replay_day.replays(result)
        name.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
        print(json.dumps({key: value for key, value in result.items() if key != "moments"}, indent=1, sort_keys=True))
    finally:
        if not given.keep:
            rig.down()


if __name__ == "__main__":
    main()
