# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What accelerators a host has: ask whichever vendor's tool is there.

A host without accelerators, or whose tool is broken, is a finding: the type is ``cpu``
and the count 0, so nothing is placed on devices that may not work, and a warning says why.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators import (
    amd,
    ascend,
    nvidia,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.devices import (
    Device,
    Report,
    Run,
    ToolError,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.names import (
    CPU_TYPE,
    normalise_type,
)

READERS: tuple[tuple[str, Callable[[Run], Report]], ...] = (
    (nvidia.TOOL, nvidia.read),
    (amd.TOOL, amd.read),
    (amd.OLD_TOOL, amd.read_old),
    (ascend.TOOL, ascend.read),
)


def take_inventory(*, timeout_seconds: float) -> tuple[dict[str, Any], list[str]]:
    """The host's accelerators as plain data, and warnings.

    The first tool that finds devices is believed; a broken one is passed over.
    """
    warnings: list[str] = []

    def run(argv: list[str]) -> str:
        return run_tool(argv, timeout_seconds=timeout_seconds)

    for tool, read in READERS:
        if not shutil.which(tool):
            continue
        try:
            report = read(run)
        except ToolError as error:
            warnings.append(f"{tool} is installed but cannot be used: {error.what}")
            continue
        warnings += [f"{tool}: {warning}" for warning in report.warnings]
        if report.devices:
            return as_facts(report, warnings), warnings
    return as_facts(Report("none", ()), warnings), warnings


def as_facts(report: Report, warnings: list[str]) -> dict[str, Any]:
    """One vendor's report as facts; mixed cards are described by the commonest, and said so in ``warnings``."""
    types = [normalise_type(device.name, device.memory_total_gib or 0.0) for device in report.devices]
    commonest = max(sorted(set(types)), key=types.count) if types else CPU_TYPE
    if len(set(types)) > 1:
        warnings.append(f"the accelerators differ ({', '.join(sorted(set(types)))}); the host counts as {commonest}")
    sizes = [device.memory_total_gib for device in report.devices if device.memory_total_gib is not None]
    return {
        "vendor": report.vendor,
        "type": commonest,
        "count": len(report.devices),
        "memory_gib": round(min(sizes), 2) if sizes else 0.0,
        "driver_version": report.driver_version,
        "runtime_versions": dict(report.runtime_versions),
        "devices": [_record(device) for device in report.devices],
    }


def run_tool(argv: list[str], *, timeout_seconds: float) -> str:
    """Standard output of a tool in the C locale.

    A tool that waits for a lost card cannot be waited for: its whole process group is
    killed, and if it sleeps in the kernel it is left behind.

    Raises:
        ToolError: not started, failed, or still running after ``timeout_seconds``.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot be started ({error.strerror})") from error
    try:
        output, errors = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise ToolError(
            f"no answer within {timeout_seconds:g} s; the driver or a card may hang, see the kernel log"
        ) from error
    text = output.decode("utf-8", "replace")
    if process.returncode != 0:
        said = " ".join((text + " " + errors.decode("utf-8", "replace")).split())
        raise ToolError(f"{' '.join(argv[:2])} ended with {process.returncode}: {said[:200]}")
    return text


def _record(device: Device) -> dict[str, Any]:
    return {**vars(device), "processes": list(device.processes)}
