# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""When to stop: the fault is not the servers', or what is done does not help. Only a person goes on from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.alerts import Alert
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    WITHOUT_EFFECT,
    Action,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import (
    FLEET,
    HOST,
    REPLICA,
    SCALE_OUT,
    Ladder,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import Policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.situation import Situation, Target


@dataclass(frozen=True)
class Fault:
    """A firing alert whose target is known."""

    alert: Alert
    ladder: Ladder
    target: Target


def scope_of(model: str) -> str:
    return f"model {model}" if model else FLEET


def openings(faults: Sequence[Fault], here: Situation, policy: Policy) -> dict[str, str]:
    """Breakers that open now: scope ("fleet", "model X") to the cause in words. Those already open are left out."""
    found: dict[str, str] = {}
    for scope, cause in [
        *_stale(here, policy),
        *_same_fault(faults, here, policy),
        *_pools(faults, here, policy),
        *_ineffective(here, policy),
    ]:
        if scope not in here.history.breakers:
            found.setdefault(scope, cause)
    if FLEET in found or FLEET in here.history.breakers:  # it stops everything; one to look into and to close
        return {FLEET: found[FLEET]} if FLEET in found else {}
    return found


def opened_by(model: str, opened: dict[str, str]) -> str:
    """The cause of the breaker that keeps hands off that model; empty when none does."""
    return opened.get(FLEET) or (opened.get(scope_of(model), "") if model else "")


def _closed(here: Situation, scope: str) -> float:
    """What was before a person closed a breaker does not open it again."""
    return max(here.history.closed.get(scope, 0.0), here.history.closed.get(FLEET, 0.0))


def _stale(here: Situation, policy: Policy) -> list[tuple[str, str]]:
    found = []
    for alert in here.alerts:
        ladder = here.ladders.get(alert.name)
        if ladder is None or not ladder.stale or not alert.firing:
            continue
        if here.now - max(alert.since, _closed(here, FLEET)) >= policy.stale_breaker_seconds:
            minutes = policy.stale_breaker_seconds / 60
            found.append((FLEET, f"{alert.name} for more than {minutes:g} minutes: what is measured cannot be trusted"))
    return sorted(set(found))


def _same_fault(faults: Sequence[Fault], here: Situation, policy: Policy) -> list[tuple[str, str]]:
    began: dict[str, list[tuple[float, str]]] = {}
    for fault in faults:
        takes_more = fault.ladder.steps[:1] == (SCALE_OUT,)  # more load shows on all hosts, and more servers help
        if fault.target.kind in (HOST, REPLICA) and not takes_more and fault.alert.since > _closed(here, FLEET):
            began.setdefault(fault.alert.name, []).append((fault.alert.since, fault.target.host))
    found = []
    for name, moments in sorted(began.items()):
        for since, _host in sorted(moments):
            hosts = {host for at, host in moments if since <= at <= since + policy.breaker_hosts_seconds}
            if len(hosts) >= policy.breaker_hosts:
                shown = ", ".join(sorted(hosts)[:5])
                found.append(
                    (FLEET, f"{name} on {len(hosts)} hosts at once ({shown}): not theirs{_blame(since, here, policy)}")
                )
                break
    return found


def _blame(moment: float, here: Situation, policy: Policy) -> str:
    changes = sorted({one.what or one.model for one in here.rollouts if one.covers(moment, policy.blame_seconds)})
    return f"; it began with the change of {', '.join(changes)}" if changes else "; look at power, network and changes"


def _pools(faults: Sequence[Fault], here: Situation, policy: Policy) -> list[tuple[str, str]]:
    """A whole host is one fault, so that two hosts at least must be concerned."""
    ill: dict[str, set[str]] = {}
    for fault in faults:
        recent = here.now - fault.alert.since <= policy.breaker_window_seconds
        if recent and (fault.ladder.symptom or fault.alert.name == "HostDown"):
            for name in fault.target.servers:
                if name in here.servers and fault.alert.since > _closed(here, scope_of(here.servers[name].model)):
                    ill.setdefault(here.servers[name].model, set()).add(name)
    for action in here.history.actions:
        if action.kind == REPLICA and action.counts and here.now - action.at <= policy.breaker_window_seconds:
            for name in action.servers:
                if name in here.servers and action.at > _closed(here, scope_of(here.servers[name].model)):
                    ill.setdefault(here.servers[name].model, set()).add(name)
    found = []
    for model, names in sorted(ill.items()):
        pool = len(here.of_model(model))
        if len({here.servers[name].host for name in names}) >= 2 and len(names) > policy.breaker_share * pool:
            minutes = policy.breaker_window_seconds / 60
            found.append(
                (scope_of(model), f"{len(names)} of {pool} replicas of {model} with a fault in {minutes:g} minutes")
            )
    return found


def _ineffective(here: Situation, policy: Policy) -> list[tuple[str, str]]:
    ended = sorted(
        (one for one in here.history.actions if one.effect and one.counts), key=lambda one: (one.ended, one.id)
    )
    last = [one for one in ended if one.ended > _closed(here, scope_of(one.model))][-policy.breaker_ineffective :]
    if policy.breaker_ineffective < 1 or len(last) < policy.breaker_ineffective:
        return []
    if any(one.effect not in WITHOUT_EFFECT for one in last):
        return []
    models = {one.model for one in last}
    scope = scope_of(models.pop()) if len(models) == 1 else FLEET
    return [(scope, f"{len(last)} actions in a row did not help, the last: {_said(last[-1])}")]


def _said(action: Action) -> str:
    return f"{action.step.replace('_', ' ')} of {action.target} for {action.alert}"
