# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The floors that remediation keeps to come out of a plan that nobody changed, or there are none."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ansible_collections.modelops.datacenter.plugins.filter.plan_floors import plan_floors
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import write_plan


@pytest.fixture
def written(tmp_path: Path) -> bytes:
    path = tmp_path / "plan.json"
    rollout = {"floors_requests_per_second": {"chat": 8.0}, "dips": []}
    write_plan(str(path), {"created_at": "2026-11-27T01:00:00Z", "rollout": rollout, "placements": []})
    return path.read_bytes()


def read(content: bytes) -> dict[str, object]:
    return plan_floors(base64.b64encode(content).decode(), "plan.json")


def test_a_plan_that_was_written_says_what_must_go_on_being_served(written: bytes) -> None:
    assert read(written) == {"rollout": {"floors_requests_per_second": {"chat": 8.0}, "dips": []}, "refused": ""}


def test_a_plan_that_was_changed_says_nothing_and_why(written: bytes) -> None:
    found = read(written.replace(b"8.0", b"0.0"))
    assert found["rollout"] == {}
    assert "changed since it was written" in str(found["refused"])


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe"])
def test_what_is_no_plan_says_nothing(content: bytes) -> None:
    assert read(content)["rollout"] == {}
    assert read(content)["refused"]
