# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""When fewer replicas may run: only after demand has been low for a hold time, all of it known.

Each plan looks once: it *asks* for the highest level of its demand, which holds both the
forecast and what is observed. It remembers, per model, what was asked for of late and for
how long this has been known without a break::

    recent: {covers_seconds: C, highs: [[0, asked now], [age, asked], ...]}

A look counts until the next one is made: ``age`` is the time since an older look was last
in force. An older look is kept only while it is higher than all later ones and younger
than the hold time H, so the list is short. Scale-in goes down to what the highest of them
needs, and no further; with C < H it does not begin. What cannot be read begins a new C.

A plan that begins to remember (the first one, or after a gap) has no C yet. There the
history stands in: its recent maximum x headroom, over a window of at least H, is what was
seen; the forecasts of that time are not known, and this is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

Highs = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Recent:
    """What was asked for of late: ``highs`` as (seconds ago, requests/s), the present look first."""

    covers_seconds: float = 0.0
    highs: Highs = ()

    def as_record(self) -> dict[str, Any]:
        return {"covers_seconds": self.covers_seconds, "highs": [list(high) for high in self.highs]}


@dataclass(frozen=True)
class Seen:
    """What the history shows by itself: the largest demand of the last ``seconds``, with headroom."""

    seconds: float
    requests_per_second: float


@dataclass(frozen=True)
class Hold:
    """Scale-in goes no further than ``requests_per_second`` needs; None: it does not begin. ``words`` say why."""

    requests_per_second: float | None
    words: str


def remembered(
    previous: Mapping[str, Any] | None, moment: float | None, *, longest_gap_seconds: float
) -> tuple[dict[str, Recent], float]:
    """What the previous plan remembers by model, and how many seconds ago it looked.

    Args:
        previous: the previous plan, or None.
        moment: epoch seconds this plan is for; None: nothing can be told about the time between.
        longest_gap_seconds: an older plan than this is forgotten: what was between is not known.

    Raises:
        InputError: not a plan.
    """
    if previous is None or moment is None:
        return {}, 0.0
    where = "previous plan"
    if expect_mapping(previous, what="previous plan").get("kind") != "plan":
        raise InputError(
            "this is not a plan", where=where, remedy="Give the plan.json of the last run, or leave it out"
        )
    looked = parse_moment(str(previous.get("as_of") or previous.get("created_at")), what="as_of", where=where)
    elapsed = moment - looked
    if not 0 <= elapsed <= longest_gap_seconds:
        return {}, 0.0
    demand = expect_mapping(previous.get("demand") or {}, what="demand", where=where)
    return {str(name): _parse(record, f"{where}, demand of {name}") for name, record in sorted(demand.items())}, elapsed


def looked_again(before: Recent | None, elapsed: float, asked: float, hold_seconds: float) -> Recent:
    """The memory after another look that asks for ``asked`` requests/s, ``elapsed`` seconds after the last."""
    if before is None or not before.highs:
        return Recent(0.0, ((0.0, asked),))
    latest, *older = before.highs
    aged = [(age + elapsed, rate) for age, rate in older]
    if elapsed > 0:
        aged.insert(0, (0.0, latest[1]))
    highs = [(0.0, asked)]
    highest = asked
    for age, rate in sorted(aged):
        if rate > highest and age < hold_seconds:
            highs.append((age, rate))
            highest = rate
    return Recent(min(hold_seconds, before.covers_seconds + elapsed), tuple(highs))


def hold(recent: Recent, seen: Seen | None, hold_seconds: float) -> Hold | None:
    """How far scale-in may go now; None when nothing holds it."""
    asked = recent.highs[0][1]
    limit = f"the hold time of {_minutes(hold_seconds)}"
    if recent.covers_seconds >= hold_seconds:
        age, highest = max(recent.highs, key=lambda high: high[1])
        if highest <= asked:
            return None
        when = "until now" if age == 0 else f"until {_minutes(age)} ago"
        return Hold(highest, f"{highest:.4g} requests/s were asked for {when}, within {limit}")
    if seen is not None and seen.seconds >= hold_seconds:
        highest = max([seen.requests_per_second, *(rate for _age, rate in recent.highs)])
        if highest <= asked:
            return None
        return Hold(highest, f"{highest:.4g} requests/s were needed within {limit}, as the history shows")
    return Hold(None, f"demand is known for {_minutes(recent.covers_seconds)} only, less than {limit}")


def replicas_to_hold(running: int, least_rate: float, requests_per_second: float) -> int:
    """How many of the replicas that run serve that much, whichever of them stay.

    Each counts with ``least_rate``, what a replica serves on the weakest host that can run it, not with
    what it serves where it is: so the answer is the same again once the others have stopped.
    """
    if least_rate <= 0:
        return running
    return min(running, math.ceil(requests_per_second / least_rate * (1 - 1e-9)))


def _parse(record: Any, where: str) -> Recent:
    fields = expect_mapping(record, what="demand", where=where)
    recent = fields.get("recent")
    if recent is None:
        return Recent()
    recent = expect_mapping(recent, what="recent", where=where)
    covers = expect_number(recent.get("covers_seconds"), what="covers_seconds", where=where, minimum=0)
    highs = recent.get("highs")
    if not isinstance(highs, (list, tuple)) or not all(
        isinstance(one, (list, tuple)) and len(one) == 2 for one in highs
    ):
        raise InputError("highs must be pairs of seconds and requests/s", where=where, remedy="Leave the plan out")
    pairs = tuple(
        (
            expect_number(age, what="seconds", where=where, minimum=0),
            expect_number(rate, what="requests/s", where=where, minimum=0),
        )
        for age, rate in highs
    )
    return Recent(covers, pairs)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.3g} min"
