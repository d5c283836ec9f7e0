# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Rules: which fact, beyond which threshold, for how long, and whom it concerns.

A fact's path is dotted; ``*`` stands for every entry of a list or mapping, each of
which is an instance with a state of its own. ``of`` divides by another fact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

TOPIC_PREFIX = "modelops alert: "
NO_DATA_TOPIC = TOPIC_PREFIX + "no data"
SEVERITIES = ("page", "ticket")

# Thresholds: disk as node_exporter's mixin (5 %), KV cache as RELIABILITY.md C (95 % for 5 minutes); the others are
# starting points to set for one's own hosts.
BUILT_IN: dict[str, dict[str, dict[str, Any]]] = {
    "host": {
        "cpu_saturated": {
            "topic": "cpu saturated", "value": "loadavg.1m", "of": "processor_vcpus",
            "above": 2.0, "clear": 1.5, "hold_seconds": 120,
        },
        "memory_short": {
            "topic": "memory short", "value": "memory_mb.nocache.free", "of": "memory_mb.real.total",
            "below": 0.05, "clear": 0.1, "hold_seconds": 60, "severity": "page",
        },
        "disk_full": {
            "topic": "disk full", "value": "mounts.*.size_available", "of": "mounts.*.size_total", "label": "mount",
            "below": 0.05, "clear": 0.08, "hold_seconds": 60, "severity": "page",
            "skip": {"fstype": ["squashfs", "iso9660"]},
        },
    },
    "accelerator": {
        "accelerator_hot": {
            "topic": "accelerator hot", "value": "modelops_accelerators.devices.*.temperature_celsius",
            "label": "index", "above": 87.0, "clear": 82.0, "hold_seconds": 60, "optional": True,
        },
        "accelerator_ecc": {
            "topic": "accelerator memory error", "value": "modelops_accelerators.devices.*.ecc_uncorrected",
            "label": "index", "above": 0.0, "severity": "page", "optional": True,
        },
    },
    "server": {
        "server_not_ready": {
            "topic": "server not ready", "value": "servers.*.ready", "below": 1.0, "hold_seconds": 15,
            "severity": "page",
        },
        "kv_cache_full": {
            "topic": "KV cache full", "value": "servers.*.metrics.kv_cache_used_ratio", "above": 0.95, "clear": 0.85,
            "hold_seconds": 300, "optional": True,
        },
    },
}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """One threshold over one fact.

    Attributes:
        above, below: exactly one is set; the alert's condition is value > above, or value < below.
        clear: a firing alert resolves only once the value is at or past this (hysteresis).
        hold_seconds: how long the condition must hold without a gap before it fires.
        clear_hold_seconds: the same for resolving.
        missing_hold_seconds: how long the value must be missing before that is told.
        optional: an instance that never had a value is not missing one.
        label: key of an entry that names the instance, instead of its position.
        skip: entries to leave out, as key to values.
    """

    name: str
    topic: str
    value: str
    of: str = ""
    above: float | None = None
    below: float | None = None
    clear: float | None = None
    hold_seconds: float = 0.0
    clear_hold_seconds: float = 0.0
    missing_hold_seconds: float = 60.0
    severity: str = "ticket"
    optional: bool = False
    label: str = ""
    skip: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def violated(self, value: float) -> bool:
        """Whether the condition for an alert holds."""
        if self.above is not None:
            return value > self.above
        return self.below is not None and value < self.below

    def cleared(self, value: float) -> bool:
        """Whether a firing alert's value is back behind the clear threshold."""
        if self.above is not None:
            return value <= (self.above if self.clear is None else self.clear)
        return self.below is not None and value >= (self.below if self.clear is None else self.clear)


def build_rules(sets: Sequence[str], overrides: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of the built-in sets with the caller's changes, by name.

    Args:
        sets: names of built-in sets.
        overrides: rule name to keys that replace the built-in's, or a whole rule; ``enabled: false`` takes one out.

    Raises:
        InputError: an unknown set or key, or a rule that contradicts itself.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in sets:
        if name not in BUILT_IN:
            raise InputError(f"there is no rule set {name!r}", where="sets", remedy=f"Use {', '.join(BUILT_IN)}")
        found.update({rule: dict(entry) for rule, entry in BUILT_IN[name].items()})
    for name, change in overrides.items():
        entry = dict(expect_mapping(change, what="rule", where=f"rules.{name}"))
        enabled = entry.pop("enabled", True)
        if not isinstance(enabled, bool):
            raise InputError("enabled must be true or false", where=f"rules.{name}")
        if not enabled:
            found.pop(name, None)
            continue
        old = found.get(name, {})
        if {"above", "below"} & set(entry):  # another threshold: the old direction and clear threshold go with it
            old = {key: value for key, value in old.items() if key not in ("above", "below", "clear")}
        found[name] = {**old, **entry}
    if not found:
        raise InputError("there is no rule to evaluate", where="sets", remedy="Name a set, or give rules")
    return tuple(_rule(name, found[name]) for name in sorted(found))


def _rule(name: str, entry: Mapping[str, Any]) -> Rule:
    where = f"rules.{name}"
    known = {item.name for item in fields(Rule)} - {"name"}
    unknown = sorted(set(entry) - known)
    if unknown:
        raise InputError(f"unknown keys {', '.join(unknown)}", where=where, remedy=f"Use {', '.join(sorted(known))}")
    values: dict[str, Any] = {"topic": name.replace("_", " "), **entry}
    for key in ("topic", "value", "of", "label"):
        if not isinstance(values.get(key, ""), str):
            raise InputError(f"{key} must be text, not {values[key]!r}", where=where)
    if not values.get("value"):
        raise InputError("value is missing", where=where, remedy="Give the path of a fact, such as loadavg.1m")
    for key in ("above", "below", "clear"):
        if values.get(key) is not None:
            values[key] = expect_number(values[key], what=key, where=where)
    for key in ("hold_seconds", "clear_hold_seconds", "missing_hold_seconds"):
        if key in values:
            values[key] = expect_number(values[key], what=key, where=where, minimum=0)
    if not isinstance(values.get("optional", False), bool):
        raise InputError("optional must be true or false", where=where)
    if values.get("severity", "ticket") not in SEVERITIES:
        raise InputError(f"severity must be one of {', '.join(SEVERITIES)}", where=where)
    skip = expect_mapping(values.get("skip", {}), what="skip", where=where)
    if any(not isinstance(listed, list) for listed in skip.values()):
        raise InputError("skip must map each key to a list of values", where=where)
    return _consistent(Rule(name=name, **values), where)


def _consistent(rule: Rule, where: str) -> Rule:
    if (rule.above is None) == (rule.below is None):
        raise InputError("exactly one of above and below must be set", where=where)
    if rule.clear is not None and rule.violated(rule.clear):
        raise InputError(
            f"clear ({rule.clear:g}) lies beyond the threshold: it would fire and clear at once", where=where
        )
    stars = rule.value.split(".").count("*")
    if stars > 1:
        raise InputError("value may hold one * at most", where=where)
    if "*" in rule.of.split(".") and rule.of.split("*")[0] != rule.value.split("*")[0]:
        raise InputError("value and of must be the same up to their *", where=where)
    return rule
