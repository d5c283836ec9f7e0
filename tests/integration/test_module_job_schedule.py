# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""job_schedule as Ansible runs it: the ladder from check mode to unchanged, real documents, bad input."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from module_command import run_alone, run_module

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/schemas/schedule.schema.json").read_text(encoding="utf-8"))
CAPACITY = [
    {
        "start": "2026-11-23T20:00:00Z",
        "end": "2026-11-24T12:00:00Z",
        "accelerator_type": "l40s-48gb",
        "accelerators": 4,
    }
]
JOBS = [
    {
        "name": "finetune-chat",
        "work_accelerator_hours": 24,
        "accelerators": {"min": 2, "max": 8, "powers_of_two": True},
        "deadline": "2026-11-24T02:00:00Z",
        "weight": 3,
    },
    {
        "name": "embed-archive",
        "work_accelerator_hours": 12,
        "accelerators": 2,
        "preemptible": False,
        "deadline": "2026-11-24T03:00:00Z",
    },
]


def test_the_ladder_check_mode_write_same_again_changed(tmp_path: Path) -> None:
    dest = tmp_path / "schedule.json"
    options: dict[str, Any] = {"jobs": JOBS, "capacity": CAPACITY, "dest": str(dest)}

    looked = run_module("job_schedule", options, "--check", "--diff")
    assert looked["changed"] is True
    assert not dest.exists()
    assert "finetune-chat: 4 l40s-48gb from 2026-11-23T20:00:00Z to 2026-11-24T02:00:00Z" in looked["shown"]

    written = run_module("job_schedule", options)
    assert written["changed"] is True
    assert written["summary"].startswith("1 of 2 jobs on time, 1 late")
    assert written["figures"] == looked["figures"]
    assert stat.S_IMODE(dest.stat().st_mode) == 0o640
    document = json.loads(dest.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    # 36 accelerator-hours by 03:00, 28 free: the lighter job is late by five hours, and at least 8 more are needed.
    assert [one["name"] for one in written["late"]] == ["embed-archive"]
    assert written["feasibility"]["verified"] is True
    assert written["feasibility"]["extra_accelerator_hours"] in (8.0, 10.0, 12.0)
    assert written["late"][0]["lateness_seconds"] == 5 * 3600

    content = dest.read_bytes()
    again = run_alone("job_schedule", {**options, "jobs": JOBS[::-1]})
    assert again["changed"] is False
    assert dest.read_bytes() == content
    assert run_alone("job_schedule", {**options, "policy": "edf"})["changed"] is True


def test_hosts_and_a_plan_from_files(tmp_path: Path) -> None:
    hosts = [
        {"name": "n1", "accelerator_type": "h100-80gb", "accelerator_count": 8, "cost_per_hour": 24},
        {"name": "n2", "accelerator_type": "h100-80gb", "accelerator_count": 8, "state": "maintenance"},
    ]
    placements = [{"host": "n1", "slot": 0, "model": "chat", "version": "1", "accelerators": [0, 1, 2]}]
    for name, content in (("hosts", hosts), ("plan", {"kind": "plan", "placements": placements}), ("jobs", JOBS)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    options = {name: str(tmp_path / f"{name}.json") for name in ("hosts", "plan", "jobs")}
    result = run_alone("job_schedule", {**options, "start": "2026-11-23T20:00:00Z", "feasibility": False})
    document = result["schedule"]
    assert document["classes"]["h100-80gb"]["free_accelerator_hours"] == 24 * 5
    assert {run["host"] for fields in document["jobs"].values() for run in fields["runs"]} == {"n1"}
    assert result["feasibility"] is None
    assert max(sum(row["accelerators"].get("h100-80gb", {}).values()) for row in document["periods"]) <= 5


def test_no_jobs_are_fine() -> None:
    result = run_alone("job_schedule", {"jobs": [], "capacity": CAPACITY})
    assert result["summary"] == "No jobs to schedule"
    assert result["changed"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"jobs": JOBS}, "there is no capacity"),
        ({"jobs": [JOBS[0], JOBS[0]], "capacity": CAPACITY}, "job finetune-chat: the job is listed twice"),
        ({"jobs": [{**JOBS[0], "release": "2026-11-25"}], "capacity": CAPACITY}, "is not after the release"),
        (
            {"jobs": [{**JOBS[0], "accelerators": {"min": 3, "max": 2}}], "capacity": CAPACITY},
            "is above accelerators.max",
        ),
        (
            {"jobs": [{**JOBS[0], "accelerator_types": ["h100"]}], "capacity": CAPACITY},
            "type 'h100' is not in the capacity",
        ),
        ({"jobs": "/nowhere/jobs.json", "capacity": CAPACITY}, "the list of jobs file does not exist"),
        ({"jobs": [{**JOBS[0], "work_accelerator_hours": "NaN"}], "capacity": CAPACITY}, "must be finite"),
        ({"jobs": JOBS, "capacity": CAPACITY, "period_seconds": 0}, "period_seconds must be at least 1"),
        (
            {"jobs": JOBS, "capacity": CAPACITY, "completion_tolerance": 2},
            "completion_tolerance must be between 0 and 1",
        ),
    ],
)
def test_bad_input_is_one_clear_message(options: dict[str, Any], words: str) -> None:
    result = run_alone("job_schedule", options)
    assert result["failed"] is True
    assert words in result["msg"]
    assert "\n" not in result["msg"]
