# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Whether the gateways of an inventory reach the replicas of its hosts.

A replica listens on its model's ``bind_address``, else on the host's ``deploy_bind_address``, else on
the loopback address; gateways ask for it at ``modelops_address``, else ``ansible_host``, else at the
inventory name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

LOOPBACK = "127.0.0.1"


def host_address(name: str, variables: Mapping[str, Any]) -> str:
    """Where other hosts reach the replicas of a host."""
    return str(variables.get("modelops_address") or variables.get("ansible_host") or name)


def is_loopback(address: str) -> bool:
    """Whether an address leads to the host itself only."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def unreachable_placements(
    placements: Iterable[Mapping[str, Any]],
    names: Iterable[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    catalogue: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """One sentence a host whose replicas listen where no gateway reaches them, sorted; none without a gateway.

    Args:
        placements: replicas that run or shall run, each with ``host`` and ``model``.
        names: all inventory names.
        hostvars: variables of each.
        catalogue: the models by name.
    """
    gateways = [name for name in names if _is_gateway(hostvars[name])]
    if not gateways:
        return []
    deaf: dict[str, set[str]] = {}
    for one in placements:
        host, model = str(one["host"]), str(one["model"])
        variables = hostvars[host]
        listens = (catalogue.get(model) or {}).get("bind_address") or variables.get("deploy_bind_address") or LOOPBACK
        if is_loopback(str(listens)) and not is_loopback(host_address(host, variables)):
            deaf.setdefault(host, set()).add(model)
    return [_sentence(host, deaf[host], hostvars[host], gateways) for host in sorted(deaf)]


def _is_gateway(variables: Mapping[str, Any]) -> bool:
    return str(variables.get("modelops_gateway", "")).lower() in ("true", "yes", "1")


def _sentence(host: str, models: Iterable[str], variables: Mapping[str, Any], gateways: Iterable[str]) -> str:
    address = host_address(host, variables)
    return (
        f"On {host}, {', '.join(sorted(models))} would listen on the loopback address alone, but "
        f"{', '.join(sorted(gateways))} asks for it at {address}. Set deploy_bind_address to 0.0.0.0, with a firewall "
        f"(provision_firewall lets gateways through), or to {address}."
    )
