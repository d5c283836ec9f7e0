# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module itself: check mode and shadow write no intent, the record is kept, two at once give one action."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from module_command import run_alone


def options(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {
        "alerts": [{"status": "firing", "labels": {"alertname": "ModelServerDown", "host": "a1", "slot": "0"}}],
        "hosts": [{"name": "a1", "accelerator_type": "cpu", "reachable": True}],
        "replicas": [{"host": "a1", "slot": 0, "model": "chat"}],
        "models": {"chat": {"capacity": {"cpu": {"requests_per_second": 1}}}},
        "looked": {"a1-0": {"answers": False, "at": time.time()}},
        "history": str(tmp_path / "state" / "remediation.jsonl"),
        **more,
    }


def test_check_mode_and_shadow_give_nothing_out(tmp_path: Path) -> None:
    checked = run_alone("remediation_decision", {**options(tmp_path), "_ansible_check_mode": True})
    assert (checked["changed"], checked["actions"], checked["would"][0]["step"]) == (True, [], "restart")
    assert not (tmp_path / "state").exists()
    shadowed = run_alone("remediation_decision", options(tmp_path, shadow=True))
    assert (shadowed["actions"], shadowed["lines"]) == ([], ["would restart replica a1-0 for ModelServerDown"])
    webhook = tmp_path / "alerts.json"
    webhook.write_text(json.dumps({"version": "4", "alerts": options(tmp_path)["alerts"]}))
    real = run_alone("remediation_decision", options(tmp_path, alerts=str(webhook)))
    assert [one["step"] for one in real["actions"]] == ["restart"]
    done = [{"id": real["actions"][0]["id"], "effect": "effective", "evidence": "it answers"}]
    assert run_alone("remediation_decision", options(tmp_path, alerts=[], outcomes=done))["changed"]
    again = run_alone("remediation_decision", options(tmp_path, alerts=[], outcomes=done))
    assert not again["changed"], "a result is entered once"


def test_of_four_that_ask_at_once_one_is_given_the_action(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(run_alone, "remediation_decision", options(tmp_path, owner=str(n))) for n in range(4)]
        given = [len(one.result()["actions"]) for one in asked]
    assert sorted(given) == [0, 0, 0, 1]


def test_bad_input_is_one_message(tmp_path: Path) -> None:
    for more, says in (
        ({"alerts": "nowhere.json"}, "does not exist"),
        ({"alerts": {"no": "alerts"}}, "alerts must be a list"),
        ({"alerts": [{"status": "firing"}]}, "alerts[0]: the labels must be a mapping"),
        ({"policy": {"restarts": 3}}, "policy.restarts: there is no such limit"),
        ({"ladders": {"Own": {"steps": ["reboot"]}}}, "ladders.Own: steps must be a list of"),
        ({"replicas": [{"host": "b", "slot": 0}]}, "not in hosts"),
        ({"outcomes": [{"id": "x", "effect": "well"}]}, "an outcome needs"),
        ({"close_breaker": {"scope": "fleet", "by": "me"}}, "no open breaker"),
    ):
        failed = run_alone("remediation_decision", options(tmp_path, **more))
        assert failed["failed"]
        assert says in failed["msg"], failed["msg"]
