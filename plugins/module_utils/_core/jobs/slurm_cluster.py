# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Where and how Slurm is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.commands import run_command
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_queue import (
    COMMAND,
    REMEDY,
    Queue,
    parse_queue,
)

COMMAND_SECONDS = 60.0
Run = Callable[..., "tuple[int, str]"]


@dataclass(frozen=True)
class Cluster:
    """Where and how Slurm is asked. ``time_factor``: how much longer than expected a job may run."""

    work_dir: str
    user: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    time_factor: float = 2.0
    run: Run = run_command

    def node(self, host: str) -> str:
        return self.nodes.get(host, host)

    def ask(self, words: Sequence[str], script: str = "") -> str:
        """What a command of Slurm prints.

        Raises:
            SourceUnavailableError: it failed, which mostly means that Slurm is down.
        """
        code, output = self.run(["env", "TZ=UTC", *words], timeout_seconds=COMMAND_SECONDS, given=script)
        if code != 0:
            name = next(word for word in words if word.startswith(("s", "/")) and word != "runuser")
            raise SourceUnavailableError(
                f"{name} failed with exit code {code}: {output or 'no output'}",
                where="Slurm",
                remedy=REMEDY,
            )
        return output

    def tell(self, words: Sequence[str]) -> bool:
        """Whether it reached a job that may have ended meanwhile; the queue says later what came of it."""
        try:
            self.ask(words)
        except SourceUnavailableError:
            return False
        return True

    def queue(self) -> Queue:
        return parse_queue(self.ask(COMMAND))
