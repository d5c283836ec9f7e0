# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The second look at a restart that helped: five minutes of its requests beside those of its peers.

The first look is a real answer, right after the restart, and nothing waits for more. The second is had by the first run
that comes once the five minutes are over:

    the alert has never resolved            -> it did not help; that is on record in the same turn
    it answers, nothing fires about it      -> its requests in [mended, mended + review_seconds] against the peers'
        worse                               -> it did not help, and a person is told: nothing fires that could be acted on
        not worse                           -> it holds
        too few requests, no peers, no log  -> not compared, and why

Peers are replicas of the same model to which nothing was done in that time. An action is reviewed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.alerts import fold, plain
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    REVIEW,
    Action,
    History,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import REPLICA
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.limits import answers, last_on
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import RESTARTS, Policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.situation import (
    Situation,
    Target,
    resolve,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.verdict import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    PROVIDER_ERROR,
)

VERDICTS = (PASS, FAIL, INCONCLUSIVE, PROVIDER_ERROR)
PEERS = 20


@dataclass(frozen=True)
class Review:
    """``since`` to ``until``, epoch seconds: the requests that count."""

    action: Action
    since: float
    until: float
    peers: tuple[str, ...] = ()

    def shown(self) -> dict[str, Any]:
        one = self.action
        known = {"id": one.id, "target": one.target, "host": one.host, "slot": one.slot, "model": one.model}
        return {
            **known,
            "alert": one.alert,
            "server": one.servers[0],
            "since": self.since,
            "until": self.until,
            "peers": list(self.peers),
        }


def ripe(history: History, now: float, policy: Policy) -> list[Action]:
    """Restarts of replicas that helped, long enough ago, that nobody has reviewed and nothing was done after."""
    return [
        one
        for one in history.actions
        if one.step in RESTARTS
        and one.kind == REPLICA
        and one.effect == "effective"
        and not one.reviewed
        and not one.shadow
        and one.servers
        and policy.review_seconds <= now - one.ended <= policy.review_seconds + policy.review_late_seconds
        and last_on(history.actions, one.target) == one
    ]


def never_resolved(here: Situation, policy: Policy) -> list[dict[str, Any]]:
    """Reviews that need no comparison: the alert that was acted on has been firing ever since."""
    actions = ripe(here.history, here.now, policy)
    firing = _firing(here) if actions else {}
    return [
        _event(one, here.now, False, f"{one.alert} has not resolved in {here.now - one.ended:.0f} s")
        for one in actions
        if any(name == one.alert and since <= one.at for name, since in firing.get(one.target, ()))
    ]


def due(here: Situation, policy: Policy) -> list[Review]:
    """What is to be compared now. What gave no answer, or fires, is a fault of its own."""
    actions = ripe(here.history, here.now, policy)
    firing = _firing(here) if actions else {}
    found = []
    for one in actions:
        server = here.servers.get(one.servers[0])
        if server is None or server.model != one.model or answers(here, server.name, policy) is False:
            continue
        if one.target not in firing:
            found.append(Review(one, one.ended, one.ended + policy.review_seconds, _peers(one, here, policy)))
    return found


def _peers(action: Action, here: Situation, policy: Policy) -> tuple[str, ...]:
    """Replicas of the same model that nothing was done to meanwhile, but for those that gave no answer."""
    until = action.ended + policy.review_seconds
    touched = {
        name
        for other in here.history.actions
        if other.counts and other.at < until and (other.open or other.ended > action.ended - policy.settle_seconds)
        for name in other.servers
    }
    left = [one.name for one in here.of_model(action.model) if one.name not in touched]
    return tuple(sorted(name for name in left if answers(here, name, policy) is not False)[:PEERS])


def reviewed(given: Sequence[Mapping[str, Any]], here: Situation, policy: Policy) -> list[dict[str, Any]]:
    """The events of what was compared. What is no longer due, since it fires now or another run was first, is left out."""
    waiting = {one.action.id: one for one in due(here, policy)}
    found = []
    for one in given:
        review = waiting.pop(str(one["id"]), None)
        if review is None:
            continue
        why = plain("; ".join(str(text) for text in one.get("reasons") or ()))
        beside = f"beside {len(review.peers)} peers for {policy.review_seconds:g} s"
        if one["verdict"] == FAIL:
            found.append(_event(review.action, here.now, False, f"it answers, but {beside} it did worse: {why}"))
        elif one["verdict"] == PASS:
            found.append(_event(review.action, here.now, True, f"no worse {beside}: {why}"))
        else:
            found.append(_event(review.action, here.now, None, f"not compared: {why or 'nobody said why'}"))
    return found


def expect_reviews(given: Any) -> list[Mapping[str, Any]]:
    """Each with ``id``, ``verdict`` and ``reasons``.

    Raises:
        InputError: an entry is not one.
    """
    found = []
    for position, entry in enumerate(given or []):
        where = f"reviews[{position}]"
        fields = expect_mapping(entry, what="review", where=where)
        if not fields.get("id") or fields.get("verdict") not in VERDICTS:
            raise InputError(
                f"a review needs the id of an action and a verdict of {', '.join(VERDICTS)}",
                where=where,
            )
        found.append(fields)
    return found


def _firing(here: Situation) -> dict[str, list[tuple[str, float]]]:
    """Target to name and beginning of what fires about it now."""
    found: dict[str, list[tuple[str, float]]] = {}
    for alert in fold(here.alerts):
        ladder = here.ladders.get(alert.name)
        if ladder is None or not alert.firing:
            continue
        meant = resolve(alert, ladder.scope, here)
        if isinstance(meant, Target):
            found.setdefault(meant.name, []).append((alert.name, alert.since))
    return found


def _event(action: Action, now: float, holds: bool | None, evidence: str) -> dict[str, Any]:
    return {
        "event": REVIEW,
        "id": action.id,
        "at": now,
        "target": action.target,
        "holds": holds,
        "evidence": evidence,
    }
