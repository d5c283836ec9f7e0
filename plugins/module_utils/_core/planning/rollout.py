# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Carrying a plan out: what is left to do, in which passes, and each host's part of a pass.

A pass N makes a host so that every placement of a wave up to N runs and every replica
whose stop is in a wave up to N is gone. Passes are monotone (a later one never undoes an
earlier one) and idempotent, so an apply that broke off anywhere is simply run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica, parse_replicas
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.changes import (
    changes,
    pair_moves,
    place_text,
    same_replica,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.summary import change_text

MAX_LINES = 20

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Pending:
    """What a plan still asks for, against what runs.

    ``passes``: the waves to go through. What an earlier run has done is not gone through again,
    except for the last wave it may have finished: a replica is written down before its service
    starts, so that wave is made so once more before anything else is taken away. Pass 0 mends what
    should already run before anything is taken away; where nothing is, it is left out: the last
    pass, which leaves exactly the plan on every host, mends it as well.
    """

    starts: tuple[Replica, ...]
    stops: tuple[Replica, ...]
    passes: tuple[int, ...]


def pending_work(plan: Record, current: Sequence[Replica] | None) -> Pending:
    """What is left to do.

    Args:
        plan: the plan document.
        current: what runs now; None when that is not known: then all of the plan is left.
    """
    actions = plan.get("actions") or []
    last = last_wave(actions)
    if current is None:
        starts, stops = (
            tuple(parse_replicas([one for one in actions if one["action"] == kind], what=kind))
            for kind in ("start", "stop")
        )
        return Pending(starts, stops, _passes(0, last, stops))
    work = changes(current, parse_replicas(plan.get("placements") or [], what="placements"))
    if not work.starts and not work.stops:
        return Pending((), (), (last,))
    start_waves = {_place(placement): int(placement.get("wave") or 0) for placement in plan.get("placements") or []}
    stop_waves = _stop_waves(actions)
    waves = [start_waves[(start.host, start.slot)] for start in work.starts]
    waves += [_stop_wave(stop, stop_waves, default=last) for stop in work.stops]
    return Pending(work.starts, work.stops, _passes(max(0, min(waves) - 1), last, work.stops))


def _passes(first: int, last: int, stops: Sequence[Replica]) -> tuple[int, ...]:
    return tuple(range(first if stops or last == 0 else max(1, first), last + 1))


def review(plan: Record, current: Sequence[Replica] | None, *, now: float) -> dict[str, Any]:
    """An accepted plan against what runs now, as a module reports it; ``now`` in epoch seconds."""
    work = pending_work(plan, current)
    planned = parse_replicas(plan.get("placements") or [], what="placements")
    actions = plan.get("actions") or []
    running = current if current is not None else _running_before(actions)
    lines = move_lines(work.starts, work.stops)
    age = round(now - parse_moment(str(plan["created_at"]), what="created_at"))
    return {
        "changed": bool(work.starts or work.stops),
        "digest": plan["digest"],
        "created_at": plan["created_at"],
        "age_seconds": age,
        "placements": list(plan.get("placements") or []),
        "actions": list(actions),
        "waves": list(plan.get("waves") or []),
        "wave_count": last_wave(actions),
        "passes": list(work.passes),
        "pending": {
            "starts": [replica.as_record() for replica in work.starts],
            "stops": [replica.as_record() for replica in work.stops],
            "lines": lines,
        },
        "summary": "\n".join([f"Plan of {plan['created_at']}: fits this fleet", *pending_lines(work, lines)]),
        "diff": {
            "before_header": "runs now",
            "after_header": "planned",
            "before": "".join(f"{line}\n" for line in replica_lines(running)),
            "after": "".join(f"{line}\n" for line in replica_lines(planned)),
        },
    }


def pending_lines(work: Pending, lines: Sequence[str]) -> list[str]:
    """What is left, for a person, cut after :data:`MAX_LINES` lines."""
    if not lines:
        return ["To do: nothing, what runs is what is planned"]
    moves = len(pair_moves(work.starts, work.stops))
    waves = len([number for number in work.passes if number])
    shown = [f"  {line}" for line in lines[:MAX_LINES]]
    if len(lines) > MAX_LINES:
        shown.append(f"  and {len(lines) - MAX_LINES} more")
    return [f"To do: {change_text(len(work.starts), len(work.stops), moves, waves)}", *shown]


def _running_before(actions: Sequence[Record]) -> list[Replica]:
    """What ran when the plan was made: all that it keeps and stops."""
    return parse_replicas([one for one in actions if one.get("action") in ("keep", "stop")], what="actions")


def last_wave(actions: Iterable[Record]) -> int:
    """The number of the last wave; 0 when nothing starts or stops."""
    return max((int(action.get("wave") or 0) for action in actions), default=0)


def move_lines(starts: Iterable[Replica], stops: Iterable[Replica]) -> list[str]:
    """One line per start and stop: ``+ chat-8b 2026.11.1 on gpu-a1 slot 0``, sorted by place, stops first."""
    lines = [(stop.host, stop.slot, f"- {stop.model} {stop.version} on {place_text(stop)}") for stop in stops]
    lines += [(start.host, start.slot, f"+ {start.model} {start.version} on {place_text(start)}") for start in starts]
    return [line for _host, _slot, line in sorted(lines, key=lambda one: (one[0], one[1], one[2].startswith("+")))]


def replica_lines(replicas: Iterable[Replica]) -> list[str]:
    """One line per replica, for a diff: ``gpu-a1 slot 0: chat-8b 2026.11.1``."""
    return [f"{place_text(replica)}: {replica.model} {replica.version}" for replica in sorted(replicas)]


def replicas_for_wave(
    placements: Sequence[Record],
    actions: Sequence[Record],
    host: str,
    wave: int,
    present: Sequence[Record],
    last: int,
    passes: Sequence[int] = (),
) -> dict[str, Any]:
    """One host's part of the passes up to ``wave``.

    Args:
        placements: the plan's placements.
        actions: the plan's actions.
        host: whose part.
        wave: the pass.
        present: replica records of what the host says it runs.
        last: the last wave of the plan.
        passes: all passes that are gone through, in order; empty when that is not known.

    Returns:
        ``ensure``: placements to have running. ``remove``: present replicas to take away: those whose
        stop is due, and those the plan knows nothing of, in the last pass or as soon as a placement
        needs their slot. ``due``: whether the host has something to do in this pass. The first and the
        last make sure of all that the host has to run; those between only start or remove something.

    Raises:
        InputError: a record without host, slot or model.
    """
    mine = [placement for placement in placements if _host_of(placement) == host]
    ensure = sorted((dict(one) for one in mine if int(one.get("wave") or 0) <= wave), key=_place)
    planned = parse_replicas(mine, what="placements")
    needed = {_place(one) for one in ensure}
    stop_waves = _stop_waves([action for action in actions if _host_of(action) == host])
    remove = []
    here = _present(present, host)
    for record, replica in here:
        if any(same_replica(replica, placement) for placement in planned):
            continue
        in_the_way = (host, replica.slot) in needed
        due = _stop_wave(replica, stop_waves, default=last)
        if due <= wave or in_the_way:
            remove.append(dict(record))
    is_outer = not passes or wave in (passes[0], passes[-1])
    has_new = bool(needed - {(host, replica.slot) for _record, replica in here})
    return {"ensure": ensure, "remove": remove, "due": bool(remove) or (bool(ensure) and (is_outer or has_new))}


def _present(records: Sequence[Record], host: str) -> list[tuple[Record, Replica]]:
    """Present records with their replica, by slot; a host's own records need not name it."""
    if isinstance(records, (Mapping, str)):
        raise InputError("what is present must be a list of replicas", where=f"host {host}")
    pairs = []
    for record in records:
        fields = expect_mapping(record, what="replica", where=f"host {host}")
        if str(fields.get("host") or host) == host:
            pairs += [(fields, replica) for replica in parse_replicas([{**fields, "host": host}], what="present")]
    return sorted(pairs, key=lambda pair: pair[1])


def _stop_waves(actions: Iterable[Record]) -> dict[tuple[str, int], list[tuple[Replica, int]]]:
    """The stops of a plan by place."""
    waves: dict[tuple[str, int], list[tuple[Replica, int]]] = {}
    for action in actions:
        if action.get("action") == "stop":
            (replica,) = parse_replicas([action], what="actions")
            waves.setdefault((replica.host, replica.slot), []).append((replica, int(action.get("wave") or 0)))
    return waves


def _stop_wave(replica: Replica, waves: Mapping[tuple[str, int], list[tuple[Replica, int]]], *, default: int) -> int:
    """The wave in which the plan stops ``replica``; ``default`` when it knows nothing of it."""
    known = waves.get((replica.host, replica.slot), [])
    return next((wave for stopped, wave in known if same_replica(stopped, replica)), default)


def _host_of(record: Record) -> str:
    return str(expect_mapping(record, what="placement or action").get("host"))


def _place(record: Record) -> tuple[str, int]:
    return (_host_of(record), int(expect_number(record.get("slot"), what="slot", where=_host_of(record), minimum=0)))
