# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A gateway as a whole: its files on disk and its running process, made to agree.

Order: files first (checked by HAProxy itself before they replace anything), then the process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway import certificate, live_maps, store
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.configuration import (
    FRAME_VARIABLE,
    Gateway,
    frame_digest,
    map_files,
    render,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.master_socket import (
    GatewayDownError,
    MasterSocket,
    Worker,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.reconciliation import (
    Key,
    Step,
    floor_steps,
    reconcile,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.runtime_state import (
    ServerState,
    parse_servers_state,
    without_changed,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.files import DefinitionFile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.certificate import examine

CONFIGURATION = "haproxy.cfg"
PREVIOUS = "haproxy.cfg.previous"
RELOAD_SECONDS = 30.0
POLL_SECONDS = 0.1
# What HAProxy answers to a command it carried out.
GOOD_ANSWERS = ("", "New server registered.", "Server deleted.")


@dataclass
class Outcome:
    """What was done, or in a dry run would be."""

    done: list[str] = field(default_factory=list)
    reloaded: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    differences: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    running: bool = True

    @property
    def changed(self) -> bool:
        return bool(self.done or self.reloaded or self.written)


@dataclass
class Control:
    """``clock`` and ``sleep`` can be replaced in tests of time."""

    gateway: Gateway
    executable: str = "haproxy"
    dry_run: bool = False
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.socket = MasterSocket(os.path.join(self.gateway.settings.runtime_dir, "master.sock"))
        self.outcome = Outcome()

    # Files

    def write_files(self) -> None:
        """Configuration, maps and the document, each checked before it replaces what was there."""
        files = self._files()
        wrong = [entry for entry in files if not entry.is_right()]
        self.outcome.written += [entry.path for entry in wrong]
        self.outcome.differences += [entry.difference() for entry in wrong if not entry.path.endswith(store.NAME)]
        if not wrong or self.dry_run:
            return
        self._check({entry.path: entry.content for entry in files})
        config_dir = self.gateway.settings.config_dir
        current = os.path.join(config_dir, CONFIGURATION)
        if os.path.exists(current) and any(entry.path == current for entry in wrong):
            shutil.copy2(current, os.path.join(config_dir, PREVIOUS))
        # The document first, and as not yet carried out: from it the next run makes the rest.
        self._document(applied=False).write()
        for entry in wrong:
            if not entry.path.endswith(store.NAME):
                entry.write()

    def settle(self) -> None:
        """What is on disk has been carried out."""
        if not self.dry_run and self.outcome.written:
            self._document(applied=True).write()

    def _files(self) -> list[DefinitionFile]:
        texts = {CONFIGURATION: render(self.gateway), **map_files(self.gateway)}
        files = [self._file(name, text) for name, text in sorted(texts.items())]
        return [self._document(applied=True), *files]

    def _document(self, *, applied: bool) -> DefinitionFile:
        gateway = self.gateway
        document = store.Stored(gateway.settings, gateway.models, tuple(gateway.members), applied).as_document()
        return self._file(store.NAME, documents.canonical_bytes(document).decode("utf-8"))

    def _file(self, name: str, text: str) -> DefinitionFile:
        settings = self.gateway.settings
        return DefinitionFile(os.path.join(settings.config_dir, name), text, 0o640, group=settings.group)

    def _check(self, files: dict[str, str]) -> None:
        """``haproxy -c`` on a copy of everything, in a directory of its own.

        Raises:
            InputError: HAProxy refuses it; in its own words.
        """
        config_dir = self.gateway.settings.config_dir
        with tempfile.TemporaryDirectory(prefix="modelops-gateway-") as scratch:
            for path, text in files.items():
                with open(path.replace(config_dir, scratch), "w", encoding="utf-8") as stream:
                    stream.write(text.replace(config_dir + "/", scratch + "/"))
            for name in store.SECRET_FILES:
                source = os.path.join(config_dir, name)
                if os.path.exists(source):
                    shutil.copy2(source, os.path.join(scratch, name))
            done = subprocess.run(
                [self.executable, "-c", "-f", os.path.join(scratch, CONFIGURATION)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if done.returncode != 0:
                alerts = [line for line in (done.stdout + done.stderr).splitlines() if "[ALERT]" in line]
                raise InputError(
                    f"HAProxy refuses the new configuration: {' | '.join(alerts).replace(scratch, config_dir)[:800]}",
                    where=os.path.join(config_dir, CONFIGURATION),
                    remedy="Nothing was changed; mend the settings of the gateway",
                )

    # The process

    def converge(self, *, in_before: Iterable[Key] = ()) -> Outcome:
        """Files, then the running process: by its runtime API where that can, else by a reload."""
        self.write_files()
        self.tell(in_before=list(in_before))
        self.settle()
        return self.outcome

    def tell(self, *, in_before: Sequence[Key] = ()) -> Outcome:
        """The running process is told what is in the files."""
        worker = self.socket.current() if self.socket.is_up() else None
        if worker is None:
            self.outcome.running = False
            return self.outcome
        reasons = self._frame_reasons(worker)
        if not reasons:
            reasons = self._renew_certificate(worker) + self._apply(worker, in_before)
        if reasons:
            self.outcome.reloaded += reasons
            if not self.dry_run:
                worker = self.reload()
                left = self._apply(worker, in_before)
                if left:
                    raise ModelOpsError(f"a reload did not make the servers right: {'; '.join(left)}", where="HAProxy")
        if self.gateway.settings.require_api_key:
            self.outcome.done += live_maps.make_all_so(
                self.socket, self.gateway.settings.config_dir, dry_run=self.dry_run
            )
        if self.outcome.changed and not self.dry_run:
            self.save_state(worker)
        return self.outcome

    def _frame_reasons(self, worker: Worker) -> list[str]:
        running = self.socket.ask_worker(worker, f"show env {FRAME_VARIABLE}").strip()
        wanted = f"{FRAME_VARIABLE}={frame_digest(self.gateway)}"
        return [] if running == wanted else ["settings or models changed"]

    def _renew_certificate(self, worker: Worker) -> list[str]:
        """Serve the certificate that is on disk; what is returned needs a reload, which reads it too.

        Raises:
            InputError: it is unfit to be served; HAProxy goes on with the one it has.
        """
        path = self.gateway.settings.tls_certificate
        if not path or certificate.is_served(self.socket, worker, path):
            return []
        examine(path, now=clock.now())
        problem = "" if self.dry_run else certificate.hand_over(self.socket, worker, path)
        if problem:
            return [f"the certificate could not be replaced in place: {problem}"]
        self.outcome.done.append(f"another certificate is served: {path}")
        return []

    def servers(self, worker: Worker) -> list[ServerState]:
        return parse_servers_state(self.socket.ask_worker(worker, "show servers state"))

    def _apply(self, worker: Worker, in_before: Sequence[Key]) -> list[str]:
        """Run the commands; what is returned needs a reload."""
        plan = reconcile(self.gateway, self.servers(worker), in_before=in_before)
        self.outcome.by_hand = sorted(
            {f"{backend}/{server}" for backend, server in plan.by_hand if backend in self.gateway.models}
        )
        if plan.reload:
            return plan.reload
        path = os.path.join(self.gateway.settings.config_dir, "floors.map")
        steps = [*plan.steps, *floor_steps(self.gateway, self.socket.ask_worker(worker, f"show map {path}"), path)]
        failed = []
        for step in steps:
            problem = "" if self.dry_run else self._run(worker, step)
            if problem and not step.quiet:
                failed.append(problem)
            elif not step.quiet and step.server[0] in self.gateway.models:
                self.outcome.done.append(step.words)
        return failed

    def _run(self, worker: Worker, step: Step) -> str:
        for command in step.commands:
            answer = self.socket.ask_worker(worker, command).strip()
            if answer in GOOD_ANSWERS:
                continue
            if command.startswith("del server"):
                # Connections are left; in maintenance it gets no others, and the next run sweeps it away.
                continue
            return f"'{command.split(' maxconn')[0]}' was answered by: {answer}"
        return ""

    def save_state(self, worker: Worker, *, changed: set[Key] | None = None) -> None:
        """Keep the states of the servers for the next worker: a reload that has no such file forgets a drain."""
        printed = without_changed(self.socket.ask_worker(worker, "show servers state"), changed or set())
        os.makedirs(self.gateway.settings.state_dir, exist_ok=True)
        documents.write_atomically(
            os.path.join(self.gateway.settings.state_dir, "servers.state"), printed.encode("utf-8"), mode=0o644
        )

    def reload(self) -> Worker:
        """A new worker with the configuration on disk and the states of the old one.

        Raises:
            ModelOpsError: no new worker came up; the old one goes on.
        """
        old = self.socket.current()
        if old is not None:
            places = {member.key: (member.address, member.port) for member in self.gateway.members}
            changed = {
                state.key
                for state in self.servers(old)
                if places.get((state.backend.split(":")[0], state.server), (state.address, state.port))
                != (state.address, state.port)
            }
            self.save_state(old, changed=changed)
        with contextlib.suppress(GatewayDownError):
            # The master may close the connection before it has answered; whether it reloaded is seen below.
            self.socket.ask("reload")
        deadline = self.clock() + RELOAD_SECONDS
        while self.clock() < deadline:
            worker = self.socket.current() if self.socket.is_up() else None
            if worker is not None and (old is None or worker.pid != old.pid) and not self._frame_reasons(worker):
                return worker
            self.sleep(POLL_SECONDS)
        raise ModelOpsError(
            f"no new worker came up within {RELOAD_SECONDS:g} s of the reload; the old one goes on",
            where="HAProxy",
            remedy="Look at: journalctl -u modelops-gateway",
        )

    def summary(self) -> dict[str, Any]:
        """The module's result."""
        outcome = self.outcome
        return {
            "changed": outcome.changed,
            "done": outcome.done,
            "reloaded": bool(outcome.reloaded),
            "reload_reasons": outcome.reloaded,
            "written": outcome.written,
            "running": outcome.running,
            "out_by_hand": outcome.by_hand,
            "members": [member.as_record() for member in self.gateway.members],
            "warnings": outcome.warnings
            + [
                f"{name} was taken out by hand and stays out; take it in with: set server {name} state ready"
                for name in outcome.by_hand
            ],
        }
