# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas that no gateway reaches are named before anything is started."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.reach import (
    host_address,
    is_loopback,
    unreachable_placements,
)

PLACED = [{"host": "a1", "model": "chat"}, {"host": "a1", "model": "code"}, {"host": "b1", "model": "chat"}]
GATEWAY = {"modelops_gateway": True}


def out_of_reach(**hosts: dict[str, Any]) -> list[str]:
    hostvars = {"a1": {}, "b1": {"deploy_bind_address": "0.0.0.0"}, "gw1": GATEWAY, **hosts}
    return unreachable_placements(PLACED, hostvars, hostvars, {"chat": {}, "code": {}})


def test_the_default_binding_is_named_with_host_models_gateway_and_remedy() -> None:
    (said,) = out_of_reach(a1={"ansible_host": "10.0.0.11"})
    assert said == (
        "On a1, chat, code would listen on the loopback address alone, but gw1 asks for it at 10.0.0.11. Set "
        "deploy_bind_address to 0.0.0.0, with a firewall (provision_firewall lets gateways through), or to 10.0.0.11."
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"deploy_bind_address": "0.0.0.0"},
        {"deploy_bind_address": "10.0.0.11", "modelops_address": "10.0.0.11"},
        {"modelops_address": "127.0.0.1"},  # a lab on one machine
        {"ansible_host": "localhost"},
    ],
)
def test_what_is_reached_is_not_named(variables: dict[str, Any]) -> None:
    assert out_of_reach(a1=variables) == []


@pytest.mark.parametrize("marked", [{}, {"modelops_gateway": False}, {"modelops_gateway": "no"}])
def test_without_a_gateway_nothing_is_asked_for(marked: dict[str, Any]) -> None:
    assert out_of_reach(gw1=marked) == []


def test_the_models_own_address_counts_first() -> None:
    hostvars = {"a1": {"deploy_bind_address": "0.0.0.0"}, "b1": {}, "gw1": GATEWAY}
    catalogue = {"chat": {"bind_address": "::1"}, "code": {"bind_address": "0.0.0.0"}}
    said = unreachable_placements(PLACED, hostvars, hostvars, catalogue)
    assert [line.split(",")[0] for line in said] == ["On a1", "On b1"]
    assert all(" chat would" in line for line in said)


def test_addresses() -> None:
    assert host_address("a1", {}) == "a1"
    assert host_address("a1", {"ansible_host": "x"}) == "x"
    assert host_address("a1", {"ansible_host": "x", "modelops_address": "y"}) == "y"
    assert [is_loopback(one) for one in ("127.0.0.53", "[::1]", "localhost", "10.0.0.1", "a1", "::")] == [
        *[True] * 3,
        *[False] * 3,
    ]
