# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Service managers: systemd where it is PID 1, supervisord elsewhere.

Both give the same few verbs. A service is defined by files that the lifecycle writes;
a manager only makes the running service follow them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting import supervisor_socket
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.commands import run_command
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.last_words import (
    LOG_BYTES,
    LOG_LINES,
    end_of_log,
    last_words,
)

COMMAND_TIMEOUT_SECONDS = 60.0
# supervisord restarts what has ended in the next turn of its loop, which it makes once a second.
SUPERVISORD_TURN_SECONDS = 2.0


class ServiceManager(Protocol):
    """What the lifecycle needs of a service manager."""

    def prepare(self) -> bool:
        """Make the manager itself run. Returns whether it had to be started."""

    def reload(self, name: str) -> None:
        """Take notice of changed definition files of ``name`` and start it at boot; running services go on."""

    def starts_at_boot(self, name: str) -> bool:
        """False when a reboot would end the service for good."""

    def is_running(self, name: str) -> bool:
        """True when the service's main process is up, answering or not."""

    def has_given_up(self, name: str) -> bool:
        """True when the service crashed so often that it is not restarted any more."""

    def last_end(self, name: str) -> tuple[str, str]:
        """What tells the last end of its main process from others, and how it ended; empty where not known."""

    def start(self, name: str) -> None:
        """Start it now and at boot; a service that had given up is tried anew."""

    def restart(self, name: str) -> None:
        """Stop and start it with its present definition."""

    def stop(self, name: str, timeout_seconds: float) -> None:
        """Stop it and all its processes, and keep it from starting at boot."""

    def forget(self, name: str) -> None:
        """Drop what is known of a service whose files have been removed."""

    def main_pid(self, name: str) -> int | None:
        """Process id of the main process, None when there is none."""

    def log_tail(self, name: str) -> str:
        """The last lines the service wrote, and errors further up."""


def _run(argv: Sequence[str], *, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS) -> tuple[int, str]:
    return run_command(
        argv,
        timeout_seconds=timeout_seconds,
        if_absent="Install it, or set deploy_service_manager to the one this host has",
    )


def _expect(argv: Sequence[str], *, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS) -> str:
    code, output = _run(argv, timeout_seconds=timeout_seconds)
    if code != 0:
        raise SourceUnavailableError(f"'{' '.join(argv)}' failed with exit code {code}: {output or 'no output'}")
    return output


class SystemdManager:
    """One unit a replica; ``systemctl`` does the rest."""

    def __init__(self, *, scope: Sequence[str] = ()) -> None:
        self._systemctl = ["systemctl", "--no-ask-password", *scope]

    def prepare(self) -> bool:
        return False

    def reload(self, name: str) -> None:
        _expect([*self._systemctl, "daemon-reload"])
        _expect([*self._systemctl, "enable", "--quiet", _unit(name)])

    def starts_at_boot(self, name: str) -> bool:
        return _run([*self._systemctl, "is-enabled", "--quiet", _unit(name)])[0] == 0

    def is_running(self, name: str) -> bool:
        # "activating" is also the wait between two crashes, so only "active" counts.
        return _run([*self._systemctl, "is-active", "--quiet", _unit(name)])[0] == 0

    def has_given_up(self, name: str) -> bool:
        return _run([*self._systemctl, "is-failed", "--quiet", _unit(name)])[0] == 0

    def last_end(self, name: str) -> tuple[str, str]:
        wanted = "--property=Result,ExecMainStatus,ExecMainExitTimestampMonotonic"
        lines = _run([*self._systemctl, "show", wanted, _unit(name)])[1].splitlines()
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        # Both are gone while the next process runs.
        ended = found.get("ExecMainExitTimestampMonotonic", "0")
        if ended == "0":
            return "", ""
        return ended, f"{found.get('Result', '')} (status {found.get('ExecMainStatus', '')})"

    def start(self, name: str) -> None:
        _run([*self._systemctl, "reset-failed", _unit(name)])
        _expect([*self._systemctl, "enable", "--quiet", "--now", _unit(name)])

    def restart(self, name: str) -> None:
        _run([*self._systemctl, "reset-failed", _unit(name)])
        _expect([*self._systemctl, "enable", "--quiet", _unit(name)])
        _expect([*self._systemctl, "restart", _unit(name)], timeout_seconds=15 * 60)

    def stop(self, name: str, timeout_seconds: float) -> None:
        code, output = _run([*self._systemctl, "stop", _unit(name)], timeout_seconds=timeout_seconds + 30)
        if code not in (0, 5):  # 5: no such unit, so nothing runs
            raise SourceUnavailableError(f"systemctl stop {_unit(name)} failed with exit code {code}: {output}")
        _run([*self._systemctl, "disable", "--quiet", _unit(name)])

    def forget(self, name: str) -> None:
        _expect([*self._systemctl, "daemon-reload"])
        _run([*self._systemctl, "reset-failed", _unit(name)])

    def main_pid(self, name: str) -> int | None:
        output = _run([*self._systemctl, "show", "--property=MainPID", "--value", _unit(name)])[1]
        return int(output) if output.isdigit() and int(output) > 0 else None

    def log_tail(self, name: str) -> str:
        words = ["--no-pager", "--output=cat", f"--lines={LOG_LINES}", f"--unit={_unit(name)}"]
        return last_words(_run(["journalctl", *words])[1])


def _unit(name: str) -> str:
    return f"{name}.service"


@dataclass(frozen=True)
class SupervisordManager:
    """One program a replica, under a supervisord of our own.

    ``configuration`` is that supervisord's file; it includes one file a program.
    """

    configuration: str
    supervisord: str = "supervisord"
    supervisorctl: str = "supervisorctl"
    log_dir: str = ""
    start_timeout_seconds: float = 15.0

    def prepare(self) -> bool:
        if self._daemon_pid() is not None:
            return False
        _expect([self.supervisord, "-c", self.configuration])
        deadline = time.monotonic() + self.start_timeout_seconds
        while self._daemon_pid() is None:
            if time.monotonic() > deadline:
                raise SourceUnavailableError(
                    "supervisord was started but does not answer",
                    where=self.configuration,
                    remedy="Look at its log, named there as logfile",
                )
            time.sleep(0.1)
        return True

    def reload(self, name: str) -> None:
        self._ctl("update", name)

    def starts_at_boot(self, name: str) -> bool:
        return True  # its definition file says so

    def is_running(self, name: str) -> bool:
        return self._status(name) in ("RUNNING", "STARTING")

    def has_given_up(self, name: str) -> bool:
        before = self._info(name)
        if before.get("statename") != "EXITED":
            return before.get("statename") in ("FATAL", "STOPPED")
        # So it is called for a moment also when it is about to be restarted.
        time.sleep(SUPERVISORD_TURN_SECONDS)
        after = self._info(name)
        return (after.get("statename"), after.get("stop")) == ("EXITED", before.get("stop"))

    def last_end(self, name: str) -> tuple[str, str]:
        info = self._info(name)
        ended = int(info.get("stop") or 0)
        # The exit status is forgotten as soon as the next process starts, which is at once.
        return (str(ended), str(info.get("spawnerr") or "")) if ended else ("", "")

    def start(self, name: str) -> None:
        self._ctl("update", name)
        if self._status(name) not in ("RUNNING", "STARTING"):
            self._ctl("start", name)

    def restart(self, name: str) -> None:
        # A changed definition makes update restart the program; one that was only
        # given another model file needs to be told.
        before = self.main_pid(name)
        self._ctl("update", name)
        if self.main_pid(name) == before:
            self._ctl("restart", name)

    def stop(self, name: str, timeout_seconds: float) -> None:
        if self._daemon_pid() is not None and self._status(name) not in ("", "STOPPED", "EXITED", "FATAL"):
            self._ctl("stop", name, timeout_seconds=timeout_seconds + 30)

    def forget(self, name: str) -> None:
        if self._daemon_pid() is not None:
            self._ctl("update", name)

    def main_pid(self, name: str) -> int | None:
        return int(self._info(name).get("pid") or 0) or None

    def log_tail(self, name: str) -> str:
        return last_words(end_of_log(os.path.join(self.log_dir, f"{name}.log"), LOG_BYTES))

    def _ctl(self, *words: str, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS) -> str:
        return _run([self.supervisorctl, "-c", self.configuration, *words], timeout_seconds=timeout_seconds)[1]

    def _status(self, name: str) -> str:
        """``RUNNING``, ``STARTING``, ``STOPPED``, ``FATAL`` ...; empty when the program is unknown."""
        return str(self._info(name).get("statename") or "")

    def _info(self, name: str) -> Mapping[str, Any]:
        return supervisor_socket.ask(self.configuration, "getProcessInfo", name) or {}

    def _daemon_pid(self) -> int | None:
        pid = supervisor_socket.ask(self.configuration, "getPID")
        return int(pid) if pid else None
