# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""HAProxy's master socket: commands to the master, and through it to any of its workers, old ones too.

After a reload the streams live in the old worker, which only the master reaches.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError

TIMEOUT_SECONDS = 10.0
# While the master takes up a new configuration its socket refuses, for a moment or, on a busy host, for seconds.
PATIENCE_SECONDS = 10.0
RETRY_SECONDS = 0.05


class GatewayDownError(ModelOpsError):
    """No HAProxy master answers at the socket."""


@dataclass(frozen=True)
class Worker:
    """A worker process. ``old``: replaced by a reload, finishing what it has."""

    pid: int
    old: bool


class MasterSocket:
    """One command, one connection: a reload closes the socket's connections."""

    def __init__(
        self, path: str, *, timeout_seconds: float = TIMEOUT_SECONDS, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self.path = path
        self.patience_seconds = patience_seconds
        self.timeout_seconds = timeout_seconds

    def ask(self, command: str) -> str:
        """What the master answers.

        Raises:
            GatewayDownError: nobody answers.
        """
        deadline = time.monotonic() + self.patience_seconds
        while True:
            answer, error = self._try(command)
            if error is None:
                return answer
            busy = isinstance(error, (ConnectionRefusedError, ConnectionResetError, BrokenPipeError))
            if not busy or time.monotonic() >= deadline:
                raise GatewayDownError(
                    f"HAProxy's master does not answer ({error})",
                    where=self.path,
                    remedy="Look at it with: systemctl status modelops-gateway",
                ) from error
            time.sleep(RETRY_SECONDS)

    def _try(self, command: str) -> tuple[str, OSError | None]:
        try:
            return self._exchange(command), None
        except OSError as error:
            return "", error

    def _exchange(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self.timeout_seconds)
            connection.connect(self.path)
            connection.sendall(command.encode("utf-8") + b"\n")
            connection.shutdown(socket.SHUT_WR)
            parts = iter(lambda: connection.recv(65536), b"")
            return b"".join(parts).decode("utf-8", "replace")

    def ask_worker(self, worker: Worker, command: str) -> str:
        """What one worker answers; empty when it is gone."""
        return self.ask(f"@!{worker.pid} {command}")

    def is_up(self) -> bool:
        try:
            return self.current() is not None
        except GatewayDownError:
            return False

    def workers(self) -> list[Worker]:
        """All workers, the current one first."""
        return parse_workers(self.ask("show proc"))

    def current(self) -> Worker | None:
        return next((worker for worker in self.workers() if not worker.old), None)


def parse_workers(printed: str) -> list[Worker]:
    """From ``show proc``: sections ``# workers`` and ``# old workers``, a line a process, its PID first."""
    workers, section = [], ""
    for line in printed.splitlines():
        words = line.split()
        if line.startswith("#"):
            section = line.strip("# ").strip()
        elif len(words) > 1 and words[1] == "worker" and words[0].isdigit():
            workers.append(Worker(int(words[0]), old=section == "old workers"))
    return sorted(workers, key=lambda worker: worker.old)
