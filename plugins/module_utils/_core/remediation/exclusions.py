# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Why a fault is not acted on, whatever its ladder says."""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation import limits
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.breaker import Fault
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import (
    FLEET,
    GATEWAY,
    HOST,
    REPLICA,
    SCALE_OUT,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import Policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.situation import Situation


def frozen(here: Situation, policy: Policy) -> str:
    """Why nothing at all is done for now."""
    age = here.now - here.gathered_at
    if age > policy.stale_seconds:
        return f"the alerts are {age:.0f} s old"
    if age < -policy.stale_seconds:
        return "the alerts are from the future: the clocks differ"
    for alert in here.alerts:
        ladder = here.ladders.get(alert.name)
        if ladder is not None and ladder.stale:
            return f"{alert.name}: what is measured cannot be trusted"
    return ""


def left_alone(fault: Fault, here: Situation, policy: Policy) -> str:
    target = fault.target
    for window in here.windows:
        named = (window.host, window.model, window.zone) if fault.target.kind != FLEET else ("", "", "")
        fits = all(not name or name == mine for name, mine in zip(named, (target.host, target.model, target.zone)))
        if window.begins <= here.now < window.ends and fits:
            return f"maintenance{': ' + window.reason if window.reason else ''}"
    if target.host in here.hosts and here.hosts[target.host].state == "maintenance":
        return f"{target.host} is in maintenance"
    models = {target.model} if target.model else {here.servers[name].model for name in target.servers}
    for rollout in here.rollouts:
        # A host that is down is planned around all the same; its model's upgrade holds the plan to its releases.
        if rollout.ended is None and rollout.model in models and fault.alert.name != "HostDown":
            return f"{rollout.what or rollout.model} is being changed"
    return ""


def may_pass(fault: Fault, here: Situation) -> str:
    """Why a person is not told yet of something that only a person can look into."""
    if not fault.ladder.patience_seconds:
        return ""
    model = fault.target.model
    acted = [
        max(one.at, one.ended)
        for one in here.history.actions
        if one.counts
        and (
            one.model == model
            or one.kind == GATEWAY
            or {here.servers[name].model for name in one.servers if name in here.servers} & {model}
        )
    ]
    last = max([fault.alert.since, *acted])
    if here.now - last >= fault.ladder.patience_seconds:
        return ""
    after = (
        f"{fault.ladder.patience_seconds:g} s after the last action"
        if acted and last > fault.alert.since
        else f"{fault.ladder.patience_seconds:g} s"
    )
    return f"a person is told if it still fires {after}"


def blamed(fault: Fault, here: Situation, policy: Policy) -> str:
    """The same symptom on two replicas of a model soon after its change is the change's."""
    if not fault.ladder.symptom or not fault.target.model:
        return ""
    for rollout in here.rollouts:
        if rollout.model != fault.target.model or not rollout.covers(fault.alert.since, policy.blame_seconds):
            continue
        alike = {
            (one.host, one.slot)
            for one in here.alerts
            if one.name == fault.alert.name
            and rollout.covers(one.since, policy.blame_seconds)
            and (
                one.model == rollout.model or f"{one.host}-{one.slot}" in {s.name for s in here.of_model(rollout.model)}
            )
        }
        if len(alike) >= 2:
            return f"{len(alike)} replicas of {rollout.model} since its change: look at the release, or turn it back"
    return ""


def not_there(fault: Fault, here: Situation, policy: Policy) -> str:
    """Why the fault is not acted on after it was looked at again."""
    target = fault.target
    if target.kind in (REPLICA, HOST) and target.host in here.hosts:
        reachable = here.hosts[target.host].reachable
        if fault.alert.name == "HostDown":
            return "the host answers" if reachable else ""
        if not reachable and fault.ladder.steps[:1] != (SCALE_OUT,):
            return "its host does not answer"
    if not fault.ladder.silent:
        return ""
    answer = limits.answers(here, target.name if target.kind == GATEWAY else (target.servers or ("",))[0], policy)
    if answer is None:
        return "nobody has looked at it again"
    return "it answers" if answer else ""
