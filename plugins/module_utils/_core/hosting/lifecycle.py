# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Makes one host run exactly the replica services it was given.

For each service: its files are right, its process runs with the settings in them, and
it has answered a first completion. The order of every step is chosen so that a crash
after it is mended by the next run:

1. a replica is entered in the host's state before anything of it starts;
2. the digest of its settings is entered only after it was (re)started with them, so
   settings that were written but not taken up are seen as such;
3. until then the state says which version and release it really runs;
4. a replica leaves the state last, after its process and its files are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators import inventory
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting import gates
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.files import (
    DefinitionFile,
    Directory,
    remove_file,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.managers import ServiceManager
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.state import HostState
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import process

ACCELERATOR_TIMEOUT_SECONDS = 20.0
# What a record says of the process that runs, rather than of what is wanted.
IDENTITY = ("version", "checksum", "release")


@dataclass(frozen=True)
class ReplicaService:
    """One replica as this host shall run it.

    ``record`` is what the host's state says of it (``docs/files.md``); ``digest`` covers
    everything a restart is needed for. ``address`` and ``port`` are where it listens.
    ``accelerator_memory_gib`` is needed on each of its accelerators.
    """

    name: str
    record: Mapping[str, Any]
    definition: tuple[DefinitionFile, ...]
    digest: str
    url: str
    engine: str
    served_name: str
    probe: str
    address: str
    port: int
    health_path: str = ""
    api_key_file: str = ""
    memory_gib: float = 0.0
    accelerator_memory_gib: float = 0.0
    shares_accelerators: bool = False
    ready_timeout_seconds: float = 900.0
    stop_timeout_seconds: float = 60.0


@dataclass(frozen=True)
class AbsentService:
    """One replica this host shall no longer run, and the files to remove with it."""

    name: str
    record: Mapping[str, Any]
    paths: tuple[str, ...]
    stop_timeout_seconds: float = 60.0


@dataclass(frozen=True)
class Answer:
    """What asking a replica gave: ``startup_seconds`` from process start to the first answer.

    ``doomed``: it ended again and again in the same way, so starting it once more is no use.
    """

    ready: bool
    reason: str = ""
    startup_seconds: float | None = None
    doomed: bool = False


Ask = Callable[[ReplicaService, "int | None"], Answer]


@dataclass
class Outcome:
    """Names of the services that were touched, by what was done to them."""

    started: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    pending_restarts: list[str] = field(default_factory=list)
    differences: list[dict[str, str]] = field(default_factory=list)
    startup_seconds: dict[str, float] = field(default_factory=dict)
    state_changed: bool = False
    files_written: bool = False

    @property
    def changed(self) -> bool:
        touched = self.started or self.restarted or self.removed or self.mended or self.prepared
        return bool(touched or self.state_changed or self.files_written)

    def in_words(self) -> list[str]:
        """One line a service that was touched, for people."""
        lines = [f"put {path} right" for path in self.prepared[:3]]
        if len(self.prepared) > 3:
            lines = [f"prepared the host ({len(self.prepared)} directories and files)"]
        lines += [f"removed {name}" for name in self.removed]
        for verb, names in (("started", self.started), ("restarted", self.restarted)):
            for name in names:
                seconds = self.startup_seconds.get(name)
                lines.append(
                    f"{verb} {name}" + (f" (first answer after {seconds:.1f} s)" if seconds is not None else "")
                )
        return lines + [f"put the definition of {name} right" for name in self.mended]


def converge(
    services: Sequence[ReplicaService],
    absent: Sequence[AbsentService],
    *,
    manager: ServiceManager,
    state: HostState,
    ask: Ask,
    directories: Sequence[Directory] = (),
    files: Sequence[DefinitionFile] = (),
    restart_changed: bool = True,
    restart: Collection[str] = (),
    check_memory: bool = True,
    check_accelerators: bool = True,
    dry_run: bool = False,
) -> Outcome:
    """Remove ``absent``, then make ``services`` run and answer, one after the other.

    Args:
        directories: made before anything else.
        files: what the services share: programs, the manager's own settings.
        restart_changed: restart a service whose settings changed; otherwise it goes on with
            the old ones and is named in ``pending_restarts``.
        restart: names of services to restart although they run, such as one that hangs.
        check_memory, check_accelerators: whether a start needs what it declares to be free.
        dry_run: say what would be done; nothing is written, started or stopped.

    Raises:
        ModelOpsError: a gate is closed, a file cannot be written, or a replica did not
            answer in time; what was done before stays done.
    """
    run = _Run(manager, state, ask, restart_changed, frozenset(restart), check_memory, check_accelerators, dry_run)
    run.prepare(directories, files)
    if not dry_run and (services or absent):
        manager.prepare()
    for gone in absent:
        run.remove(gone)
    state.update(enter=[run.entered(service) for service in services])
    for service in services:
        run.ensure(service)
    run.outcome.state_changed = state.changed
    return run.outcome


@dataclass
class _Run:
    """One convergence of one host."""

    manager: ServiceManager
    state: HostState
    ask: Ask
    restart_changed: bool
    forced: frozenset[str]
    check_memory: bool
    check_accelerators: bool
    dry_run: bool
    outcome: Outcome = field(default_factory=Outcome)

    def prepare(self, directories: Sequence[Directory], files: Sequence[DefinitionFile]) -> None:
        for directory in directories:
            if not directory.is_right():
                self.outcome.prepared.append(directory.path)
                if not self.dry_run:
                    directory.make()
        for file in files:
            if not file.is_right():
                self.outcome.prepared.append(file.path)
                self.outcome.differences.append(file.difference())
                if not self.dry_run:
                    file.write()

    def remove(self, gone: AbsentService) -> None:
        if not self.dry_run:
            self.manager.stop(gone.name, gone.stop_timeout_seconds)
            for path in gone.paths:
                remove_file(path)
            self.manager.forget(gone.name)
        self.state.update(leave=[gone.record])
        self.outcome.removed.append(gone.name)

    def entered(self, service: ReplicaService) -> dict[str, Any]:
        """The record before anything is done: a replica of other settings is what it is until it is restarted."""
        held = self.state.record_of(service.name)
        digest = str(held.get("digest") or "")
        if not digest or digest == service.digest:
            return {**service.record, "digest": digest}
        return {**service.record, **{key: held[key] for key in IDENTITY if key in held}, "digest": digest}

    def ensure(self, service: ReplicaService) -> None:
        """Mend one service: its files, its process, its answer."""
        wrong = [file for file in service.definition if not file.is_right()]
        self.outcome.differences += [file.difference() for file in wrong]
        running = self.manager.is_running(service.name)
        if running and _took_up(wrong, self.manager.main_pid(service.name)):
            # Forget the digest first, so that a run that ends here is followed by a restart all the same.
            self.state.update(enter=[{**self.entered(service), "digest": ""}])
        current = running and self.state.digest_of(service.name) == service.digest
        mend = bool(wrong) or not self.manager.starts_at_boot(service.name)
        if not running:
            self._start(service, wrong)
        elif service.name in self.forced:
            self._restart(service, wrong)
        elif current:
            self._mend(service, wrong, mend)
        elif self.restart_changed:
            self._restart(service, wrong)
        else:
            # It need not answer: its wrong settings may be why it does not, and the restart is to come.
            self.outcome.pending_restarts.append(service.name)
            self._write(wrong)

    def _start(self, service: ReplicaService, wrong: Sequence[DefinitionFile]) -> None:
        self.outcome.started.append(service.name)
        if self.dry_run:
            return
        # What crashed may have left processes behind, or be about to be started again.
        self.manager.stop(service.name, service.stop_timeout_seconds)
        self._require_room(service)
        self._write(wrong)
        self.manager.start(service.name)
        self._await_first_answer(service)

    def _require_room(self, service: ReplicaService) -> None:
        gates.require_free_port(service.address, service.port, where=service.name)
        if self.check_memory and service.memory_gib > 0:
            gates.require_free_memory(service.memory_gib, where=service.name)
        if self.check_accelerators:
            gates.require_free_accelerators(
                [int(index) for index in service.record.get("accelerators") or ()],
                service.accelerator_memory_gib,
                exclusive=not service.shares_accelerators,
                look=lambda: inventory.take_inventory(timeout_seconds=ACCELERATOR_TIMEOUT_SECONDS)[0],
                where=service.name,
            )

    def _restart(self, service: ReplicaService, wrong: Sequence[DefinitionFile]) -> None:
        self.outcome.restarted.append(service.name)
        if self.dry_run:
            return
        self._write(wrong)
        self.manager.restart(service.name)
        self._await_first_answer(service)

    def _mend(self, service: ReplicaService, wrong: Sequence[DefinitionFile], mend: bool) -> None:
        if mend:
            self.outcome.mended.append(service.name)
        if self.dry_run:
            return
        self._write(wrong)
        if mend:
            self.manager.reload(service.name)
        self._expect(self.ask(service, None), service)

    def _await_first_answer(self, service: ReplicaService) -> None:
        record = {**service.record, "digest": service.digest}
        self.state.update(enter=[record])
        answer = self.ask(service, self.manager.main_pid(service.name))
        if answer.doomed:
            # Left to its manager it would be restarted for ever, and takes memory and devices each time.
            self.manager.stop(service.name, service.stop_timeout_seconds)
        self._expect(answer, service)
        if answer.startup_seconds is not None:
            seconds = round(answer.startup_seconds, 3)
            self.outcome.startup_seconds[service.name] = seconds
            self.state.update(
                enter=[{**record, "startup_seconds": seconds}],
                startup_seconds={str(service.record["model"]): seconds},
            )

    def _write(self, files: Sequence[DefinitionFile]) -> None:
        for file in files:
            self.outcome.files_written = True
            if not self.dry_run:
                file.write()

    def _expect(self, answer: Answer, service: ReplicaService) -> None:
        if not answer.ready:
            raise ModelOpsError(
                f"the replica does not answer: {answer.reason}",
                where=f"{service.name} (port {service.port})",
                remedy=f"Its last words were:\n{self.manager.log_tail(service.name)}\n",
            )


def _took_up(wrong: Sequence[DefinitionFile], pid: int | None) -> bool:
    """Whether a process was started, by someone else, with files that say something else than they should."""
    age = process.age_seconds(pid) if pid is not None else None
    return age is not None and any(file.was_other_before(clock.now() - age) for file in wrong)
