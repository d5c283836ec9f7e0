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
- n = N: done, once the replicas that were added for the upgrade are gone again.
- s >= 1: the next cap of the stages c > n (one replica, its host, 10 %, 25 %, 50 %, all) gives
  a batch of min(c - n, s) replicas, spread over the zones, with the fewest new ones first.
- s = 0: as the operator wishes. Surge: start a replica of the target on free accelerators, which is the canary and then
  makes room for the others; wait for the window that the forecast holds; or refuse.

Blue-green is a surge of N: all are started anew beside the old ones, judged, then the old ones are
changed without a request on them, and the added ones go. Placements end where they began.

On the way back the added replicas go first, then every replica that is not on the origin is changed, those that give no
capacity (they do not answer) at once, the others s at a time and at least one: what failed its judgement
is worth less than nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.batches import (
    Running,
    in_words,
    spread,
    stage_caps,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.journal import BACK, Journal

TERMINAL = ("done", "rolled_back", "refused", "wait", "paused", "held", "incomplete")
WHEN_FULL = ("surge", "wait", "refuse")
STRATEGIES = ("rolling", "blue_green")


@dataclass(frozen=True)
class Allowance:
    """How many replicas may be away now; ``reason`` in words. ``decision``: now, surge, wait or refuse; ``opens_at``: epoch seconds
    of the next window, for wait. ``places``: where replicas could be added, best first; ``surge``: how many
    of them are needed until one may be away."""

    replicas: int
    reason: str = ""
    decision: str = "now"
    opens_at: float | None = None
    places: tuple[Running, ...] = ()
    surge: int = 1


@dataclass(frozen=True)
class Step:
    """``kind``: baseline, canary, batch, surge, judge, rollback, retire, or one of :data:`TERMINAL`. ``change``: replicas that
    get another release, or are started again in theirs (baseline); ``add``: replicas to start; ``remove``: to stop. ``judge``:
    replicas of the target that have not passed. ``baseline``: those it is compared with."""

    kind: str
    reason: str
    change: list[Running] = field(default_factory=list)
    judge: list[Running] = field(default_factory=list)
    baseline: list[Running] = field(default_factory=list)
    stage: str = ""
    add: list[Running] = field(default_factory=list)
    remove: list[Running] = field(default_factory=list)
    opens_at: float | None = None

    @property
    def is_last(self) -> bool:
        return self.kind in TERMINAL


@dataclass(frozen=True)
class Wishes:
    """What the operator says. ``refused``: reasons of an earlier refusal of this release, empty when there is none or
    it is forced. ``undecided_limit``: looks without a verdict before the upgrade is held. ``fresh_baseline``: start one old
    replica again before the canary, so that both are of one age. ``absent``: hosts that should run the model and do not answer."""

    pause: bool = False
    abort: bool = False
    refused: str = ""
    undecided_limit: int = 6
    when_full: str = "wait"
    strategy: str = "rolling"
    fresh_baseline: bool = False
    absent: tuple[str, ...] = ()


def next_step(running: Sequence[Running], journal: Journal, allowance: Allowance, wishes: Wishes) -> Step:
    """What to do now; see the head of this file.

    Args:
        running: replicas of the model, as the hosts say.
        journal: of this upgrade; turned back here when the operator asks for it.
        allowance: how many replicas that serve may be away.
        wishes: the operator's.
    """
    added = [one for one in running if one.server in journal.added]
    members = [one for one in running if one.server not in journal.added]
    if journal.direction == BACK:
        if journal.undecided >= wishes.undecided_limit:
            return Step("incomplete", f"the way back failed {journal.undecided} times; see to the hosts and run again")
        return _way_back(members, added, journal, allowance, wishes)
    if wishes.refused:
        return Step("refused", f"{journal.version} was refused before: {wishes.refused}")
    new = sorted(one for one in running if one.release == journal.target)
    old = sorted(one for one in members if one.release != journal.target)
    unjudged = [one for one in new if one.server not in journal.judged and one.reachable]
    if unjudged and journal.undecided >= wishes.undecided_limit:
        return Step(
            "held", f"no verdict after {journal.undecided} looks: nothing is promoted on a timeout", judge=unjudged
        )
    if unjudged:
        return Step(
            "judge",
            f"{in_words(unjudged)} of {journal.version} to be judged",
            [],
            unjudged,
            _baseline(old, new, journal),
        )
    if not old:
        return _ending(members, added, journal, wishes)
    if wishes.pause:
        on_target = len(members) - len(old)
        return Step("paused", f"{on_target} of {len(members)} replicas are on {journal.version}; run again to go on")
    movable = [one for one in old if one.reachable]
    if not movable:
        return _incomplete([one.host for one in old])
    return _way_forward(members, movable, added, journal, allowance, wishes)


def _way_forward(
    members: Sequence[Running],
    old: Sequence[Running],
    added: Sequence[Running],
    journal: Journal,
    allowance: Allowance,
    wishes: Wishes,
) -> Step:
    new = [one for one in members if one.release == journal.target]
    fresh = [one for one in added if one.release == journal.target]
    if wishes.strategy == "blue_green" and not new:
        short = len(members) - len(fresh)
        if 0 < short <= len(allowance.places):
            # One first, then the rest: that one is the canary.
            return _surge(allowance.places[: short if fresh else 1], old, fresh, journal, "beside the old ones")
    idle = [one for one in old if not one.serves]
    if allowance.replicas < 1 and not idle:
        return _full(old, [*new, *fresh], journal, allowance, wishes)
    if wishes.fresh_baseline and not new and not fresh and not journal.restarted and len(old) > 1 and not idle:
        chosen = spread(old[1:], old[:1], 1, old[0].host)
        return Step(
            "baseline", f"{in_words(chosen)} of {journal.origin_version} started again beside the canary", chosen
        )
    first_host = (new or list(old))[0].host
    caps = stage_caps(len(members), sum(1 for one in members if one.host == first_host))
    # Where the canary was added, or all stand beside the old ones, the first stages are over.
    cap = caps[-1] if fresh and len(fresh) >= len(members) else next(cap for cap in caps if cap > len(new))
    room = cap - len(new)
    change = spread(idle, new, room, first_host)
    busy = [one for one in old if one.serves and one.server != journal.restarted] or [one for one in old if one.serves]
    change += spread(busy, [*new, *change], min(room - len(change), allowance.replicas), first_host)
    stage = "canary" if not new and not fresh else f"{len(new) + len(change)} of {len(members)}"
    left = [one for one in old if one not in change]
    return Step(
        "canary" if not new and not fresh else "batch",
        f"{stage}: {', '.join(one.server for one in change)} to {journal.version}; {allowance.reason}",
        change,
        change,
        _baseline(left, [*new, *fresh], journal),
        stage,
    )


def _full(
    old: Sequence[Running], new: Sequence[Running], journal: Journal, allowance: Allowance, wishes: Wishes
) -> Step:
    """No replica that serves may be taken away."""
    if wishes.when_full == "surge" and allowance.places:
        count = min(allowance.surge, len(allowance.places)) if new else 1
        return _surge(allowance.places[:count], old, new, journal, allowance.reason)
    if wishes.when_full == "surge":
        why = f"{allowance.reason}; no host has room for one more replica"
    else:
        why = allowance.reason
    waits = allowance.opens_at is not None and wishes.when_full != "refuse"
    return Step("wait" if waits else "refused", why, opens_at=allowance.opens_at if waits else None)


def _surge(
    places: Sequence[Running], old: Sequence[Running], new: Sequence[Running], journal: Journal, why: str
) -> Step:
    added = list(places)
    names = ", ".join(one.server for one in added)
    reason = f"{names} added with {journal.version}: {why}"
    return Step("surge", reason, [], added, _baseline(old, new, journal), f"{len(added)} added", added)


def _ending(members: Sequence[Running], added: Sequence[Running], journal: Journal, wishes: Wishes) -> Step:
    gone = [one for one in added if one.reachable]
    silent = [one.host for one in (*members, *added) if not one.reachable]
    if gone:
        reason = (
            f"all replicas are on {journal.version}; {', '.join(one.server for one in gone)}, added for the upgrade, go"
        )
        return Step("retire", reason, remove=gone)
    if silent or wishes.absent:
        return _incomplete([*silent, *wishes.absent])
    return Step("done", f"all {len(members)} replicas are on {journal.version}")


def _way_back(
    members: Sequence[Running],
    added: Sequence[Running],
    journal: Journal,
    allowance: Allowance,
    wishes: Wishes,
) -> Step:
    why = "; ".join(journal.reasons)
    gone = [one for one in added if one.reachable]
    if gone:
        return Step(
            "retire", f"{', '.join(one.server for one in gone)} {'go' if len(gone) > 1 else 'goes'}: {why}", remove=gone
        )
    wrong = sorted(one for one in members if one.release != journal.origin)
    movable = [one for one in wrong if one.reachable]
    if movable:
        idle = [one for one in movable if not one.serves]
        busy = [one for one in movable if one.serves]
        change = idle + busy[: max(allowance.replicas, 0 if idle else 1)]
        return Step("rollback", f"{in_words(change)} back to {journal.origin_version}: {why}", change, stage="rollback")
    absent = [*(one.host for one in (*wrong, *added)), *wishes.absent]
    if absent:
        return _incomplete(absent)
    return Step("rolled_back", f"all {len(members)} replicas are on {journal.origin_version}: {why}")


def _incomplete(hosts: Sequence[str]) -> Step:
    return Step("incomplete", f"{', '.join(sorted(set(hosts)))} did not answer; run again when they do")


def _baseline(old: Sequence[Running], new: Sequence[Running], journal: Journal) -> list[Running]:
    """Replicas of the origin to compare with, for the first ones the one of their age; when none is left, those of the
    target that have passed."""
    reference = [one for one in old if one.release == journal.origin and one.reachable and one.serves]
    if not journal.judged:
        reference = [one for one in reference if one.server == journal.restarted] or reference
    return reference or [one for one in new if one.server in journal.judged and one.reachable]
