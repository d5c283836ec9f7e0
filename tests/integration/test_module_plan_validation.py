# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan_validation and the filters around it, run by Ansible."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
sys.path.insert(0, str(ROOT / "tests" / "unit" / "planning"))

from planning_builders import CATALOGUE, FLEET, RUNNING, sealed_plan  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import write_plan  # noqa: E402


def ansible(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false"}
    return subprocess.run(
        [str(BIN / arguments[0]), *arguments[1:]],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def validate(*flags: str, **options: Any) -> dict[str, Any]:
    """One run of the module; its result as Ansible shows it."""
    done = ansible(
        "ansible", "localhost", "-m", "modelops.datacenter.plan_validation", "-a", json.dumps(options), *flags
    )
    assert "Traceback" not in done.stdout + done.stderr
    head, _unused, body = done.stdout.partition(" => ")
    result: dict[str, Any] = json.loads(body[: body.rindex("}") + 1])
    assert (done.returncode == 0) == ("FAILED" not in head)
    result["failed"] = done.returncode != 0
    result["shown"] = done.stdout
    return result


@pytest.fixture
def path(tmp_path: Path) -> str:
    return plan_file(tmp_path)


def plan_file(directory: Path, *, age_seconds: float = 60, **fields: Any) -> str:
    where = str(directory / "plan.json")
    write_plan(where, sealed_plan(created_at=format_moment(time.time() - age_seconds), **fields))
    return where


def hosts(**changes: Any) -> list[dict[str, Any]]:
    records = copy.deepcopy(FLEET)
    records[1].update(changes)
    return records


def test_an_accepted_plan_says_what_is_left_and_then_that_nothing_is(path: str) -> None:
    found = validate("--diff", plan=path, hosts=FLEET, models=CATALOGUE, current=RUNNING)
    assert (found["failed"], found["changed"]) == (False, True)
    assert found["passes"] == [0, 1, 2]
    assert found["wave_count"] == 2
    assert found["pending"]["lines"] == ["- chat 2026.10.1 on gpu-a1 slot 0", "+ chat 2026.11.1 on gpu-b1 slot 0"]
    assert found["digest"] == sealed_plan()["digest"]
    assert 55 <= found["age_seconds"] <= 120
    assert "-gpu-a1 slot 0: chat 2026.10.1" in found["shown"]
    assert "+gpu-b1 slot 0: chat 2026.11.1" in found["shown"]

    before = Path(path).read_bytes()
    done = validate("--check", plan=path, hosts=FLEET, models=CATALOGUE, current=found["placements"])
    assert (done["failed"], done["changed"], done["passes"]) == (False, False, [2])
    assert "what runs is what is planned" in done["summary"]
    assert Path(path).read_bytes() == before


def test_big_inputs_may_be_files(path: str, tmp_path: Path) -> None:
    for name, content in (("hosts", FLEET), ("models", CATALOGUE), ("current", RUNNING)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = {name: str(tmp_path / f"{name}.json") for name in ("hosts", "models", "current")}
    assert validate(plan=path, **files)["changed"] is True


REFUSALS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("unknown_host", {}, {"hosts": FLEET[:1]}, "it has work for host gpu-b1, which the inventory does not have"),
    (
        "stale",
        {},
        {"hosts": hosts(state="maintenance")},
        "host gpu-b1 has another state (active then, maintenance now)",
    ),
    ("stale", {}, {"models": {"chat": CATALOGUE["chat"]}}, "model code is gone"),
    ("age", {"age_seconds": 7300}, {}, "it is 2 h 1 min old, the limit is 1 h"),
    ("age", {"age_seconds": -7230}, {}, "it was created in the future"),
    ("unreachable", {}, {"hosts": hosts(reachable=False)}, "work for host gpu-b1, which does not answer"),
]


@pytest.mark.parametrize(
    ("because", "fields", "options", "words"), REFUSALS, ids=[f"{row[0]}-{row[3]}" for row in REFUSALS]
)
def test_each_refusal(
    tmp_path: Path, because: str, fields: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    where = plan_file(tmp_path, **fields)
    found = validate(**{"plan": where, "hosts": FLEET, "models": CATALOGUE, "current": RUNNING, **options})
    assert found["failed"]
    assert found["refused_because"] == because
    assert words in found["msg"]


def test_an_old_plan_may_be_allowed(tmp_path: Path) -> None:
    where = plan_file(tmp_path, age_seconds=10**7)
    assert not validate(plan=where, hosts=FLEET, models=CATALOGUE, max_age_seconds=0)["failed"]


@pytest.mark.parametrize(
    ("old", "new", "because", "words"),
    [
        ('"slot": 0', '"slot": 1', "corrupt", "the plan was changed since it was written"),
        ("{\n", "{ \n", "corrupt", "the plan was changed since it was written"),
        ("}", "", "corrupt", "not valid JSON"),
        ('"schema_version": 1', '"schema_version": 9', "schema", "schema_version 9, this release reads 1"),
        ('"kind": "plan"', '"kind": "forecast"', "schema", "not a plan"),
    ],
)
def test_an_edited_file_is_refused(path: str, old: str, new: str, because: str, words: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new, 1))
    found = validate(plan=path, hosts=FLEET, models=CATALOGUE)
    assert (found["failed"], found["refused_because"]) == (True, because)
    assert words in found["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plan": "/nowhere/plan.json"}, "/nowhere/plan.json: the plan file does not exist"),
        ({"hosts": {"a": 1}}, "hosts must be a list"),
        ({"hosts": "/nowhere/hosts.json"}, "/nowhere/hosts.json: the list of hosts file does not exist"),
        ({"models": []}, "must be a mapping"),
        ({"current": [{"host": "a"}]}, "a replica record has no model"),
        ({"max_age_seconds": -1}, "max_age_seconds must be at least 0"),
    ],
)
def test_bad_input_is_one_clear_message(path: str, options: dict[str, Any], words: str) -> None:
    found = validate(**{"plan": path, "hosts": FLEET, "models": CATALOGUE, **options})
    assert found["failed"]
    assert words in found["msg"]


PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  vars:
    fleet: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
    running: "{{ groups['all'] | modelops.datacenter.running_replicas(hostvars) }}"
  tasks:
    - modelops.datacenter.plan_validation:
        plan: "{{ plan_path }}"
        hosts: "{{ fleet }}"
        models: "{{ modelops_models }}"
        current: "{{ running }}"
      register: checked
    - copy:
        dest: "{{ answer_path }}"
        mode: "0600"
        content: >-
          {{ {'fleet': fleet, 'running': running, 'passes': checked.passes,
              'parts': dict(['gpu-a1', 'gpu-b1'] | zip(parts)),
              'summary': lookup('file', plan_path) | from_json | modelops.datacenter.plan_summary} | to_json }}
      vars:
        parts:
          - "{{ checked.placements | modelops.datacenter.replicas_for_wave(
                 checked.actions, 'gpu-a1', checked.passes | last, running, checked.wave_count) }}"
          - "{{ checked.placements | modelops.datacenter.replicas_for_wave(
                 checked.actions, 'gpu-b1', '1', hostvars['gpu-b1'].modelops_host_state.replicas, checked.wave_count) }}"
"""


def inventory(directory: Path, **changes: Any) -> str:
    machines: dict[str, dict[str, Any]] = {
        "localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    }
    for one in FLEET:
        machines[one["name"]] = {f"modelops_{key}": value for key, value in one.items() if key != "name"}
        machines[one["name"]]["modelops_accelerator_count"] = "{{ 1 + 1 }}"
        mine = [replica for replica in RUNNING if replica["host"] == one["name"]]
        machines[one["name"]]["modelops_host_state"] = {"replicas": mine}
    machines["gpu-b1"].update(changes)
    where = directory / "inventory.json"
    where.write_text(json.dumps({"all": {"hosts": machines, "vars": {"modelops_models": CATALOGUE}}}))
    return str(where)


def play(directory: Path, inventory_path: str) -> subprocess.CompletedProcess[str]:
    (directory / "play.yml").write_text(PLAYBOOK)
    more = json.dumps({"plan_path": str(directory / "plan.json"), "answer_path": str(directory / "answer.json")})
    return ansible("ansible-playbook", "-i", inventory_path, "-e", more, str(directory / "play.yml"))


def test_the_filters_from_an_inventory(path: str, tmp_path: Path) -> None:
    done = play(tmp_path, inventory(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DEPRECAT" not in done.stdout + done.stderr
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert [(one["name"], one["accelerator_count"]) for one in answer["fleet"]] == [("gpu-a1", 2), ("gpu-b1", 2)]
    assert answer["running"] == RUNNING
    assert answer["passes"] == [0, 1, 2]
    assert [one["model"] for one in answer["parts"]["gpu-a1"]["ensure"]] == ["code"]
    assert [one["model"] for one in answer["parts"]["gpu-a1"]["remove"]] == ["chat"]
    assert [one["model"] for one in answer["parts"]["gpu-b1"]["ensure"]] == ["chat"]
    assert any(line.startswith("Short: code lacks 1.5 requests/s") for line in answer["summary"])


def test_a_filter_that_fails_says_where(path: str, tmp_path: Path) -> None:
    done = play(tmp_path, inventory(tmp_path, modelops_host_state="error loading facts"))
    assert done.returncode != 0
    assert "host gpu-b1: its local fact modelops.fact is not a document" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
