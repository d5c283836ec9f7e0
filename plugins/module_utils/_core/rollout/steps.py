# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The next step of an upgrade, from what really runs.

A step changes some replicas to another release (drain, replace, first answer, join), judges those
that were changed, or says why nothing is done. Nothing of a step is remembered as done: the next
one is worked out from the hosts again, so a run that ended anywhere is continued by any other.

With N replicas, n of them on the target, j of these judged and passed, and s that may be away now:

- n > j: judge. What came in is never added to before it has passed.
- n = N: done.
- otherwise the next cap of the stages c > n (one replica, its host, 10 %, 25 %, 50 %, all) gives
  a batch of min(c - n, s) replicas, spread over the zones, with the fewest new ones first.

On the way back every replica that is not on the origin is changed, those that give no capacity
(they do not answer) at once, the others s at a time and at least one: what failed its judgement
is worth less than nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.journal import BACK, Journal

STAGE_SHARES = (0.10, 0.25, 0.50, 1.0)
NEGLIGIBLE = 1e-9
TERMINAL = ("done", "rolled_back", "refused", "wait", "paused", "held", "incomplete")


@dataclass(frozen=True, order=True)
class Running:
    """One replica as its host says. ``release``: its digest. ``serves``: it answers and is in the gateways."""

    host: str
    slot: int
    release: str = ""
    zone: str = ""
    serves: bool = True
    reachable: bool = True

    @property
    def server(self) -> str:
        return f"{self.host}-{self.slot}"


@dataclass(frozen=True)
class Allowance:
    """How many replicas may be away now; ``reason`` in words, ``opens_at`` when none may."""

    replicas: int
    reason: str = ""
    decision: str = "now"


@dataclass(frozen=True)
class Step:
    """``kind``: canary, batch, judge, rollback, or one of :data:`TERMINAL`. ``change``: replicas that get another
    release. ``judge``: replicas of the target that have not passed. ``baseline``: those it is compared with."""

    kind: str
    reason: str
    change: list[Running] = field(default_factory=list)
    judge: list[Running] = field(default_factory=list)
    baseline: list[Running] = field(default_factory=list)
    stage: str = ""

    @property
    def is_last(self) -> bool:
        return self.kind in TERMINAL


@dataclass(frozen=True)
class Wishes:
    """What the operator says. ``refused``: reasons of an earlier refusal of this release, empty when there is none or
    it is forced. ``undecided_limit``: looks without a verdict before the upgrade is held."""

    pause: bool = False
    abort: bool = False
    refused: str = ""
    undecided_limit: int = 6


def stage_caps(total: int, on_first_host: int) -> list[int]:
    """Replicas on the new release after each stage: 1, the first host's, 10 %, 25 %, 50 %, all; rising."""
    wanted = [1, on_first_host, *(math.ceil(total * share - NEGLIGIBLE) for share in STAGE_SHARES)]
    caps: list[int] = []
    for cap in wanted:
        if 0 < cap <= total and (not caps or cap > caps[-1]):
            caps.append(cap)
    return caps


def next_step(running: Sequence[Running], journal: Journal, allowance: Allowance, wishes: Wishes) -> Step:
    """What to do now; see the head of this file.

    Args:
        running: replicas of the model, as the hosts say.
        journal: of this upgrade; turned back here when the operator asks for it.
        allowance: how many replicas that serve may be away.
        wishes: the operator's.
    """
    if journal.direction == BACK:
        if journal.undecided >= wishes.undecided_limit:
            return Step("incomplete", f"the way back failed {journal.undecided} times; see to the hosts and run again")
        return _way_back(running, journal, allowance)
    if wishes.refused:
        return Step("refused", f"{journal.version} was refused before: {wishes.refused}")
    new = sorted(one for one in running if one.release == journal.target)
    old = sorted(one for one in running if one.release != journal.target)
    unjudged = [one for one in new if one.server not in journal.judged and one.reachable]
    if unjudged and journal.undecided >= wishes.undecided_limit:
        return Step(
            "held", f"no verdict after {journal.undecided} looks: nothing is promoted on a timeout", judge=unjudged
        )
    if unjudged:
        return Step(
            "judge", f"{_count(unjudged)} of {journal.version} to be judged", [], unjudged, _baseline(old, new, journal)
        )
    if not old:
        silent = [one.host for one in new if not one.reachable]
        if silent:
            return Step("incomplete", f"{', '.join(sorted(set(silent)))} did not answer; run again when they do")
        return Step("done", f"all {len(new)} replicas are on {journal.version}")
    if wishes.pause:
        return Step("paused", f"{len(new)} of {len(running)} replicas are on {journal.version}; run again to go on")
    movable = [one for one in old if one.reachable]
    if not movable:
        return Step(
            "incomplete", f"{', '.join(sorted({one.host for one in old}))} did not answer; run again when they do"
        )
    return _way_forward(new, movable, len(running), journal, allowance)


def _way_forward(
    new: Sequence[Running], old: Sequence[Running], total: int, journal: Journal, allowance: Allowance
) -> Step:
    idle = [one for one in old if not one.serves]
    if allowance.replicas < 1 and not idle:
        return Step(allowance.decision if allowance.decision in TERMINAL else "wait", allowance.reason)
    first_host = (new or old)[0].host
    caps = stage_caps(total, sum(1 for one in (*new, *old) if one.host == first_host))
    cap = next(cap for cap in caps if cap > len(new))
    room = cap - len(new)
    change = _spread(idle, new, room, first_host)
    busy = [one for one in old if one.serves]
    change += _spread(busy, [*new, *change], min(room - len(change), allowance.replicas), first_host)
    stage = "canary" if not new else f"{len(new) + len(change)} of {total}"
    left = [one for one in old if one not in change]
    return Step(
        "canary" if not new else "batch",
        f"{stage}: {', '.join(one.server for one in change)} to {journal.version}; {allowance.reason}",
        change,
        change,
        _baseline(left, new, journal),
        stage,
    )


def _way_back(running: Sequence[Running], journal: Journal, allowance: Allowance) -> Step:
    wrong = sorted(one for one in running if one.release != journal.origin)
    movable = [one for one in wrong if one.reachable]
    why = "; ".join(journal.reasons)
    if movable:
        idle = [one for one in movable if not one.serves]
        busy = [one for one in movable if one.serves]
        change = idle + busy[: max(allowance.replicas, 0 if idle else 1)]
        return Step("rollback", f"{_count(change)} back to {journal.origin_version}: {why}", change, stage="rollback")
    if wrong:
        return Step(
            "incomplete", f"{', '.join(sorted({one.host for one in wrong}))} did not answer; run again when they do"
        )
    return Step("rolled_back", f"all {len(running)} replicas are on {journal.origin_version}: {why}")


def _baseline(old: Sequence[Running], new: Sequence[Running], journal: Journal) -> list[Running]:
    """Replicas of the origin to compare with; when none is left, those of the target that have passed."""
    reference = [one for one in old if one.release == journal.origin and one.reachable and one.serves]
    return reference or [one for one in new if one.server in journal.judged and one.reachable]


def _spread(choices: Sequence[Running], taken: Sequence[Running], count: int, first_host: str) -> list[Running]:
    """``count`` of the choices: the first host's, then the zone and the host with the fewest new ones."""
    left: list[Running] = sorted(choices)
    chosen: list[Running] = []
    zones, hosts = Counter(one.zone for one in taken), Counter(one.host for one in taken)
    while left and len(chosen) < count:
        whole_host = not any(one.host != first_host for one in (*taken, *chosen))
        best = min(
            left,
            key=lambda one: (
                not (whole_host and one.host == first_host),
                zones[one.zone],
                hosts[one.host],
                one,
            ),
        )
        left.remove(best)
        chosen.append(best)
        zones[best.zone] += 1
        hosts[best.host] += 1
    return chosen


def _count(replicas: Sequence[Running]) -> str:
    return "one replica" if len(replicas) == 1 else f"{len(replicas)} replicas"
