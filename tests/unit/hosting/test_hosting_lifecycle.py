"""The order of steps on a host: whatever breaks off, the next run mends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.files import DefinitionFile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.lifecycle import (
    AbsentService,
    Answer,
    Outcome,
    ReplicaService,
    converge,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.state import HostState


class BrokenOffError(Exception):
    """Stands for a lost connection or a power cut."""


@dataclass
class Machine:
    """A host in memory: which services run, with which content of their files, and what was done."""

    root: Path
    running: dict[str, str] = field(default_factory=dict)
    at_boot: set[str] = field(default_factory=set)
    steps: int = 0
    break_at: int | None = None
    answers: bool = True
    doomed: bool = False

    def step(self) -> None:
        self.steps += 1
        if self.break_at is not None and self.steps > self.break_at:
            raise BrokenOffError

    def prepare(self) -> bool:
        return False

    def reload(self, name: str) -> None:
        self.step()
        self.at_boot.add(name)

    def starts_at_boot(self, name: str) -> bool:
        return name in self.at_boot

    def is_running(self, name: str) -> bool:
        return name in self.running

    def has_given_up(self, name: str) -> bool:
        return False

    def last_end(self, name: str) -> tuple[str, str]:
        return "", ""

    def start(self, name: str) -> None:
        self.step()
        self.running[name] = (self.root / f"{name}.unit").read_text()
        self.at_boot.add(name)
        self.step()

    restart = start

    def stop(self, name: str, timeout_seconds: float) -> None:
        self.step()
        self.running.pop(name, None)
        self.at_boot.discard(name)

    def forget(self, name: str) -> None:
        self.step()

    def main_pid(self, name: str) -> int | None:
        return None

    def log_tail(self, name: str) -> str:
        return "last words"

    def ask(self, service: ReplicaService, pid: int | None) -> Answer:
        self.step()
        reason = "" if self.answers else "nobody there"
        return Answer(self.answers, reason=reason, startup_seconds=2.0, doomed=self.doomed)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def service(machine: Machine, slot: int, content: str = "v1") -> ReplicaService:
    name = f"modelops-chat-{slot}"
    return ReplicaService(
        name=name,
        record={"slot": slot, "model": "chat", "version": content, "port": 0, "service": name},
        definition=(DefinitionFile(path=str(machine.root / f"{name}.unit"), content=content, mode=0o644),),
        digest=content,
        url="http://127.0.0.1:0",
        engine="command",
        served_name="chat",
        probe="none",
        address="127.0.0.1",
        port=0,
    )


def gone(machine: Machine, slot: int) -> AbsentService:
    one = service(machine, slot)
    return AbsentService(name=one.name, record=one.record, paths=(one.definition[0].path,))


def run(machine: Machine, services: Any = (), absent: Any = (), **options: Any) -> Outcome:
    state = HostState(str(machine.root / "facts.d" / "modelops.fact"), dry_run=bool(options.get("dry_run")))
    return converge(list(services), list(absent), manager=machine, state=state, ask=machine.ask, **options)


def recorded(machine: Machine) -> dict[str, Any]:
    return json.loads((machine.root / "facts.d" / "modelops.fact").read_text())


def test_a_second_run_does_nothing(machine: Machine) -> None:
    wanted = [service(machine, 0), service(machine, 1)]
    assert run(machine, wanted).started == ["modelops-chat-0", "modelops-chat-1"]
    assert not run(machine, wanted).changed


def test_a_dry_run_touches_nothing(machine: Machine) -> None:
    outcome = run(machine, [service(machine, 0)], dry_run=True)
    assert outcome.started == ["modelops-chat-0"]
    assert outcome.differences[0]["after"] == "v1"
    assert not list(machine.root.iterdir())
    assert machine.steps == 0


def test_changed_settings_are_restarted_once_and_only_when_allowed(machine: Machine) -> None:
    run(machine, [service(machine, 0)])
    changed = [service(machine, 0, "v2")]
    held = run(machine, changed, restart_changed=False)
    assert held.pending_restarts == ["modelops-chat-0"]
    assert held.changed, "the new settings were written"
    assert machine.running == {"modelops-chat-0": "v1"}
    assert run(machine, changed).restarted == ["modelops-chat-0"]
    assert machine.running == {"modelops-chat-0": "v2"}
    assert not run(machine, changed).changed


def test_a_silent_replica_with_wrong_settings_is_not_waited_for_before_its_restart(machine: Machine) -> None:
    run(machine, [service(machine, 0)])
    machine.answers = False
    held = run(machine, [service(machine, 0, "v2")], restart_changed=False)
    assert held.pending_restarts == ["modelops-chat-0"]


def test_a_replica_that_does_not_answer_is_an_error_with_its_last_words(machine: Machine) -> None:
    machine.answers = False
    with pytest.raises(ModelOpsError, match="nobody there") as caught:
        run(machine, [service(machine, 0)])
    assert "last words" in caught.value.message


def test_a_file_removed_by_hand_comes_back_without_a_restart(machine: Machine) -> None:
    wanted = [service(machine, 0)]
    run(machine, wanted)
    (machine.root / "modelops-chat-0.unit").unlink()
    outcome = run(machine, wanted)
    assert outcome.mended == ["modelops-chat-0"]
    assert not outcome.restarted


def test_a_service_that_would_not_come_back_after_a_reboot_is_mended(machine: Machine) -> None:
    wanted = [service(machine, 0)]
    run(machine, wanted)
    machine.at_boot.clear()
    assert run(machine, wanted).mended == ["modelops-chat-0"]
    assert not run(machine, wanted).changed


def test_start_up_times_are_kept_by_model(machine: Machine) -> None:
    run(machine, [service(machine, 0), service(machine, 1)])
    assert recorded(machine)["startup_seconds"] == {"chat": [2.0, 2.0]}


def test_removal_leaves_nothing(machine: Machine) -> None:
    run(machine, [service(machine, 0), service(machine, 1)])
    outcome = run(machine, [service(machine, 1)], [gone(machine, 0)])
    assert outcome.removed == ["modelops-chat-0"]
    assert list(machine.running) == ["modelops-chat-1"]
    assert not (machine.root / "modelops-chat-0.unit").exists()
    assert [replica["slot"] for replica in recorded(machine)["replicas"]] == [1]


@pytest.mark.parametrize("break_at", range(12))
def test_a_run_broken_off_anywhere_is_finished_by_the_next(machine: Machine, break_at: int) -> None:
    run(machine, [service(machine, 0), service(machine, 1)])
    wanted, away = [service(machine, 1, "v2"), service(machine, 2)], [gone(machine, 0)]
    machine.steps, machine.break_at = 0, break_at
    try:
        run(machine, wanted, away)
    except BrokenOffError:
        known = {replica["service"] for replica in recorded(machine)["replicas"]}
        assert set(machine.running) <= known, "a service runs that nobody knows of"
    machine.break_at = None
    run(machine, wanted, away)
    assert machine.running == {"modelops-chat-1": "v2", "modelops-chat-2": "v1"}
    assert [replica["slot"] for replica in recorded(machine)["replicas"]] == [1, 2]
    assert not run(machine, wanted).changed


def test_the_record_of_another_service_in_the_same_slot_stays_out_of_it(machine: Machine) -> None:
    run(machine, [service(machine, 0)])
    other = service(machine, 0)
    renamed = replace(
        other, name="modelops-code-0", record={**other.record, "model": "code", "service": "modelops-code-0"}
    )
    renamed = replace(
        renamed, definition=(replace(other.definition[0], path=str(machine.root / "modelops-code-0.unit")),)
    )
    run(machine, [renamed], [gone(machine, 0)])
    assert [replica["model"] for replica in recorded(machine)["replicas"]] == ["code"]
    assert list(machine.running) == ["modelops-code-0"]


def test_a_doomed_service_is_stopped_and_the_next_run_tries_it_anew(machine: Machine, tmp_path: Path) -> None:
    machine.answers, machine.doomed = False, True
    state = HostState(str(tmp_path / "state.json"), dry_run=False)
    one = service(machine, 0)
    with pytest.raises(ModelOpsError, match="nobody there"):
        converge([one], [], manager=machine, state=state, ask=machine.ask, check_memory=False)
    assert machine.running == {} and machine.at_boot == set()
    machine.answers, machine.doomed = True, False
    outcome = converge([one], [], manager=machine, state=state, ask=machine.ask, check_memory=False)
    assert outcome.started == [one.name] and one.name in machine.running
