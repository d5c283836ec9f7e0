# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How much may be done: budgets, cooldowns, shares, and when to stop altogether.

The numbers are those the field's repair systems settled on: at most three restarts of one server in six hours, a tenth
of the servers of a model in an hour but never fewer than three, a stop once more than a fifth of a pool is ill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation import ladders

HOUR = 3600.0


@dataclass(frozen=True)
class Policy:
    """Times in seconds, shares between 0 and 1.

    Attributes:
        replica_restarts: restarts of one replica in replica_window_seconds.
        host_actions: actions on one host, its replicas included, in host_window_seconds.
        model_restarts, model_restart_share: restarts of a model's replicas in an hour: the larger of number and share.
        fleet_actions, fleet_action_share: actions on all the fleet in an hour: the larger of number and share.
        planning_actions: moves, scale-outs and plans of the fleet in an hour.
        cooldown_seconds, cooldown_limit_seconds: pause between two actions on one target; doubles with each, to the limit.
        next_step_seconds: pause before the next step when the one before did not help.
        at_once: actions under way at once, in all the fleet.
        zone_share: share of a zone's replicas that may be disturbed at once; one action always may.
        settle_seconds: an action counts as under way for that long after its result.
        quarantine_share: share of the hosts that may be set aside; one always may.
        breaker_share: share of a model's replicas with a fault, on two hosts or more, that stops everything about it.
        breaker_window_seconds: over that time.
        breaker_hosts, breaker_hosts_seconds: the same fault on so many hosts within that time is not theirs.
        breaker_ineffective: so many actions in a row that did not help.
        stale_seconds: alerts older than this are not acted on; stale_breaker_seconds: that long, and a person must look.
        move_seconds: a host whose replicas were moved away takes no new ones for that long.
        look_seconds: a look at a server is good for that long.
        open_seconds: an action without a result is looked at after that long, whoever began it.
        blame_seconds: a fault that begins so soon after a change is put down to it.
        review_seconds: a restart that helped is looked at again that long after, beside its peers; an alert that still
            fires then was not helped.
        review_late_seconds: and up to that much later, if no run came before.
        memory_seconds: how long an action on a target decides what comes next.
        escalation_repeat_seconds: the same escalation is not repeated within that time.
        escalations_each: so many targets of one alert name are told each by itself in an hour.
        escalation_others_seconds: all others of the name are one entry, at most once in that time.
        record_mib: a record larger than that loses what nothing needs any more; 0 for never.
        record_days: what is younger is kept all the same, as far as the limit allows.
    """

    replica_restarts: int = 3
    replica_window_seconds: float = 6 * HOUR
    host_actions: int = 6
    host_window_seconds: float = 24 * HOUR
    model_restarts: int = 3
    model_restart_share: float = 0.1
    fleet_actions: int = 6
    fleet_action_share: float = 0.1
    planning_actions: int = 4
    cooldown_seconds: float = 600.0
    cooldown_limit_seconds: float = HOUR
    next_step_seconds: float = 60.0
    at_once: int = 4
    zone_share: float = 0.2
    settle_seconds: float = 60.0
    quarantine_share: float = 0.1
    breaker_share: float = 0.2
    breaker_window_seconds: float = 600.0
    breaker_hosts: int = 3
    breaker_hosts_seconds: float = 300.0
    breaker_ineffective: int = 3
    stale_seconds: float = 120.0
    stale_breaker_seconds: float = 600.0
    move_seconds: float = 6 * HOUR
    look_seconds: float = 120.0
    open_seconds: float = 1800.0
    blame_seconds: float = 1800.0
    review_seconds: float = 300.0
    review_late_seconds: float = HOUR
    memory_seconds: float = 24 * HOUR
    escalation_repeat_seconds: float = 4 * HOUR
    escalations_each: int = 10
    escalation_others_seconds: float = 600.0
    record_mib: float = 8.0
    record_days: float = 30.0

    def cooldown(self, done: int) -> float:
        """Pause after the ``done``-th action on a target: doubling, bounded."""
        return min(self.cooldown_seconds * 2.0 ** max(0, min(done, 16) - 1), self.cooldown_limit_seconds)


def build_policy(changes: Mapping[str, Any]) -> Policy:
    """The policy with the operator's changes.

    Raises:
        InputError: an unknown key or a value out of range.
    """
    kinds = {item.name: item.type for item in fields(Policy)}
    values: dict[str, Any] = {}
    for name, value in changes.items():
        where = f"policy.{name}"
        if name not in kinds:
            raise InputError("there is no such limit", where=where, remedy=f"Use one of {', '.join(sorted(kinds))}")
        limit = 1.0 if name.endswith("_share") else float("inf")
        number = expect_number(value, what=name, where=where, minimum=0, maximum=limit)
        values[name] = int(number) if kinds[name] == "int" else number
    return Policy(**values)


def restart_budget(policy: Policy, replicas: int) -> int:
    """Restarts in an hour of a model with so many replicas."""
    return max(policy.model_restarts, int(policy.model_restart_share * replicas))


def fleet_budget(policy: Policy, replicas: int) -> int:
    """Actions in an hour on a fleet of so many replicas."""
    return max(policy.fleet_actions, int(policy.fleet_action_share * replicas))


RESTARTS = frozenset({ladders.RESTART, ladders.RESTART_AFTER_DRAIN})
