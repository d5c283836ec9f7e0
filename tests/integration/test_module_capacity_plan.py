# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""capacity_plan as Ansible runs it: options, files, check mode, diff, repeatability, cost."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import module_command
import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
MODULE = "capacity_plan"
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "plan.schema.json").read_text(encoding="utf-8"))
HOSTS = [
    {
        "name": f"gpu-{zone}1",
        "zone": zone,
        "accelerator_type": "h100-80gb",
        "accelerator_count": 8,
        "accelerator_memory_gib": 80,
        "cost_per_hour": 24,
    }
    for zone in "ab"
]
MODELS = {
    "chat-8b": {
        "engine": "vllm",
        "version": "2026.11.1",
        "resources": {"accelerators": 1, "accelerator_memory_gib": 22},
        "capacity": {"h100-80gb": {"requests_per_second": 6.5, "service_time_seconds": 1.2}},
        "spread": {"zone": 0.6},
        "min_replicas": 1,
    }
}
GIVEN: dict[str, Any] = {"hosts": HOSTS, "models": MODELS, "demand": {"chat-8b": 30}, "as_of": "2026-11-23T18:00:00Z"}


def run_ansible(arguments: dict[str, Any], *extra: str) -> dict[str, Any]:
    return module_command.run_module(MODULE, arguments, *extra)


def run_module(arguments: dict[str, Any], **also: Any) -> dict[str, Any]:
    return module_command.run_alone(MODULE, {**arguments, **also})


def test_check_mode_plan_again_and_apply(tmp_path: Path) -> None:
    dest = tmp_path / "plan.json"
    checked = run_ansible({**GIVEN, "dest": str(dest)}, "--check", "--diff")
    assert checked["changed"] and not dest.exists()
    assert "+gpu-a1 slot 0: chat-8b 2026.11.1" in checked["shown"]

    planned = run_ansible({**GIVEN, "dest": str(dest)}, "--diff")
    document = json.loads(dest.read_text())
    jsonschema.validate(document, SCHEMA)
    assert stat.S_IMODE(dest.stat().st_mode) == 0o640
    assert planned["changed"] and planned["digest"] == checked["digest"] == document["digest"]
    assert (planned["starts"], planned["stops"], planned["keeps"], planned["moves"]) == (5, 0, 0, 0)
    assert planned["summary"].startswith("Plan of ") and "plan" not in planned
    assert planned["solver"]["seconds"] > 0

    applied = run_module({**GIVEN, "dest": str(dest), "current": document["placements"]})
    assert not applied["changed"]
    assert (applied["starts"], applied["stops"], applied["keeps"]) == (0, 0, 5)


def test_the_same_input_gives_the_same_bytes_but_for_the_moment(tmp_path: Path) -> None:
    contents = []
    for name in ("first", "second"):
        run_module(GIVEN, dest=str(tmp_path / name))
        document = json.loads((tmp_path / name).read_text())
        document["created_at"] = ""
        contents.append(json.dumps(document))
        time.sleep(1.1)
    assert contents[0] == contents[1]


def test_big_inputs_may_be_paths(tmp_path: Path) -> None:
    for name in ("hosts", "models", "demand"):
        (tmp_path / name).write_text(json.dumps(GIVEN[name]))
    (tmp_path / "current").write_text("[]")
    by_path = run_module({name: str(tmp_path / name) for name in ("hosts", "models", "demand", "current")})
    inline = run_module({**GIVEN, "as_of": None})
    assert by_path["plan"]["placements"] == inline["plan"]["placements"]
    jsonschema.validate(by_path["plan"], SCHEMA)
    assert by_path["plan"]["as_of"] is None


def test_planning_from_a_forecast_file(tmp_path: Path) -> None:
    forecast = {
        "schema_version": 1,
        "kind": "forecast",
        "created_at": "2026-11-23T17:59:00Z",
        "window_steps": 12,
        "series": {
            "chat-8b": {
                "usable": True,
                "beats_seasonal_naive": True,
                "start": "2026-11-23T18:00:00Z",
                "step_seconds": 600,
                "last_observed": 20.0,
                "recent_maximum": 21.0,
                "mean": [20.0] * 12,
                "quantiles": {"0.5": [20.0] * 12, "0.95": [28.0] * 12},
                "window_maximum": {"0.5": 22.0, "0.95": 31.0},
            }
        },
    }
    path = tmp_path / "forecast.json"
    path.write_text(json.dumps(forecast))
    result = run_module({**GIVEN, "demand": str(path)})
    record = result["plan"]["demand"]["chat-8b"]
    assert record["source"] == "forecast"
    # The 20 observed are what the median of this moment expects, so the forecast decides, less the chance of its counts.
    assert record["levels"] == pytest.approx({"0.5": 22.0, "0.95": 31.0}, rel=1e-2)
    assert result["starts"] == 5
    digest = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]
    assert result["plan"]["inputs"]["forecast"] == f"sha256:{digest}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hosts": "/nowhere/fleet.json"}, "/nowhere/fleet.json: the list of hosts file does not exist"),
        ({"hosts": {"name": "a"}}, "hosts must be a list of host records"),
        ({"models": []}, "the catalogue of models (modelops_models) must be a mapping"),
        ({"demand": [1]}, "the demand must be a mapping"),
        ({"demand": {"chat-8b": "many"}}, "demand of chat-8b: requests/s must be a number, not 'many'"),
        ({"observed": 7}, "the observed demand must be a mapping"),
        ({"current": [{"host": "gpu-a1"}]}, "current[0]: a replica record has no model"),
        ({"headroom": 0.5}, "headroom must be at least 1"),
        ({"planning_interval_seconds": 0}, "planning_interval_seconds must be at least 1"),
        ({"time_limit_seconds": 0}, "time_limit_seconds must be at least 0.1"),
        ({"churn_hours": -1}, "churn_hours must be at least 0"),
        ({"as_of": "soon"}, "is not an ISO 8601 moment"),
        ({"startup_seconds": {"chat-8b": "long"}}, "lead time of chat-8b"),
        ({"dest": "/nowhere/plan.json"}, "/nowhere/plan.json: cannot write here"),
    ],
)
def test_bad_input_is_one_clear_message(change: dict[str, Any], words: str) -> None:
    result = run_module({**GIVEN, **change})
    assert result["failed"] and words in result["msg"]
    assert "Traceback" not in json.dumps(result)


def test_a_missing_library_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "ortools.py").write_text("raise ImportError('not here')\n")
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.modelops.datacenter.plugins.modules.capacity_plan"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": GIVEN}),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        check=False,
    )
    result = json.loads(done.stdout)
    assert result["failed"] and "Capacity planning needs the Python library ortools >= 9.12" in result["msg"]


def test_twenty_hosts_and_five_models_take_little_time() -> None:
    """Under 1.5 CPU s on an idle core, imports included; twice that is allowed for here, since cores are shared."""
    types = {"h100-80gb": (8, 24.0), "l40s-48gb": (4, 6.0)}
    hosts = []
    for i in range(20):
        kind = sorted(types)[i % 2]
        count, cost = types[kind]
        hosts.append(
            {
                "name": f"gpu-{i:02d}",
                "zone": "abc"[i % 3],
                "accelerator_type": kind,
                "accelerator_count": count,
                "cost_per_hour": cost,
            }
        )
    models = {
        f"m{i}": {
            "resources": {"accelerators": size},
            "capacity": {
                "h100-80gb": {"requests_per_second": 3.0 + i},
                "l40s-48gb": {"requests_per_second": 1.0 + i / 3},
            },
            "spread": {"zone": 0.6},
        }
        for i, size in enumerate((1, 1, 2, 2, 4))
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run_module({"hosts": hosts, "models": models, "demand": dict.fromkeys(models, 33.0)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result["solver"]["status"] == "optimal" and result["shortages"] == []
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3.0
