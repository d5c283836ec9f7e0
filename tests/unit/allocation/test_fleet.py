# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of hosts, models and replicas: what is taken, what is refused, and in which words."""

from __future__ import annotations

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Capacity,
    Host,
    Replica,
    parse_hosts,
    parse_models,
    parse_replicas,
)

CAPACITY = {"h100-80gb": {"requests_per_second": 6.5}}


def test_host_variables_may_carry_their_prefix_and_be_text():
    record = {
        "name": "gpu-a1",
        "modelops_zone": "a",
        "modelops_accelerator_type": "h100-80gb",
        "modelops_accelerator_count": "8",
        "modelops_cost_per_hour": "24.5",
        "modelops_reachable": "false",
    }
    assert parse_hosts([record]) == [
        Host("gpu-a1", zone="a", accelerator_type="h100-80gb", accelerator_count=8, cost_per_hour=24.5, reachable=False)
    ]


def test_hosts_are_sorted_and_survive_their_own_record():
    hosts = parse_hosts([{"name": "b"}, {"host": "a", "max_replicas": 3, "accelerator_uuids": ["GPU-1"]}])
    assert [one.name for one in hosts] == ["a", "b"]
    assert parse_hosts([one.as_record() for one in hosts]) == hosts


@pytest.mark.parametrize(
    ("state", "reachable", "takes", "serves"),
    [
        ("active", True, True, True),
        ("active", False, False, False),
        ("draining", True, False, True),
        ("maintenance", True, False, False),
    ],
)
def test_what_a_host_may_do(state, reachable, takes, serves):
    one = Host("a", state=state, reachable=reachable)
    assert (one.takes_new_replicas, one.serves) == (takes, serves)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ("fleet", "hosts must be a list"),
        ({"name": "a"}, "hosts must be a list"),
        (3, "hosts must be a list"),
        ([{}], "hosts[0]: a host record has no name"),
        (["a"], "hosts[0]: the host must be a mapping"),
        ([{"name": "a"}, {"name": "a"}], "host a: the host is listed twice"),
        ([{"name": "a", "state": "gone"}], "state must be one of active, draining, maintenance, not 'gone'"),
        ([{"name": "a", "accelerator_count": 1.5}], "host a: accelerator_count must be a whole number, not 1.5"),
        ([{"name": "a", "memory_gib": "much"}], "host a: memory_gib must be a number, not 'much'"),
        ([{"name": "a", "cost_per_hour": -1}], "host a: cost_per_hour must be at least 0, not -1"),
        ([{"name": "a", "cost_per_hour": float("nan")}], "host a: cost_per_hour must be finite"),
        ([{"name": "a", "base_port": 70000}], "host a: base_port must be between 0 and 65535"),
        ([{"name": "a", "reachable": "perhaps"}], "host a: reachable must be true or false, not 'perhaps'"),
    ],
)
def test_a_wrong_host_is_one_clear_message(records, words):
    with pytest.raises(InputError) as caught:
        parse_hosts(records)
    assert words in caught.value.message


def test_a_model_takes_its_defaults():
    (model,) = parse_models({"m": {"capacity": CAPACITY, "version": 3}})
    assert model.version == "3"
    assert model.capacity == {"h100-80gb": Capacity(6.5, 1 / 6.5)}
    assert (model.min_replicas, model.max_replicas, model.weight, model.startup_seconds) == (1, None, 1.0, 300.0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"capacity": {}}, "model m: the model has no capacity"),
        ({"capacity": {"h100": {}}}, "model m, capacity of h100: requests_per_second must be a number"),
        ({"capacity": {"h100": {"requests_per_second": 0}}}, "requests_per_second must be at least 1e-09"),
        ({"engine": "magic"}, "engine must be one of vllm"),
        ({"min_replicas": 3, "max_replicas": 2}, "max_replicas (2) is below min_replicas (3)"),
        ({"min_replicas": 0.5}, "min_replicas must be a whole number, not 0.5"),
        ({"spread": {"rack": 0.5}}, "spread is over zone or region, not 'rack'"),
        ({"spread": {"zone": 1.5}}, "spread.zone must be between"),
        ({"resources": {"accelerators": 1.5}}, "accelerators must be a whole number, or a share below 1, not 1.5"),
        ({"resources": {"accelerator_memory_gib": 22}}, "accelerator_memory_gib is set, but accelerators is not"),
        ({"resources": [1]}, "model m: the resources must be a mapping"),
    ],
)
def test_a_wrong_model_is_one_clear_message(fields, words):
    with pytest.raises(InputError) as caught:
        parse_models({"m": {"capacity": CAPACITY, **fields}})
    assert words in caught.value.message


def test_replicas_are_sorted_and_survive_their_own_record():
    replicas = parse_replicas(
        [{"host": "b", "slot": "1", "model": "m"}, {"host": "a", "slot": 0, "model": "m", "port": 81}]
    )
    assert replicas[0] == Replica("a", 0, "m", "0", port=81)
    assert parse_replicas([one.as_record() for one in replicas]) == replicas
    assert parse_replicas(None) == []


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ("all", "current must be a list of replicas"),
        (7, "current must be a list of replicas"),
        ([{"host": "a", "slot": 0}], "current[0]: a replica record has no model"),
        ([{"host": "a", "slot": 0.5, "model": "m"}], "current[0]: slot must be a whole number"),
        ([{"host": "a", "slot": 0, "model": "m"}] * 2, "current, host a: slot 0 is used twice"),
        ([{"host": "a", "slot": 0, "model": "m", "accelerators": ["GPU-1"]}], "accelerator index must be a number"),
        ([{"host": "a", "slot": 0, "model": "m", "port": 99999}], "port must be between 0 and 65535"),
    ],
)
def test_a_wrong_replica_is_one_clear_message(records, words):
    with pytest.raises(InputError) as caught:
        parse_replicas(records)
    assert words in caught.value.message
