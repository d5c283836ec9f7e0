# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The event filter takes what anybody may have written, and gives what a playbook may be told."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

EDA = Path(__file__).resolve().parents[3] / "extensions/eda"
spec = importlib.util.spec_from_file_location("alert_signal", EDA / "plugins/event_filter/alert_signal.py")
assert spec and spec.loader
alert_signal = importlib.util.module_from_spec(spec)
spec.loader.exec_module(alert_signal)


@pytest.fixture(autouse=True)
def nothing_came_before() -> None:
    alert_signal._firsts.clear()


def alert(**more: Any) -> dict[str, Any]:
    labels = {"alertname": "HostDown", "host": "gpu-a1", "severity": "page", **more.pop("labels", {})}
    return {"status": "firing", "labels": labels, "annotations": {"summary": "{{ 7 * 7 }}"}, **more}


def signal(*alerts: Any, **options: Any) -> dict[str, Any]:
    event = {"payload": {"alerts": list(alerts)}, "meta": {"headers": {"Authorization": "x"}}}
    return dict(alert_signal.main(event, **options)["signal"])


def test_a_firing_alert_is_a_signal_with_known_labels_alone() -> None:
    found = signal(alert(startsAt="2026-11-26T20:00:00.123456789Z", labels={"instance": "10.0.0.1:9100"}))
    assert (found["firing"], found["urgent"], found["dropped"]) == (1, True, 0)
    assert found["alerts"] == [
        {
            "status": "firing",
            "labels": {"alertname": "HostDown", "host": "gpu-a1", "severity": "page"},
            "startsAt": "2026-11-26T20:00:00.123456789Z",
        }
    ]


def test_one_is_the_first_in_half_a_minute_by_urgency_and_each_firing_one_is_first_or_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticket = alert(labels={"severity": "ticket"})
    story = [
        (0.0, ticket, True),
        (5.0, ticket, False),
        (6.0, alert(), True),
        (29.9, ticket, False),
        (30.0, ticket, True),
        (35.9, alert(), False),
        (36.0, alert(), True),
    ]
    for moment, one, first in story:
        monkeypatch.setattr(alert_signal.time, "monotonic", lambda now=moment: 1000.0 + now)
        found = signal(one, alert(status="resolved"))
        assert (found["first"], found["more"]) == (first, not first), moment
    for one in (alert(status="resolved"), alert(status="pending")):
        assert (signal(one)["first"], signal(one)["more"]) == (False, False)


@pytest.mark.parametrize(
    "one",
    [
        alert(labels={"host": "{{ lookup('pipe', 'id') }}"}),
        alert(labels={"host": "gpu-a1; reboot"}),
        alert(labels={"host": "gpu-a1\n"}),
        alert(labels={"alertname": "$(id)"}),
        alert(labels={"slot": 0}),
        alert(status="pending"),
        {"status": "firing"},
        "HostDown",
        None,
    ],
)
def test_what_is_malformed_or_could_begin_a_template_is_dropped(one: Any) -> None:
    found = signal(one, alert())
    assert (found["firing"], found["dropped"]) == (1, 1)


def test_resolved_alerts_are_no_signal() -> None:
    found = signal(alert(status="resolved"))
    assert (found["firing"], found["resolved"], found["alerts"]) == (0, 1, [])


def test_the_urgent_ones_are_kept_where_there_are_too_many() -> None:
    many = [alert(labels={"severity": "ticket", "host": f"gpu-{number}"}) for number in range(500)]
    found = signal(*many, alert(), max_alerts=10)
    assert (found["firing"], len(found["alerts"]), found["alerts"][0]["labels"]["severity"]) == (501, 10, "page")


@pytest.mark.parametrize("event", [{}, {"payload": []}, {"payload": {"alerts": {}}}, [], None, "x", {"alerts": 7}])
def test_any_event_gives_a_signal(event: Any) -> None:
    assert alert_signal.main(event)["signal"]["firing"] == 0


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["payload", "alerts", "labels", "alertname", "host", "status", "severity", "startsAt", "x"]), inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@given(ANYTHING)
def test_nothing_that_could_begin_a_template_ever_leaves(event: Any) -> None:
    text = json.dumps(alert_signal.main(event)["signal"]["alerts"])
    assert not any(mark in text for mark in ("{{", "{%", "{#", "}}"))


@pytest.mark.parametrize("name", ["remediate", "remediate_job_template"])
def test_rulebooks_listen_on_loopback_with_a_token_and_pass_nothing_but_the_signal(name: str) -> None:
    (rulebook,) = yaml.safe_load((EDA / f"rulebooks/{name}.yml").read_text())
    (source,) = rulebook["sources"]
    assert "token" in source["eda.builtin.webhook"]
    assert "127.0.0.1" in source["eda.builtin.webhook"]["host"]
    assert list(source["filters"][0]) == ["modelops.datacenter.alert_signal"]
    # A flood is thinned out by the filter for the first signal, and by a throttle for all that follows it. Of two rules with a
    # throttle that one event matches, the engine would take one.
    throttled = {rule["condition"] for rule in rulebook["rules"] if "throttle" in rule}
    assert throttled == {"event.signal.more == true", "event.resolved == true", "event.looked == true"}
    for rule in rulebook["rules"]:
        for action in rule.get("actions") or [rule["action"]]:
            ((kind, given),) = action.items()
            if kind == "post_event":
                assert given["event"] in ({"resolved": True}, {"looked": True})
                continue
            assert rule["condition"] == "event.signal.first == true" or "once_after" in rule["throttle"]
            if kind == "run_job_template":
                assert "job_args" not in given and given["include_events"] is False
            else:
                told = {"monitoring_told": "{{ event.signal.alerts }}"} if "event.signal" in rule["condition"] else None
                assert given.get("extra_vars") == told
