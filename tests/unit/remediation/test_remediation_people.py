# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person is told of a flood: not a page an alert, and nothing that mattered is swallowed by it."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from test_remediation_situations import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(str(tmp_path / "remediation.jsonl"))


def strangers(fleet: Fleet, count: int, name: str = "HostCpuHigh", first: int = 0) -> list[dict[str, Any]]:
    return [fleet.alert(name, host=f"gpu-{number}", slot=None, model=None) for number in range(first, first + count)]


def test_ten_thousand_alerts_are_eleven_entries_and_the_one_that_matters_is_acted_on(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    began = time.process_time()
    found = fleet.decide(*strangers(fleet, 9_999), fleet.alert(), fleet.alert("HostDown", host="elsewhere"))
    took = time.process_time() - began
    assert [one.target for one in found.decision.actions] == ["replica h0-0"]
    told = Counter(one["alert"] for one in found.decision.escalations)
    assert told == {"HostCpuHigh": 11, "HostDown": 1}
    (rest,) = [one for one in found.decision.escalations if one["target"] == "other targets of HostCpuHigh"]
    assert rest["count"] == 9_989
    assert rest["reason"].startswith("9989 more (gpu-")
    # 10,000 entries of a page each took 10 s of processor time once, by looking each up in all others.
    assert took < 5.0


def test_a_flood_that_goes_on_is_told_once_and_what_begins_after_it_again(fleet: Fleet) -> None:
    flood = strangers(fleet, 2_000)
    assert len(fleet.decide(*flood).decision.escalations) == 11
    for _run in range(10):
        fleet.at += 60
        assert fleet.decide(*flood).decision.escalations == []
    late = strangers(fleet, 1, first=5_000)
    (told,) = fleet.decide(*flood, *late).decision.escalations
    assert (told["target"], told["targets"]) == ("other targets of HostCpuHigh", ["gpu-5000"])


def test_of_a_few_more_each_is_named_so_that_one_which_was_acted_on_is_told_when_that_did_not_help(
    fleet: Fleet,
) -> None:
    """It began before the others were told together, and is not one of them."""
    fleet.down = {"h0-0"}
    alert = fleet.alert()
    several = [fleet.alert(host=f"nowhere-{number}") for number in range(15)]
    outcomes: list[dict[str, Any]] = []
    steps, told = [], []
    for _run in range(12):
        found = fleet.decide(*several, alert, outcomes=outcomes)
        steps += [one.step for one in found.decision.actions]
        told += [one for one in found.decision.escalations if one["target"].startswith("other")]
        outcomes = [{"id": one.id, "effect": "ineffective"} for one in found.decision.actions]
        fleet.at += 90
    assert steps == ["restart", "move"]
    assert [one["targets"] for one in told] == [
        [f"nowhere-{number} slot 0 chat" for number in (5, 6, 7, 8, 9)],
        ["replica h0-0"],
    ]


def test_a_breaker_is_told_by_itself_however_much_is_told(fleet: Fleet) -> None:
    fleet.down = {"h0-0", "h2-0", "h4-0"}
    alerts = [fleet.alert(host=host) for host in ("h0", "h2", "h4")]
    told = fleet.decide(*strangers(fleet, 500), *alerts).decision.escalations
    assert [one["target"] for one in told if one["alert"] == "Breaker"] == ["fleet"]
