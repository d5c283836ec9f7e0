"""The incidents section: what the record says, as a person reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import report_samples

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.incidents import incidents_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.incidents import costs, section
from ansible_collections.modelops.datacenter.plugins.modules.capacity_report import execute

PLAN: dict[str, Any] = {
    "placements": [{"host": "a", "slot": slot, "model": "chat"} for slot in (0, 1)],
    "capacity": {"chat": {"planned_requests_per_second": 8.0}},
    "hosts": [{"name": "a", "cost_per_hour": 6.0}],
}


def event(at: float, what: str, **more: Any) -> dict[str, Any]:
    return {"schema_version": 1, "kind": "remediation", "event": what, "at": at, **more}


def intent(at: float, name: str, step: str = "restart", **more: Any) -> dict[str, Any]:
    known = {"alert": "ModelServerDown", "target": "replica a-0", "scope": "replica", "host": "a", "slot": 0}
    known.update(model="chat", zone="z", servers=["a-0"], owner="one", reason="", since=at - 30.0, **more)
    return event(at, "intent", id=name, step=step, **known)


STORY = [
    intent(1000.0, "1"),
    event(1050.0, "result", id="1", effect="ineffective", evidence="a-0 gives no answer"),
    intent(1200.0, "2", "move"),
    event(1570.0, "result", id="2", effect="effective", evidence="<b>moved</b>"),
    intent(9000.0, "3"),
    event(
        9010.0, "escalation", alert="HostDown", target="host b", reason="replan did not help", since=8000.0, tried=[]
    ),
    event(9020.0, "breaker", state="open", scope="model chat", cause="2 of 4 replicas"),
    event(9020.0, "escalation", alert="Breaker", target="model chat", reason="nothing more is done", tried=[]),
    event(9900.0, "breaker", state="closed", scope="model chat", by="Ada", note="switch replaced"),
]


def test_steps_of_one_fault_are_one_incident_and_what_comes_back_is_another() -> None:
    found = [(one.target, one.began, one.state, len(one.steps), one.seconds(9900.0)) for one in incidents_of(STORY)]
    assert found == [
        ("replica a-0", 970.0, "mended", 2, 600.0),
        ("host b", 8000.0, "told to a person", 0, 1900.0),
        ("replica a-0", 8970.0, "under way", 1, 930.0),
    ]


def test_what_did_not_hold_when_it_was_looked_at_again_had_not_ended_it() -> None:
    story = STORY[:4]
    kept = incidents_of(
        [*story, event(1870.0, "review", id="2", target="replica a-0", holds=True, evidence="no worse")]
    )
    assert [(one.state, one.ended) for one in kept] == [("mended", 1570.0)]
    again = [*story, event(1870.0, "review", id="2", target="replica a-0", holds=False, evidence="a fifth failed")]
    (one,) = incidents_of(again)
    assert (one.state, one.steps[-1]["effect"]) == ("under way", "ineffective")
    assert "did not help (&lt;b&gt;moved&lt;/b&gt;; a fifth failed)" in section(again, PLAN)
    # The fault came back before it was looked at: that is an incident of its own, and this one stays ended.
    assert [one.state for one in incidents_of([*again[:4], intent(1800.0, "9"), again[4]])] == ["mended", "under way"]


def test_what_it_cost_is_half_the_model_and_half_the_host_for_ten_minutes() -> None:
    first = incidents_of(STORY)[0]
    lost, paid = costs(first, 600.0, PLAN)
    assert (lost, paid) == (600.0 * 8.0 / 2, 600.0 / 3600.0 * 6.0 / 2)
    first.alert = "ModelServerErrors"  # it went on answering
    assert costs(first, 600.0, PLAN) == (None, None)


def test_the_section_says_all_of_it_and_escapes_it() -> None:
    page = section(STORY, PLAN)
    for text in (
        "3 incidents since 1970-01-01 00:16:10 UTC: 1 mended, 1 told to a person and 1 under way. 3 actions in all.",
        "restart: did not help (a-0 gives no answer); move: helped (&lt;b&gt;moved&lt;/b&gt;)",
        "not yet; told to a person: replan did not help",
        "Ada closed the breaker of model chat: switch replaced",
    ):
        assert text in page, page
    assert "Nothing has happened" in section([], PLAN)


def test_the_report_takes_the_record_and_refuses_a_damaged_one(tmp_path: Path) -> None:
    record = tmp_path / "remediation.jsonl"
    record.write_text("".join(json.dumps(one) + "\n" for one in STORY))
    given = {**report_samples.build(2).write(tmp_path), "history_days": 1.0, "dest": str(tmp_path / "report.html")}
    execute({**given, "incidents": str(record)}, False, False)
    assert 'id="incidents-title"' in (tmp_path / "report.html").read_text()
    execute({**given, "incidents": str(tmp_path / "none.jsonl")}, False, False)
    assert "Nothing has happened" in (tmp_path / "report.html").read_text()
    execute(given, False, False)
    assert 'id="incidents-title"' not in (tmp_path / "report.html").read_text()
