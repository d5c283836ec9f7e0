# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One accelerator as its vendor's tool describes it, and how such tools write numbers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError

MIB_PER_GIB = 1024.0
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")

# Runs a program: arguments to its standard output. Raises ToolError.
Run = Callable[["list[str]"], str]


class ToolError(SourceUnavailableError):
    """A vendor's tool failed, hung, or said something unexpected; a warning in the end, never a failure."""


@dataclass(frozen=True)
class Device:
    """``None`` is what the tool does not know. ``processes`` are the host's process IDs that use it."""

    index: int
    name: str
    uuid: str = ""
    memory_total_gib: float | None = None
    memory_free_gib: float | None = None
    utilisation_ratio: float | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    ecc_uncorrected: int | None = None
    processes: tuple[int, ...] = ()

    def with_processes(self, pids: Any) -> Device:
        return replace(self, processes=tuple(sorted({int(pid) for pid in pids})))


@dataclass(frozen=True)
class Report:
    """What one vendor's tool says about a host."""

    vendor: str
    devices: tuple[Device, ...]
    driver_version: str = ""
    runtime_versions: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


def number(value: Any) -> float | None:
    """A number, also with a unit behind it or as ``{"value": 3, "unit": "W"}``.

    ``[N/A]``, ``N/A``, ``[Not Supported]``, ``[Unknown Error]``, ``ERR!`` and ``-`` are no number.
    """
    if isinstance(value, dict):
        value = value.get("value")
    if value is None or isinstance(value, bool):
        return None
    match = _NUMBER.match(str(value).strip())
    found = float(match.group()) if match else math.nan
    return found if math.isfinite(found) else None


def scaled(value: Any, factor: float) -> float | None:
    found = number(value)
    return None if found is None else round(found * factor, 4)


def whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)
