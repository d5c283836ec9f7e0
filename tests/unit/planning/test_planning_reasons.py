# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why each model gets what it gets, and what a rollout has to leave in service."""

from __future__ import annotations

from typing import Any

import pytest
from planning_builders import host, model, replica, sealed_plan

from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.reasons import model_reasons
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.rollout_floor import rollout_floors
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.summary import summary_lines

HOSTS = [host("a", 4, zone="a"), host("b", 4, zone="b")]


def demand(*levels: tuple[float, float], source: str = "forecast", floor: int = 1) -> ModelDemand:
    return ModelDemand("chat", levels, None, source, floor, None, "as forecast")


@pytest.mark.parametrize(
    ("levels", "source", "floor"),
    [
        (((0.05, 1.0), (0.5, 4.0), (0.95, 9.0)), "forecast", 4.0),
        (((0.9, 7.0), (0.95, 9.0)), "given", 7.0),
        (((0.1, 2.0), (0.2, 3.0)), "given", 3.0),
        (((0.5, 5.0),), "observed", 5.0),
        (((0.5, 0.0),), "held", 18.0),  # unread: nine tenths of the 20 it serves
    ],
)
def test_the_floor_of_a_rollout(levels: Any, source: str, floor: float) -> None:
    assert rollout_floors({"chat": demand(*levels, source=source)}, {"chat": 20.0}) == {"chat": floor}


def line(replicas: int, rate: float, *, floor: int = 1, **fields: Any) -> str:
    places = [("a" if number % 2 == 0 else "b", number // 2) for number in range(replicas)]
    target = [replica(name, slot, "chat") for name, slot in places]
    (found,) = model_reasons(target, HOSTS, [model("chat", **fields)], {"chat": demand((0.95, rate), floor=floor)})
    return found


def test_a_line_says_how_many_on_what_for_which_demand() -> None:
    assert line(2, 4.0) == "chat: replicas 2 on h100-80gb, for 4 requests/s at level 0.95; as forecast"
    assert line(0, 0.0).startswith("chat: replicas none, for 0 requests/s")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (line(3, 2.0, floor=3, min_replicas=3), "min_replicas (3) decides, demand needs fewer"),
        (line(3, 2.0, floor=3), "what is held (3) decides, demand needs fewer"),
        (line(2, 9.0, max_replicas=2), "max_replicas (2) decides, demand needs more"),
        (line(4, 99.0, spread={"zone": 0.25}), "spread.zone (0.25) allows no more in a, b"),
    ],
)
def test_a_limit_that_decides_is_named(text: str, words: str) -> None:
    assert words in text


def test_a_limit_that_does_not_decide_is_not_named() -> None:
    for text in (
        line(3, 6.0, floor=3, min_replicas=3),
        line(2, 4.0, max_replicas=2),
        line(4, 8.0, spread={"zone": 0.5}),
    ):
        assert "decides" not in text and "allows" not in text


def test_the_summary_says_what_happens_on_the_way() -> None:
    def dip(name: str, lowest: float, waves: tuple[int, int] = (1, 3)) -> dict[str, Any]:
        return {
            "model": name, "first_wave": waves[0], "last_wave": waves[1],
            "lowest_requests_per_second": lowest, "floor_requests_per_second": 10.0,
        }  # fmt: skip

    def said(dips: list[dict[str, Any]]) -> list[str]:
        lines = summary_lines(sealed_plan(rollout={"floor_requests_per_second": {}, "dips": dips}))
        return [text for text in lines if text.startswith("On the way")]

    assert said([]) == ["On the way: every model keeps what it needs"]
    assert said([dip("chat", 8.0), dip("code", 0.0, (2, 2)), dip("embed", 9.0), dip("rank", 9.5)]) == [
        "On the way: code serves only 0 of 10 requests/s in wave 2",
        "On the way: chat serves only 8 of 10 requests/s in waves 1 to 3",
        "On the way: embed serves only 9 of 10 requests/s in waves 1 to 3",
        "On the way: 1 smaller dip more",
    ]
