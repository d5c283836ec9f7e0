# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan as a file: the same decision is the same digest, and what was touched is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Callable

import pytest
from planning_builders import CATALOGUE, FLEET, RUNNING, sealed_plan

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, PlanRefusedError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Host,
    Model,
    parse_hosts,
    parse_models,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import (
    duration_text,
    fleet_fingerprint,
    read_plan,
    seal,
    validate_plan,
    write_plan,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.refusal import RefusedPlanError

CREATED = parse_moment("2026-11-23T18:00:00Z")


def fleet(change: Callable[[list[dict[str, Any]]], Any] | None = None) -> list[Host]:
    records = copy.deepcopy(FLEET)
    if change:
        change(records)
    return parse_hosts(records)


def catalogue(change: Callable[[dict[str, Any]], Any] | None = None) -> list[Model]:
    records = copy.deepcopy(CATALOGUE)
    if change:
        change(records)
    return parse_models(records)


@pytest.fixture
def path(tmp_path: Path) -> str:
    where = str(tmp_path / "plan.json")
    assert write_plan(where, sealed_plan())
    return where


def refusal(path: str) -> RefusedPlanError:
    with pytest.raises(RefusedPlanError) as caught:
        read_plan(path)
    assert isinstance(caught.value, PlanRefusedError)
    return caught.value


def test_what_is_written_is_read(path: str) -> None:
    assert read_plan(path) == sealed_plan()
    assert Path(path).stat().st_mode & 0o777 == 0o640


def test_the_same_decision_later_is_the_same_digest_and_no_change(path: str) -> None:
    later = sealed_plan(created_at="2026-11-23T19:00:00Z")
    assert later["digest"] == sealed_plan()["digest"]
    assert write_plan(path, later) is False
    assert read_plan(path)["created_at"] == "2026-11-23T19:00:00Z"
    assert write_plan(path, sealed_plan(cost_per_hour=14.0)) is True


def test_a_file_that_is_no_plan_is_replaced(path: str) -> None:
    Path(path).write_text("rubbish")
    assert write_plan(path, sealed_plan()) is True
    assert read_plan(path) == sealed_plan()


def test_sealing_twice_changes_nothing_and_order_does_not_matter() -> None:
    plan = sealed_plan()
    assert seal(plan) == plan
    assert seal(dict(reversed(list(plan.items())))) == plan


@pytest.mark.parametrize("moment", [None, "", "now", "2026-11-23", "2026-11-23T18:00:00+00:00", 5])
def test_a_plan_without_a_proper_moment_is_not_written(tmp_path: Path, moment: Any) -> None:
    with pytest.raises(InputError, match="needs created_at"):
        write_plan(str(tmp_path / "plan.json"), {**sealed_plan(), "created_at": moment})
    assert not list(tmp_path.iterdir())


def test_an_edit_of_any_single_byte_is_refused(path: str) -> None:
    """Replace, drop and double every byte. Only the digits of created_at may pass: they are outside the digest."""
    small = {key: sealed_plan()[key] for key in ("created_at", "cost_per_hour", "demand", "placements", "warnings")}
    write_plan(path, small)
    whole = Path(path).read_bytes()
    begin = whole.index(b"2026-11-23T18:00:00Z")
    moment = range(begin, begin + 20)
    accepted = []
    for position, old in enumerate(whole):
        edits = [whole[:position] + bytes([new]) + whole[position + 1 :] for new in (old ^ 1, old ^ 0x20, 0x20, 0x39)]
        edits += [whole[:position] + whole[position + 1 :], whole[:position] + bytes([old]) + whole[position:]]
        for edit in edits:
            if edit == whole:
                continue
            Path(path).write_bytes(edit)
            try:
                plan = read_plan(path)
            except RefusedPlanError as error:
                assert error.because in ("corrupt", "schema")
            else:
                accepted.append(position)
                assert plan["digest"] == seal(small)["digest"]
    assert len(whole) > 700
    assert accepted, "moments are meant to be outside the digest"
    assert set(accepted) <= set(moment)
    assert not [position for position in accepted if not chr(whole[position]).isdigit()]


@pytest.mark.parametrize(
    ("edit", "because", "words"),
    [
        (lambda text: text + "\n", "corrupt", "was changed since it was written"),
        (lambda text: text[: len(text) // 2], "corrupt", "not valid JSON"),
        (lambda text: "", "corrupt", "not valid JSON"),
        (lambda text: "[" * 100_000, "corrupt", "not valid JSON"),
        (lambda text: json.dumps(json.loads(text)), "corrupt", "was changed since it was written"),
        (lambda text: text.replace("13.0", "NaN"), "corrupt", "was changed since it was written"),
        (lambda text: text.replace("no free", "\\ud800no free"), "corrupt", "was changed since it was written"),
        (lambda text: text.replace('"gpu-b1"', '"gpu-a1"'), "corrupt", "was changed since it was written"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 2'), "schema", "schema_version 2, this"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": true'), "schema", "schema_version True"),
        (lambda text: text.replace('"kind": "plan"', '"kind": "forecast"'), "schema", "a document of kind 'forecast'"),
        (lambda text: "[]", "schema", "not a plan"),
        (lambda text: "3", "schema", "not a plan"),
    ],
)
def test_each_damage_has_its_own_message(path: str, edit: Callable[[str], str], because: str, words: str) -> None:
    Path(path).write_text(edit(Path(path).read_text()))
    error = refusal(path)
    assert error.because == because
    assert words in error.message
    assert path in error.message
    assert error.remedy


def test_a_forged_plan_without_a_matching_digest_is_refused(path: str) -> None:
    forged = {**sealed_plan(), "cost_per_hour": 1.0}
    Path(path).write_bytes(documents.canonical_bytes(forged))
    assert refusal(path).because == "corrupt"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json: the plan file does not exist"):
        read_plan(str(tmp_path / "absent.json"))


def check(plan: dict[str, Any] | None = None, **changes: Any) -> None:
    validate_plan(
        plan or sealed_plan(),
        **{"hosts": fleet(), "models": catalogue(), "now": CREATED + 60, "max_age_seconds": 3600, **changes},
    )


def test_a_plan_for_this_fleet_passes() -> None:
    check()
    check(models=CATALOGUE)
    check(current=parse_replicas(RUNNING))
    check(now=CREATED - 30)
    check(now=CREATED + 10**9, max_age_seconds=0)
    check(hosts=fleet()[::-1], models=catalogue()[::-1])


def set_on(host: int, **fields: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda records: records[host].update(fields)


@pytest.mark.parametrize(
    ("changes", "because", "words"),
    [
        ({"hosts": fleet(lambda all_: all_.pop(1))}, "unknown_host", "work for host gpu-b1, which the inventory"),
        (
            {"hosts": fleet(lambda all_: all_.append({"name": "gpu-c1"}))},
            "stale",
            "host gpu-c1 is new",
        ),
        (
            {"hosts": fleet(set_on(0, accelerator_count=1))},
            "stale",
            "host gpu-a1 has another accelerator_count (2 then, 1 now)",
        ),
        (
            {"hosts": fleet(set_on(1, state="maintenance"))},
            "stale",
            "host gpu-b1 has another state (active then, maint",
        ),
        ({"hosts": fleet(set_on(1, zone="z"))}, "stale", "host gpu-b1 has another zone (b then, z now)"),
        ({"models": catalogue(lambda all_: all_.pop("code"))}, "stale", "model code is gone"),
        (
            {"models": catalogue(lambda all_: all_.update(more=all_["chat"]))},
            "stale",
            "model more is new",
        ),
        (
            {"models": catalogue(lambda all_: all_["chat"].update(version="2026.12.1"))},
            "stale",
            "model chat has another version (2026.11.1 then, 2026.12.1 now)",
        ),
        (
            {"models": catalogue(lambda all_: all_["chat"]["capacity"]["h100-80gb"].update(requests_per_second=9))},
            "stale",
            "model chat has another capacity",
        ),
        ({"now": CREATED + 3601}, "age", "it is 1 h old, the limit is 1 h"),
        ({"now": CREATED + 7500}, "age", "it is 2 h 5 min old, the limit is 1 h"),
        ({"now": CREATED - 120}, "age", "created in the future, at 2026-11-23T18:00:00Z, 2 min from now"),
        ({"hosts": fleet(set_on(1, reachable=False))}, "unreachable", "work for host gpu-b1, which does not answer"),
        (
            {"hosts": fleet(lambda all_: [one.update(reachable=False) for one in all_])},
            "unreachable",
            "hosts gpu-a1, gpu-b1, which do not answer",
        ),
    ],
)
def test_each_refusal_says_which_check_failed(changes: dict[str, Any], because: str, words: str) -> None:
    with pytest.raises(RefusedPlanError) as caught:
        check(**changes)
    assert caught.value.because == because
    assert words in caught.value.message
    assert caught.value.remedy


def test_a_silent_host_without_work_left_is_no_reason_to_refuse() -> None:
    plan = sealed_plan()
    silent = fleet(set_on(1, reachable=False))
    done = parse_replicas(plan["placements"])
    check(plan, hosts=silent, current=done)
    with pytest.raises(RefusedPlanError, match="does not answer"):
        check(plan, hosts=silent, current=parse_replicas(RUNNING))


def test_many_differences_are_counted_not_listed() -> None:
    many = fleet(lambda all_: all_.extend({"name": f"new-{number}"} for number in range(20)))
    with pytest.raises(RefusedPlanError, match="and 12 more"):
        check(hosts=many)


def test_the_fingerprint_is_of_stock_and_catalogue_alone() -> None:
    same = fleet_fingerprint(fleet(), catalogue())
    assert same == fleet_fingerprint(fleet()[::-1], CATALOGUE)
    assert same == fleet_fingerprint(fleet(set_on(0, reachable=False)), catalogue())
    assert same == fleet_fingerprint(fleet(set_on(0, accelerator_uuids=["GPU-1"])), catalogue())
    assert same != fleet_fingerprint(fleet(set_on(0, state="draining")), catalogue())
    assert same != fleet_fingerprint(fleet(set_on(0, cost_per_hour=7)), catalogue())
    assert same != fleet_fingerprint(fleet(), catalogue(lambda all_: all_["chat"].update(min_replicas=2)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (7500, "2 h 5 min")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
