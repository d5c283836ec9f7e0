# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""In which order replicas start and stop.

The order is a list of waves. All of a wave may run at once; the next wave begins when
all of it is done. Three rules hold for every wave:

- room: a start finds its slot, port, accelerators, cores and memory free at the end of
  the wave before; never in the wave whose stop frees them.
- capacity: with C_m the requests/s that model m serves at the beginning of the wave, F_m
  its floor and T_m what the target gives, the stops S of the wave satisfy
  C_m - sum_{r in S_m} c_r >= min(F_m, T_m). What starts in the wave does not count yet.
- progress: starts and stops are taken greedily, as many as the rules allow, so waves are few.

Where all room is taken and every stop would break the capacity rule (two models that
swap their only hosts), one start is chosen whose blockers cost the smallest dip, those
are stopped first, and the wave's ``note`` says so.

Capacity is that of the catalogue for the accelerator type of the host; a replica on a
host that does not answer, or is in maintenance, serves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.changes import (
    Changes,
    changes,
    move_of,
    pair_moves,
    place_text,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.rollout_state import RolloutState


@dataclass(frozen=True)
class Waves:
    """The ordered work.

    ``actions``: as in the plan file, sorted by wave, starts before stops; keeps are wave 0.
    ``waves``: per wave the number of starts and stops, what each model serves when it is done, and a note.
    ``moves``: how many starts and stops of one model belong together.
    """

    actions: list[dict[str, Any]]
    waves: list[dict[str, Any]]
    moves: int


def order_waves(
    current: Sequence[Replica],
    target: Sequence[Replica],
    hosts: Sequence[Host],
    models: Sequence[Model],
    *,
    floor_requests_per_second: Mapping[str, float] | None = None,
) -> Waves:
    """Order the way from ``current`` to ``target``.

    Args:
        current: what runs now.
        target: what is planned.
        hosts: the stock.
        models: the catalogue.
        floor_requests_per_second: per model the serving capacity no wave may go below, unless the
            target gives less. A model that is not named keeps what it serves now.
    """
    work = changes(current, target)
    state = RolloutState(current, target, work, hosts, models, floor_requests_per_second or {})
    wave_of: dict[tuple[str, Replica], int] = {}
    waves: list[dict[str, Any]] = []
    while state.pending_starts or state.pending_stops:
        starts, stops, note = state.next_wave()
        number = len(waves) + 1
        wave_of.update({("start", replica): number for replica in starts})
        wave_of.update({("stop", replica): number for replica in stops})
        waves.append(
            {
                "wave": number,
                "starts": len(starts),
                "stops": len(stops),
                "serving_requests_per_second": state.serving(),
                "note": note,
            }
        )
    moves = pair_moves(work.starts, work.stops)
    return Waves(_actions(work, wave_of, moves, {host.name: host for host in hosts}), waves, len(moves))


def _actions(
    work: Changes,
    wave_of: Mapping[tuple[str, Replica], int],
    moves: Mapping[str, tuple[Replica, Replica]],
    hosts: Mapping[str, Host],
) -> list[dict[str, Any]]:
    start_moves, stop_moves = move_of(moves)

    def action(kind: str, replica: Replica, move: str | None, reason: str) -> dict[str, Any]:
        record = replica.as_record()
        if not record["port"] and replica.host in hosts:
            record["port"] = hosts[replica.host].base_port + replica.slot
        return {**record, "wave": wave_of.get((kind, replica), 0), "action": kind, "move": move, "reason": reason}

    records = [action("keep", replica, None, "runs already") for replica in work.keeps]
    for replica in work.starts:
        move = start_moves.get(replica)
        records.append(action("start", replica, move, _start_reason(replica, moves[move][1] if move else None)))
    for replica in work.stops:
        move = stop_moves.get(replica)
        records.append(action("stop", replica, move, _stop_reason(replica, moves[move][0] if move else None, hosts)))
    return sorted(records, key=lambda one: (one["wave"], one["action"], one["host"], one["slot"]))


def _start_reason(start: Replica, stop: Replica | None) -> str:
    if stop is None:
        return "one more replica is planned"
    if (start.host, start.slot) == (stop.host, stop.slot):
        return f"replaces {_how(stop, start)} in place"
    return f"takes over from {place_text(stop)}"


def _stop_reason(stop: Replica, start: Replica | None, hosts: Mapping[str, Host]) -> str:
    state = hosts[stop.host].state if stop.host in hosts else "active"
    why = "" if state == "active" else f"; the host is {'in ' if state == 'maintenance' else ''}{state}"
    if start is None:
        return f"no longer planned{why}"
    if (start.host, start.slot) == (stop.host, stop.slot):
        return f"makes way for {_how(start, stop)} in place{why}"
    return f"moves to {place_text(start)}{why}"


def _how(one: Replica, other: Replica) -> str:
    """What tells two replicas in one slot apart: their version, or else their accelerators."""
    if one.version != other.version:
        return f"version {one.version}"
    return f"accelerators {', '.join(str(index) for index in one.accelerators)}"
