# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The decision: which faults are acted on now, how, and which are a person's.

    alerts, folded  ->  faults with a known target  ->  breakers  ->  in order of harm, for each fault:
        silenced, in maintenance, in a rollout?   left alone
        a person's, a change's, a breaker's?      escalated, once
        looked at again: still there?             if not, left alone
        the next step of its ladder               within budgets, after pauses, above floors, inside shares

What is not known is never a reason to act: without a target, a look, a floor or fresh alerts nothing is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import digest
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation import breaker, exclusions, limits
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.alerts import Alert, fold
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.breaker import Fault
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.decision import Decision, People
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    WITHOUT_EFFECT,
    Action,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import (
    GATEWAY,
    MOVE,
    NO_FAULT,
    QUARANTINE,
    SCALE_OUT,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import Policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.situation import Situation, resolve


def decide(here: Situation, policy: Policy, worse: Sequence[Mapping[str, Any]] = ()) -> Decision:
    """What to do now. The same situation gives the same decision.

    Args:
        here: the situation.
        policy: how much may be done.
        worse: reviews, just put on record, of what was mended and does not hold.
    """
    found = Decision()
    people = People(found, here, policy)
    found.looks = [
        one
        for one in here.history.under_way()
        if (here.alone and one.owner != here.owner) or here.now - one.at >= policy.open_seconds
    ]
    alerts = [alert for alert in fold(here.alerts) if alert.firing and alert.name not in NO_FAULT]
    here = replace(here, alerts=alerts)
    faults = _faults(alerts, here, people)
    found.opened = breaker.openings(faults, here, policy)
    stopped = {scope: str(event.get("cause", "")) for scope, event in here.history.breakers.items()} | found.opened
    frozen = exclusions.frozen(here, policy)
    for scope, cause in sorted(found.opened.items()):
        people.tell("Breaker", scope, f"nothing more is done about {scope}: {cause}")
    for fault in sorted(faults, key=lambda one: _order(one, here, policy)):
        _handle(fault, here, policy, people, stopped, frozen)
    handled = {one.target for one in found.actions} | {one["target"] for one in [*found.held, *found.escalations]}
    for one in worse:
        if one["target"] not in handled:
            people.tell("RemediationReview", one["target"], f"mended, but it does not hold: {one['evidence']}")
    people.tell_of_others()
    return found


def _faults(alerts: Sequence[Alert], here: Situation, people: People) -> list[Fault]:
    """The alerts that something could be done about; the others are told to a person."""
    faults = []
    for alert in alerts:
        ladder = here.ladders.get(alert.name)
        if any(one.covers(alert, here.now) for one in here.silences):
            people.found.hold(alert, _shown(alert), "silenced")
            continue
        if ladder is None:
            people.tell(alert.name or "unnamed alert", _shown(alert), "an alert without a ladder", alert)
            continue
        target = resolve(alert, ladder.scope, here)
        if isinstance(target, str):
            people.tell(alert.name, _shown(alert), f"nothing is done: {target}", alert)
            continue
        faults.append(Fault(alert, ladder, target))
    return faults


def _order(fault: Fault, here: Situation, policy: Policy) -> tuple[float, float, str, str]:
    """Users who are short of capacity, or reach none of it, first; then by harm, then the oldest."""
    model = fault.target.model
    floor = here.floors.get(model)
    short = bool(model) and floor is not None and limits.serving(here, model, policy) < floor
    short = short or fault.target.kind == GATEWAY
    return (-(fault.ladder.harm + 100 * short), fault.alert.since, fault.alert.name, fault.target.name)


def _handle(
    fault: Fault, here: Situation, policy: Policy, people: People, stopped: dict[str, str], frozen: str
) -> None:
    alert, target = fault.alert, fault.target
    why = exclusions.left_alone(fault, here, policy)
    if why:
        return people.found.hold(alert, target.name, why)
    if fault.ladder.person:
        why = exclusions.may_pass(fault, here)
        if why:
            return people.found.hold(alert, target.name, why)
        return people.tell(alert.name, target.name, fault.ladder.person, alert)
    if frozen:
        return people.found.hold(alert, target.name, frozen)
    cause = breaker.opened_by(_model_of(fault, here), stopped)
    if cause:
        return people.found.hold(alert, target.name, f"a breaker is open: {cause}")
    blamed = exclusions.blamed(fault, here, policy)
    if blamed:
        return people.tell(alert.name, target.name, blamed, alert)
    why = exclusions.not_there(fault, here, policy)
    if why:
        return people.found.hold(alert, target.name, why)
    _climb(fault, here, policy, people)
    return None


def _climb(fault: Fault, here: Situation, policy: Policy, people: People) -> None:
    """The first step of the ladder that is due and within its budget; a person behind the last."""
    found = people.found
    done = [*here.history.actions, *found.actions]
    alert, target = fault.alert, fault.target
    start, why = _next_step(fault, done, here, policy)
    if start < 0:
        return people.found.hold(alert, target.name, why)
    for step in fault.ladder.steps[start:]:
        new = _action(step, fault, here, len(found.actions))
        if isinstance(new, str):
            # A busy host that serves nothing harms nobody: it is not set aside, it may be the spare one.
            return people.found.hold(alert, target.name, new)
        if step in (MOVE, QUARANTINE) and target.host in here.set_aside:
            why = f"{target.host} is set aside already"
            continue
        wait = limits.must_wait(new, done, here, policy)
        if wait:
            return people.found.hold(alert, target.name, wait)
        why = limits.over_budget(new, done, here, policy)
        if why:
            continue
        floor = limits.below_floor(new, done, here, policy)
        if floor:
            return people.tell(alert.name, target.name, f"not restarted: {floor}", alert)
        share = limits.over_zone_share(new, done, here, policy)
        if share:
            return people.found.hold(alert, target.name, share)
        found.actions.append(new)
        return None
    return people.tell(alert.name, target.name, why, alert)


def _next_step(fault: Fault, done: Sequence[Action], here: Situation, policy: Policy) -> tuple[int, str]:
    """Position of the step that is due, and what led there; -1 and why when none is yet."""
    last = limits.last_on(done, fault.target.name)
    if last is None or here.now - last.at > policy.memory_seconds:
        return 0, ""
    if last.open:
        return -1, f"{last.step.replace('_', ' ')} is under way since {here.now - last.at:.0f} s"
    steps = fault.ladder.steps
    place = steps.index(last.step) if last.step in steps else -1
    came_back = fault.alert.since > last.at
    if last.effect in WITHOUT_EFFECT or not came_back:
        if last.effect not in WITHOUT_EFFECT and here.now - last.ended < policy.review_seconds:
            return -1, f"{last.step.replace('_', ' ')} helped; the alert has not resolved yet"
        return place + 1, f"{last.step.replace('_', ' ')} did not help"
    return max(place, 0), f"it came back after {last.step.replace('_', ' ')}"


def _action(step: str, fault: Fault, here: Situation, position: int) -> Action | str:
    target = fault.target
    model = target.model
    if step == SCALE_OUT and not model:
        model = _most_of(here, target.host)
        if not model:
            return f"nothing runs on {target.host} that could be scaled out"
    servers = target.servers
    if step in (MOVE, QUARANTINE):
        servers = tuple(one.name for one in here.on_host(target.host))
    return Action(
        id=digest([here.history.lines, position, here.owner, target.name, step, here.now])[7:23],
        at=here.now,
        step=step,
        alert=fault.alert.name,
        target=target.name,
        kind=target.kind,
        host=target.host,
        slot=target.slot,
        model=model,
        zone=target.zone,
        servers=servers,
        owner=here.owner,
        reason=fault.alert.summary,
        since=fault.alert.since,
        shadow=here.shadow,
    )


def _model_of(fault: Fault, here: Situation) -> str:
    if fault.target.model:
        return fault.target.model
    models = {here.servers[name].model for name in fault.target.servers}
    return models.pop() if len(models) == 1 else ""


def _most_of(here: Situation, host: str) -> str:
    """The model with the most replicas on a host."""
    counts: dict[str, int] = {}
    for one in here.on_host(host):
        counts[one.model] = counts.get(one.model, 0) + 1
    return min(counts, key=lambda model: (-counts[model], model), default="")


def _shown(alert: Alert) -> str:
    slot = "" if alert.slot is None else f" slot {alert.slot}"
    return " ".join(text.strip() for text in (alert.host + slot, alert.model) if text) or "nothing named"
