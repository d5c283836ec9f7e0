# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail of real runs: what is in it, what is not, and no act without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from module_command import run_alone

ROOT = Path(__file__).resolve().parents[2]
SECRET = "Zq7canary91x"
TASKS = [
    {
        "name": "Write a file",
        "ansible.builtin.copy": {"content": f"{SECRET}\n", "dest": "{{ work }}/file", "mode": "0600"},
        "diff": True,
    },
    {
        "name": "Hidden",
        "ansible.builtin.copy": {"content": SECRET, "dest": "{{ work }}/hidden", "mode": "0600"},
        "no_log": True,
    },
    {"name": "Fail", "ansible.builtin.fail": {"msg": f"api_key={SECRET} was refused"}, "ignore_errors": True},
    {
        "name": "Share",
        "modelops.datacenter.compute_share": {
            "capacity": 10,
            "tasks": [{"name": "a", "demand": 4}],
            "strategy": "max_min_fairness",
            "dest": "{{ work }}/share.json",
        },
    },
]


def play(work: Path, trail: str, *extra: str, **environment: str) -> subprocess.CompletedProcess[str]:
    book = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": TASKS}]
    (work / "play.yml").write_text(yaml.safe_dump(book))
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(work / "play.yml"), *extra],
        cwd=work,
        env={
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_CALLBACKS_ENABLED": "modelops.datacenter.audit_log",
            "MODELOPS_AUDIT_PATH": trail,
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def lines_of(trail: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trail.read_text().splitlines()]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("audit")
    done = play(
        work,
        str(work / "audit.jsonl"),
        "-e",
        json.dumps({"work": str(work), "webhook_value": SECRET, "awx_user_name": "ada"}),
        MODELOPS_AUDIT_REQUIRED="true",
        MODELOPS_AUDIT_HEADS=str(work / "heads"),
        JOB_ID="41",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "audit_log" not in done.stdout + done.stderr
    return work


def test_it_says_who_did_what_to_whom(work: Path) -> None:
    lines = lines_of(work / "audit.jsonl")
    schema = json.loads((ROOT / "docs" / "schemas" / "audit.schema.json").read_text())
    for line in lines:
        jsonschema.Draft202012Validator(schema).validate(line)
    began, play_began, ended = lines[0], lines[1], lines[-1]
    assert (began["event"], began["playbook"], began["job"]) == ("run_began", "play.yml", {"JOB_ID": "41"})
    assert play_began["variables_given"] == ["awx_user_name", "webhook_value", "work"]
    assert play_began["job"] == {"awx_user_name": "ada"}
    assert ended["event"] == "run_ended" and ended["hosts"]["localhost"]["failures"] == 0
    written, hidden, failed, share = (line for line in lines if line["event"] == "task")
    assert (written["outcome"], written["host"], written["file"]) == ("changed", "localhost", str(work / "file"))
    assert written["before"] != written["after"]
    assert hidden["hidden"] and "file" not in hidden
    assert (failed["outcome"], failed["ignored"]) == ("failed", True) and "[hidden]" in failed["message"]
    assert share["decision"]["wrote"]["digest"].startswith("sha256:")
    # each task is on record before what came of it
    order = [(line["event"], line["task"]) for line in lines if line["event"].startswith("task")]
    assert order == [(event, task["name"]) for task in TASKS for event in ("task_begins", "task")]


def test_no_secret_is_in_it(work: Path) -> None:
    assert SECRET in (work / "file").read_text()
    for file in ("audit.jsonl", "heads"):
        assert SECRET not in (work / file).read_text()


def test_it_verifies_and_a_cut_end_is_found(work: Path) -> None:
    trail = work / "audit.jsonl"
    options = {"path": str(trail), "heads": [str(work / "heads")]}
    found = run_alone("audit_verify", options)
    assert (found.get("failed", False), found["faults"], found["unfinished_runs"]) == (False, [], [])
    (work / "cut.jsonl").write_text("".join(trail.read_text().splitlines(keepends=True)[:-2]))
    cut = run_alone("audit_verify", {**options, "path": str(work / "cut.jsonl")})
    assert cut["failed"] and "is gone: a head kept elsewhere says it was there" in cut["msg"]


def test_nothing_is_done_that_cannot_be_recorded(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("not a directory")
    trail = str(tmp_path / "file.txt" / "audit.jsonl")
    done = play(tmp_path, trail, "-e", f"work={tmp_path}", MODELOPS_AUDIT_REQUIRED="true")
    assert done.returncode != 0
    assert "Nothing is done without a record" in done.stdout + done.stderr
    assert not (tmp_path / "file").exists()
