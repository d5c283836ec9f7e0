# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From fillings to hosts: each filling goes to the host that already runs most of it.

Hosts of a class that run the same are one group. Fillings and groups meet in the order of
how many running replicas they have in common; what has none in common goes by name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.host_fillings import HostFilling
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.host_stock import HostStock, Pair
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.hosts import Assigner, Assignment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Replica

Mix = tuple[tuple[Pair, int], ...]  # how many replicas of each pair are on a host


def assign_fillings(
    problem: Problem, fillings: Sequence[HostFilling], hosts: Sequence[Host], running: Sequence[Replica]
) -> Assignment:
    """Put fillings on hosts.

    Args:
        problem: the arrays the fillings belong to.
        fillings: at most as many of each class as it has hosts.
        hosts: the stock.
        running: everything that runs on these hosts, also what will stop.
    """
    stock = HostStock(problem, hosts, running)
    assigner = Assigner(stock)
    pair_of = list(zip(problem.pair_model.tolist(), problem.pair_class.tolist()))
    left_over: Counter[Pair] = Counter()
    for k, one in enumerate(problem.classes):
        wanted = Counter(
            tuple(sorted((pair_of[pair], count) for pair, count in filling.replicas.items()))
            for filling in fillings
            if filling.host_class == k
        )
        groups: dict[Mix, list[str]] = defaultdict(list)
        for name in one.hosts:
            groups[_running_mix(stock, name)].append(name)
        for mix, name in _meet(wanted, groups):
            left_over.update(assigner.fill(name, dict(mix)))
        for names in groups.values():
            for name in names:
                assigner.fill(name, {})
    return assigner.result(assigner.place_left(left_over))


def _running_mix(stock: HostStock, name: str) -> Mix:
    counts = Counter(
        (stock.index[replica.model], stock.class_of[name])
        for replica in stock.present.get(name, ())
        if replica.model in stock.index
    )
    return tuple(sorted(counts.items()))


def _meet(wanted: Counter[Mix], groups: dict[Mix, list[str]]) -> list[tuple[Mix, str]]:
    """Which filling goes to which host; the hosts are taken out of their groups."""
    in_common = sorted(
        (-sum(min(count, dict(runs).get(pair, 0)) for pair, count in mix), -len(mix), mix, runs)
        for mix in wanted
        for runs in groups
    )
    met = []
    for _common, _size, mix, runs in in_common:
        while wanted[mix] and groups[runs]:
            wanted[mix] -= 1
            met.append((mix, groups[runs].pop(0)))
    return met
