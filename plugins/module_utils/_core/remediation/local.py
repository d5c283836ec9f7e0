# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What alert_evaluation says fires on a host, as alerts that a decision can be made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.alerts import plain

# The built-in rules; kv_cache_full has no ladder of its own and is told as a growing queue.
NAMES = {
    "cpu_saturated": "HostCpuHigh",
    "memory_short": "HostMemoryHigh",
    "disk_full": "HostDiskFull",
    "accelerator_hot": "AcceleratorHot",
    "accelerator_ecc": "AcceleratorEccErrors",
    "server_not_ready": "ModelServerNotReady",
    "kv_cache_full": "QueueGrowing",
}
OF_A_SERVER = frozenset({"server_not_ready", "kv_cache_full"})


def local_alerts(firing: Iterable[Mapping[str, Any]], host: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Alerts in Alertmanager's form.

    Args:
        firing: as the module alert_evaluation gives it; a server's instance is MODEL-SLOT.
        host: inventory name of the host it was evaluated on.
        names: rule to alert name, beside the built-in ones; a rule without a name keeps its own.

    Raises:
        InputError: an entry names no rule.
    """
    found = []
    for entry in firing:
        rule = str(entry.get("rule") or "")
        if not rule:
            raise InputError("an alert that fires names no rule", where=host)
        labels = {
            "alertname": names.get(rule, NAMES.get(rule, rule)),
            "host": host,
            "severity": str(entry.get("severity", "")),
        }
        instance = str(entry.get("instance") or "")
        if rule in OF_A_SERVER:
            model, _dash, slot = instance.rpartition("-")
            labels.update(model=model, slot=slot)
        elif instance:
            labels["instance"] = plain(instance)
        summary = f"{rule} {plain(instance)}".strip() + f" on {host}, value {entry.get('value')}"
        found.append(
            {"status": "firing", "labels": labels, "annotations": {"summary": summary}, "startsAt": entry.get("since")}
        )
    return found
