# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a host must have before it may serve, and what it lacks, in the operator's words.

Pure: it compares findings (``findings.py``) with requirements and looks at nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.findings import Findings


@dataclass(frozen=True)
class WantedPort:
    """``count`` ports that will be listened on; ``owners`` are patterns of services that may hold them already."""

    port: int
    purpose: str
    count: int = 1
    owners: Sequence[str] = ()

    @property
    def numbers(self) -> range:
        return range(self.port, self.port + self.count)


@dataclass(frozen=True)
class Requirements:
    """What is asked of a host; an empty field asks for nothing.

    Args:
        systems: versions by name of the system (``ID`` in os-release), such as ``{"debian": ["12", "13"]}``.
            A version matches the first components of the host's.
        architectures: names as ``uname -m`` says them.
        cpu_flags: features of the processor, as /proc/cpuinfo names them.
        driver_versions: lowest driver version by accelerator vendor.
        runtime_versions: lowest version by runtime that the driver offers, such as ``{"cuda": "12.4"}``.
        accelerators: how many devices the inventory promises; 0 asks for none.
        memory_gib: lowest memory.
        disk_gib: lowest free space by directory.
        max_clock_offset_seconds: how far behind the controller; 0 asks for nothing.
        clock_synchronised: whether the kernel's clock must be kept by a time service.
        ports: ports that must be free or ours.
    """

    systems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    architectures: Sequence[str] = ()
    cpu_flags: Sequence[str] = ()
    driver_versions: Mapping[str, str] = field(default_factory=dict)
    runtime_versions: Mapping[str, str] = field(default_factory=dict)
    accelerators: int = 0
    memory_gib: float = 0.0
    disk_gib: Mapping[str, float] = field(default_factory=dict)
    max_clock_offset_seconds: float = 0.0
    clock_synchronised: bool = False
    ports: Sequence[WantedPort] = ()


def unmet(found: Findings, wanted: Requirements) -> list[str]:
    """Every requirement the host does not meet, each as one sentence and what to do about it."""
    return [
        *_system(found, wanted),
        *_processor(found, wanted),
        *_accelerators(found, wanted),
        *_room(found, wanted),
        *_clock(found, wanted),
        *_ports(found, wanted),
    ]


def at_least(version: str, lowest: str) -> bool:
    """Whether a dotted version is not below another; components that are not numbers count as 0.

    ``550.54.15`` is at least ``550.54`` and ``550``.
    """
    have, want = (([int(part or 0) for part in re.split(r"\D+", text.strip())]) for text in (version, lowest))
    length = max(len(have), len(want))
    return have + [0] * (length - len(have)) >= want + [0] * (length - len(want))


def _system(found: Findings, wanted: Requirements) -> list[str]:
    problems = []
    if wanted.systems:
        versions = [str(version) for version in wanted.systems.get(found.system, ())]
        if not any(found.system_version == one or found.system_version.startswith(f"{one}.") for one in versions):
            known = ", ".join(f"{name} {'/'.join(map(str, all_))}" for name, all_ in sorted(wanted.systems.items()))
            problems.append(
                f"It runs {found.system or 'an unknown system'} {found.system_version}, supported are {known}. "
                "Install one of these, or add it to provision_systems if you have tried it."
            )
    if wanted.architectures and found.architecture not in wanted.architectures:
        problems.append(
            f"It is {found.architecture}, engines are wanted for {', '.join(wanted.architectures)}. "
            "Take it out of the inventory, or correct provision_architectures."
        )
    return problems


def _processor(found: Findings, wanted: Requirements) -> list[str]:
    missing = [flag for flag in wanted.cpu_flags if flag not in found.cpu_flags]
    if not missing:
        return []
    return [
        f"Its processor lacks {', '.join(missing)}. "
        "A virtual machine needs the CPU type of its host passed through; otherwise correct provision_cpu_flags."
    ]


def _accelerators(found: Findings, wanted: Requirements) -> list[str]:
    problems = []
    if found.accelerator_count < wanted.accelerators:
        seen = f"{found.accelerator_count} {found.accelerator_vendor}" if found.accelerator_count else "no"
        problems.append(
            f"The inventory gives it {wanted.accelerators} accelerators and the vendor's tool finds {seen} devices. "
            "Install the driver, see 'dmesg' for a lost card, or correct modelops_accelerator_count."
        )
    lowest = wanted.driver_versions.get(found.accelerator_vendor)
    if lowest and not at_least(found.driver_version, lowest):
        problems.append(
            f"Its {found.accelerator_vendor} driver is {found.driver_version or 'of unknown version'}, "
            f"at least {lowest} is needed. Upgrade the driver."
        )
    for runtime, version in sorted(found.runtime_versions.items()):
        lowest = wanted.runtime_versions.get(runtime)
        if lowest and not at_least(version, lowest):
            problems.append(
                f"Its driver offers {runtime} {version}, at least {lowest} is needed. Upgrade the driver, "
                "or take an engine built for the older runtime."
            )
    return problems


def _room(found: Findings, wanted: Requirements) -> list[str]:
    problems = []
    if found.memory_gib < wanted.memory_gib:
        problems.append(
            f"It has {found.memory_gib:.1f} GiB of memory, at least {wanted.memory_gib:g} GiB are needed. Add some, or lower provision_memory_gib."
        )
    for path, needed in sorted(wanted.disk_gib.items()):
        free = found.free_gib.get(path)
        if free is not None and free < needed:
            problems.append(
                f"{path} has {free:.1f} GiB free, at least {needed:g} GiB are needed. "
                "Free some, mount a larger disk there, or lower provision_disk_gib."
            )
    return problems


def _clock(found: Findings, wanted: Requirements) -> list[str]:
    problems = []
    offset, limit = found.clock_offset_seconds, wanted.max_clock_offset_seconds
    # The way to the host only adds to the offset, so a clock that seems behind is behind.
    if limit and offset is not None and offset < -limit:
        problems.append(
            f"Its clock is at least {-offset:.1f} s behind the controller's, at most {limit:g} s are allowed. "
            "See 'timedatectl', and the controller's clock too."
        )
    if wanted.clock_synchronised and found.clock_synchronised is False and not found.container:
        problems.append(
            "Its clock is not kept by a time service. See 'timedatectl timesync-status' or 'chronyc sources'."
        )
    return problems


def _ports(found: Findings, wanted: Requirements) -> list[str]:
    problems = []
    for wish in wanted.ports:
        for port in wish.numbers:
            owner = found.listeners.get(port)
            if owner is None or port in found.own_ports or any(fnmatchcase(owner, one) for one in wish.owners):
                continue
            problems.append(
                f"Port {port} ({wish.purpose}) is taken by {owner}. "
                "Stop that, or give the host another modelops_base_port."
            )
    return problems


def as_record(found: Findings) -> dict[str, Any]:
    """Findings as plain data, sorted."""
    return {
        **{name: value for name, value in vars(found).items() if name not in ("cpu_flags", "own_ports")},
        "runtime_versions": dict(sorted(found.runtime_versions.items())),
        "free_gib": {path: round(free, 1) for path, free in sorted(found.free_gib.items())},
        "listeners": {str(port): owner for port, owner in sorted(found.listeners.items())},
    }
