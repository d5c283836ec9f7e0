# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The stock once it is filled, in groups of alike hosts, to say what is full and what is not.

Ten thousand hosts are looked at as a few dozen groups and the few states in each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.allocate import Allocation
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.classes import DOMAINS, likeness
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.hosts import Rooms
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model


class AlikeHosts:
    """Hosts that differ in nothing but their names and what is on them."""

    def __init__(self, hosts: Sequence[Host], rooms: Rooms) -> None:
        self.example = hosts[0]
        self._names = [host.name for host in hosts]
        self._rooms = rooms
        self._states = Counter(rooms.state_of[name] for name in self._names if name in rooms.state_of)

    def can_take(self, model: Model) -> bool:
        """Whether one of them has room for a replica of a model that serves on their type."""
        if model.max_replicas_per_host is not None:
            return any(self._rooms.can_take(name, model) for name in self._names)
        return any(self._rooms.states.can_take(state, model) for state in self._states)

    def lacking(self, model: Model) -> Counter[str]:
        """What one more replica would need and does not find, ``2 free accelerators``, with the number of hosts."""
        limit, words = model.max_replicas_per_host, Counter[str]()
        if limit is not None:
            full = [name for name in self._names if self._rooms.has_limit(name, model)]
            words[f"fewer than max_replicas_per_host ({limit}) of its replicas"] += len(full)
            others = set(self._names) - set(full)
            states = Counter(self._rooms.state_of[name] for name in others)
        else:
            states = self._states
        for state, count in states.items():
            words[_lack(*self._rooms.states.room(state).lacking(model))] += count
        return +words


class Stock:
    """All hosts by group, and where the replicas of each model are."""

    def __init__(self, allocation: Allocation, hosts: Sequence[Host]) -> None:
        groups: dict[tuple[Any, ...], list[Host]] = {}
        for host in hosts:
            groups.setdefault((*likeness(host, DOMAINS), host.reachable), []).append(host)
        self.alike = [AlikeHosts(group, allocation.assignment.rooms) for _unused, group in sorted(groups.items())]
        self.replicas = Counter(replica.model for replica in allocation.assignment.replicas)
        domain_of = {host.name: {kind: getattr(host, kind) for kind in DOMAINS} for host in hosts}
        self.inside: Counter[tuple[str, str, str]] = Counter(
            (replica.model, kind, domain)
            for replica in allocation.assignment.replicas
            for kind, domain in domain_of[replica.host].items()
        )

    def full_domains(self, model: Model, groups: Sequence[AlikeHosts]) -> list[str]:
        """``zone a`` for each domain of these groups whose spread limit is reached; empty where one has none left."""
        named = set()
        for alike in groups:
            full = [
                f"{kind} {getattr(alike.example, kind)}"
                for kind, share in sorted(model.spread.items())
                if self.inside[(model.name, kind, getattr(alike.example, kind))]
                > share * (self.replicas[model.name] + 1) - resources.TOLERANCE
            ]
            if not full:
                return []
            named.update(full)
        return sorted(named)


def _lack(needs: float, name: str) -> str:
    if name == resources.RESOURCES[0] and 0 < needs < 1:
        return f"{needs:g} of an accelerator free"
    word = name[:-1] if needs == 1 and name.endswith("s") else name
    return f"{needs:g} {word} free" if name.startswith("GiB") else f"{needs:g} free {word}"
