# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search is the same for everybody, and the page says who won and who did not."""

from __future__ import annotations

from typing import Any

import pytest
from contenders import CONTENDERS, EVALUATIONS
from page_answers import EVERYBODY, answers, as_good_sentences
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


def row(policy: str, slo: float, hours: float, response: float = 30.0) -> dict[str, Any]:
    figures = {"slo_share": slo, "accelerator_hours": hours, "mean_response_seconds": response}
    return {"policy": policy, **{name: [value, 0.0] for name, value in figures.items()}}


def result(*rivals: dict[str, Any]) -> dict[str, Any]:
    rows = [
        row("modelops", 0.985, 1000.0),
        row("best static", 0.990, 1500.0),
        row("perfect foresight", 0.985, 900.0),
        row("a person", 0.95, 1400.0, 40.0),
        *rivals,
    ]
    return {"policies": rows, "slo": {"tuned_for": 0.985}}


def test_a_rival_that_is_cheaper_is_said_to_be() -> None:
    lost = result(row("Dynamo-like planner", 0.986, 950.0), row("HPA on utilisation", 0.97, 500.0))
    lines = answers(lost)
    assert any("Dynamo-like planner: 5.3% more hours (SLO 98.50% to 98.60%) | missed" in line for line in lines)
    assert any("33.3% fewer hours (SLO 98.50% to 99.00%) | missed" in line for line in lines)  # the static keeps more
    said = " ".join(as_good_sentences(lost))
    assert "As good as ours here, or cheaper: Dynamo-like planner (-5.0% accelerator-hours" in said
    assert "HPA on utilisation (97.00%)" in said  # missed what it was tuned for


def test_a_rival_that_is_dearer_is_no_longer_named() -> None:
    won = result(row("Dynamo-like planner", 0.985, 1200.0))
    assert any("Dynamo-like planner: 16.7% fewer hours" in line and line.endswith("met |") for line in answers(won))
    assert as_good_sentences(won)[0].startswith("No rival keeps the SLO")
