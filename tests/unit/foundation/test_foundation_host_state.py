"""The host's own document: who may run there, and how long starts took."""

from __future__ import annotations

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.host_state import (
    measured_startup_seconds,
    updated_state,
)

CHAT = {"slot": 0, "model": "chat", "version": "1", "service": "modelops-chat-0"}
CODE = {"slot": 1, "model": "code", "version": "1", "service": "modelops-code-1"}


def test_a_new_host_starts_empty() -> None:
    assert updated_state(None) == {"schema_version": 1, "kind": "host", "replicas": [], "startup_seconds": {}}


def test_replicas_are_kept_in_slot_order() -> None:
    state = updated_state(None, enter=[CODE, CHAT])
    assert [replica["model"] for replica in state["replicas"]] == ["chat", "code"]


def test_entering_twice_changes_nothing() -> None:
    once = updated_state(None, enter=[CHAT])
    assert updated_state(once, enter=[CHAT]) == once


def test_what_was_measured_survives_for_the_same_service_only() -> None:
    state = updated_state(None, enter=[{**CHAT, "startup_seconds": 4.5}])
    assert updated_state(state, enter=[CHAT])["replicas"][0]["startup_seconds"] == 4.5
    other = {**CODE, "slot": 0}
    assert "startup_seconds" not in updated_state(state, enter=[other])["replicas"][0]


def test_leaving_matches_slot_and_model() -> None:
    state = updated_state(None, enter=[CHAT, CODE])
    assert [r["model"] for r in updated_state(state, leave=[CHAT])["replicas"]] == ["code"]
    assert updated_state(state, leave=[{**CODE, "slot": 0}]) == state


def test_the_last_ten_start_ups_are_kept() -> None:
    state = None
    for seconds in range(12):
        state = updated_state(state, startup_seconds={"chat": seconds})
    assert state["startup_seconds"]["chat"] == [float(s) for s in range(2, 12)]


def test_a_document_of_another_schema_is_refused() -> None:
    with pytest.raises(InputError, match="schema 99"):
        updated_state({"schema_version": 99})


def test_start_up_is_the_median_of_a_host_and_the_slowest_of_the_fleet() -> None:
    states = [
        {"startup_seconds": {"chat": [10.0, 12.0, 90.0], "code": [3.0]}},
        None,
        {"startup_seconds": {"chat": [20.0, 22.0], "code": []}},
    ]
    assert measured_startup_seconds(states) == {"chat": 21.0, "code": 3.0}
