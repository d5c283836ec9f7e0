# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""capacity_plan as a module in every situation it may meet: a priced plan in words each time, and every option."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from module_command import run_alone

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "allocation"))

from allocation_instances import instance

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((ROOT / "docs" / "schemas" / "plan.schema.json").read_text(encoding="utf-8"))
)
AS_OF = "2026-11-23T18:00:00Z"
ACCELERATORS = 8


def host(name: str, **fields: Any) -> dict[str, Any]:
    record = {"name": name, "zone": name[-2], "region": "north" if name[-2] in "ab" else "south"}
    record |= {"accelerator_type": "h100-80gb", "accelerator_count": ACCELERATORS, "accelerator_memory_gib": 80}
    return {**record, "cost_per_hour": 24, **fields}


HOSTS = [host(f"gpu-{zone}{number}") for zone in "abc" for number in (1, 2)]
MODEL = {
    "version": "1",
    "resources": {"accelerators": 1, "accelerator_memory_gib": 40},
    "capacity": {"h100-80gb": {"requests_per_second": 6.0, "service_time_seconds": 1.0}},
    "min_replicas": 1,
    "startup_seconds": 240,
}
MODELS: dict[str, Any] = {"chat": MODEL, "code": {**MODEL, "resources": {"accelerators": 2}}}
DEMAND = {"chat": 60.0, "code": 30.0}


def plan(**given: Any) -> dict[str, Any]:
    """The plan of the module, checked against its schema and its hosts."""
    result = run_alone(
        "capacity_plan", {"hosts": HOSTS, "models": MODELS, "demand": DEMAND, "as_of": AS_OF, "current": [], **given}
    )
    assert not result.get("failed"), result.get("msg")
    document: dict[str, Any] = result["plan"]
    SCHEMA.validate(document)
    room = {one["name"]: one["accelerator_count"] for one in document["hosts"]}
    used: Counter[str] = Counter()
    for one in document["placements"]:
        used[one["host"]] += len(one["accelerators"])
        assert len(one["accelerators"]) == int(document["models"][one["model"]]["accelerators"])
    assert all(used[name] <= room[name] for name in used)
    assert "infeasible" not in document["solver"]["status"]
    for one in document["shortages"]:
        assert one["cost_per_hour"] > 0 and one["reason"].startswith(f"{one['model']} is ")
    assert all(one["reason"] for one in document["violations"])
    document["summary"] = result["summary"]
    return document


def counts(document: dict[str, Any]) -> Counter[str]:
    return Counter(one["model"] for one in document["placements"])


@pytest.fixture(scope="module")
def running() -> list[dict[str, Any]]:
    return list(plan()["placements"])


def test_all_is_served_when_there_is_room(running: list[dict[str, Any]]) -> None:
    assert Counter(one["model"] for one in running) == {"chat": 10, "code": 5}
    again = plan(current=running)
    assert (again["starts"], again["stops"], again["keeps"]) == (0, 0, 15)


@pytest.mark.parametrize("objective", ["weighted", "lexicographic"])
@pytest.mark.parametrize(
    ("change", "short", "words"),
    [
        # 48 accelerators, one replica of each at least
        ({"demand": {"chat": 6000.0, "code": 3000.0}}, {"chat", "code"}, "more h100-80gb hosts like gpu-"),
        ({"hosts": [{**one, "reachable": one["zone"] != "a"} for one in HOSTS]}, set(), ""),
        ({"hosts": HOSTS[:1]}, {"chat", "code"}, "would remove it"),
        ({"hosts": []}, {"chat", "code"}, "the fleet has no host of a type it can run on (h100-80gb)"),
        ({"demand": {"chat": 0.0, "code": 0.0}}, set(), ""),
        (
            {"models": {**MODELS, "code": {**MODEL, "resources": {"accelerators": 64}}}},
            {"code"},
            "it needs 64 accelerators, gpu-a1 has 8",
        ),
        (
            {"hosts": [{**one, "state": "maintenance"} for one in HOSTS]},
            {"chat", "code"},
            "all hosts it can run on are in maintenance",
        ),
        (
            {"hosts": [{**one, "state": "draining"} for one in HOSTS], "current": []},
            {"chat", "code"},
            "all hosts it can run on are draining",
        ),
    ],
    ids=["overload", "lost zone", "one host", "no hosts", "zero", "too big", "maintenance", "draining"],
)
def test_every_situation_has_a_priced_plan_in_words(
    running: list[dict[str, Any]], objective: str, change: dict[str, Any], short: set[str], words: str
) -> None:
    document = plan(**{"current": running, "objective": objective, **change})
    assert {one["model"] for one in document["shortages"]} == short
    assert all(f"Short: {name} is " in document["summary"] for name in short)
    if words:
        assert any(words in one["reason"] for one in document["shortages"]), document["shortages"]
    for name, rate in change.get("demand", DEMAND).items():
        missing = sum(one["requests_per_second"] for one in document["shortages"] if one["model"] == name)
        assert document["capacity"][name]["planned_requests_per_second"] + missing >= rate - 1e-4
    state = {one["name"]: one for one in document["hosts"]}
    for action in document["actions"]:
        if action["action"] == "start":
            assert state[action["host"]]["state"] == "active" and state[action["host"]]["reachable"]


def test_no_models_is_a_plan_that_stops_what_runs(running: list[dict[str, Any]]) -> None:
    document = plan(models={}, demand={}, current=running)
    assert document["placements"] == [] and document["stops"] == len(running)
    assert any("not in the catalogue (chat, code): planned to stop" in text for text in document["warnings"])


def test_contradictory_limits_give_way_by_name() -> None:
    """Forty replicas are asked for, one a host allowed, six hosts there; a hundredth of them in a zone is impossible."""
    asked = {"min_replicas": 40, "max_replicas": 40, "max_replicas_per_host": 1, "spread": {"zone": 0.01}}
    document = plan(models={"chat": {**MODEL, **asked}}, demand={"chat": 12.0})
    violated = {one["limit"]: one for one in document["violations"]}
    assert set(violated) == {"min_replicas", "spread.zone"}
    assert violated["min_replicas"]["amount"] == 40 - len(document["placements"]) == 34
    assert "chat has 6 of at least 40 replicas" in violated["min_replicas"]["reason"]
    assert document["summary"].count("Limit not kept: ") >= 2


def test_draining_hosts_are_emptied_and_nothing_is_stopped_before_its_successor_serves(
    running: list[dict[str, Any]],
) -> None:
    hosts = [{**one, "state": "draining" if one["name"] == running[0]["host"] else "active"} for one in HOSTS]
    document = plan(hosts=hosts, current=running)
    assert running[0]["host"] not in {one["host"] for one in document["placements"]}
    assert document["moves"] == document["stops"] > 0
    assert document["rollout"]["dips"] == []
    assert document["shortages"] == []


def test_spread_over_regions_and_demand_by_region() -> None:
    models = {"chat": {**MODEL, "spread": {"region": 0.6}}}
    document = plan(models=models, demand={"chat|north": {"0.5": 30.0, "0.95": 50.0}, "chat|south": 10.0})
    assert max(document["demand"]["chat"]["levels"].values()) == 60.0
    region = {one["name"]: one["region"] for one in document["hosts"]}
    per_region = Counter(region[one["host"]] for one in document["placements"])
    assert set(per_region) == {"north", "south"} and max(per_region.values()) <= 0.6 * 10 + 1
    assert any("Demand of chat is the sum over regions" in text for text in document["warnings"])


@pytest.mark.parametrize("method", ["direct", "lp_repair", "box", "columns"])
def test_every_method_serves_all(method: str) -> None:
    document = plan(method=method)
    assert counts(document) == {"chat": 10, "code": 5} and document["shortages"] == []
    assert document["solver"]["gap"] is not None and document["solver"]["gap"] < 0.1


def forecast(path: list[float]) -> dict[str, Any]:
    series = {
        "usable": True,
        "beats_seasonal_naive": True,
        "start": AS_OF,
        "step_seconds": 3600,
        "last_observed": path[0] / 1.2,
        "recent_maximum": path[0] / 1.2,
        "quantiles": {"0.5": path, "0.95": path},
        "window_maximum": {"0.5": path[0], "0.95": path[0]},
    }
    return {"kind": "forecast", "schema_version": 1, "window_steps": 1, "series": {"chat": series}}


def test_periods_show_what_is_expected_and_start_in_time_what_starts_slowly() -> None:
    """Demand is tenfold from the third hour on; a replica that takes two hours to start begins in the first."""
    course = forecast([6.0, 6.0, 6.0, 60.0, 60.0, 60.0])
    given: dict[str, Any] = {"models": {"chat": MODEL}, "demand": course, "periods": 4}
    quick = plan(**given)
    expected = [sum(one["replicas"]["chat"].values()) for one in quick["outlook"]["periods"]]
    assert (len(quick["placements"]), expected) == (1, [1, 10, 10])  # hour 2 reaches into hour 3 by the time to start
    assert any("chat: 1 to 10 replicas, as demand goes from 6 to 60" in text for text in _reasons(quick))
    # 2 h 4 min: the third period must cover what is asked for until 3 h 4 min, and what serves in it begins now
    slow = plan(**given, startup_seconds={"chat": 2 * 3600.0 + 240})
    assert len(slow["placements"]) == 10
    assert plan(models={"chat": MODEL}, demand=course)["outlook"] is None


def _reasons(document: dict[str, Any]) -> list[str]:
    return [text for period in document["outlook"]["periods"] for text in period["reasons"]]


def test_fairness_is_between_tenants_where_they_are_named() -> None:
    """One host, 48 requests/s: two models of one tenant count together against the one of the other."""
    models = {name: {**MODEL, "min_replicas": 0} for name in ("a1", "a2", "b1")}
    given: dict[str, Any] = {"hosts": HOSTS[:1], "models": models, "demand": dict.fromkeys(models, 48.0)}
    alone = counts(plan(**given, objective="lexicographic"))
    assert min(alone.values()) == 2 and sum(alone.values()) == 8  # 2 of 8 is the most the worst off can have
    tenants = plan(**given, objective="lexicographic", tenants={"a1": "a", "a2": "a", "b1": "b"})
    served = counts(tenants)
    # the least share of 5 and 3 replicas is 30 / 96, of 6 and 2 only 12 / 48
    assert served["b1"] == 3 and served["a1"] + served["a2"] == 5


def test_dear_waiting_buys_replicas() -> None:
    assert counts(plan(response_time_price=0.01))["chat"] > counts(plan())["chat"] == 10


@pytest.mark.long
def test_one_second_at_ten_thousand_hosts_and_a_thousand_models(tmp_path: Path) -> None:
    some = instance(10_000, 1_000, load=1.1)
    (tmp_path / "hosts.json").write_text(json.dumps([one.as_record() for one in some.hosts]))
    models = {one.name: {**one.as_record(), "resources": {"accelerators": one.accelerators}} for one in some.models}
    known = {"version", "capacity", "resources", "min_replicas"}
    catalogue = {name: {key: value for key, value in fields.items() if key in known} for name, fields in models.items()}
    (tmp_path / "models.json").write_text(json.dumps(catalogue))
    (tmp_path / "demand.json").write_text(json.dumps(some.rates))
    given = {name: str(tmp_path / f"{name}.json") for name in ("hosts", "models", "demand")}
    document = plan(**given, time_limit_seconds=1)
    assert document["solver"]["status"] in ("feasible", "no solution in time")
    assert document["shortages"]
    missing = sum(one["requests_per_second"] for one in document["shortages"])
    assert missing < 0.02 * sum(some.rates.values())
