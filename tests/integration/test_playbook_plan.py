# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan playbook with the options of the solver: periods, jobs, tenants, method; what it writes and shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Record, State, write_state

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
AS_OF = datetime(2026, 1, 16, 6, 0, tzinfo=timezone.utc)
MORNING = f"{AS_OF:%Y-%m-%dT%H:%M:%SZ}"
PERIODS = 4
MODEL = {
    "engine": "command",
    "version": "1",
    "resources": {"accelerators": 1},
    "capacity": {"l40s-48gb": {"requests_per_second": 3.0, "service_time_seconds": 1.0}},
    "min_replicas": 1,
    "startup_seconds": 300,
    "engine_args": {"command": ["/bin/true"]},
}
MODELS = {"chat": MODEL, "code": MODEL}
JOBS = {
    "finetune": {
        "work_accelerator_hours": 12,
        "accelerators": {"min": 1, "max": 4, "powers_of_two": True},
        "deadline": "2026-01-16T11:00:00Z",
        "weight": 3,
    },
    "embed": {"work_accelerator_hours": 6, "accelerators": 2, "preemptible": False, "deadline": "2026-01-16T12:00:00Z"},
    "hopeless": {"work_accelerator_hours": 90, "accelerators": 4, "deadline": "2026-01-16T09:00:00Z", "weight": 0.5},
}


def write_history(path: Path) -> None:
    """Twelve days of two models whose demand rises from 06:00 to noon."""
    lines = ["series,timestamp,value"]
    for name, level in (("chat", 30.0), ("code", 9.0)):
        for step in range(12 * 144):
            moment = AS_OF - timedelta(days=12) + step * timedelta(minutes=10)
            hours = moment.hour + moment.minute / 60
            share = 0.15 + 0.85 * max(0.0, 1 - abs(hours - 12.0) / 7.0)
            lines.append(f"{name},{moment:%Y-%m-%dT%H:%M:%SZ},{level * share:.4f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_inventory(root: Path) -> None:
    hosts = {
        f"gpu-{zone}{number}": {
            "modelops_accelerator_type": "l40s-48gb",
            "modelops_accelerator_count": 4,
            "modelops_accelerator_memory_gib": 48,
            "modelops_cpu_cores": 32,
            "modelops_memory_gib": 256,
            "modelops_cost_per_hour": 6.4,
            "modelops_zone": zone,
        }
        for zone in "ab"
        for number in (1, 2)
    }
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "modelops_models": MODELS,
        "modelops_output_dir": str(root / "output"),
        "modelops_facts_dir": f"{root}/{{{{ inventory_hostname }}}}/facts.d",
        "modelops_history": str(root / "history.csv"),
        "modelops_as_of": MORNING,
    }
    (root / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"localhost": {}, **hosts}, "vars": variables}}))


def play(root: Path, **extra: Any) -> str:
    command = [str(BIN / "ansible-playbook"), "-i", str(root / "hosts.yml"), "modelops.datacenter.plan"]
    done = subprocess.run(
        [*command, "-e", json.dumps(extra)],
        cwd=root,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORKS": "4"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(root: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / "output" / f"{name}.json").read_text(encoding="utf-8"))
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plan")
    write_history(root / "history.csv")
    write_inventory(root)
    return root


@pytest.fixture(scope="module")
def with_jobs(root: Path) -> str:
    return play(root, modelops_jobs=JOBS)


def test_jobs_run_on_what_serving_leaves_free_in_every_period(root: Path, with_jobs: str) -> None:
    plan, schedule = read(root, "plan"), read(root, "schedule")
    periods = plan["outlook"]["periods"]
    assert len(periods) == PERIODS - 1
    growth = [sum(sum(hosts.values()) for hosts in period["replicas"].values()) for period in periods]
    assert growth == sorted(growth) and growth[-1] > len(plan["placements"])  # demand rises until noon

    taken: dict[str, set[int]] = {}
    for one in plan["placements"]:
        taken.setdefault(one["host"], set()).update(one["accelerators"])
    now = {host["name"]: 4 - len(taken.get(host["name"], ())) for host in plan["hosts"]}
    steps = [now, *({**now, **period["free_accelerators"]} for period in periods)]
    assert [sum(step.values()) for step in steps[1:]] == [16 - count for count in growth]
    for name, fields in schedule["jobs"].items():
        for run in fields["runs"]:
            assert run["host"] in now, name
    assert schedule["start"] == MORNING
    for index, period in enumerate(schedule["periods"][: len(steps)]):
        used: dict[str, int] = {}
        begin = period["start"]
        for fields in schedule["jobs"].values():
            for run in fields["runs"]:
                if run["start"] <= begin < run["end"]:
                    used[run["host"]] = used.get(run["host"], 0) + run["accelerators"]
        assert all(count <= steps[index][host] for host, count in used.items()), (begin, used, steps[index])
    assert schedule["jobs"]["finetune"]["status"] == schedule["jobs"]["embed"]["status"] == "on_time"
    assert schedule["jobs"]["hopeless"]["status"] != "on_time" and schedule["jobs"]["hopeless"]["reason"]


def test_the_run_and_the_report_say_it(root: Path, with_jobs: str) -> None:
    schedule = read(root, "schedule")
    assert f"Jobs: {schedule['summary']}" in with_jobs
    page = (root / "output" / "report.html").read_text(encoding="utf-8")
    assert 'id="outlook"' in page and 'id="jobs"' in page and "plot gantt" in page
    assert "made on another plan" not in page


def test_the_same_again_writes_the_same_schedule(root: Path, with_jobs: str) -> None:
    before = (root / "output" / "schedule.json").read_bytes()
    play(root, modelops_jobs=JOBS)
    assert (root / "output" / "schedule.json").read_bytes() == before


def test_serving_is_placed_around_a_running_job_that_may_not_be_interrupted(root: Path, with_jobs: str) -> None:
    (place,) = {one["host"] for one in read(root, "plan")["placements"]} & {"gpu-a1"}
    state = State()
    for name, accelerators in (("embed", [0, 1, 2]), ("finetune", [3])):
        record = state.jobs[name] = Record(name, "x", phase="running")
        record.enter(place, accelerators, "l40s-48gb", speed=1.0, now=1.0, lease_until=2.0)
    (root / "state").mkdir()
    write_state(str(root / "state" / "jobs.json"), state)
    said = play(root, modelops_jobs=JOBS, deploy_state_dir=str(root / "state"))
    assert f"Reserved on {place}: accelerators 0, 1, 2 for embed" in said
    plan = read(root, "plan")
    assert plan["reserved"] == {place: {"embed": [0, 1, 2]}}
    used = {index for one in plan["placements"] if one["host"] == place for index in one["accelerators"]}
    assert not used & {0, 1, 2}
    play(root, modelops_jobs=JOBS)
    assert "reserved" not in read(root, "plan")


def test_every_option_of_the_solver_is_reachable(root: Path, with_jobs: str) -> None:
    play(
        root,
        plan_objective="lexicographic",
        plan_tenants={"chat": "one", "code": "two"},
        plan_method="lp_repair",
        plan_periods=2,
        plan_period_seconds=1800,
        plan_response_time_price=0.001,
        modelops_models=MODELS | {"novel": {**MODEL, "min_replicas": 2}},
    )
    plan = read(root, "plan")
    assert plan["solver"]["method"].startswith("linear programme, rounded and repaired")
    assert plan["solver"]["bound"] is None  # lexicographic proves none
    assert plan["outlook"]["period_seconds"] == 1800 and len(plan["outlook"]["periods"]) == 1
    # a model the history knows nothing of is planned unforecast
    assert plan["demand"]["novel"]["source"] == "held"
    assert sum(one["model"] == "novel" for one in plan["placements"]) == 2
    assert any("No demand could be read for novel" in text for text in plan["warnings"])
    assert 'id="jobs"' not in (root / "output" / "report.html").read_text(encoding="utf-8")
