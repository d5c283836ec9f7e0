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
  its floor (:func:`serving.rollout_floors`) and T_m what the target gives, the stops S of
  the wave satisfy C_m - sum_{r in S_m} c_r >= min(F_m, T_m). What starts in the wave does
  not count yet.
- progress: starts and stops are taken greedily, as many as the rules allow, so waves are
  few. What starts into free room starts first (surge), before anything stops for it.

Where starts wait for each other's places and nothing else can help them (two models that
swap their only hosts), those stops are brought forward that cost the smallest dip, as
:mod:`deadlock` states it. Each is named in the wave's ``note`` and in the reason of the
stop, with what is served and until when.

Capacity is that of the catalogue for the accelerator type of the host; a replica on a
host that does not answer, or is in maintenance, serves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.action_records import action_records
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.changes import (
    changes,
    pair_moves,
    place_text,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.deadlock import TemporaryStop
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.dips import Dip, DipLedger
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.rollout_state import RolloutState, Wave

MAX_NAMED = 5


@dataclass(frozen=True)
class Waves:
    """The ordered work.

    ``actions``: as in the plan file, sorted by wave, starts before stops; keeps are wave 0.
    ``waves``: per wave the number of starts and stops, what each model serves when it is done, and a note.
    ``moves``: how many starts and stops of one model belong together.
    ``floors``: requests/s per model that no wave goes below, but for the dips.
    ``dips``: where less is served for a time, because there is no other way.
    """

    actions: list[dict[str, Any]]
    waves: list[dict[str, Any]]
    moves: int
    floors: dict[str, float]
    dips: tuple[Dip, ...]


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
    ledger = DipLedger()
    laid_out: list[Wave] = []
    while not state.is_done:
        reference = dict(state.reference)
        wave = state.next_wave()
        laid_out.append(wave)
        ledger.record(len(laid_out), wave, reference)
    dips = ledger.dips()
    moves = pair_moves(work.starts, work.stops)
    return Waves(
        actions=action_records(work, laid_out, moves, {host.name: host for host in hosts}, models, dips),
        waves=[_wave_record(number, wave, dips) for number, wave in enumerate(laid_out, start=1)],
        moves=len(moves),
        floors={name: _tidy(rate) for name, rate in sorted(state.needed.items())},
        dips=dips,
    )


def _wave_record(number: int, wave: Wave, dips: Sequence[Dip]) -> dict[str, Any]:
    return {
        "wave": number,
        "starts": len(wave.starts),
        "stops": len(wave.stops),
        "serving_requests_per_second": {name: _tidy(rate) for name, rate in sorted(wave.serving.items())},
        "note": _note(number, wave.early, dips),
    }


def _note(number: int, early: Sequence[TemporaryStop], dips: Sequence[Dip]) -> str:
    """The stops brought forward in a wave, in words; of many the first few."""
    texts = []
    for option in early[:MAX_NAMED]:
        names = " and ".join(f"{stop.model} on {place_text(stop)}" for stop in option.stops)
        models = {stop.model for stop in option.stops}
        lows = ", ".join(dip.text for dip in dips if dip.model in models and dip.covers(number))
        texts.append(
            f"Temporary stop of {names} to make room for {option.start.model} on {place_text(option.start)}"
            + (f": {lows}" if lows else "")
        )
    if len(early) > MAX_NAMED:
        texts.append(f"{len(early) - MAX_NAMED} more temporary stops, each with its reason among the actions")
    return ". ".join(texts)


def _tidy(rate: float) -> float:
    """Rounded, to hide what adding floats leaves behind."""
    return round(max(0.0, rate), 9)
