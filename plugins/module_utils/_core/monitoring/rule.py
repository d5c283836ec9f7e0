# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Rules of Prometheus as records, and the file they stand in.

The text is written here, not by a YAML library, so that expressions stay as they are read:
one rule below the other, expressions as block scalars, equal input giving equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

BANNER = "# Made by modelops.datacenter. Changes by hand are lost; set the role's variables instead."
SEVERITIES = ("page", "ticket", "none")


@dataclass(frozen=True)
class Recording:
    """One series recorded from an expression."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """One alert rule. ``hold_seconds``: how long the expression must hold at every look.

    ``summary`` and ``description`` may hold Prometheus' own templates; they are for people and
    for the evidence of a remediation, never for commands.
    """

    name: str
    expr: str
    hold_seconds: float
    severity: str
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


Rule = Union[Recording, Alert]


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, at one interval; 0 for Prometheus' own."""

    name: str
    rules: Sequence[Rule]
    interval_seconds: float = 0.0


def duration(seconds: float) -> str:
    """``90s``, ``5m``, ``6h``, ``3d``: as Prometheus writes a time of whole milliseconds."""
    milliseconds = round(seconds * 1000)
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")):
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def render(groups: Sequence[Group], *, runbook_url: str) -> str:
    """A rule file. Each alert links to its page: ``RUNBOOK_URL#alertname`` in lower case."""
    lines = [BANNER, "groups:"]
    for group in groups:
        lines.append(f"- name: {json.dumps(group.name)}")
        if group.interval_seconds:
            lines.append(f"  interval: {duration(group.interval_seconds)}")
        lines.append("  rules:")
        for rule in group.rules:
            lines += _recording(rule) if isinstance(rule, Recording) else _alert(rule, runbook_url)
    return "\n".join(lines) + "\n"


def _recording(rule: Recording) -> list[str]:
    return [f"  - record: {rule.record}", *_block("expr", rule.expr), *_mapping("labels", rule.labels)]


def _alert(rule: Alert, runbook_url: str) -> list[str]:
    lines = [f"  - alert: {rule.name}", *_block("expr", rule.expr)]
    if rule.hold_seconds:
        lines.append(f"    for: {duration(rule.hold_seconds)}")
    annotations = {"summary": rule.summary, "description": rule.description}
    if runbook_url:
        annotations["runbook_url"] = f"{runbook_url}#{rule.name.lower()}"
    lines += _mapping("labels", {**rule.labels, "severity": rule.severity})
    return lines + _mapping("annotations", annotations)


def _block(key: str, text: str) -> list[str]:
    return [f"    {key}: |-", *(f"      {line}" for line in text.strip().splitlines())]


def _mapping(key: str, values: Mapping[str, str]) -> list[str]:
    if not values:
        return []
    # A JSON string is a YAML string.
    return [f"    {key}:", *(f"      {name}: {json.dumps(values[name])}" for name in sorted(values))]
