# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random stories of jobs: runs cut off at any line, stragglers, hosts cut off or down, serving that comes and goes.

Whatever happens, no job runs twice at once, no accelerator belongs to two, serving gets what it is
planned, no accelerator idles beside a job that it would do for, no hour is charged that was not used, and in
the end every job has run.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import job_world
from job_world import KilledError, World

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import filling, moves, observe

STORIES, EVENTS = 25, 40


def some_jobs(chance: random.Random) -> dict[str, Any]:
    jobs = {}
    for number in range(chance.randint(2, 6)):
        least = chance.choice([1, 1, 2, 4])
        jobs[f"j{number}"] = {
            "work_accelerator_hours": chance.choice([0.02, 0.1, 0.4]),
            "accelerators": {"min": least, "max": chance.choice([least, 4])},
            "weight": chance.choice([0.5, 1, 3]),
            "owner": chance.choice(["x", "y"]),
            "backoff_seconds": 20,
            "retries": 100,
            **(
                {"deadline": job_world._moment(job_world.START + chance.randint(300, 3000))}
                if chance.random() < 0.7
                else {}
            ),
            **({"preemptible": False} if chance.random() < 0.15 else {}),
        }
    return jobs


class Story:
    """One world and its events; ``broken`` collects what must never be."""

    def __init__(self, seed: int, root: Path) -> None:
        self.chance = random.Random(seed)
        jobs = some_jobs(self.chance)
        self.world = World(root, jobs, hosts=self.chance.randint(1, 3), shared=self.chance.random() < 0.6)
        self.world.settle = self.chance.choice([0.0, 60.0])
        self.broken: list[str] = []
        self.counts: Counter[str] = Counter()
        self.late_work: list[tuple[str, dict[str, Any]]] = []
        self.unseen = False

    def tell(self) -> None:
        for _event in range(EVENTS):
            happening = self.chance.choice(
                [
                    "turn",
                    "turn",
                    "turn",
                    "time",
                    "time",
                    "killed",
                    "straggler",
                    "late",
                    "cut",
                    "down",
                    "back",
                    "serving",
                ]
            )
            self.counts[happening] += 1
            getattr(self, happening)()
            self.look()

    def turn(self) -> None:
        try:
            turn = self.world.turn(policy="edf")
        except ModelOpsError as error:
            self.broken.append(f"a turn failed: {error.message}")
            return
        if not turn.decision.stops:
            self.broken += self.idle_beside_who_waits()
        silent = self.world.cut_off | self.world.down
        for host in self.world.names:
            taken = {index for one in self.world.planned if one.host == host for index in one.accelerators}
            for name, held in self.world.held(host).items():
                if host not in silent and taken & set(held) and self.world.jobs[name].get("preemptible", True):
                    self.broken.append(f"{name} still holds what {host} serves with")

    def idle_beside_who_waits(self) -> list[str]:
        """Jobs that may be interrupted and could start on a host as it is."""
        world, found = self.world, []
        for name, record in world.state().jobs.items():
            job = world.jobs[name]
            if record.current or record.over or record.not_before > world.now or not job.get("preemptible", True):
                continue
            hosts = [record.checkpoint_host] if record.checkpoint_host and not world.shared else world.names
            for host in set(hosts) - world.cut_off - world.down:
                taken = {index for one in world.planned if one.host == host for index in one.accelerators}
                taken |= {index for own in world.held(host).values() for index in own}
                taken |= set(entered_on(world.state(), host))
                if 4 - len(taken) >= job["accelerators"]["min"]:
                    found.append(f"{name} waits beside {4 - len(taken)} idle accelerators of {host}")
        return found

    def time(self) -> None:
        self.world.pass_time(self.chance.choice([10, 30, 100, 400]))

    def killed(self) -> None:
        self.world.lives = self.chance.randint(0, 25)
        try:
            self.world.turn(policy="edf")
        except KilledError:
            self.counts["cut off"] += 1
        self.world.lives = None

    def straggler(self) -> None:
        self.world.stragglers = []
        self.world.turn(policy="edf", rounds=1)
        self.late_work += self.world.stragglers
        self.world.stragglers = None

    def late(self) -> None:
        for name, work in self.late_work:
            if name not in self.world.down:
                self.world.carry_out(name, work)
                self.counts["late work"] += 1
        self.late_work = []

    def cut(self) -> None:
        self.unseen = True
        self.world.cut_off.add(self.chance.choice(self.world.names))

    def down(self) -> None:
        self.unseen = True
        host = self.chance.choice(self.world.names)
        self.world.down.add(host)
        self.world.systemd[host].crash()
        self.late_work = [(name, work) for name, work in self.late_work if name != host]

    def back(self) -> None:
        self.world.cut_off.clear()
        self.world.down.clear()

    def serving(self) -> None:
        self.world.planned = [
            self.world.replica(host, 0, *range(self.chance.randint(1, 4)))
            for host in self.world.names
            if self.chance.random() < 0.5
        ]

    def look(self) -> None:
        self.broken += self.world.twice
        self.world.twice.clear()
        for host in self.world.names:
            held = [index for own in self.world.held(host).values() for index in own]
            if len(held) != len(set(held)):
                self.broken.append(f"accelerators of {host} are held twice: {self.world.held(host)}")

    def calm(self) -> None:
        """All is well again: every job comes to its end, and what was charged was used."""
        self.back()
        self.late()
        self.world.planned = []
        for _turn in range(400):
            self.turn()
            self.look()
            if all(one.over for one in self.world.state().jobs.values()):
                break
            self.world.pass_time(60)
        phases = {name: one.phase for name, one in self.world.state().jobs.items()}
        self.broken += [f"{name} is {phase} in the end" for name, phase in phases.items() if phase != "done"]
        used = sum(hours for _name, hours in self.world.used)
        charged = sum(account["accelerator_hours"] for account in self.world.state().owners.values())
        # Of a host that is cut off or goes down, what was used after it was last seen is not known.
        if charged > used + 1e-3 or (not self.unseen and charged < used - 1e-3):
            self.broken.append(f"{charged:.4f} accelerator-hours charged, {used:.4f} used")
        self.counts["preempted"] += sum(one.preemptions for one in self.world.state().jobs.values())
        self.counts["lost"] += sum(one.losses for one in self.world.state().jobs.values())


def entered_on(state: Any, host: str) -> list[int]:
    """Accelerators of attempts on record there, whether they have begun or not."""
    current = [one.current for one in state.jobs.values() if one.current and one.current.host == host]
    return [index for attempt in current for index in attempt.accelerators]


def broken_in(story: Story, seed: int) -> list[str]:
    story.tell()
    story.calm()
    return [f"seed {seed}: {text}" for text in story.broken]


def clocked(monkeypatch: pytest.MonkeyPatch, story: Story) -> Story:
    monkeypatch.setattr(clock, "now", lambda: story.world.now)
    monkeypatch.setattr("os.fsync", lambda _handle: None)
    return story


def test_every_rule_holds_in_random_stories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, counts = [], Counter()
    for seed in range(STORIES):
        story = clocked(monkeypatch, Story(seed, tmp_path / str(seed)))
        broken += broken_in(story, seed)
        counts += story.counts
    assert broken == []
    assert min(counts[one] for one in ("cut off", "late work", "preempted", "lost")) >= 8, counts


@pytest.mark.parametrize("loosened", ["lease", "room", "idle"])
def test_a_rule_that_is_let_go_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loosened: str) -> None:
    if loosened == "lease":  # a host that does not answer counts as dead at once
        real = observe.observe
        monkeypatch.setattr(
            "ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.turn.observe",
            lambda *args, **options: real(*args, **{**options, "lease_margin_seconds": -1e9}),
        )
    elif loosened == "idle":  # only what the schedule says starts
        monkeypatch.setattr(filling, "fill", lambda _turn: None)
    else:  # what is being given back counts as free
        monkeypatch.setattr(moves.Moves, "stop", _stop_and_give_now)
    for seed in range(300):
        story = clocked(monkeypatch, Story(seed, tmp_path / str(seed)))
        story.tell()
        if any(any(word in text for word in ("are held twice", " on [", "idle accelerators")) for text in story.broken):
            return
    pytest.fail("nothing was noticed")


def _stop_and_give_now(turn: Any, record: Any, attempt: Any, why: str) -> None:
    turn.decision.stops.append((attempt.host, record.name, attempt.number))
    attempt.stopping = why
    if attempt.host in turn.room.now:
        turn.room.now[attempt.host] |= set(attempt.accelerators)
        turn.room.soon[attempt.host] |= set(attempt.accelerators)
