# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Where and how Slurm is asked."""

from __future__ import annotations

import re
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
# sinfo(1), "NODE STATE CODES": in which a node takes jobs, when no flag behind the word says otherwise.
UP = frozenset({"idle", "mixed", "allocated", "completing", "reserved", "planned"})
NODES = ("sinfo", "--Node", "--noheader", "--Format=NodeHost:128,StateLong:64,Gres:256,GresUsed:256")
# Not what stands in brackets, the indexes.
GRES = re.compile(r"(?:^|,)gpu(?::(?:\(null\)|[^:,()]+))?:([0-9]+)")
Run = Callable[..., "tuple[int, str]"]


@dataclass(frozen=True)
class Node:
    """A node with its accelerators, and how many of them jobs hold. ``up``: it takes jobs."""

    name: str = ""
    up: bool = False
    accelerators: int = 0
    used: int = 0


NO_NODE = Node()


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

    def look_at_nodes(self) -> dict[str, Node]:
        """Nodes by name."""
        return parse_nodes(self.ask(NODES))


def parse_nodes(text: str) -> dict[str, Node]:
    """Nodes by name, from what :data:`NODES` prints; one that is in several partitions stands there several times.

    Raises:
        SourceUnavailableError: not what sinfo prints.
    """
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) != 4 or not all(word == "(null)" or ":" in word for word in words[2:]):
            continue  # what a library prints
        name, state, there, used = words
        # "*" means that it does not answer; the other flags behind a state are of power saving and reservations.
        up = state.rstrip("~#!%$@^-+") in UP
        found[name] = Node(name, up, _accelerators(there), _accelerators(used))
    if not found:
        raise SourceUnavailableError(f"sinfo names no nodes: {text or 'no output'}", where="Slurm", remedy=REMEDY)
    return found


def _accelerators(gres: str) -> int:
    """Of ``gpu:h100:4(S:0-1)``, ``gpu:2(IDX:0,2)`` and the like, types together."""
    return sum(int(count) for count in GRES.findall(gres))
