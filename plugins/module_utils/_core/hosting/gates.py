# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What must hold on the host before a replica starts: its port, its memory and its accelerators are free.

A start that is doomed is not tried: an engine that runs out of memory half-way often
takes a neighbour with it.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError

GIB = float(1 << 30)
# A driver gives memory back some seconds after the process that held it has gone.
ACCELERATOR_WAIT_SECONDS = 30.0
ACCELERATOR_POLL_SECONDS = 2.0


def require_free_port(address: str, port: int, *, where: str) -> None:
    """Raises:
    ModelOpsError: something else listens on the port already.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ModelOpsError(
                    f"cannot listen on {address}:{port} ({error.strerror})", where=where, remedy="Check bind_address"
                ) from error
            raise ModelOpsError(
                f"port {port} on {address} is taken by another process",
                where=where,
                remedy=f"See who with 'ss -ltnp sport = :{port}', stop it, or give the host another modelops_base_port",
            ) from error


def require_free_memory(needed_gib: float, *, where: str, meminfo: str = "/proc/meminfo") -> None:
    """Raises:
    ModelOpsError: the host has less available memory than the replica declares.
    """
    available_gib = available_memory_gib(meminfo)
    if available_gib is not None and available_gib < needed_gib:
        raise ModelOpsError(
            f"the replica needs {needed_gib:g} GiB of memory and {available_gib:.1f} GiB are available",
            where=where,
            remedy="Free memory on the host, correct resources.memory_gib, or plan again",
        )


def available_memory_gib(meminfo: str = "/proc/meminfo") -> float | None:
    """MemAvailable in GiB; None where the kernel does not say."""
    try:
        with open(meminfo, encoding="ascii", errors="replace") as stream:
            for line in stream:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024 / GIB
    except (OSError, ValueError, IndexError):
        return None
    return None


def require_free_accelerators(
    indexes: Sequence[int],
    needed_gib: float,
    *,
    exclusive: bool,
    look: Callable[[], Mapping[str, Any]],
    where: str,
    wait_seconds: float = ACCELERATOR_WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait a little for the accelerators of a replica to be free.

    Args:
        indexes: the accelerators the plan gives the replica.
        needed_gib: memory needed on each.
        exclusive: no other process may use them; False for a shared accelerator.
        look: gives the host's accelerators (``accelerators.inventory``); on a host whose
            vendor is ``none`` there is nothing to look at and the gate is open.

    Raises:
        ModelOpsError: still taken after ``wait_seconds``, naming the processes; or the host
            has no accelerator of that index.
    """
    waited = 0.0
    while True:
        found = look()
        if not indexes or found["vendor"] == "none":
            return
        problem = _accelerator_problem(indexes, needed_gib, exclusive, found["devices"])
        if not problem:
            return
        if waited >= wait_seconds:
            raise ModelOpsError(
                problem,
                where=where,
                remedy="Stop what uses it (a replica that was killed can leave processes behind), or plan again",
            )
        sleep(ACCELERATOR_POLL_SECONDS)
        waited += ACCELERATOR_POLL_SECONDS


def _accelerator_problem(
    indexes: Sequence[int], needed_gib: float, exclusive: bool, devices: Sequence[Mapping[str, Any]]
) -> str:
    by_index = {int(device["index"]): device for device in devices}
    for index in indexes:
        device = by_index.get(index)
        if device is None:
            return f"the host has no accelerator {index}, only {', '.join(map(str, sorted(by_index))) or 'none'}"
        users = ", ".join(str(pid) for pid in device.get("processes") or ())
        if exclusive and users:
            return f"accelerator {index} is used by other processes (pid {users})"
        free = device.get("memory_free_gib")
        if free is not None and free < needed_gib:
            return f"the replica needs {needed_gib:g} GiB on accelerator {index} and {free:.1f} GiB are free" + (
                f" (used by pid {users})" if users else ""
            )
    return ""
