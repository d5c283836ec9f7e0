# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""NVIDIA: ``nvidia-smi --query-gpu`` as CSV.

Fields as ``nvidia-smi --help-query-gpu`` lists them; the least set that drivers since
R450 answer, since one unknown field makes the whole query fail. Memory in MiB.
"""

from __future__ import annotations

import csv
import re

from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.devices import (
    MIB_PER_GIB,
    Device,
    Report,
    Run,
    ToolError,
    number,
    scaled,
    whole,
)

TOOL = "nvidia-smi"
FIELDS = (
    "index",
    "uuid",
    "name",
    "driver_version",
    "memory.total",
    "memory.free",
    "utilization.gpu",
    "temperature.gpu",
    "power.draw",
    "ecc.errors.uncorrected.volatile.total",
)
_CUDA = re.compile(r"CUDA (?:UMD )?Version\s*:\s*(\d+\.\d+)")


def read(run: Run) -> Report:
    """Ask the tool.

    Raises:
        ToolError: the query itself failed; what else fails is a warning.
    """
    devices, driver, warnings = parse_gpus(
        run([TOOL, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"])
    )
    try:
        apps = parse_apps(run([TOOL, "--query-compute-apps=gpu_uuid,pid", "--format=csv,noheader,nounits"]))
        devices = [device.with_processes(apps.get(device.uuid, ())) for device in devices]
    except ToolError as error:
        warnings.append(f"processes are not known: {error.what}")
    versions = []
    try:
        cuda = _CUDA.search(run([TOOL]))
        versions = [("cuda", cuda[1])] if cuda else []
    except ToolError as error:
        warnings.append(f"the CUDA version is not known: {error.what}")
    return Report("nvidia", tuple(devices), driver, tuple(versions), tuple(warnings))


def parse_gpus(text: str) -> tuple[list[Device], str, list[str]]:
    """Devices by index, the driver's version, and lines that describe no device."""
    devices, driver, warnings = [], "", []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        cells = dict(zip(FIELDS, (cell.strip() for cell in row)))
        index = whole(cells.get("index")) if len(row) == len(FIELDS) else None
        if index is None:
            line = ", ".join(row).strip()
            if line and not line.startswith("No devices"):
                warnings.append(f"not understood: {line[:120]}")
            continue
        driver = cells["driver_version"] if number(cells["driver_version"]) is not None else driver
        devices.append(
            Device(
                index=index,
                uuid=cells["uuid"] if "-" in cells["uuid"] else "",
                name=cells["name"],
                memory_total_gib=scaled(cells["memory.total"], 1 / MIB_PER_GIB),
                memory_free_gib=scaled(cells["memory.free"], 1 / MIB_PER_GIB),
                utilisation_ratio=scaled(cells["utilization.gpu"], 0.01),
                temperature_celsius=number(cells["temperature.gpu"]),
                power_watts=number(cells["power.draw"]),
                ecc_uncorrected=whole(cells["ecc.errors.uncorrected.volatile.total"]),
            )
        )
    return sorted(devices, key=lambda device: device.index), driver, warnings


def parse_apps(text: str) -> dict[str, list[int]]:
    """Process IDs by the UUID of the device they use."""
    found: dict[str, list[int]] = {}
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        pid = whole(row[1]) if len(row) == 2 else None
        if pid is not None:
            found.setdefault(row[0].strip(), []).append(pid)
    return found
