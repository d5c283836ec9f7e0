# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a rule reads out of the facts: one number an instance, or that there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.alerts.rules import Rule


def readings(rule: Rule, facts: Mapping[str, Any]) -> dict[str, float | None]:
    """Instance to value; None where the value is missing.

    Without ``*`` the only instance is ``""``. With it an empty list has no
    instance, while a list that is not there at all is ``{"": None}``: nobody
    looked, which is not the same as having looked and found nothing.
    """
    if "*" not in rule.value.split("."):
        return {"": _ratio(rule, facts, None, "")}
    head = rule.value.split("*")[0].strip(".")
    entries = _at(facts, head)
    if isinstance(entries, Mapping):
        pairs = [(str(key), entry) for key, entry in entries.items()]
    elif isinstance(entries, (list, tuple)):
        pairs = [(_label(rule, entry, index), entry) for index, entry in enumerate(entries)]
    else:
        return {"": None}
    return _worst(rule, facts, pairs, head)


def _worst(rule: Rule, facts: Mapping[str, Any], pairs: list[tuple[str, Any]], head: str) -> dict[str, float | None]:
    """Entries of one name, such as a path mounted twice: the one nearest to an alert speaks for it."""
    found: dict[str, float | None] = {}
    for name, entry in sorted(pairs, key=lambda pair: pair[0]):
        if _skipped(rule, entry):
            continue
        value = _ratio(rule, facts, entry, head)
        old = found.get(name)
        if old is not None and value is not None:
            value = max(old, value) if rule.above is not None else min(old, value)
        found[name] = old if value is None else value
    return found


def _skipped(rule: Rule, entry: Any) -> bool:
    return isinstance(entry, Mapping) and any(entry.get(key) in listed for key, listed in rule.skip.items())


def _label(rule: Rule, entry: Any, index: int) -> str:
    named = entry.get(rule.label) if rule.label and isinstance(entry, Mapping) else None
    return str(index if named is None else named)


def _ratio(rule: Rule, facts: Mapping[str, Any], entry: Any, head: str) -> float | None:
    value = _number(_resolve(rule.value, facts, entry))
    if not rule.of or value is None:
        return value
    whole = _number(_resolve(rule.of, facts, entry))
    return value / whole if whole else None


def _resolve(path: str, facts: Mapping[str, Any], entry: Any) -> Any:
    if "*" in path.split("."):
        return _at(entry, path.split("*", 1)[1].strip("."))
    return _at(facts, path)


def _at(place: Any, path: str) -> Any:
    for key in path.split(".") if path else ():
        if isinstance(place, Mapping):
            place = place.get(key)
        elif isinstance(place, (list, tuple)) and key.isdigit() and int(key) < len(place):
            place = place[int(key)]
        else:
            return None
    return place


def _number(value: Any) -> float | None:
    """A finite number, true as 1 and false as 0; all else is missing."""
    if value is None or isinstance(value, (Mapping, list, tuple)):
        return None
    if isinstance(value, str) and value.lower() in ("true", "false"):  # as templates write it
        return float(value.lower() == "true")
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
