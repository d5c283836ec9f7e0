# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Hard rails of a canary: what one sample is enough to condemn.

A service that its manager restarted has crashed; a wrong release, a wrong served name or a wrong
answer to a golden prompt is no question of statistics. Golden prompts are asked greedily, so equal
weights give equal text.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.readiness import Target, look

GOLDEN_TOKENS = 16
SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Expected:
    """What a replica of the release is like, and how to ask it."""

    release: str
    engine: str
    served_name: str
    probe: str
    health_path: str
    address: str
    api_key: str
    golden: Sequence[Mapping[str, Any]]
    systemd: bool
    request_timeout_seconds: float


@dataclass
class Found:
    """What is wrong with a replica, in words; ``silent``: it gave no answer at all."""

    server: str
    failures: list[str] = field(default_factory=list)
    silent: bool = False


def check_replica(record: Mapping[str, Any], expected: Expected) -> Found:
    """Look at one replica of this host."""
    found = Found(f"{record['host']}-{record['slot']}")
    if expected.release and record.get("release") != expected.release:
        found.failures.append(f"the host says it runs another release ({record.get('release') or 'none known'})")
    if expected.systemd:
        found.failures += service_failures(systemd_properties(str(record["service"])))
    target = Target(
        f"http://{expected.address}:{int(record['port'])}",
        expected.engine,
        expected.served_name,
        expected.probe,
        expected.health_path,
        expected.api_key,
        expected.request_timeout_seconds,
    )
    state = look(target)
    if not state.ready:
        found.silent = True
        found.failures.append(f"it does not answer: {state.reason}")
        return found
    for number, golden in enumerate(expected.golden, start=1):
        found.failures += golden_failures(target, golden, number)
    return found


def systemd_properties(service: str) -> dict[str, str]:
    """ActiveState and NRestarts of a unit."""
    shown = subprocess.run(
        ["systemctl", "show", "--property=ActiveState,NRestarts", f"{service}.service"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)


def service_failures(properties: Mapping[str, str]) -> list[str]:
    """What the service manager knows against the replica."""
    failures = []
    restarts = int(properties.get("NRestarts") or 0)
    if restarts:
        failures.append(f"it crashed: its service was restarted {restarts} time{'s' if restarts > 1 else ''}")
    if properties.get("ActiveState") != "active":
        failures.append(f"its service is {properties.get('ActiveState') or 'unknown'}, not active")
    return failures


def golden_failures(target: Target, golden: Mapping[str, Any], number: int) -> list[str]:
    """Whether the greedy answer begins as it should."""
    fields = expect_mapping(golden, what=f"golden prompt {number}")
    if "prompt" not in fields or "expect" not in fields:
        raise InputError("a golden prompt needs prompt and expect", where=f"golden prompt {number} of {target.model}")
    answer = target.post(
        "/v1/completions",
        {
            "model": target.model,
            "prompt": fields["prompt"],
            "max_tokens": int(fields.get("max_tokens") or GOLDEN_TOKENS),
            "temperature": 0,
        },
    )
    try:
        text = answer.json()["choices"][0]["text"] if answer.good else None
    except (KeyError, IndexError, TypeError, ValueError):
        text = None
    if text is None:
        return [f"golden prompt {number} was not answered: {answer.says()}"]
    if str(text).startswith(str(fields["expect"])):
        return []
    shown, wanted = str(text)[:SHOWN_CHARACTERS], str(fields["expect"])[:SHOWN_CHARACTERS]
    return [f"golden prompt {number} was answered {shown!r}, not {wanted!r}"]
