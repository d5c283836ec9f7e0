# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as help: what is seen afterwards, not that a step was carried out."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.effects import effect_of

HOST = {"id": "x", "step": "move", "host": "a1", "target": "host a1", "slot": None}
SERVER = {**HOST, "target": "replica a1-0", "slot": 0}
ON_A1, ON_B1 = {"host": "a1", "slot": 0, "model": "chat"}, {"host": "b1", "slot": 0, "model": "chat"}


@pytest.mark.parametrize("step", ["move", "quarantine"])
@pytest.mark.parametrize(
    ("after", "effect", "evidence"),
    [
        ([ON_B1], "effective", "nothing runs on host a1 any more"),
        ([ON_A1, ON_B1], "ineffective", "a1-0 still there: no room elsewhere"),
    ],
)
def test_a_host_is_emptied_when_nothing_runs_there_any_more(
    step: str, after: list[dict[str, Any]], effect: str, evidence: str
) -> None:
    found = effect_of({**HOST, "step": step}, {"done": True}, before=[ON_A1], after=after, looked={})
    assert (found["effect"], found["evidence"]) == (effect, evidence)


def test_a_plan_that_was_not_carried_out_moved_nothing() -> None:
    found = effect_of(HOST, {"failed": "the plan was not carried out"}, before=[ON_A1], after=[ON_B1], looked={})
    assert found["effect"] == "failed"


def test_a_replica_that_was_to_be_moved_may_answer_where_it_is() -> None:
    looked = {"a1-0": {"answers": True, "at": 1.0}}
    assert effect_of(SERVER, {"done": True}, before=[], after=[ON_A1], looked=looked)["effect"] == "effective"
    assert effect_of(SERVER, {"done": True}, before=[], after=[ON_A1], looked={})["effect"] == "ineffective"


def test_an_exporter_is_mended_when_it_shows_metrics() -> None:
    action = {**HOST, "step": "restart_exporter"}
    assert effect_of(action, {"done": True}, before=[], after=[], looked={})["effect"] == "effective"
    assert effect_of(action, {}, before=[], after=[], looked={})["effect"] == "ineffective"
