# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What must hold on the host before a replica starts: its port and its memory are free.

A start that is doomed is not tried: an engine that runs out of memory half-way often
takes a neighbour with it.
"""

from __future__ import annotations

import errno
import socket

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError

GIB = float(1 << 30)


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
