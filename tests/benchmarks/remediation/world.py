# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small fleet in which faults come and go, alerts lie, controllers die and two of them work at once.

Everything random is drawn from one generator, so that a seed is a story that can be told again. The controllers call
the collection's own turn (decide and record as one step); the record is a list in memory.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, parse_hosts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation import turn as turns
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.alerts import parse_alerts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.given import (
    floors_of,
    looks_of,
    rollouts_of,
    servers_of,
    silences_of,
    windows_of,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import AuditError, History
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import LADDERS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import Policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.situation import Server, Situation

REPLICA_ALERTS = ("ModelServerDown", "ModelServerNotReady", "ModelServerErrors", "ModelServerFlapping")
HOST_ALERTS = ("HostDown", "HostDiskFull", "HostCpuHigh", "HostMemoryHigh", "AcceleratorEccErrors", "HostDiskWillFill")
MODEL_ALERTS = ("QueueGrowing", "ModelTtftBurn", "GatewayBackendEmpty", "ModelErrorRateHigh", "DemandAboveForecast")
FLEET_ALERTS = ("PlanStale", "PrometheusDown", "CertificateExpiresSoon")
RATE = 2.0


@dataclass
class Controller:
    """``pending``: actions given to it, with how far each is: given, acted. ``outcomes``: what it has yet to report;
    ``reviews`` likewise, of what it was to compare."""

    name: str
    pending: list[dict[str, Any]] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)


class World:
    """One story. ``asked``: what each decision was made from, for the checks."""

    def __init__(self, seed: int, *, locked: bool) -> None:
        self.random = random.Random(seed)
        self.now = 1_000_000.0
        self.locked = locked
        self.policy = Policy()
        self.events: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.controllers = [Controller("one"), Controller("two")]
        self.zones = [f"z{number}" for number in range(self.random.randint(1, 3))]
        self.hosts = {f"h{n}": self.zones[n % len(self.zones)] for n in range(self.random.randint(2, 6))}
        self.replicas = [
            {"host": host, "slot": slot, "model": self.random.choice(["m1", "m2"])}
            for host in self.hosts
            for slot in range(self.random.randint(1, 3))
        ]
        self.down: set[str] = set()
        self.dead_hosts: set[str] = set()
        self.alerts: dict[tuple[str, ...], dict[str, Any]] = {}
        self.rollouts: list[dict[str, Any]] = []
        self.windows: list[dict[str, Any]] = []
        self.silences: list[dict[str, Any]] = []
        self.floors = {
            m: self.random.choice([0.0, RATE, 2 * RATE, 4 * RATE]) for m in ("m1", "m2") if self.random.random() < 0.8
        }
        self.stubborn = self.random.random() * 0.6  # how likely it is that an action does not help
        self.spread = self.random.choice([20, 120, 600])
        self.disk_full = False
        self.fleets: dict[frozenset[str], tuple[dict[str, Host], dict[str, Server]]] = {}

    # What happens.

    def step(self) -> None:
        self.now += self.random.expovariate(1.0 / self.spread)
        happening = self.random.choices(
            [self.fault, self.heal, self.odd_alert, self.change, self.decide, self.work, self.die, self.person],
            weights=[14, 7, 3, 3, 30, 34, 4, 2],
        )[0]
        happening()

    def fault(self) -> None:
        kind = self.random.random()
        if kind < 0.6:
            one = self.random.choice(self.replicas)
            name = self.random.choice(REPLICA_ALERTS)
            if name in ("ModelServerDown", "ModelServerNotReady"):
                self.down.add(f"{one['host']}-{one['slot']}")
            self.alert(name, host=one["host"], slot=str(one["slot"]), model=one["model"])
        elif kind < 0.8:
            host = self.random.choice(sorted(self.hosts))
            name = self.random.choice(HOST_ALERTS)
            if name == "HostDown":
                self.dead_hosts.add(host)
            self.alert(name, host=host)
        elif kind < 0.95:
            self.alert(self.random.choice(MODEL_ALERTS), model=self.random.choice(["m1", "m2"]))
        else:
            self.alert(self.random.choice(FLEET_ALERTS))

    def alert(self, name: str, **labels: str) -> None:
        key = (name, *sorted(labels.values()))
        late = self.random.choice([0, 0, 5, 60])
        if key not in self.alerts:
            self.alerts[key] = {
                "status": "firing",
                "labels": {"alertname": name, **labels},
                "startsAt": self.now - late,
            }

    def heal(self) -> None:
        """Something mends itself, or its alert resolves late, or only the alert goes."""
        if self.alerts:
            self.mend(self.random.choice(sorted(self.alerts)), self.random.random() < 0.8)

    def mend(self, key: tuple[str, ...], really: bool = True) -> None:
        alert = self.alerts.pop(key, None)
        if alert is not None and really:
            labels = alert["labels"]
            self.down.discard(f"{labels.get('host')}-{labels.get('slot')}")
            if labels["alertname"] == "HostDown":
                self.dead_hosts.discard(labels.get("host", ""))

    def odd_alert(self) -> None:
        """Labels that name nothing, or too much, or what no inventory has."""
        odd: list[dict[str, str]] = [
            {"host": "nowhere", "slot": "0"},
            {"host": "", "slot": ""},
            {"host": "h0; rm -rf /", "slot": "0"},
            {"host": "h0", "slot": "77"},
            {"host": "h0", "slot": "0", "model": "other"},
            {},
        ]
        self.alert(self.random.choice([*REPLICA_ALERTS, *HOST_ALERTS, "NeverHeardOf"]), **self.random.choice(odd))

    def change(self) -> None:
        kind, model = self.random.random(), self.random.choice(["m1", "m2"])
        running = [one for one in self.rollouts if one["ended"] is None]
        if kind < 0.4 and not running:
            self.rollouts.append({"model": model, "began": self.now, "ended": None, "what": f"{model} to v2"})
        elif kind < 0.7 and running:
            running[0]["ended"] = self.now
        elif kind < 0.85:
            host = self.random.choice(sorted(self.hosts))
            self.windows.append({"host": host, "from": self.now, "until": self.now + 900})
        else:
            matcher = {"name": "model", "value": model, "isRegex": False, "isEqual": True}
            self.silences.append({"matchers": [matcher], "startsAt": self.now, "endsAt": self.now + 900})

    # What the controllers do.

    def holder(self) -> Controller | None:
        return next((one for one in self.controllers if one.pending or one.outcomes), None)

    def decide(self, who: Controller | None = None) -> None:
        who = who or self.random.choice(self.controllers)
        if who.pending:
            return
        if self.locked and self.holder() not in (None, who):
            return  # the other holds the lock of the fleet
        asked = self.question(who)
        self.disk_full = self.random.random() < 0.02
        try:
            turn = self.turn(asked, [{**one, "at": self.now} for one in who.outcomes], who.reviews)
        except AuditError:
            return
        who.outcomes = []
        who.reviews = [{"id": one.action.id, "verdict": self.verdict()} for one in turn.reviews]
        self.asked.append({**asked, "position": len(self.events) - len(turn.events), "events": turn.events})
        who.pending = [{"action": one, "acted": False} for one in turn.decision.actions]
        # What a dead run left is looked at, and reported as it is found.
        who.outcomes = [{"id": one.id, "effect": self.effect(one)} for one in turn.decision.looks]
        if who.reviews and not who.pending and self.random.random() < 0.7:
            self.now += 5.0
            self.decide(who)

    def verdict(self) -> str:
        """What came of comparing a mended server with its peers; the judge has tests of its own."""
        return self.random.choice(["pass"] * 3 + ["inconclusive"] * 2 + ["provider_error"] + ["fail"] * 2)

    def question(self, who: Controller) -> dict[str, Any]:
        """What the controller knows, which is not always all, nor fresh."""
        draw = self.random
        lag = draw.choice([0.0, 0.0, 0.0, 30.0, 119.0, 400.0]) if draw.random() < 0.3 else 0.0
        looked = {}
        for one in self.replicas:
            name = f"{one['host']}-{one['slot']}"
            if draw.random() < 0.92:
                answers = name not in self.down and one["host"] not in self.dead_hosts
                looked[name] = {"answers": answers, "at": self.now - draw.choice([1.0, 30.0, 119.0, 300.0])}
        alerts = list(self.alerts.values())
        if alerts and draw.random() < 0.2:
            alerts = alerts + [draw.choice(alerts)] * draw.randint(1, 5)
        return {
            "now": self.now,
            "alerts": alerts,
            "gathered_at": self.now - lag,
            "looked": looked,
            "dead_hosts": set(self.dead_hosts),
            "floors": dict(self.floors) if draw.random() < 0.9 else {},
            "rollouts": [dict(one) for one in self.rollouts],
            "windows": [dict(one) for one in self.windows],
            "silences": [dict(one) for one in self.silences],
            "alone": self.locked,
            "owner": who.name,
        }

    def turn(
        self, asked: Mapping[str, Any], outcomes: list[dict[str, Any]], reviews: Sequence[Mapping[str, Any]] = ()
    ) -> turns.Turn:
        found = turns.turn_on(
            self.events,
            lambda history: self.situation(asked, history),
            self.policy,
            outcomes=outcomes,
            reviews=reviews,
        )
        if self.disk_full:
            raise AuditError("the disk is full")
        self.events += found.events
        return found

    def situation(self, asked: Mapping[str, Any], history: History) -> Situation:
        hosts, servers = self.fleet(frozenset(asked["dead_hosts"]))
        return Situation(
            now=asked["now"],
            alerts=parse_alerts(asked["alerts"], now=asked["now"]),
            gathered_at=asked["gathered_at"],
            hosts=hosts,
            servers=servers,
            history=history,
            models=frozenset(("m1", "m2")),
            floors=floors_of({"rollout": {"floors_requests_per_second": asked["floors"]}}),
            looked=looks_of(asked["looked"]),
            rollouts=rollouts_of(asked["rollouts"]),
            windows=windows_of(asked["windows"]),
            silences=silences_of(asked["silences"]),
            set_aside=frozenset(history.set_aside(asked["now"], self.policy.move_seconds)),
            ladders=LADDERS,
            owner=asked["owner"],
            alone=asked["alone"],
        )

    def fleet(self, dead: frozenset[str]) -> tuple[dict[str, Host], dict[str, Server]]:
        """The inventory as it looks while some hosts do not answer; made once for each such set."""
        if dead not in self.fleets:
            records = [
                {"name": host, "zone": zone, "accelerator_type": "a", "reachable": host not in dead}
                for host, zone in self.hosts.items()
            ]
            hosts = {one.name: one for one in parse_hosts(records)}
            models = {m: {"capacity": {"a": {"requests_per_second": RATE}}} for m in ("m1", "m2")}
            self.fleets[dead] = hosts, servers_of(self.replicas, hosts, models)
        return self.fleets[dead]

    def work(self) -> None:
        """One of the controllers gets on: acts, then sees what came of it."""
        busy = [one for one in self.controllers if one.pending]
        if not busy:
            return
        who = self.random.choice(busy)
        item = who.pending[0]
        if not item["acted"]:
            item["acted"] = True
            if self.random.random() >= self.stubborn:
                self.cure(item["action"])
            return
        who.pending.pop(0)
        who.outcomes.append({"id": item["action"].id, "effect": self.effect(item["action"])})

    def cure(self, action: Any) -> None:
        for key, alert in sorted(self.alerts.items()):
            labels = alert["labels"]
            same = labels["alertname"] == action.alert and labels.get("host", "") == action.host
            if same and (action.slot is None or labels.get("slot") == str(action.slot)):
                self.mend(key)

    def effect(self, action: Any) -> str:
        still = any(
            alert["labels"]["alertname"] == action.alert and alert["labels"].get("host", "") == action.host
            for alert in self.alerts.values()
        )
        if not still:
            return self.random.choice(["effective"] * 9 + ["gone"])
        return self.random.choice(["ineffective"] * 4 + ["failed"])

    def die(self) -> None:
        """A controller is killed: what it was given and what it saw is lost."""
        who = self.random.choice(self.controllers)
        who.pending, who.outcomes, who.reviews = [], [], []
        who.name += "'"  # the next run is another

    def person(self) -> None:
        opened = [one for one in self.events if one["event"] == "breaker"]
        state = {one["scope"]: one["state"] for one in opened}
        for scope in sorted(scope for scope, what in state.items() if what == "open"):
            self.events.append(
                {"event": "breaker", "state": "closed", "scope": scope, "by": "a person", "at": self.now}
            )
