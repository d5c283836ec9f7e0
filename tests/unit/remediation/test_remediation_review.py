# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second look at what was mended: five minutes later, by the alert itself and beside its peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_remediation_situations import Fleet

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import parse_history
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.incidents import incidents_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.review import (
    Review,
    expect_reviews,
)

REVIEW_SECONDS = 300


@pytest.fixture
def mended(tmp_path: Path) -> Fleet:
    """h0-0 died and was restarted, which helped."""
    fleet = Fleet(str(tmp_path / "remediation.jsonl"))
    fleet.down = {"h0-0"}
    alert = fleet.alert()
    fleet.at += 15
    (action,) = fleet.decide(alert).decision.actions
    fleet.down = set()
    fleet.at += 35
    fleet.decide(outcomes=[{"id": action.id, "effect": "effective", "evidence": "h0-0 answers"}])
    fleet.given["fault"] = alert
    return fleet


def waiting(fleet: Fleet, *alerts: dict[str, Any], **more: Any) -> list[Review]:
    return fleet.decide(*alerts, **more).reviews


def test_it_is_due_after_five_minutes_and_then_beside_all_peers_nothing_was_done_to(mended: Fleet) -> None:
    ended = mended.at
    mended.at += REVIEW_SECONDS - 1
    assert waiting(mended) == []
    mended.at += 1
    (one,) = waiting(mended)
    assert (one.since, one.until) == (ended, ended + REVIEW_SECONDS)
    assert one.peers == tuple(f"h{host}-{slot}" for host in range(6) for slot in range(2) if (host, slot) != (0, 0))
    mended.at += 3600 + 1
    assert waiting(mended) == [], "too late for it to say anything"


def test_peers_that_are_silent_or_were_restarted_meanwhile_do_not_count(mended: Fleet) -> None:
    mended.at += 120
    mended.down = {"h3-1"}
    (action,) = mended.decide(mended.alert(host="h3", slot="1")).decision.actions
    mended.down = set()
    mended.decide(outcomes=[{"id": action.id, "effect": "effective"}])
    mended.at += 180
    mended.down = {"h4-0"}
    (one,) = waiting(mended)
    assert one.action.target == "replica h0-0"
    assert not {"h0-0", "h3-1", "h4-0"} & set(one.peers)
    assert len(one.peers) == 9


@pytest.mark.parametrize(
    ("verdict", "holds", "effect"),
    [("pass", True, "effective"), ("inconclusive", None, "effective"), ("provider_error", None, "effective")],
)
def test_it_is_reviewed_once(mended: Fleet, verdict: str, holds: bool | None, effect: str) -> None:
    mended.at += REVIEW_SECONDS
    (one,) = waiting(mended)
    said = {"id": one.action.id, "verdict": verdict, "reasons": ["the canary lacks 37 requests {{ x }}"]}
    found = mended.decide(reviews=[said])
    assert (found.decision.actions, found.decision.escalations, found.reviews) == ([], [], [])
    (event,) = mended.recorded("review")
    assert (event["id"], event["holds"]) == (one.action.id, holds)
    assert "lacks 37 requests" in event["evidence"] and "{" not in event["evidence"]
    assert found.history.actions[0].effect == effect
    assert mended.decide(reviews=[said]).events == []


def test_one_that_does_worse_than_its_peers_did_not_help_and_a_person_is_told_once(mended: Fleet) -> None:
    mended.at += REVIEW_SECONDS
    (one,) = waiting(mended)
    said = {"id": one.action.id, "verdict": "fail", "reasons": ["20 % of its answers failed, 0.3 % of the others'"]}
    found = mended.decide(reviews=[said])
    assert found.decision.actions == [], "nothing fires, so nothing is done"
    (told,) = found.decision.escalations
    assert (told["alert"], told["target"]) == ("RemediationReview", "replica h0-0")
    assert "beside 11 peers for 300 s it did worse: 20 % of its answers failed" in told["reason"]
    assert [step["effect"] for step in told["tried"]] == ["ineffective"]
    mended.at += 60
    assert mended.decide().events == []
    # When it fails again, it is not restarted again.
    mended.down = {"h0-0"}
    (next_step,) = mended.decide(mended.alert()).decision.actions
    assert next_step.step == "move"
    (incident, *_more) = incidents_of(
        [*mended.recorded("intent"), *mended.recorded("result"), *mended.recorded("review")]
    )
    assert incident.ended == 0.0


def test_an_alert_that_never_resolved_was_not_helped_and_the_next_step_is_due_at_once(mended: Fleet) -> None:
    alert = mended.given["fault"]
    mended.down = {"h0-0"}
    mended.at += REVIEW_SECONDS - 1
    assert mended.decide(alert).decision.actions == []
    mended.at += 1
    found = mended.decide(alert)
    assert [one.step for one in found.decision.actions] == ["move"]
    (event,) = mended.recorded("review")
    assert (event["holds"], event["evidence"]) == (False, "ModelServerDown has not resolved in 300 s")


def test_one_that_fails_again_or_fires_or_was_worked_on_since_is_a_fault_of_its_own(mended: Fleet) -> None:
    mended.at += REVIEW_SECONDS
    mended.down = {"h0-0"}
    assert waiting(mended) == []
    mended.down = set()
    assert waiting(mended, mended.alert("ModelServerErrors")) == []
    other = mended.decide(shadow=True)
    assert other.reviews == []


def test_what_is_no_review_is_said(mended: Fleet) -> None:
    with pytest.raises(InputError, match="a review needs the id of an action and a verdict"):
        expect_reviews([{"id": "x", "verdict": "fine"}])
    stray = {"event": "review", "id": "x", "at": 1.0, "holds": True}
    with pytest.raises(InputError, match="belongs to no action"):
        parse_history([stray], where="record")
