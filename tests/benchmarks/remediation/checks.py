# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold of every story, counted from its record alone and with figures of its own.

The figures are those of the guide; nothing here calls the code that decides.
"""

from __future__ import annotations

from typing import Any

from world import RATE, World

HOUR = 3600.0
RESTARTS = {"restart", "restart_after_drain"}
DISRUPTIVE = RESTARTS | {"move", "quarantine"}
PLANNING = {"move", "quarantine", "scale_out", "replan"}
SILENT = {"ModelServerDown", "ModelServerNotReady"}


def violations(world: World) -> list[str]:
    """Every rule that was broken, in words."""
    found: list[str] = []
    before: list[dict[str, Any]] = []
    breakers: dict[str, str] = {}
    asked = {id(event): one for one in world.asked for event in one["events"]}
    for event in world.events:
        if event["event"] == "breaker":
            breakers[event["scope"]] = event["state"]
        if event["event"] == "result":
            for one in before:
                if one["id"] == event["id"] and "effect" not in one:
                    one.update(effect=event["effect"], ended=event["at"])
        if event["event"] == "review":
            found += [f"review of {event['target']} at {event['at']:.0f}: {text}" for text in _reviewed(event, before)]
        if event["event"] == "intent":
            where = f"{event['step']} of {event['target']} at {event['at']:.0f}"
            question = asked.get(id(event))
            if question is None:
                found.append(f"{where}: nobody asked")
                continue
            done = [one for one in before if one.get("effect") != "gone"]
            found += [f"{where}: {text}" for text in _budgets(event, done, world)]
            found += [f"{where}: {text}" for text in _pauses(event, done)]
            found += [f"{where}: {text}" for text in _reach(event, before, world, question)]
            found += [f"{where}: {text}" for text in _known(event, world, question)]
            found += [f"{where}: {text}" for text in _left_alone(event, world, question, breakers)]
            before.append(dict(event))
    if len({one["id"] for one in before}) != len(before):
        found.append("two actions have one id")
    return found


def _budgets(event: dict[str, Any], done: list[dict[str, Any]], world: World) -> list[str]:
    at, found = event["at"], []
    if event["step"] in RESTARTS:
        same = [one for one in done if one["step"] in RESTARTS]
        if sum(one["target"] == event["target"] and one["at"] > at - 6 * HOUR for one in same) >= 3:
            found.append("a fourth restart of a replica in six hours")
        pool = sum(one["model"] == event["model"] for one in world.replicas)
        if sum(one["model"] == event["model"] and one["at"] > at - HOUR for one in same) >= max(3, pool // 10):
            found.append("too many restarts of a model in an hour")
    if event["host"] and sum(one["host"] == event["host"] and one["at"] > at - 24 * HOUR for one in done) >= 6:
        found.append("a seventh action on a host in a day")
    if sum(one["at"] > at - HOUR for one in done) >= max(6, len(world.replicas) // 10):
        found.append("too many actions on the fleet in an hour")
    if event["step"] in PLANNING and sum(one["step"] in PLANNING and one["at"] > at - HOUR for one in done) >= 4:
        found.append("a fifth plan in an hour")
    return found


def _pauses(event: dict[str, Any], done: list[dict[str, Any]]) -> list[str]:
    earlier = [one for one in done if one["target"] == event["target"]]
    if not earlier:
        return []
    last = earlier[-1]
    if "effect" not in last:
        return ["the action before has no result"]
    helped = last["effect"] == "effective"
    count = sum(one["at"] > event["at"] - 6 * HOUR for one in earlier)
    pause = min(600.0 * 2 ** (max(count, 1) - 1), HOUR) if helped else 60.0
    found = []
    if event["at"] - last["ended"] < pause:
        found.append(f"{event['at'] - last['ended']:.0f} s after the action before, not {pause:.0f}")
    if not helped and last["step"] == event["step"] and event["at"] - last["at"] <= 24 * HOUR:
        found.append("the same step again although it did not help")
    return found


def _reviewed(event: dict[str, Any], before: list[dict[str, Any]]) -> list[str]:
    """Once, of a restart that had helped five minutes before, and nothing was done to it since."""
    found = []
    for place, one in enumerate(before):
        if one["id"] == event["id"]:
            if one["step"] not in RESTARTS or one.get("effect") != "effective" or "reviewed" in one:
                found.append(f"not due: {one['step']} {one.get('effect')}")
            elif not 300.0 <= event["at"] - one["ended"] <= 300.0 + HOUR:
                found.append(f"{event['at'] - one['ended']:.0f} s after it")
            later = [other for other in before[place + 1 :] if other["target"] == one["target"]]
            if any(other.get("effect") != "gone" for other in later):
                found.append("something was done to it since")
            one["reviewed"] = True
            if event["holds"] is False:
                one["effect"] = "ineffective"
            return found
    return ["of no action"]


def _reach(event: dict[str, Any], before: list[dict[str, Any]], world: World, asked: dict[str, Any]) -> list[str]:
    """How much is under way at once, on a host, of a model, in a zone, and what is left to serve."""
    at, found = event["at"], []
    busy = [one for one in before if "effect" not in one or (one["effect"] != "gone" and at - one["ended"] < 60.0)]
    if len(busy) >= 4:
        found.append("a fifth action at once")
    if event["host"] and any(one["host"] == event["host"] for one in busy):
        found.append("two actions on one host at once")
    if event["step"] in DISRUPTIVE:
        hurt = [one for one in busy if one["step"] in DISRUPTIVE]
        if event["model"] and any(one["model"] == event["model"] for one in hurt):
            found.append("two servers of a model at once")
        zone = {name for one in hurt if one["zone"] == event["zone"] for name in one["servers"]}
        size = sum(world.hosts[one["host"]] == event["zone"] for one in world.replicas)
        if zone and len(zone | set(event["servers"])) > 0.2 * size:
            found.append("too much of a zone at once")
        if event["step"] in ("move", "quarantine"):
            aside = {
                one["host"]
                for one in before
                if one.get("effect") != "gone"
                and (one["step"] == "quarantine" or (one["step"] == "move" and at - one["at"] < 6 * HOUR))
            }
            if len(aside) >= max(1, len(world.hosts) // 10):
                found.append("too many hosts set aside")
    if event["step"] == "restart_after_drain":
        floor = asked["floors"].get(event["model"])
        away = {name for one in busy for name in one["servers"]} | set(event["servers"])
        left = RATE * sum(
            one["model"] == event["model"] and _answers(asked, f"{one['host']}-{one['slot']}") is True
            for one in world.replicas
            if f"{one['host']}-{one['slot']}" not in away
        )
        if floor is None:
            found.append("the floor was not known")
        elif left < floor:
            found.append(f"{left} of {floor} requests/s would be left")
    return found


def _known(event: dict[str, Any], world: World, asked: dict[str, Any]) -> list[str]:
    """Nothing on missing data."""
    found = []
    if abs(event["at"] - asked["gathered_at"]) > 120.0:
        found.append("the alerts were old")
    names = {f"{one['host']}-{one['slot']}" for one in world.replicas}
    if not set(event["servers"]) <= names or (event["host"] and event["host"] not in world.hosts):
        found.append("the target is not in the inventory")
    if event["scope"] == "replica" and len(event["servers"]) < 1:
        found.append("the target is empty")
    if not any(one["labels"]["alertname"] == event["alert"] for one in asked["alerts"]):
        found.append("no such alert was firing")
    if event["alert"] in SILENT and _answers(asked, f"{event['host']}-{event['slot']}") is not False:
        found.append("the server was not looked at, or answered")
    if event["alert"] == "HostDown" and event["host"] not in asked["dead_hosts"]:
        found.append("the host answered")
    return found


def _answers(asked: dict[str, Any], name: str) -> bool | None:
    look = asked["looked"].get(name)
    return None if look is None or asked["now"] - look["at"] > 120.0 else bool(look["answers"])


def _left_alone(event: dict[str, Any], world: World, asked: dict[str, Any], breakers: dict[str, str]) -> list[str]:
    at, found = event["at"], []
    scopes = ["fleet"] + [f"model {event['model']}"] * (event["scope"] != "host")
    found += [f"the breaker of {scope} is open" for scope in scopes if breakers.get(scope) == "open"]
    if any(one["host"] == event["host"] and one["from"] <= at < one["until"] for one in asked["windows"]):
        found.append("maintenance")
    if event["scope"] in ("replica", "model"):
        if any(one["model"] == event["model"] and one["ended"] is None for one in asked["rollouts"]):
            found.append("the model was being changed")
        quiet = [one for one in asked["silences"] if one["startsAt"] <= at < one["endsAt"]]
        if any(one["matchers"][0]["value"] == event["model"] for one in quiet):
            found.append("the alert was silenced")
    if any(one["labels"]["alertname"] == "PrometheusDown" for one in asked["alerts"]):
        found.append("Prometheus was down")
    return found


def neglected(world: World) -> list[str]:
    """Faults that in the end were neither acted on, nor told, nor left alone for a lasting reason.

    The world stands still from here on, one controller works alone, and half a day passes.
    """
    last, before = None, len(world.events)
    world.locked = True
    world.spread = 0
    for one in world.controllers:
        one.pending, one.outcomes, one.name = [], [], one.name + "'"
    world.rollouts = [{**one, "ended": one["ended"] or world.now} for one in world.rollouts]
    world.stubborn = 1.0
    for _turn in range(60):
        world.now += 720.0
        who = world.controllers[0]
        while who.pending:
            world.work()
        asked = world.question(who)
        asked.update(gathered_at=world.now, floors=dict(world.floors))
        asked["looked"] = {
            f"{one['host']}-{one['slot']}": {
                "answers": f"{one['host']}-{one['slot']}" not in world.down and one["host"] not in world.dead_hosts,
                "at": world.now,
            }
            for one in world.replicas
        }
        world.disk_full = False
        last = world.turn(asked, [{**one, "at": world.now} for one in who.outcomes])
        world.asked.append({**asked, "position": 0, "events": last.events})
        who.outcomes = [{"id": one.id, "effect": world.effect(one)} for one in last.decision.looks]
        who.pending = [{"action": one, "acted": True} for one in last.decision.actions]
    told = ("a person was told", "a breaker is open", "silenced", "maintenance", "it answers", "the host answers")
    lasting = (*told, "its host does not answer", "PrometheusDown", "nothing is done", "nothing is known")
    handled = {one["target"] for one in world.events[before:] if one["event"] in ("intent", "escalation")}
    return [
        f"{one['alert']} on {one['target']}: {one['why']}"
        for one in (last.decision.held if last is not None else [])
        if not one["why"].startswith(lasting) and one["target"] not in handled
    ]
