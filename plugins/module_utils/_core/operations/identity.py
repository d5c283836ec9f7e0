# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Who a run is, and whether the one that holds a lock still lives.

A run of Ansible is known by user, controller and process. A process number comes again, so the moment the process
began and the boot of the machine are part of it. Whether it lives can be told only where it ran; in a container, only
inside the same one.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# The first namespace of process numbers of a Linux machine; a container has another.
FIRST_NAMESPACE = "pid:[4026531836]"


@dataclass(frozen=True)
class Identity:
    """One run. ``began`` is in clock ticks since the boot; texts are empty and numbers 0 where the system does not say."""

    user: str
    controller: str
    process: int
    began: int = 0
    boot: str = ""
    machine: str = ""
    namespace: str = ""

    @property
    def owner(self) -> str:
        return f"{self.user}@{self.controller}:{self.process}"

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


def identity_of(process: int) -> Identity:
    """The run whose main process is ``process``, on this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return Identity(
        user=user,
        controller=socket.gethostname(),
        process=process,
        began=_began(process),
        boot=_read("/proc/sys/kernel/random/boot_id"),
        machine=_read("/etc/machine-id"),
        namespace=_namespace(),
    )


def is_dead(holder: Mapping[str, Any], here: Identity) -> bool:
    """Whether the run that ``holder`` describes is known to have ended.

    False whenever it cannot be known: another controller, another container, a record without a process.
    """
    process = holder.get("process")
    if not isinstance(process, int) or isinstance(process, bool) or process < 1:
        return False
    if not here.machine or not here.namespace:
        return False
    place = (here.controller, here.machine, here.namespace)
    if (holder.get("controller"), holder.get("machine"), holder.get("namespace")) != place:
        return False
    if holder.get("boot") != here.boot:
        return here.namespace == FIRST_NAMESPACE and bool(holder.get("boot")) and bool(here.boot)
    began = _began(process)
    return began == 0 or began != holder.get("began")


def _began(process: int) -> int:
    """Start of a process in ticks since boot, 0 when there is no such process or it is a zombie."""
    # The second field, the program's name in brackets, may hold anything.
    fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in ("Z", "X"):
        return 0
    return int(fields[19])


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""
