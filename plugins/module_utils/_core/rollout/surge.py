# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Where a replica can be added for the time of an upgrade: on what no replica of any model holds now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.occupancy import Occupancy


def free_places(
    model: Model, models: Sequence[Model], hosts: Sequence[Host], running: Sequence[Replica], most: int
) -> list[Replica]:
    """Up to ``most`` replicas of ``model`` that could be started beside everything that runs.

    Each goes to the zone, then the host, with the fewest replicas of the model; ties by name. Slot and accelerators are
    the lowest that are free.

    Args:
        model: with the needs of the release that is to be started.
        models: the whole catalogue, for what the others hold.
        hosts: of the fleet.
        running: replicas of all models.
        most: how many are wanted.
    """
    catalogue = {one.name: one for one in models}
    able = [host for host in hosts if host.takes_new_replicas and host.accelerator_type in model.capacity]
    present = {host.name: [one for one in running if one.host == host.name] for host in able}
    zone_of = {host.name: host.zone for host in hosts}
    own = [one for one in running if one.model == model.name]
    on_host, in_zone = Counter(one.host for one in own), Counter(zone_of.get(one.host, "") for one in own)
    places: list[Replica] = []
    while len(places) < most:
        found = None
        for host in sorted(able, key=lambda one: (in_zone[one.zone], on_host[one.name], one.name)):
            if model.max_replicas_per_host is None or on_host[host.name] < model.max_replicas_per_host:
                found = _fits(model, catalogue, host, present[host.name])
            if found is not None:
                break
        if found is None:
            break
        places.append(found)
        present[found.host].append(found)
        on_host[found.host] += 1
        in_zone[zone_of[found.host]] += 1
    return places


def _fits(model: Model, catalogue: dict[str, Model], host: Host, present: Sequence[Replica]) -> Replica | None:
    """One more replica on the host, or None."""
    occupancy = Occupancy(host, present, (), catalogue)
    taken = {one.slot for one in present}
    slot = next(number for number in count() if number not in taken)
    for accelerators in _choices(model, host, present):
        one = Replica(host.name, slot, model.name, model.version, host.base_port + slot, accelerators)
        if not occupancy.lacking(one):
            return one
    return None


def _choices(model: Model, host: Host, present: Sequence[Replica]) -> list[tuple[int, ...]]:
    """The sets of accelerators to try: any single one for a share, the lowest free ones for whole ones."""
    if model.accelerators <= 0 or host.accelerator_type == "cpu":
        return [()]
    if model.accelerators < 1:
        return [(index,) for index in range(host.accelerator_count)]
    held = {index for one in present for index in one.accelerators}
    free = [index for index in range(host.accelerator_count) if index not in held]
    needed = round(model.accelerators)
    return [tuple(free[:needed])] if len(free) >= needed else []
