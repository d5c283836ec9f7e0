# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The actions of a plan as its file holds them, each with its reason: why at all, and why in this wave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.changes import (
    Changes,
    move_of,
    place_text,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.dips import Dip
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.rollout_state import Wave

Moves = Mapping[str, tuple[Replica, Replica]]


def action_records(
    work: Changes,
    waves: Sequence[Wave],
    moves: Moves,
    hosts: Mapping[str, Host],
    models: Sequence[Model],
    dips: Sequence[Dip],
) -> list[dict[str, Any]]:
    """Keeps, starts and stops, sorted by wave, starts before stops.

    Args:
        work: what there is to do.
        waves: in which order.
        moves: starts and stops that belong together, by move id.
        hosts: the stock by name.
        models: the catalogue.
        dips: where less is served for a time.
    """
    reasons = _Reasons(work, moves, hosts, {model.name for model in models}, dips)
    records = [_record("keep", replica, 0, None, "runs already", hosts) for replica in work.keeps]
    start_moves, stop_moves = move_of(moves)
    for number, wave in enumerate(waves, start=1):
        early = {stop: option.start for option in wave.early for stop in option.stops}
        for replica in wave.starts:
            why = reasons.of_start(replica, number)
            records.append(_record("start", replica, number, start_moves.get(replica), why, hosts))
        for replica in wave.stops:
            why = reasons.of_stop(replica, number, early.get(replica))
            records.append(_record("stop", replica, number, stop_moves.get(replica), why, hosts))
    return sorted(records, key=lambda one: (one["wave"], one["action"], one["host"], one["slot"]))


def _record(
    kind: str, replica: Replica, wave: int, move: str | None, reason: str, hosts: Mapping[str, Host]
) -> dict[str, Any]:
    record = replica.as_record()
    if not record["port"] and replica.host in hosts:
        record["port"] = hosts[replica.host].base_port + replica.slot
    return {**record, "wave": wave, "action": kind, "move": move, "reason": reason}


class _Reasons:
    """Why each replica starts or stops, and why not before."""

    def __init__(
        self, work: Changes, moves: Moves, hosts: Mapping[str, Host], catalogue: set[str], dips: Sequence[Dip]
    ) -> None:
        start_moves, stop_moves = move_of(moves)
        self._stop_for = {start: moves[name][1] for start, name in start_moves.items()}
        self._start_for = {stop: moves[name][0] for stop, name in stop_moves.items()}
        self._hosts = hosts
        self._catalogue = catalogue
        self._dips: dict[str, list[Dip]] = {}
        for dip in dips:
            self._dips.setdefault(dip.model, []).append(dip)
        kept = Counter(replica.model for replica in work.keeps)
        self._now = kept + Counter(replica.model for replica in work.stops)
        self._planned = kept + Counter(replica.model for replica in work.starts)

    def of_start(self, start: Replica, wave: int) -> str:
        stop = self._stop_for.get(start)
        if stop is None:
            why = f"one more replica is planned, {self._numbers(start.model)}"
        elif _place(start) == _place(stop):
            why = f"replaces {_how(stop, start)} in place"
        else:
            why = f"takes over from {place_text(stop)}"
        return why if wave == 1 else f"{why}; its room is free once wave {wave - 1} is done"

    def of_stop(self, stop: Replica, wave: int, early_for: Replica | None) -> str:
        start = self._start_for.get(stop)
        if start is None:
            why = self._why_no_longer(stop)
        elif _place(start) == _place(stop):
            why = f"makes way for {_how(start, stop)} in place"
        else:
            why = f"moves to {place_text(start)}"
        state = self._hosts[stop.host].state if stop.host in self._hosts else "active"
        if state != "active":
            why += f"; the host is {'in ' if state == 'maintenance' else ''}{state}"
        if early_for is not None:
            lows = "".join(f": {dip.text}" for dip in self._dips.get(stop.model, ()) if dip.covers(wave))
            return f"{why}; stops early to make room for {early_for.model} on {place_text(early_for)}{lows}"
        return why if wave == 1 else f"{why}; what replaces it serves once wave {wave - 1} is done"

    def _why_no_longer(self, stop: Replica) -> str:
        if stop.model not in self._catalogue:
            return f"{stop.model} is no longer in the catalogue"
        return f"no longer planned, {self._numbers(stop.model)}"

    def _numbers(self, name: str) -> str:
        return f"{self._planned[name]} instead of {self._now[name]}"


def _place(replica: Replica) -> tuple[str, int]:
    return (replica.host, replica.slot)


def _how(one: Replica, other: Replica) -> str:
    """What tells two replicas in one slot apart: their version, or else their accelerators."""
    if one.version != other.version:
        return f"version {one.version}"
    return f"accelerators {', '.join(str(index) for index in one.accelerators)}"
