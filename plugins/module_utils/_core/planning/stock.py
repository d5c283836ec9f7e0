# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Stock and catalogue as a plan file keeps them, and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model

# Learned by asking the host, not part of what was planned for: see plan.py.
NOT_STOCK = ("reachable", "accelerator_uuids")


def stock_record(host: Host) -> dict[str, Any]:
    """The fields of a host a plan depends on."""
    return {key: value for key, value in host.as_record().items() if key not in NOT_STOCK}


def stock_differences(
    planned_hosts: Iterable[Mapping[str, Any]],
    planned_models: Mapping[str, Mapping[str, Any]],
    hosts: Sequence[Host],
    models: Sequence[Model],
) -> list[str]:
    """What differs between the stock of a plan and the fleet now, in words, hosts first."""
    return _differences(
        "host",
        {str(record.get("name")): record for record in planned_hosts},
        {host.name: stock_record(host) for host in hosts},
    ) + _differences("model", planned_models, {model.name: model.as_record() for model in models})


def _differences(
    kind: str, planned: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    lines = [f"{kind} {name} is gone" for name in sorted(planned.keys() - now.keys())]
    lines += [f"{kind} {name} is new" for name in sorted(now.keys() - planned.keys())]
    for name in sorted(planned.keys() & now.keys()):
        before, after = planned[name], now[name]
        fields = [key for key in sorted(before.keys() & after.keys()) if before[key] != after[key]]
        if fields:
            lines.append(f"{kind} {name} has another {', '.join(_change(key, before, after) for key in fields)}")
    return lines


def _change(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    plain = all(value is None or isinstance(value, (str, int, float)) for value in (before[key], after[key]))
    return f"{key} ({before[key]} then, {after[key]} now)" if plain else key
