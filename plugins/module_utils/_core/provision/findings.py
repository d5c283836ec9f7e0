# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a host is and has, as far as serving is concerned. Only looks; needs no other program."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GIB = float(1 << 30)
ADJTIMEX_BYTES = 208
STA_UNSYNC_STATE = 5  # what adjtimex returns while nothing keeps the clock (TIME_ERROR)


@dataclass(frozen=True)
class Findings:
    """``time`` is the host's clock, in epoch seconds; ``clock_offset_seconds`` is that minus the controller's, with
    the time that it took to reach the host in it.

    ``listeners`` gives for a port the service, or else the program, that listens on it;
    ``own_ports`` are those of the replicas that the host's state names.
    """

    system: str = ""
    system_version: str = ""
    architecture: str = ""
    kernel: str = ""
    container: bool = False
    cpu_flags: frozenset[str] = frozenset()
    memory_gib: float = 0.0
    free_gib: Mapping[str, float] = field(default_factory=dict)
    accelerator_vendor: str = "none"
    accelerator_count: int = 0
    driver_version: str = ""
    runtime_versions: Mapping[str, str] = field(default_factory=dict)
    time: float = 0.0
    clock_offset_seconds: float | None = None
    clock_synchronised: bool | None = None
    listeners: Mapping[int, str] = field(default_factory=dict)
    own_ports: frozenset[int] = frozenset()


def look(
    *,
    accelerators: Mapping[str, Any],
    disks: Iterable[str],
    ports: Iterable[int],
    own_ports: Iterable[int],
    controller_time: float,
) -> Findings:
    """Look at this host.

    Args:
        accelerators: what ``take_inventory`` found.
        disks: directories whose free space is asked for; they need not exist.
        ports: ports of interest.
        own_ports: ports that the host's replicas hold by right.
        controller_time: epoch seconds when the controller sent us here; 0 when not known.
    """
    now = time.time()
    system, version = read_os_release()
    return Findings(
        system=system,
        system_version=version,
        architecture=platform.machine(),
        kernel=platform.release(),
        container=in_container(),
        cpu_flags=read_cpu_flags(),
        memory_gib=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB, 1),
        free_gib={path: free_gib(path) for path in disks},
        accelerator_vendor=str(accelerators["vendor"]),
        accelerator_count=int(accelerators["count"]),
        driver_version=str(accelerators["driver_version"]),
        runtime_versions=dict(accelerators["runtime_versions"]),
        time=round(now, 3),
        clock_offset_seconds=round(now - controller_time, 3) if controller_time else None,
        clock_synchronised=clock_synchronised(),
        listeners=listeners(set(ports)),
        own_ports=frozenset(own_ports),
    )


def read_os_release(path: str = "/etc/os-release") -> tuple[str, str]:
    """Name and version of the system, such as ``("debian", "12")``; empty where it does not say."""
    values = {}
    for line in _text(path).splitlines():
        name, _equals, value = line.partition("=")
        values[name.strip()] = value.strip().strip("\"'")
    return values.get("ID", ""), values.get("VERSION_ID", "")


def read_cpu_flags(path: str = "/proc/cpuinfo") -> frozenset[str]:
    """What the first processor can do (``flags`` on x86, ``Features`` on Arm)."""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _text(path), re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def free_gib(path: str) -> float:
    """Free space for root where the directory is, or would be made."""
    place = Path(path)
    while not place.exists() and place != place.parent:
        place = place.parent
    found = os.statvfs(place)
    return found.f_bfree * found.f_frsize / GIB


def in_container() -> bool:
    """Whether the kernel, with its clock and its settings, is somebody else's."""
    return bool(_text("/run/systemd/container").strip()) or os.path.exists("/run/.containerenv")


def clock_synchronised() -> bool | None:
    """Whether a time service keeps the kernel's clock; None where the kernel does not say."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(ADJTIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != STA_UNSYNC_STATE


def listeners(ports: set[int]) -> dict[int, str]:
    """Who listens on which of the ports: the systemd service, or else the program's name."""
    sockets: dict[str, int] = {}
    found: dict[int, str] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _text(table).splitlines()[1:]:
            words = line.split()
            port = int(words[1].rpartition(":")[2], 16)
            if words[3] == "0A" and port in ports:
                sockets[words[9]] = port
                # Until it is found below, which takes the right to look into other processes.
                found[port] = f"a process of user {words[7]}"
    if sockets:
        for process in Path("/proc").glob("[0-9]*"):
            for inode in _sockets_of(process) & set(sockets):
                found[sockets[inode]] = _name_of(process)
    return dict(sorted(found.items()))


def _sockets_of(process: Path) -> set[str]:
    found = set()
    try:
        for handle in os.scandir(process / "fd"):
            match = re.match(r"socket:\[(\d+)\]", os.readlink(handle.path))
            if match:
                found.add(match[1])
    except OSError:
        return found  # it ended while it was looked at
    return found


def _name_of(process: Path) -> str:
    services = re.findall(r"/([^/\n]+)\.service", _text(str(process / "cgroup")))
    return services[-1] if services else _text(str(process / "comm")).strip() or f"process {process.name}"


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
