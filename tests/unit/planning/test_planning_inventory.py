# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From inventory variables and facts to records."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import parse_hosts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.inventory import (
    fleet_records,
    running_replicas,
)

CHAT = {"host": "elsewhere", "slot": "0", "model": "chat", "version": "1", "port": 8100, "accelerators": [0]}


def record(**variables: Any) -> dict[str, Any]:
    (found,) = fleet_records(["a"], {"a": {"modelops_accelerator_type": "h100-80gb", **variables}})
    return found


def test_only_hosts_with_an_accelerator_type_are_fleet_and_names_are_sorted() -> None:
    hostvars = {
        "b": {"modelops_accelerator_type": "cpu"},
        "a": {"modelops_accelerator_type": "h100-80gb"},
        "localhost": {"ansible_connection": "local"},
    }
    assert [one["name"] for one in fleet_records(["localhost", "b", "a", "unlisted"], hostvars)] == ["a", "b"]


def test_numbers_given_as_text_become_numbers() -> None:
    found = record(
        modelops_accelerator_count="8",
        modelops_accelerator_memory_gib="80",
        modelops_cost_per_hour="6.5",
        modelops_base_port="9000",
        modelops_max_replicas="12",
        modelops_reachable="False",
    )
    assert (found["accelerator_count"], found["accelerator_memory_gib"]) == (8, 80.0)
    assert (found["cost_per_hour"], found["base_port"], found["max_replicas"]) == (6.5, 9000, 12)
    assert found["reachable"] is False


def test_records_are_what_the_fleet_file_holds() -> None:
    found = record(modelops_zone="a", modelops_region="eu", modelops_state="draining")
    (host,) = parse_hosts([found])
    assert host.as_record() == found
    assert (found["zone"], found["region"], found["state"], found["reachable"]) == ("a", "eu", "draining", True)


FACTS = {"processor_vcpus": 64, "memtotal_mb": 515_900}
FULL_NAMES = {"ansible_processor_vcpus": 64, "ansible_memtotal_mb": 515_900}


@pytest.mark.parametrize("facts", [{"ansible_facts": FACTS}, {"ansible_facts": FULL_NAMES}, FULL_NAMES])
def test_cores_and_memory_are_discovered_and_a_variable_overrides(facts: dict[str, Any]) -> None:
    assert (record(**facts)["cpu_cores"], record(**facts)["memory_gib"]) == (64.0, 503.0)
    assert record(**facts, modelops_cpu_cores=32, modelops_memory_gib="auto")["cpu_cores"] == 32.0
    assert record(**facts, modelops_memory_gib="auto")["memory_gib"] == 503.0


def test_a_kernel_update_does_not_make_another_host() -> None:
    before, after = ({"ansible_facts": {"memtotal_mb": size}} for size in (515_900, 515_876))
    assert record(**before) == record(**after)


def test_accelerators_are_discovered() -> None:
    devices = [{"index": index, "uuid": f"GPU-{index}"} for index in (0, 1)]
    fact = {"type": "l40s-48gb", "count": 2, "memory_gib": 44.99, "devices": devices}
    found = record(ansible_facts={"modelops_accelerators": fact}, modelops_accelerator_type="auto")
    assert (found["accelerator_type"], found["accelerator_count"]) == ("l40s-48gb", 2)
    assert (found["accelerator_memory_gib"], found["accelerator_uuids"]) == (44.99, ["GPU-0", "GPU-1"])
    assert record(modelops_accelerators=fact)["accelerator_type"] == "h100-80gb"  # the variable overrides
    devices[0]["uuid"] = None
    assert record(modelops_accelerators=fact)["accelerator_uuids"] == []


def test_a_host_found_without_accelerators_is_a_cpu_host() -> None:
    none = {"type": "cpu", "count": 0, "memory_gib": 0.0, "devices": []}
    found = record(modelops_accelerators=none, modelops_accelerator_type="auto")
    assert (found["accelerator_type"], found["accelerator_count"]) == ("cpu", 0)


def test_auto_without_discovery_is_said_but_a_silent_host_is_excused() -> None:
    with pytest.raises(InputError, match="host a: modelops_accelerator_type is auto, but nothing was discovered"):
        record(modelops_accelerator_type="auto")
    assert record(modelops_accelerator_type="auto", modelops_reachable=False)["reachable"] is False


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"modelops_accelerator_count": "many"}, "host a: accelerator_count must be a number"),
        ({"modelops_state": "off"}, "host a: state must be one of active"),
        ({"modelops_cost_per_hour": -1}, "host a: cost_per_hour must be at least 0"),
    ],
)
def test_a_wrong_variable_names_its_host(variables: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        record(**variables)


def test_names_must_be_a_list() -> None:
    for names in ("all", {"a": 1}):
        with pytest.raises(InputError, match="list of inventory names"):
            fleet_records(names, {})  # type: ignore[arg-type]


def running(**variables: Any) -> list[dict[str, Any]]:
    return running_replicas(["a"], {"a": {"modelops_accelerator_type": "h100-80gb", **variables}})


@pytest.mark.parametrize(
    "variables",
    [
        {"ansible_facts": {"ansible_local": {"modelops": {"replicas": [CHAT]}}}},
        {"ansible_local": {"modelops": {"replicas": [{**CHAT, "service": "x", "checksum": "y"}]}}},
        {"modelops_host_state": {"replicas": [CHAT]}, "ansible_local": {"modelops": {"replicas": []}}},
    ],
)
def test_what_runs_is_read_from_facts_under_the_inventory_name(variables: dict[str, Any]) -> None:
    assert running(**variables) == [
        {"host": "a", "slot": 0, "model": "chat", "version": "1", "port": 8100, "accelerators": [0]}
    ]


@pytest.mark.parametrize(
    "variables",
    [
        {"ansible_local": {}},
        {"ansible_local": {"modelops": {}}},
        {"ansible_local": {"modelops": {"replicas": []}}},
        {"modelops_host_state": {}},
        {"modelops_reachable": False},
        {"modelops_reachable": False, "ansible_local": {"modelops": {"replicas": [CHAT]}}},
    ],
)
def test_a_new_or_silent_host_runs_nothing_that_is_known(variables: dict[str, Any]) -> None:
    assert running(**variables) == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "host a: what it runs is not known, its local facts were not gathered"),
        (
            {"ansible_local": {"modelops": "error loading facts"}},
            "host a: its local fact modelops.fact is not a document",
        ),
        ({"modelops_host_state": "error loading facts"}, "host a: its local fact modelops.fact is not a document"),
        ({"modelops_host_state": {"replicas": ["chat"]}}, "host a, modelops.fact: the replica must be a mapping"),
        ({"modelops_host_state": {"replicas": [{"model": "chat"}]}}, "a replica record has no slot"),
    ],
)
def test_what_cannot_be_read_is_never_nothing(variables: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        running(**variables)
