# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Huawei Ascend: the table of ``npu-smi info``; the tool has no JSON.

A device is two lines: ``| NPU Name | Health | Power Temp Hugepages |`` and ``| Chip
[Phy-ID] | Bus-Id | AICore Memory-Usage [HBM-Usage] |``. Usages are ``used / total`` in
MB; cards with HBM show it last and their other memory as ``0 / 0``. A second table
lists processes. UUIDs are not shown, and ``ASCEND_RT_VISIBLE_DEVICES`` takes indexes.
"""

from __future__ import annotations

import re

from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.devices import (
    MIB_PER_GIB,
    Device,
    Report,
    Run,
    ToolError,
    number,
    scaled,
)

TOOL = "npu-smi"
_VERSION = re.compile(r"\bVersion:\s*(\S+)")
_USAGE = re.compile(r"(\d+)\s*/\s*(\d+)")
_BUS = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d")


def read(run: Run) -> Report:
    """Ask the tool.

    Raises:
        ToolError: it answers with no table.
    """
    text = run([TOOL, "info"])
    if "NPU" not in text:
        raise ToolError(f"{TOOL} info: {text.strip()[:120]!r}")
    version = _VERSION.search(text)
    return Report("ascend", tuple(parse_info(text)), version[1] if version else "")


def parse_info(text: str) -> list[Device]:
    """Devices in the order of the table, with their processes."""
    devices: list[Device] = []
    chips: list[tuple[str, str]] = []  # NPU and chip of each device
    pids: dict[tuple[str, str], list[int]] = {}
    head: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        first = cells[0].split()
        if len(cells) == 4 and len(first) == 2 and first[0].isdigit() and cells[1].isdigit():
            pids.setdefault((first[0], first[1]), []).append(int(cells[1]))
        elif len(cells) == 3 and first and first[0].isdigit():
            if _BUS.fullmatch(cells[1]) and head:
                chips.append((head[0].split()[0], first[0]))
                devices.append(_device(len(devices), head, cells))
                head = []
            elif len(first) >= 2:
                head = cells
    return [device.with_processes(pids.get(chip, ())) for device, chip in zip(devices, chips)]


def _device(order: int, head: list[str], body: list[str]) -> Device:
    physical = body[0].split()[1:2]
    power, temperature = (head[2].split() + ["", ""])[:2]
    usages = [(int(used), int(total)) for used, total in _USAGE.findall(body[2])]
    used, total = next((usage for usage in reversed(usages) if usage[1] > 0), (0, 0))
    return Device(
        index=int(physical[0]) if physical and physical[0].isdigit() else order,
        name=head[0].split(maxsplit=1)[1],
        memory_total_gib=scaled(total, 1 / MIB_PER_GIB) if total else None,
        memory_free_gib=scaled(total - used, 1 / MIB_PER_GIB) if total else None,
        utilisation_ratio=scaled(body[2].split()[0], 0.01),
        temperature_celsius=number(temperature),
        power_watts=number(power),
    )
