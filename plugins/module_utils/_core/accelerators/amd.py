# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""AMD: ``amd-smi ... --json``, or the older ``rocm-smi ... --json`` where there is no other.

``amd-smi`` writes a list of devices, newer releases a mapping with that list under
``gpu_data``; a value is a number, ``"N/A"`` or ``{"value", "unit"}``. Its "MB" are MiB.
``rocm-smi`` writes ``card0``, ``card1`` ... with the unit in the key, and ``system``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import parse_json

TOOL = "amd-smi"
OLD_TOOL = "rocm-smi"
OLD_ARGUMENTS = (
    *("--showproductname", "--showuniqueid", "--showmeminfo", "vram", "--showuse"),
    *("--showtemp", "--showpower", "--showdriverversion", "--json"),
)
_POWER_KEYS = ("Current Socket Graphics Package Power (W)", "Average Graphics Package Power (W)")
_TEMPERATURE_KEYS = ("Temperature (Sensor junction) (C)", "Temperature (Sensor edge) (C)")
_NAME_KEYS = ("Card Series", "Card series", "Device Name", "Card Model", "Card model")


def read(run: Run) -> Report:
    """Ask ``amd-smi``.

    Raises:
        ToolError: it does not answer about the devices; what else fails is a warning.
    """
    static, metric = (run([TOOL, verb, "--json"]) for verb in ("static", "metric"))
    warnings: list[str] = []
    listing, processes, version = (_if_it_answers(run, verb, warnings) for verb in ("list", "process", "version"))
    devices, driver = parse_amd_smi(static, metric, listing, processes)
    rocm = re.search(r'"rocm_version"\s*:\s*"([0-9.]+)"', version)
    return Report("amd", tuple(devices), driver, (("rocm", rocm[1]),) if rocm else (), tuple(warnings))


def read_old(run: Run) -> Report:
    """Ask ``rocm-smi``.

    Raises:
        ToolError: it does not answer in JSON.
    """
    devices, driver = parse_rocm_smi(run([OLD_TOOL, *OLD_ARGUMENTS]))
    return Report("amd", tuple(devices), driver)


def parse_amd_smi(static: str, metric: str, listing: str, processes: str) -> tuple[list[Device], str]:
    """Devices by index and the driver's version, joined over the answers of four commands."""
    metrics, listed, running = (_by_gpu(text) for text in (metric, listing, processes))
    devices, driver = [], ""
    for index, facts in sorted(_by_gpu(static).items()):
        measured = metrics.get(index, {})
        memory = _at(measured, "mem_usage")
        total = scaled(_at(memory, "total_vram") or _at(facts, "vram", "size"), 1 / MIB_PER_GIB)
        used = scaled(_at(memory, "used_vram"), 1 / MIB_PER_GIB)
        uuid = str(_at(listed.get(index, {}), "uuid") or _at(facts, "asic", "asic_serial") or "")
        driver = str(_at(facts, "driver", "version") or driver)
        devices.append(
            Device(
                index=index,
                name=str(_at(facts, "asic", "market_name") or "AMD"),
                uuid="" if uuid == "N/A" else uuid,
                memory_total_gib=total,
                memory_free_gib=None if total is None or used is None else round(total - used, 4),
                utilisation_ratio=scaled(_at(measured, "usage", "gfx_activity"), 0.01),
                temperature_celsius=number(_at(measured, "temperature", "hotspot")),
                power_watts=number(_at(measured, "power", "socket_power")),
                ecc_uncorrected=whole(_at(measured, "ecc", "total_uncorrectable_count")),
            ).with_processes(_pids(running.get(index, {})))
        )
    return devices, "" if driver == "N/A" else driver


def parse_rocm_smi(text: str) -> tuple[list[Device], str]:
    """Devices by card number and the driver's version."""
    document = _json(text, OLD_TOOL)
    devices = []
    for card, facts in document.items() if isinstance(document, Mapping) else ():
        match = re.fullmatch(r"card(\d+)", str(card))
        if not match or not isinstance(facts, Mapping):
            continue
        total = scaled(facts.get("VRAM Total Memory (B)"), 2.0**-30)
        used = scaled(facts.get("VRAM Total Used Memory (B)"), 2.0**-30)
        uuid = str(facts.get("Unique ID") or "")
        devices.append(
            Device(
                index=int(match[1]),
                name=str(_first(facts, _NAME_KEYS) or "AMD"),
                uuid="" if uuid == "N/A" else uuid,
                memory_total_gib=total,
                memory_free_gib=None if total is None or used is None else round(total - used, 4),
                utilisation_ratio=scaled(facts.get("GPU use (%)"), 0.01),
                temperature_celsius=number(_first(facts, _TEMPERATURE_KEYS)),
                power_watts=number(_first(facts, _POWER_KEYS)),
            )
        )
    driver = str(_at(document, "system", "Driver version") or "")
    return sorted(devices, key=lambda device: device.index), driver


def _if_it_answers(run: Run, verb: str, warnings: list[str]) -> str:
    try:
        text = run([TOOL, verb, "--json"])
        _json(text, TOOL)
        return text
    except ToolError as error:
        warnings.append(f"{verb} is not known: {error.what}")
        return "[]"


def _by_gpu(text: str) -> dict[int, Mapping[str, Any]]:
    document = _json(text, TOOL)
    entries = document.get("gpu_data", []) if isinstance(document, Mapping) else document
    found = {}
    for entry in entries if isinstance(entries, list) else ():
        index = whole(_at(entry, "gpu"))
        if index is not None:
            found[index] = entry
    return found


def _pids(entry: Mapping[str, Any]) -> list[int]:
    found = []
    processes = entry.get("process_list")
    for process in processes if isinstance(processes, list) else ():
        pid = whole(_at(process, "process_info", "pid"))
        if pid is not None:
            found.append(pid)
    return found


def _json(text: str, tool: str) -> Any:
    # Warnings are printed before the document.
    start = re.search(r"^[\[{]", text, re.MULTILINE)
    try:
        return parse_json(text[start.start() :] if start else text)
    except ValueError as error:
        raise ToolError(f"{tool} did not answer in JSON: {text.strip()[:120]!r}") from error


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _first(facts: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((facts[key] for key in keys if str(facts.get(key, "N/A")) != "N/A"), None)
