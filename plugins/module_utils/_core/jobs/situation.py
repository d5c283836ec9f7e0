# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a turn of jobs is decided from, and what is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import Unit
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order


@dataclass(frozen=True)
class Wish:
    """What the schedule gives a job in its first period."""

    name: str
    accelerator_type: str
    host: str
    accelerators: int


@dataclass(frozen=True)
class Situation:
    """All that is decided from. ``settle_seconds``: how long a job runs before another job may take its place."""

    orders: Mapping[str, Order]
    hosts: Sequence[Host]
    planned: Sequence[Replica]
    running: Sequence[Replica]
    wishes: Mapping[str, Wish]
    strays: Sequence[Unit] = ()
    now: float = 0.0
    lease_seconds: float = 3600.0
    settle_seconds: float = 600.0
    shared: bool = False


@dataclass
class Decision:
    """By host: attempts to stop, to start, and those whose lease is renewed; and words for people."""

    stops: list[tuple[str, str, int]] = field(default_factory=list)
    starts: list[tuple[str, str]] = field(default_factory=list)
    renewals: list[tuple[str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)


def wishes_of(schedule: Mapping[str, Any]) -> dict[str, Wish]:
    """The first period of a schedule.json, or of its ``jobs`` and ``start``."""
    found = {}
    for name, fields in sorted((schedule.get("jobs") or {}).items()):
        runs = fields.get("runs") or []
        if runs and runs[0]["start"] <= schedule["start"]:
            first = runs[0]
            found[name] = Wish(name, str(first["accelerator_type"]), str(first["host"]), int(first["accelerators"]))
    return found
