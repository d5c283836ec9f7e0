# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes repair systems do harm, told to the module remediation_decision: actions against budgets, and who is told.

    .venv/bin/python tests/benchmarks/remediation/storms.py

A flapping server, a fault that a restart does not mend, the fault of a zone, controllers at once, an unknown host, an alert
that was resolved before it was handled, the same alert 10,000 times and 10,000 different ones. Twelve replicas on six hosts
in two zones; the record is a file, hours pass by a clock that is set. The controllers at once are processes of the module.
Writes storms.json beside it, and ends with 1 where more was done than the guide allows. A minute or two.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from module_command import run_alone  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.modules.remediation_decision import (  # noqa: E402
    ARGUMENT_SPEC,
    execute,
)

HOSTS = [{"name": f"h{n}", "zone": f"z{n % 2}", "accelerator_type": "a", "reachable": True} for n in range(6)]
REPLICAS = [{"host": f"h{n}", "slot": s, "model": "chat"} for n in range(6) for s in range(2)]
MODELS = {"chat": {"capacity": {"a": {"requests_per_second": 2.0}}}}
PLAN = {"rollout": {"floors_requests_per_second": {"chat": 16.0}}}
BEGAN = 1_800_000_000.0
CONTROLLERS, ROUNDS = 4, 10
FLOOD = 10_000


@dataclass
class Story:
    """A fleet, its record, and a clock. ``alerts_told``: how often an alert was told to a run."""

    record: str
    at: float = BEGAN
    down: set[str] = field(default_factory=set)
    alerts_told: int = 0
    runs: int = 0
    turn_cpu_seconds: float = 0.0

    def alert(self, name: str = "ModelServerDown", host: str = "h0", slot: str = "0", **more: Any) -> dict[str, Any]:
        labels = {"alertname": name, "host": host, "slot": slot, "model": "chat"}
        return {"status": "firing", "labels": labels, "startsAt": self.at, **more}

    def options(self, alerts: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
        defaults = {name: spec.get("default") for name, spec in ARGUMENT_SPEC.items()}
        looked = {
            f"{one['host']}-{one['slot']}": {"answers": f"{one['host']}-{one['slot']}" not in self.down, "at": self.at}
            for one in REPLICAS
        }
        return {
            **defaults, "alerts": list(alerts), "gathered_at": self.at, "hosts": HOSTS, "replicas": REPLICAS, "plan": PLAN,
            "models": MODELS, "looked": looked, "history": self.record, "alone": True, "owner": "one", **more,
        }  # fmt: skip

    def run(self, *alerts: dict[str, Any], effect: str = "effective", mends: bool = True) -> list[dict[str, Any]]:
        """A run of remediate: turns until nothing is left to do; an action that helps brings the server back."""
        self.alerts_told += len(alerts)
        self.runs += 1
        done: list[dict[str, Any]] = []
        outcomes: list[dict[str, Any]] = []
        for _turn in range(10):
            began = time.process_time()
            found = execute(self.options(alerts, outcomes=outcomes), False, False)
            self.turn_cpu_seconds = max(self.turn_cpu_seconds, time.process_time() - began)
            if not found["actions"]:
                break
            done += found["actions"]
            self.at += 20
            if mends:
                self.down -= {name for one in found["actions"] for name in one["servers"]}
            outcomes = [{"id": one["id"], "effect": effect, "evidence": ""} for one in found["actions"]]
        return done

    def events(self, kind: str) -> list[dict[str, Any]]:
        if not os.path.exists(self.record):
            return []
        lines = Path(self.record).read_text().splitlines()
        return [one for one in map(json.loads, lines) if one["event"] == kind]


def flapping(story: Story) -> None:
    """A server crashes every ten minutes for four hours; each restart helps."""
    for _crash in range(24):
        story.down = {"h0-0"}
        alert = story.alert()
        story.at += 15
        story.run(alert)
        story.at += 585


def not_mended(story: Story) -> None:
    """A server stays dead whatever is done; a run a minute for two hours."""
    story.down = {"h0-0"}
    alert = story.alert()
    for _run in range(120):
        story.run(alert, effect="ineffective", mends=False)
        story.at += 60


def whole_zone(story: Story) -> None:
    """All six replicas of a zone, on three hosts, die within a minute; a run a minute for an hour."""
    story.down = {f"h{n}-{s}" for n in (0, 2, 4) for s in range(2)}
    alerts = [story.alert(host=f"h{n}", slot=str(s)) for n in (0, 2, 4) for s in range(2)]
    for _run in range(60):
        story.at += 60
        story.run(*alerts, mends=False)


def at_once(story: Story) -> None:
    """Ten servers die one after the other, hours apart; four processes without the lock decide about each at the same moment."""
    story.at = time.time() - 5 * 3600.0 * ROUNDS
    real = {**story.options([]), "alone": False, "policy": {"cooldown_seconds": 0, "settle_seconds": 0, "model_restarts": 99,
            "fleet_actions": 99, "host_actions": 99, "breaker_share": 1.0, "replica_restarts": 99}}  # fmt: skip
    for number in range(ROUNDS):
        host, slot = f"h{number % 6}", number // 6
        now = time.time()
        looked = {
            f"{one['host']}-{one['slot']}": {"answers": (one["host"], one["slot"]) != (host, slot), "at": now}
            for one in REPLICAS
        }
        labels = {"alertname": "ModelServerDown", "host": host, "slot": str(slot), "model": "chat"}
        asked = {
            **real,
            "gathered_at": now,
            "looked": looked,
            "alerts": [{"status": "firing", "labels": labels, "startsAt": now}],
        }
        asked = {name: value for name, value in asked.items() if value is not None}
        with ThreadPoolExecutor(CONTROLLERS) as pool:
            runs = [
                pool.submit(run_alone, "remediation_decision", {**asked, "owner": f"controller {n}"})
                for n in range(CONTROLLERS)
            ]
            found = [one.result() for one in runs]
        story.runs += CONTROLLERS
        story.alerts_told += CONTROLLERS
        given = [action for one in found for action in one["actions"]]
        done = [{"id": one["id"], "effect": "effective", "evidence": ""} for one in given]
        run_alone("remediation_decision", {**asked, "alerts": [], "outcomes": done})


def unknown(story: Story) -> None:
    """A host nobody has, and one whose name is a template; a run a minute for an hour."""
    alerts = [story.alert(host="nowhere"), story.alert(host="{{ lookup('pipe', 'id') }}")]
    for _run in range(60):
        story.at += 60
        story.run(*alerts)


def resolved_before(story: Story) -> None:
    """The alert fired and was resolved before anybody came, in either order of arrival; and one whose server answers again."""
    fired = story.alert()
    story.at += 20
    gone = {**fired, "status": "resolved", "endsAt": story.at}
    story.down = {"h0-0"}
    for alerts in ([fired, gone], [gone, fired]):
        story.run(*alerts)
    story.down = set()
    story.run(story.alert(host="h1"))


def same_alert(story: Story) -> None:
    """One alert 10,000 times in one message, and a tenth of it in each of ten later runs."""
    story.down = {"h0-0"}
    alert = story.alert()
    story.at += 15
    story.run(*[alert] * FLOOD)
    for _run in range(10):
        story.at += 30
        story.run(*[alert] * (FLOOD // 10))


def flood(story: Story) -> None:
    """10,000 alerts of as many hosts nobody has, one of a server that is dead, for ten runs a minute apart."""
    story.down = {"h0-0"}
    alerts = [story.alert("HostCpuHigh", host=f"gpu-{n}", slot="") for n in range(FLOOD - 1)] + [story.alert()]
    story.at += 15
    for _run in range(10):
        story.run(*alerts)
        alerts = alerts[:-1] if not story.down else alerts
        story.at += 60


# What the guide allows: actions by step, and what a person is told.
STORIES: dict[str, tuple[Callable[[Story], None], dict[str, int], int]] = {
    "flapping server": (flapping, {"restart": 3, "move": 1}, 1),
    "restart does not mend it": (not_mended, {"restart": 1, "move": 1}, 1),
    "a whole zone": (whole_zone, {}, 1),
    "four controllers at once": (at_once, {"restart": ROUNDS}, 0),
    "unknown host": (unknown, {}, 2),
    "resolved before it was handled": (resolved_before, {}, 0),
    "the same alert 10,000 times": (same_alert, {"restart": 1}, 0),
    "10,000 alerts, one that matters": (flood, {"restart": 1}, 11),
}


def told(name: str, where: str) -> dict[str, Any]:
    play, allowed, people = STORIES[name]
    story = Story(os.path.join(where, "remediation.jsonl"))
    clock.now = lambda: story.at
    play(story)
    actions = Counter(one["step"] for one in story.events("intent"))
    over = {step: count for step, count in actions.items() if count > allowed.get(step, 0)}
    escalations = story.events("escalation")
    return {
        "what": " ".join((play.__doc__ or "").split()),
        "runs": story.runs,
        "alerts_told": story.alerts_told,
        "actions": dict(sorted(actions.items())),
        "allowed": allowed,
        "told_to_a_person": len(escalations),
        "told_at_most": people,
        "told": sorted({f"{one['alert']} of {one['target']}: {one['reason'][:160]}" for one in escalations})[:3],
        "breakers_opened": len([one for one in story.events("breaker") if one["state"] == "open"]),
        "longest_turn_cpu_seconds": round(story.turn_cpu_seconds, 2),
        "kept": not over and len(escalations) <= people,
        "acted_where_it_should": dict(actions) == allowed,
    }


def main() -> int:
    found = {}
    for name in STORIES:
        with tempfile.TemporaryDirectory() as where:
            found[name] = told(name, where)
        one = found[name]
        print(f"{name}: {one['alerts_told']} alerts in {one['runs']} runs, {one['actions']} of {one['allowed']} allowed, "
              f"{one['told_to_a_person']} told, {'kept' if one['kept'] else 'BROKEN'}", flush=True)  # fmt: skip
    figures = {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 1),
        "stories": found,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if all(one["kept"] and one["acted_where_it_should"] for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
