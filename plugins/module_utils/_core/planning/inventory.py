# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From inventory variables and facts to host and replica records.

What facts discover fills in what the inventory leaves out or sets to ``auto``; a variable
overrides. Nothing is decided here, and what cannot be read is an error, never "nothing".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import parse_hosts, parse_replicas

PREFIX = "modelops_"
MIB_PER_GIB = 1024
AUTO = "auto"
FIELDS = (
    "zone",
    "region",
    "accelerator_type",
    "accelerator_count",
    "accelerator_memory_gib",
    "accelerator_uuids",
    "cpu_cores",
    "memory_gib",
    "cost_per_hour",
    "state",
    "reachable",
    "base_port",
    "max_replicas",
)

HostVariables = Mapping[str, Mapping[str, Any]]


def fleet_records(names: Iterable[str], hostvars: HostVariables) -> list[dict[str, Any]]:
    """Host records of the hosts that define ``modelops_accelerator_type``, sorted by name.

    Args:
        names: inventory names.
        hostvars: variables and facts of each.

    Raises:
        InputError: a value out of range, or ``auto`` where nothing was discovered.
    """
    records = [_host_record(name, hostvars[name]) for name in _fleet(names, hostvars)]
    return [host.as_record() for host in parse_hosts(records)]


def running_replicas(names: Iterable[str], hostvars: HostVariables) -> list[dict[str, Any]]:
    """What the hosts of the fleet say they run, as replica records sorted by host and slot.

    A host with ``modelops_reachable: false`` says nothing.

    Raises:
        InputError: the facts of a host that answers were not gathered, or are not ours.
    """
    records = replica_records(_fleet(names, hostvars), hostvars)
    return [replica.as_record() for replica in parse_replicas(records, what="modelops.fact")]


def replica_records(names: Iterable[str], hostvars: HostVariables) -> list[dict[str, Any]]:
    """The replicas of those hosts that serve, whole as each host keeps them, with ``host``; hosts in the order given.

    Raises:
        InputError: as for :func:`running_replicas`.
    """
    records = []
    for name in _serving(names, hostvars):
        for record in host_state(name, hostvars[name]).get("replicas") or []:
            fields = expect_mapping(record, what="replica", where=f"host {name}, modelops.fact")
            records.append({**fields, "host": name})
    return records


def recorded_states(names: Iterable[str], hostvars: HostVariables) -> list[Any]:
    """The documents that the roles have read so far (``modelops_host_state``); a host not read yet gives None."""
    return [hostvars[name].get("modelops_host_state") for name in names if name in hostvars]


def host_state(name: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """A host's own document (``modelops.fact``): what the roles remember of it, else its local fact.

    Raises:
        InputError: not gathered, or not a document.
    """
    if not _answers(variables):
        return {}
    state = variables.get("modelops_host_state")
    if state is None:
        local = _fact(variables, "ansible_local")
        if local is None:
            raise InputError(
                "what it runs is not known, its local facts were not gathered",
                where=f"host {name}",
                remedy="Gather facts (subset local) first, or set modelops_reachable to false for a host that is down",
            )
        state = local.get("modelops") if isinstance(local, Mapping) else local
    if state is None or state == "":
        return {}
    if not isinstance(state, Mapping):
        raise InputError(
            f"its local fact modelops.fact is not a document ({str(state)[:120]})",
            where=f"host {name}",
            remedy="Mend or remove /etc/ansible/facts.d/modelops.fact there",
        )
    return state


def _fleet(names: Iterable[str], hostvars: HostVariables) -> list[str]:
    return sorted(set(_serving(names, hostvars)))


def _serving(names: Iterable[str], hostvars: HostVariables) -> list[str]:
    if isinstance(names, (str, Mapping)):
        raise InputError("the hosts must be a list of inventory names", remedy="Give groups['all']")
    return [str(name) for name in names if name in hostvars and hostvars[name].get(f"{PREFIX}accelerator_type")]


def _host_record(name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {"name": name}
    discovered = {**_discovered_accelerators(variables), **_discovered_machine(variables)}
    for field in FIELDS:
        value = variables.get(PREFIX + field)
        if value is None or value == AUTO:
            if value == AUTO and field not in discovered and _answers(variables):
                raise InputError(
                    f"{PREFIX}{field} is auto, but nothing was discovered",
                    where=f"host {name}",
                    remedy="Run modelops.datacenter.accelerator_facts and gather facts first, or set it",
                )
            value = discovered.get(field)
        if value is not None:
            record[field] = value
    return record


def _discovered_accelerators(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Type, number, memory and UUIDs out of the fact that accelerator_facts sets."""
    fact = _fact(variables, "modelops_accelerators")
    if not isinstance(fact, Mapping):
        return {}
    uuids = [device.get("uuid") for device in fact.get("devices") or []]
    return {
        "accelerator_type": fact.get("type"),
        "accelerator_count": fact.get("count"),
        "accelerator_memory_gib": fact.get("memory_gib"),
        # By index; with one unknown, the rest would stand at the wrong places.
        "accelerator_uuids": uuids if all(uuids) else [],
    }


def _discovered_machine(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Cores and memory; memory in whole GiB, since the kernel's own share changes with every update."""
    cores = _fact(variables, "ansible_processor_vcpus")
    mebibytes = _fact(variables, "ansible_memtotal_mb")
    return {
        **({} if cores is None else {"cpu_cores": cores}),
        **({} if mebibytes is None else {"memory_gib": int(mebibytes) // MIB_PER_GIB}),
    }


def _fact(variables: Mapping[str, Any], name: str) -> Any:
    """A fact by its full name, from ``ansible_facts`` or, where they are injected, from the variables."""
    facts = variables.get("ansible_facts")
    facts = facts if isinstance(facts, Mapping) else {}
    for key, source in ((name, facts), (name[len("ansible_") :] if name.startswith("ansible_") else name, facts)):
        if source.get(key) is not None:
            return source[key]
    return variables.get(name)


def _answers(variables: Mapping[str, Any]) -> bool:
    return str(variables.get(f"{PREFIX}reachable", True)).lower() not in ("false", "no")
