# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What is asked of a turn of an upgrade, and what the hosts' records say of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.batches import Running
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.steps import STRATEGIES, WHEN_FULL
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.window_demand import HeadroomPolicy


@dataclass(frozen=True)
class Question:
    """What is asked. ``replicas``: records of the hosts' facts, each with ``host``. ``outcome``: of the step before,
    empty for none. ``begins``: whether this is the first turn of a run. ``unreachable``: hosts and gateways that do not
    answer; ``expected``: hosts that the last plan gives the model to."""

    model: str
    catalogue: Mapping[str, Any]
    hosts: Sequence[Mapping[str, Any]]
    replicas: Sequence[Mapping[str, Any]]
    releases: str
    journal: str
    now: float
    outcome: Mapping[str, Any] = field(default_factory=dict)
    begins: bool = True
    forecast: Any = None
    observed: float | None = None
    window_seconds: float = 1800.0
    policy: HeadroomPolicy = field(default_factory=HeadroomPolicy)
    pause: bool = False
    abort: bool = False
    force: bool = False
    undecided_limit: int = 6
    when_full: str = "wait"
    strategy: str = "rolling"
    fresh_baseline: bool = False
    unreachable: Sequence[str] = ()
    expected: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, value, known in (
            ("when_full", self.when_full, WHEN_FULL),
            ("strategy", self.strategy, STRATEGIES),
        ):
            if value not in known:
                raise InputError(f"{name} is {', '.join(known)}, not {value!r}", where=f"upgrade of {self.model}")


def running_of(question: Question, good: Mapping[str, Any]) -> list[Running]:
    """The replicas of the model with the zones of their hosts.

    One that was started before releases were on record counts as the good one when its version does.
    """
    zones = {str(host["name"]): str(host.get("zone") or "") for host in question.hosts}
    silent = {str(server) for server in question.outcome.get("silent") or ()}
    away = {str(name) for name in question.unreachable}
    found = []
    for one in question.replicas:
        if one.get("model") != question.model:
            continue
        named = str(one.get("release") or "") or (good["digest"] if str(one.get("version")) == good["version"] else "")
        host, slot = str(one["host"]), int(one["slot"])
        serves = f"{host}-{slot}" not in silent and host not in away
        found.append(Running(host, slot, named, zones.get(host, ""), serves, host not in away))
    if not found:
        raise InputError(
            f"nothing of {question.model} runs, so there is nothing to upgrade",
            where="upgrade_model",
            remedy="Plan and apply start it; with nothing on record, in the catalogue's version",
        )
    return sorted(found)


def absent_hosts(question: Question, known: Sequence[str]) -> tuple[str, ...]:
    """Hosts that do not answer and ran the model (``known``: servers), or should by the last plan."""
    ran = {server.rpartition("-")[0] for server in known}
    return tuple(sorted({str(name) for name in question.unreachable} & (ran | {str(one) for one in question.expected})))
