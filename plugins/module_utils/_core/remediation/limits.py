# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""May this be done now? Budgets, pauses, floors and shares, over what was done and what this decision adds.

Each answers in words why not, or with nothing. Budgets say that it may not be done at all for a long time, so that
the next step is due; pauses say that it must wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    WITHOUT_EFFECT,
    Action,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import (
    DISRUPTIVE,
    MOVE,
    PLANNING,
    QUARANTINE,
    RESTART_AFTER_DRAIN,
    SCALE_OUT,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import (
    HOUR,
    RESTARTS,
    Policy,
    fleet_budget,
    restart_budget,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.situation import Situation


def over_budget(new: Action, done: Sequence[Action], here: Situation, policy: Policy) -> str:
    """Which budget the action would exceed."""
    counted = [one for one in done if one.counts]
    if new.step in RESTARTS:
        same = _since(counted, here.now - policy.replica_window_seconds, RESTARTS)
        if sum(one.target == new.target for one in same) >= policy.replica_restarts:
            hours = policy.replica_window_seconds / HOUR
            return f"{new.target} was restarted {policy.replica_restarts} times in {hours:g} h"
        limit = restart_budget(policy, len(here.of_model(new.model)))
        recent = _since(counted, here.now - HOUR, RESTARTS)
        if new.model and sum(one.model == new.model for one in recent) >= limit:
            return f"{limit} replicas of {new.model} were restarted in the last hour"
    on_host = _since(counted, here.now - policy.host_window_seconds)
    if new.host and sum(one.host == new.host for one in on_host) >= policy.host_actions:
        hours = policy.host_window_seconds / HOUR
        return f"{policy.host_actions} actions on {new.host} in {hours:g} h"
    recent = _since(counted, here.now - HOUR)
    limit = fleet_budget(policy, len(here.servers))
    if len(recent) >= limit:
        return f"{limit} actions on the fleet in the last hour"
    if new.step in PLANNING and sum(one.step in PLANNING for one in recent) >= policy.planning_actions:
        return f"{policy.planning_actions} new plans of the fleet in the last hour"
    if new.step in (MOVE, QUARANTINE):
        aside = here.set_aside | {one.host for one in done if one.open and one.step in (MOVE, QUARANTINE)}
        if len(aside - {new.host}) >= max(1, int(policy.quarantine_share * len(here.hosts))):
            return f"{', '.join(sorted(aside)[:5])} set aside already"
    return ""


def must_wait(new: Action, done: Sequence[Action], here: Situation, policy: Policy) -> str:
    """What must pass first: another action, or the pause after one."""
    busy = [one for one in done if under_way(one, here.now, policy)]
    for one in busy:
        if one.target == new.target or (new.host and one.host == new.host):
            return f"{one.step.replace('_', ' ')} of {one.target} is under way"
        if new.step in PLANNING and one.step in PLANNING and one.open:
            return "another plan of the fleet is under way"
        if new.step in DISRUPTIVE and one.step in DISRUPTIVE and new.model and one.model == new.model:
            return f"{one.target} of the same model is under way"
    if len(busy) >= policy.at_once:
        return f"{len(busy)} actions are under way"
    last = last_on(done, new.target)
    if last is not None:
        count = len(_since([one for one in done if one.target == new.target and one.counts], here.now - 6 * HOUR))
        pause = policy.next_step_seconds if last.effect in WITHOUT_EFFECT else policy.cooldown(count)
        if here.now - max(last.at, last.ended) < pause:
            return f"{pause:g} s must pass after the last action on {new.target}"
    if new.step == SCALE_OUT:
        same = [one for one in done if one.step == SCALE_OUT and one.model == new.model and one.counts]
        if same and here.now - max(max(one.at, one.ended) for one in same) < policy.cooldown_seconds:
            return f"{new.model} was scaled out less than {policy.cooldown_seconds:g} s ago"
    return ""


def below_floor(new: Action, done: Sequence[Action], here: Situation, policy: Policy) -> str:
    """Whether users would be left with less than the demand: for steps that take a server away that answers."""
    if new.step != RESTART_AFTER_DRAIN:
        return ""  # what gives no answer takes nothing away; moves go by the plan, whose waves keep to the floor
    floor = here.floors.get(new.model)
    if floor is None:
        return f"what {new.model} must go on serving is not known"
    away = {name for one in done if under_way(one, here.now, policy) for name in one.servers} | set(new.servers)
    left = serving(here, new.model, policy, without=away)
    if left < floor:
        return f"{new.model} would serve {left:g} of {floor:g} requests/s"
    return ""


def serving(here: Situation, model: str, policy: Policy, *, without: Iterable[str] = ()) -> float:
    """Requests/s that the replicas of a model which answer can serve. One nobody looked at does not count."""
    away = set(without)
    return sum(
        one.requests_per_second
        for one in here.of_model(model)
        if one.name not in away and answers(here, one.name, policy)
    )


def answers(here: Situation, name: str, policy: Policy) -> bool | None:
    """Whether it answered when it was looked at; None when nobody has, lately."""
    look = here.looked.get(name)
    if look is None or not 0 <= here.now - look.at <= policy.look_seconds:
        return None
    return look.answers


def over_zone_share(new: Action, done: Sequence[Action], here: Situation, policy: Policy) -> str:
    """Whether too much of a zone would be disturbed at once."""
    if new.step not in DISRUPTIVE or not new.zone:
        return ""
    disturbed = {
        name
        for one in done
        if one.step in DISRUPTIVE and one.zone == new.zone and under_way(one, here.now, policy)
        for name in one.servers
    }
    everything = sum(one.zone == new.zone for one in here.servers.values())
    if disturbed and len(disturbed | set(new.servers)) > policy.zone_share * everything:
        return f"{len(disturbed)} of {everything} replicas of zone {new.zone} are being worked on"
    return ""


def under_way(action: Action, now: float, policy: Policy) -> bool:
    """Until it has a result, and a little longer, while its effect settles."""
    return action.open or (action.counts and now - action.ended < policy.settle_seconds)


def last_on(done: Iterable[Action], target: str) -> Action | None:
    """The last action on a target that was really done."""
    found = [one for one in done if one.target == target and one.counts]
    return max(found, key=lambda one: (one.at, one.id), default=None)


def _since(actions: Iterable[Action], moment: float, steps: Iterable[str] = ()) -> list[Action]:
    wanted = frozenset(steps)
    return [one for one in actions if one.at > moment and (not wanted or one.step in wanted)]
