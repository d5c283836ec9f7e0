# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The difference between what runs and what is planned, and which of it belongs together.

A replica runs already when host, slot, model and version are the same and it is on the
same accelerators, where both sides name them. A replica whose version changes where it
is, is a stop and a start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica


@dataclass(frozen=True)
class Changes:
    """Planned replicas that run (``keeps``), planned ones that do not (``starts``), running ones not planned (``stops``)."""

    keeps: tuple[Replica, ...]
    starts: tuple[Replica, ...]
    stops: tuple[Replica, ...]


def same_replica(one: Replica, other: Replica) -> bool:
    """Whether two records are one running replica."""
    named = bool(one.accelerators and other.accelerators)
    return one.key == other.key and (not named or sorted(one.accelerators) == sorted(other.accelerators))


def changes(current: Iterable[Replica], target: Iterable[Replica]) -> Changes:
    """What is to be done, each part sorted by host and slot."""
    running = {(replica.host, replica.slot): replica for replica in current}
    planned = {(replica.host, replica.slot): replica for replica in target}
    kept = {place for place, replica in planned.items() if place in running and same_replica(running[place], replica)}
    return Changes(
        keeps=tuple(planned[place] for place in sorted(kept)),
        starts=tuple(planned[place] for place in sorted(planned.keys() - kept)),
        stops=tuple(running[place] for place in sorted(running.keys() - kept)),
    )


def pair_moves(starts: Sequence[Replica], stops: Sequence[Replica]) -> dict[str, tuple[Replica, Replica]]:
    """Pair starts and stops of one model as moves: ``{"chat-8b#1": (start, stop)}``.

    A replacement in its own slot is paired with itself; then pairs across hosts are
    preferred, in the order of host and slot; what is left is paired on its host.
    """
    pairs: list[tuple[Replica, Replica]] = []
    by_model: dict[str, tuple[list[Replica], list[Replica]]] = {}
    for side, replicas in enumerate((sorted(starts), sorted(stops))):
        for replica in replicas:
            by_model.setdefault(replica.model, ([], []))[side].append(replica)
    for model in sorted(by_model):
        pairs += _pairs_of_model(*by_model[model])
    counts: dict[str, int] = {}
    moves = {}
    for start, stop in pairs:
        counts[start.model] = counts.get(start.model, 0) + 1
        moves[f"{start.model}#{counts[start.model]}"] = (start, stop)
    return moves


def _pairs_of_model(starts: list[Replica], stops: list[Replica]) -> list[tuple[Replica, Replica]]:
    leaving = {(stop.host, stop.slot): stop for stop in stops}
    pairs = [(start, leaving.pop(place)) for start in starts if (place := (start.host, start.slot)) in leaving]
    placed = {start for start, _unused in pairs}
    arriving = [start for start in starts if start not in placed]
    # Stops on hosts that also start this model are the hardest to pair across hosts: they go first.
    receiving = {start.host for start in arriving}
    rest = sorted(leaving.values(), key=lambda stop: (stop.host not in receiving, stop))
    unpaired = []
    for start in arriving:
        partner = next((stop for stop in rest if stop.host != start.host), None)
        if partner is None:
            unpaired.append(start)
        else:
            rest.remove(partner)
            pairs.append((start, partner))
    return sorted(pairs + list(zip(unpaired, rest)))


def place_text(replica: Replica) -> str:
    """``gpu-a1 slot 0``, as every message names a place."""
    return f"{replica.host} slot {replica.slot}"


def move_of(moves: Mapping[str, tuple[Replica, Replica]]) -> tuple[dict[Replica, str], dict[Replica, str]]:
    """The move id of each start and of each stop."""
    return (
        {start: name for name, (start, _unused) in moves.items()},
        {stop: name for name, (_unused, stop) in moves.items()},
    )
