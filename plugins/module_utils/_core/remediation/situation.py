# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What is known when it is decided: the fleet, what runs and answers, what is going on, what was done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.alerts import Alert
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import History
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import (
    FLEET,
    GATEWAY,
    HOST,
    LADDERS,
    MODEL,
    REPLICA,
    Ladder,
)


@dataclass(frozen=True)
class Server:
    """One replica: ``name`` is HOST-SLOT; what it can serve in requests/s, 0 when that is not known."""

    name: str
    host: str
    slot: int
    model: str
    zone: str
    requests_per_second: float = 0.0


@dataclass(frozen=True)
class Look:
    """Whether a server gave a real answer, and when it was asked."""

    answers: bool
    at: float


@dataclass(frozen=True)
class Rollout:
    """A change of a model; ``ended`` is None while it goes on."""

    model: str
    began: float
    ended: float | None = None
    what: str = ""

    def covers(self, moment: float, after: float) -> bool:
        """Whether something that began then may be its doing."""
        return self.began <= moment and (self.ended is None or moment <= self.ended + after)


@dataclass(frozen=True)
class Window:
    """Maintenance: nothing is done to what it names. An empty name stands for all."""

    begins: float
    ends: float
    host: str = ""
    model: str = ""
    zone: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Silence:
    """As Alertmanager has them: all matchers must match. (label, value, whether it is a pattern, whether equal)."""

    begins: float
    ends: float
    matchers: tuple[tuple[str, str, bool, bool], ...]

    def covers(self, alert: Alert, now: float) -> bool:
        if not self.begins <= now < self.ends or not self.matchers:
            return False
        labels = {
            "alertname": alert.name,
            "host": alert.host,
            "slot": "" if alert.slot is None else str(alert.slot),
            "model": alert.model,
            "zone": alert.zone,
            "severity": alert.severity,
        }
        for label, value, pattern, equal in self.matchers:
            found = labels.get(label, "")
            matches = re.fullmatch(value, found) is not None if pattern else found == value
            if matches != equal:
                return False
        return True


@dataclass(frozen=True)
class Target:
    """What an alert is about, as the inventory knows it. ``servers``: the replicas concerned."""

    kind: str
    name: str
    host: str = ""
    slot: int | None = None
    model: str = ""
    zone: str = ""
    servers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Situation:
    """Everything a decision is made from; the same situation gives the same decision.

    Attributes:
        gathered_at: when the alerts were gathered.
        floors: requests/s each model must go on serving; a model that is not there has no known floor.
        looked: server, or "gateway HOST", to the last look at it.
        set_aside: hosts that take no new replicas because remediation said so.
        alone: whether the caller holds the lock of the fleet, so that what is under way was left by a dead run.
    """

    now: float
    alerts: Sequence[Alert]
    gathered_at: float
    hosts: Mapping[str, Host]
    servers: Mapping[str, Server]
    history: History = field(default_factory=History)
    gateways: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    floors: Mapping[str, float] = field(default_factory=dict)
    looked: Mapping[str, Look] = field(default_factory=dict)
    rollouts: Sequence[Rollout] = ()
    windows: Sequence[Window] = ()
    silences: Sequence[Silence] = ()
    set_aside: frozenset[str] = frozenset()
    ladders: Mapping[str, Ladder] = field(default_factory=lambda: LADDERS)
    owner: str = ""
    alone: bool = False
    shadow: bool = False

    def on_host(self, host: str) -> list[Server]:
        return sorted((one for one in self.servers.values() if one.host == host), key=lambda one: one.name)

    def of_model(self, model: str) -> list[Server]:
        return [one for one in self.servers.values() if one.model == model]


def resolve(alert: Alert, scope: str, here: Situation) -> Target | str:
    """The target an alert names, or in words why it names none."""
    if scope == FLEET:
        return Target(FLEET, "fleet", servers=())
    if scope == MODEL:
        if alert.model not in here.models:
            return f"there is no model {alert.model!r}" if alert.model else "the alert names no model"
        return Target(MODEL, f"model {alert.model}", model=alert.model)
    if not alert.host:
        return "the alert names no host"
    if scope == GATEWAY:
        if alert.host not in here.gateways:
            return f"{alert.host} is not a gateway of the inventory"
        return Target(GATEWAY, f"gateway {alert.host}", host=alert.host)
    if alert.host not in here.hosts:
        return f"the inventory has no serving host {alert.host}"
    zone = here.hosts[alert.host].zone
    if scope == HOST:
        servers = tuple(one.name for one in here.on_host(alert.host))
        return Target(HOST, f"host {alert.host}", host=alert.host, zone=zone, servers=servers)
    return _replica(alert, here, zone)


def _replica(alert: Alert, here: Situation, zone: str) -> Target | str:
    meant = [
        one
        for one in here.on_host(alert.host)
        if (alert.slot is None or one.slot == alert.slot) and (not alert.model or one.model == alert.model)
    ]
    if alert.slot is None and not alert.model:
        return "the alert names no replica"
    if len(meant) != 1:
        what = " ".join(
            [f"slot {alert.slot}"] * (alert.slot is not None) + [f"model {alert.model}"] * bool(alert.model)
        )
        return f"{alert.host} runs {len(meant) or 'no'} replicas of {what}"
    (one,) = meant
    return Target(REPLICA, f"replica {one.name}", one.host, one.slot, one.model, zone, (one.name,))
