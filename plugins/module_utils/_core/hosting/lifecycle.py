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
3. a replica leaves the state last, after its process and its files are gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents, host_state
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting import gates
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.files import (
    DefinitionFile,
    Directory,
    remove_file,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.managers import ServiceManager
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import process


@dataclass(frozen=True)
class ReplicaService:
    """One replica as this host shall run it.

    ``record`` is what the host's state says of it (``docs/files.md``); ``digest`` covers
    everything a restart is needed for. ``address`` and ``port`` are where it listens.
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
    """What asking a replica gave: ``startup_seconds`` from process start to the first answer."""

    ready: bool
    reason: str = ""
    startup_seconds: float | None = None


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

    @property
    def changed(self) -> bool:
        return bool(
            self.started or self.restarted or self.removed or self.mended or self.prepared or self.state_changed
        )

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


class HostState:
    """The host's state file, written through on every change."""

    def __init__(self, path: str, *, dry_run: bool) -> None:
        self._path = path
        self._dry_run = dry_run
        try:
            self.document: dict[str, Any] = documents.read_document(path, what="host state")
        except ModelOpsError:
            # Absent or unreadable: what runs is found again service by service.
            self.document = {}
        self.changed = False

    def update(
        self,
        *,
        enter: Iterable[Mapping[str, Any]] = (),
        leave: Iterable[Mapping[str, Any]] = (),
        startup_seconds: Mapping[str, float] | None = None,
    ) -> None:
        document = host_state.updated_state(self.document, enter=enter, leave=leave, startup_seconds=startup_seconds)
        if document != self.document:
            self.document = document
            self.changed = True
            if not self._dry_run:
                os.makedirs(os.path.dirname(self._path), mode=0o755, exist_ok=True)
                documents.write_document(self._path, document, mode=0o644)

    def digest_of(self, service: ReplicaService) -> str:
        """The digest of the settings ``service`` was last started with; empty when unknown."""
        for record in self.document.get("replicas") or []:
            if record.get("service") == service.name:
                return str(record.get("digest") or "")
        return ""


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
    check_memory: bool = True,
    dry_run: bool = False,
) -> Outcome:
    """Remove ``absent``, then make ``services`` run and answer, one after the other.

    Args:
        directories: made before anything else.
        files: what the services share: programs, the manager's own settings.
        restart_changed: restart a service whose settings changed; otherwise it goes on with
            the old ones and is named in ``pending_restarts``.
        dry_run: say what would be done; nothing is written, started or stopped.

    Raises:
        ModelOpsError: a gate is closed, a file cannot be written, or a replica did not
            answer in time; what was done before stays done.
    """
    outcome = Outcome()
    _prepare(directories, files, outcome, dry_run)
    if not dry_run and (services or absent):
        manager.prepare()
    for gone in absent:
        _remove(gone, manager, state, outcome, dry_run)
    state.update(enter=[{**service.record, "digest": state.digest_of(service)} for service in services])
    for service in services:
        _ensure(service, manager, state, ask, outcome, restart_changed, check_memory, dry_run)
    outcome.state_changed = state.changed
    return outcome


def _prepare(
    directories: Sequence[Directory], files: Sequence[DefinitionFile], outcome: Outcome, dry_run: bool
) -> None:
    for directory in directories:
        if not directory.is_right():
            outcome.prepared.append(directory.path)
            if not dry_run:
                directory.make()
    for file in files:
        if not file.is_right():
            outcome.prepared.append(file.path)
            outcome.differences.append(file.difference())
            if not dry_run:
                file.write()


def _remove(gone: AbsentService, manager: ServiceManager, state: HostState, outcome: Outcome, dry_run: bool) -> None:
    if not dry_run:
        manager.stop(gone.name, gone.stop_timeout_seconds)
        for path in gone.paths:
            remove_file(path)
        manager.forget(gone.name)
    state.update(leave=[gone.record])
    outcome.removed.append(gone.name)


def _ensure(
    service: ReplicaService,
    manager: ServiceManager,
    state: HostState,
    ask: Ask,
    outcome: Outcome,
    restart_changed: bool,
    check_memory: bool,
    dry_run: bool,
) -> None:
    wrong = [file for file in service.definition if not file.is_right()]
    outcome.differences += [file.difference() for file in wrong]
    running = manager.is_running(service.name)
    if running and _took_up(wrong, manager.main_pid(service.name)):
        state.update(enter=[{**service.record, "digest": ""}])  # so that the next run restarts it if this one ends here
    current = running and state.digest_of(service) == service.digest
    act = not running or (not current and restart_changed)
    mend = bool(wrong) or not manager.starts_at_boot(service.name)
    if running and not current and not restart_changed:
        outcome.pending_restarts.append(service.name)
    if dry_run:
        (outcome.started if not running else outcome.restarted if act else outcome.mended if mend else []).append(
            service.name
        )
        return
    if act and not running:
        # What crashed may have left processes behind, or be about to be started again.
        manager.stop(service.name, service.stop_timeout_seconds)
        _require_room(service, check_memory)
    for file in wrong:
        file.write()
    if act:
        (manager.restart if running else manager.start)(service.name)
        state.update(enter=[{**service.record, "digest": service.digest}])
        (outcome.restarted if running else outcome.started).append(service.name)
    elif mend:
        if service.name not in outcome.pending_restarts:
            manager.reload(service.name)
        outcome.mended.append(service.name)
    if service.name in outcome.pending_restarts:
        return  # it need not answer: wrong settings may be why it does not, and the restart is to come
    answer = ask(service, manager.main_pid(service.name) if act else None)
    if not answer.ready:
        raise ModelOpsError(
            f"the replica does not answer: {answer.reason}",
            where=f"{service.name} (port {service.port})",
            remedy=f"Its last words were:\n{manager.log_tail(service.name)}\n",
        )
    if act and answer.startup_seconds is not None:
        model = str(service.record["model"])
        outcome.startup_seconds[service.name] = round(answer.startup_seconds, 3)
        state.update(
            enter=[{**service.record, "digest": service.digest, "startup_seconds": round(answer.startup_seconds, 3)}],
            startup_seconds={model: answer.startup_seconds},
        )


def _took_up(wrong: Sequence[DefinitionFile], pid: int | None) -> bool:
    """Whether a process was started, by someone else, with files that say something else than they should."""
    age = process.age_seconds(pid) if pid is not None else None
    return age is not None and any(file.was_other_before(clock.now() - age) for file in wrong)


def _require_room(service: ReplicaService, check_memory: bool) -> None:
    gates.require_free_port(service.address, service.port, where=service.name)
    if check_memory and service.memory_gib > 0:
        gates.require_free_memory(service.memory_gib, where=service.name)
