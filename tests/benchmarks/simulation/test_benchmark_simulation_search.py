# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search is the same for everybody, and the page says who won and who did not."""

from __future__ import annotations

from typing import Any

import pytest
from contenders import CONTENDERS, EVALUATIONS
from page_answers import EVERYBODY, answers, as_good_sentences, curve, other_demand_sentences
from policies import best_of, between


def tried(*points: tuple[float, float, float], **others: Any) -> list[dict[str, Any]]:
    return [{"settings": {"share": share, **others}, "slo": slo, "hours": hours} for share, slo, hours in points]


def test_everybody_has_as_many_settings_to_begin_with() -> None:
    assert set(EVERYBODY) == set(CONTENDERS)
    assert {len(grid) for _maker, _knob, grid in CONTENDERS.values()} == {EVALUATIONS - 2}


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(0.7, 0.99, 300.0), (0.8, 0.99, 250.0), (1.0, 0.97, 200.0)], 0.9),
        ([(0.9, 0.99, 200.0), (1.0, 0.99, 200.0), (1.2, 0.95, 150.0)], 1.1),  # steps of whole replicas tie
        ([(0.7, 0.99, 300.0), (0.8, 0.99, 250.0)], 1.0),  # all keep it: on to the thrifty side
        ([(0.5, 0.97, 300.0), (0.8, 0.90, 250.0)], 0.4),  # none does: on to the generous side
    ],
)
def test_the_search_goes_on_where_the_slo_begins_to_be_missed(
    points: list[tuple[float, float, float]], expected: float
) -> None:
    found = between([*tried(*points, least=2), *tried((0.6, 0.97, 100.0), least=1)], "share")
    assert found == {"share": pytest.approx(expected), "least": 2}


def test_the_best_keeps_the_slo_for_the_fewest_hours() -> None:
    assert best_of(tried((0.7, 0.99, 300.0), (0.8, 0.985, 250.0), (0.9, 0.98, 200.0)))["hours"] == 250.0
    assert best_of(tried((0.7, 0.98, 300.0), (0.8, 0.97, 250.0)))["hours"] == 300.0


def row(policy: str, slo: float, hours: float, response: float = 30.0, **more: Any) -> dict[str, Any]:
    figures = {"slo_share": slo, "accelerator_hours": hours, "mean_response_seconds": response, "starts": 3.0}
    return {"policy": policy, **more, **{name: [value, 0.0] for name, value in figures.items()}}


def result(*rivals: dict[str, Any]) -> dict[str, Any]:
    """Ours takes 1,000 h for 98.5 %, 1,200 h for 99 % and 2,000 h for 99.5 %."""
    rows = [
        row("modelops", 0.985, 1000.0),
        row("best static", 0.990, 1500.0),
        row("perfect foresight", 0.985, 900.0),
        row("a person", 0.95, 1600.0, 40.0),
        *rivals,
    ]
    frontier = [row("modelops", 0.990, 1200.0, 28.0), row("modelops", 0.995, 2000.0, 20.0)]
    frontier += [row("modelops", 0.989, 1300.0), row("perfect foresight", 0.995, 1900.0)]
    return {"policies": rows, "frontier": frontier, "slo": {"tuned_for": 0.985}}


def test_everybody_is_compared_at_its_own_slo() -> None:
    lost = result(row("Dynamo-like planner", 0.986, 950.0), row("HPA on utilisation", 0.97, 500.0))
    lines = answers(lost)
    assert any("20.0% fewer hours (1,200 to 1,500 at SLO 99.00%) | missed" in line for line in lines)
    assert any("Dynamo-like planner: 9.5% more hours (1,040 to 950 at SLO 98.60%) | missed" in line for line in lines)
    assert any("+11.1% (SLO 98.50%) | met" in line for line in lines)
    said = " ".join(as_good_sentences(lost))
    assert "As good as ours here, or cheaper: Dynamo-like planner (+9.5% accelerator-hours" in said
    assert "HPA on utilisation (97.00%)" in said  # missed what it was tuned for


def test_a_setting_that_takes_more_for_less_is_not_on_the_curve() -> None:
    assert [hours for _slo, hours, _response in curve(result(), "modelops")] == [1000.0, 1200.0, 2000.0]


def test_the_persons_hours_are_spent_before_responses_are_compared() -> None:
    """At 1,600 h ours answers in 24 s on the line from 28 to 20 s: 40 % below 40 s."""
    assert any("24.0 s to 40.0 s, 40.0% below, with 1,600 to 1,600 hours" in line for line in answers(result()))


def test_a_rival_that_is_dearer_is_no_longer_named() -> None:
    won = result(row("Dynamo-like planner", 0.985, 1200.0))
    assert any("Dynamo-like planner: 16.7% fewer hours" in line and line.endswith("met |") for line in answers(won))
    assert as_good_sentences(won)[0].startswith("No rival is within")


def test_demand_on_which_a_fixed_fleet_does_as_well_is_told() -> None:
    found = result()
    assert other_demand_sentences(found) == []
    found["other_demand"] = [
        row("modelops", 0.98, 1100.0, demand="flat"),
        row("best static", 0.99, 1000.0, demand="flat"),
    ]
    said = " ".join(other_demand_sentences(found))
    assert "modelops 1,100 accelerator-hours at an SLO of 98.00%" in said
    assert "best static 1,000 accelerator-hours at an SLO of 99.00%" in said


def test_a_rival_just_below_our_lowest_slo_is_not_left_out() -> None:
    """The line from 1,000 h at 98.5 % to 1,200 h at 99 % goes on to 960 h at 98.4 %."""
    lines = answers(result(row("Dynamo-like planner", 0.984, 1000.0)))
    assert any("Dynamo-like planner: 4.0% fewer hours (960 to 1,000 at SLO 98.40%) | missed" in line for line in lines)
