# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet in a temporary directory: the real code of hosts and record over a systemd that is made up.

Time stands still unless a test moves it. A host can be cut off, crash, or come back; a run of the
controller can be cut off at any write or command.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import host as hosting
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import units
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import parse_seen
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import parse_orders, parse_owners
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import State, read_state
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.turn import (
    Given,
    Turn,
    take_turn,
    to_carry_out,
    to_schedule,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule import make_schedule
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule_document import (
    schedule_document,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.source import read_problem

ME = pwd.getpwuid(os.getuid()).pw_name
KIND = "l40s-48gb"
START = 1_800_000_000.0
LEASE, MARGIN = 300.0, 10.0


class KilledError(Exception):
    """The controller, or what it runs on a host, ends here."""


@dataclass
class Running:
    """One unit: what it does to the job's own files as time passes."""

    name: str
    attempt: int
    since: float
    directory: str
    work: str
    cards: int
    signal: str


@dataclass
class Systemd:
    """One host's service manager. ``speed``: share of each job's work done a second on one accelerator."""

    world: World
    name: str
    up: dict[str, Running] = field(default_factory=dict)
    timers: dict[str, float] = field(default_factory=dict)

    def run(self, argv: Sequence[str], *, timeout_seconds: float, if_absent: str = "") -> tuple[int, str]:
        self.world.maybe_killed()
        if argv[1] == "list-units":
            kind = argv[-1].rpartition(".")[2]
            found = self.timers if kind == "timer" else {units.job_unit(name): None for name in self.up}
            return 0, "\n".join(f"{unit} loaded active running something" for unit in found)
        if argv[1] == "stop":
            for unit in argv[2:]:
                if unit.endswith(".timer"):
                    self.timers.pop(unit, None)
                else:
                    self.ask_to_stop(unit[len(units.JOB_PREFIX) : -len(".service")])
            return 0, ""
        if argv[1] == "daemon-reload":
            return 0, ""
        if argv[1] == "start":
            return self._start(argv[2][len(units.JOB_PREFIX) : -len(".service")])
        unit = next(word[len("--unit=") :] for word in argv if word.startswith("--unit="))
        self.timers[f"{unit}.timer"] = float(unit.rpartition(":")[2])
        return 0, ""

    def _start(self, name: str) -> tuple[int, str]:
        if name in self.up:
            return 0, ""
        place = self.world.place(self.name)
        about = json.loads(Path(place.directory(name), "attempt.json").read_text())
        self.up[name] = Running(
            name, about["attempt"], self.world.now, place.directory(name), place.work(name), len(about["accelerators"]),
            self.world.jobs[name].get("behaves", ""),
        )  # fmt: skip
        self.world.starts.append((name, about["attempt"], self.name))
        held = [index for own in self.world.held(self.name).values() for index in own]
        if len(held) != len(set(held)):
            self.world.twice.append(f"accelerators of {self.name} are held twice: {self.world.held(self.name)}")
        if len(self.world.running_now()[name]) > 1:
            self.world.twice.append(f"{name} on {self.world.running_now()[name]} at {self.world.now - START:.0f} s")
        return 0, ""

    def ask_to_stop(self, name: str) -> None:
        job = self.up.get(name)
        if job is None:
            return
        Path(job.directory, "asked").write_text(f"{job.attempt}\n")
        self.world.save(job)
        self.end(job, "success" if job.signal != "ignores" else "timeout", "0" if job.signal != "ignores" else "9")

    def end(self, job: Running, result: str, status: str) -> None:
        Path(job.directory, "ended.json").write_text(
            json.dumps({"attempt": job.attempt, "result": result, "code": "x", "status": status, "at": self.world.now})
        )
        self.up.pop(job.name, None)
        self.world.used.append((job.name, (self.world.now - job.since) * job.cards / 3600))

    def pass_time(self) -> None:
        for timer, until in list(self.timers.items()):
            if self.world.now >= until:
                del self.timers[timer]
                self.ask_to_stop(units.lease_of(timer))
        for job in list(self.up.values()):
            self.world.save(job)
            if job.signal == "fails" and self.world.now - job.since >= 20:
                self.end(job, "exit-code", "1")
            elif self.world.share(job.name) >= 1:
                self.end(job, "success", "0")

    def crash(self) -> None:
        for job in self.up.values():
            self.world.used.append((job.name, (self.world.now - job.since) * job.cards / 3600))
        self.up.clear()
        self.timers.clear()


class World:
    """Hosts of four accelerators each, jobs, what serving takes, and the record on another host."""

    def __init__(self, root: Path, jobs: dict[str, Any], *, hosts: int = 2, shared: bool = True) -> None:
        self.root, self.now, self.shared = root, START, shared
        self.jobs = {name: {"work_accelerator_hours": 0.1, "command": ["true"], **job} for name, job in jobs.items()}
        self.names = [f"h{number}" for number in range(hosts)]
        self.systemd = {name: Systemd(self, name) for name in self.names}
        self.cut_off: set[str] = set()
        self.down: set[str] = set()
        self.planned: list[Replica] = []
        self.running: list[Replica] = []
        self.states = dict.fromkeys(self.names, "active")
        self.starts: list[tuple[str, int, str]] = []
        self.used: list[tuple[str, float]] = []
        self.lives: int | None = None
        self.stragglers: list[tuple[str, dict[str, Any]]] | None = None
        self.twice: list[str] = []
        self.settle = 0.0
        self.grid = {"period_seconds": 60, "periods": 60}

    def place(self, name: str) -> units.Place:
        base = self.root / name
        work = self.root / "shared" if self.shared else base / "work"
        return units.Place(f"{base}/jobs", str(work), f"{base}/log", user=ME, unit_dir=str(base))

    def maybe_killed(self) -> None:
        """Ends the run when its lives are used up."""
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                raise KilledError

    def save(self, job: Running) -> None:
        """The job writes its checkpoint: what it did since the last one."""
        path = Path(job.work, "saved")
        share, since = json.loads(path.read_text()) if path.exists() else (0.0, [job.attempt, job.since])
        begun = since[1] if since[0] == job.attempt else job.since
        work = self.jobs[job.name]["work_accelerator_hours"]
        share = min(1.0, share + (self.now - begun) / 3600 * job.cards / work)
        path.write_text(json.dumps([share, [job.attempt, self.now]]))
        if job.signal != "says nothing":
            Path(job.work, "progress").write_text(str(share))

    def share(self, name: str) -> float:
        paths = [Path(self.place(host).work(name), "saved") for host in self.names]
        return max((json.loads(path.read_text())[0] for path in paths if path.exists()), default=0.0)

    def hosts(self) -> list[Host]:
        silent = self.cut_off | self.down
        return [
            Host(
                name, accelerator_type=KIND, accelerator_count=4, state=self.states[name], reachable=name not in silent
            )
            for name in self.names
        ]

    def replica(self, host: str, slot: int, *accelerators: int) -> Replica:
        return Replica(host, slot, "chat", "1", 8100 + slot, accelerators)

    @property
    def record(self) -> Path:
        return self.root / "jobs.json"

    def state(self) -> State:
        return read_state(str(self.record))

    def pass_time(self, seconds: float, step: float = 10.0) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += step
            for name in self.names:
                if name not in self.down:
                    self.systemd[name].pass_time()

    def turn(self, *, rounds: int = 3, policy: str = "edf", **options: Any) -> Turn:
        """What the role does, in the same order."""
        turn, said = None, []
        for number in range(rounds):
            options = {**options, "again": options.get("again", []) if number == 0 else []}
            turn = self.one_round(policy, dict(options))
            said += turn.changes.lines
            turn.changes.lines[:] = said
            if not turn.decision.stops:
                break
        assert turn is not None
        return turn

    def one_round(self, policy: str, options: dict[str, Any]) -> Turn:
        answering = [name for name in self.names if name not in self.cut_off | self.down]
        self.maybe_killed()
        looked = {name: hosting.look(self.place(name), run=self.systemd[name].run) for name in answering}
        given = {
            "orders": parse_orders({name: _asked(job) for name, job in self.jobs.items()}),
            "hosts": self.hosts(),
            "planned": self.planned,
            "running": self.running,
            "seen": parse_seen(looked),
            "owners": parse_owners(options.pop("owners", {})),
            "lease_seconds": LEASE,
            "lease_margin_seconds": MARGIN,
            "settle_seconds": self.settle,
            "shared": self.shared,
            **options,
        }
        looking = take_turn(str(self.record), Given(**given), now=self.now)
        self.maybe_killed()
        schedule = self.schedule(to_schedule(looking, given["seen"]), policy)
        turn = take_turn(str(self.record), Given(**{**given, "again": []}, schedule=schedule), now=self.now)
        turn.changes.lines[:0] = looking.changes.lines
        turn.changed |= looking.changed
        self.maybe_killed()
        for name, work in sorted(to_carry_out(turn, Given(**given)).items()):
            if name in self.cut_off | self.down:
                continue
            if self.stragglers is not None:
                # The controller dies here; what it sent goes on by itself, whenever that may be.
                self.stragglers.append((name, work))
                continue
            self.carry_out(name, work)
        return turn

    def carry_out(self, name: str, work: dict[str, Any]) -> None:
        """What the module job_units does on a host."""
        place, run = self.place(name), self.systemd[name].run
        starts = [units.parse_start(one, where="") for one in work["start"]]
        hosting.start(place, starts, run=run)
        hosting.renew(place, [(one["name"], one["until"]) for one in work["renew"]], run=run)
        hosting.stop(place, [(one["name"], one["attempt"]) for one in work["stop"]], run=run)

    def plan(self) -> dict[str, Any]:
        return {"kind": "plan", "placements": [one.as_record() for one in self.planned]}

    def schedule(self, jobs: list[dict[str, Any]], policy: str) -> dict[str, Any]:
        if not jobs:
            return {"jobs": {}, "start": ""}
        params = {
            "jobs": jobs,
            "hosts": [one.as_record() for one in self.hosts()],
            "plan": self.plan(),
            "start": _moment(self.now),
            **self.grid,
        }
        problem, inputs = read_problem(params, now=self.now)
        return schedule_document(make_schedule(problem, policy=policy, completion_tolerance=0.1), None, inputs=inputs)

    def running_now(self) -> dict[str, list[str]]:
        """Every job whose unit is up, with the hosts."""
        found: dict[str, list[str]] = {}
        for host in self.names:
            for name in self.systemd[host].up:
                found.setdefault(name, []).append(host)
        return found

    def held(self, host: str) -> dict[str, list[int]]:
        """Accelerators of each job whose unit is up on the host."""
        place = self.place(host)
        return {
            name: json.loads(Path(place.directory(name), "attempt.json").read_text())["accelerators"]
            for name in self.systemd[host].up
        }


def _asked(job: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in job.items() if key != "behaves"}


def _moment(seconds: float) -> str:
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment

    return format_moment(seconds)


def maker(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """What makes worlds whose time is the clock's, and that do not wait for the disk."""

    def made(jobs: dict[str, Any], **options: Any) -> World:
        world = World(directory, jobs, **options)
        monkeypatch.setattr(clock, "now", lambda: world.now)
        monkeypatch.setattr("os.fsync", lambda _handle: None)
        return world

    return made
