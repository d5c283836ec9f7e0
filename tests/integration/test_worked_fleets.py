# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worked fleets of ``inventories/fleets``, planned with the commands of their guide, hold what the guide says of them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
GUIDE = (ROOT / "docs/docsite/rst/guide_fleets.rst").read_text(encoding="utf-8")
FLEETS = sorted(path.stem for path in (ROOT / "inventories/fleets").glob("*.yml"))


def commands(fleet: str) -> list[list[str]]:
    """The guide's commands about one fleet."""
    lines = re.findall(r"^ {4}\$ (.+)$", GUIDE, re.MULTILINE)
    return [shlex.split(line) for line in lines if f"{fleet}.csv.gz" in line or f"{fleet}.yml" in line]


def planned(root: Path, fleet: str) -> tuple[dict[str, Any], str]:
    (root / "inventories").symlink_to(ROOT / "inventories")
    found = commands(fleet)
    assert [words[0] for words in found] == ["python", "ansible-playbook"]
    output = ""
    for words in found:
        words[0] = sys.executable if words[0] == "python" else str(BIN / words[0])
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "PWD": str(root)}
        done = subprocess.run(
            words, cwd=root, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
    return json.loads((root / "modelops-output" / fleet / "plan.json").read_text(encoding="utf-8")), output


def share_of_fullest_zone(plan: dict[str, Any], model: str, zones: dict[str, str]) -> float:
    held = [zones[one["host"]] for one in plan["placements"] if one["model"] == model]
    return max(held.count(zone) for zone in held) / len(held)


def test_the_fleets_of_the_guide_are_there() -> None:
    assert FLEETS == ["fraud", "language", "recommendation", "vision"]


@pytest.mark.parametrize("fleet", FLEETS)
def test_a_worked_fleet_is_planned(tmp_path: Path, fleet: str) -> None:
    inventory = yaml.safe_load((ROOT / f"inventories/fleets/{fleet}.yml").read_text())["all"]
    plan, output = planned(tmp_path, fleet)
    models = inventory["vars"]["modelops_models"]
    counts = {name: sum(one["model"] == name for one in plan["placements"]) for name in models}
    for name, entry in models.items():
        assert plan["demand"][name]["source"] != "held", output
        assert entry["min_replicas"] <= counts[name] <= entry["max_replicas"], name
        allowed = {
            one
            for one, host in inventory["hosts"].items()
            if host and host["modelops_accelerator_type"] in entry["capacity"]
        }
        assert {one["host"] for one in plan["placements"] if one["model"] == name} <= allowed
    assert plan["shortages"] == [], plan["shortages"]
    zones = {name: host["modelops_zone"] for name, host in inventory["hosts"].items() if host}
    for name, entry in models.items():
        if "spread" in entry and counts[name] > 2:
            assert share_of_fullest_zone(plan, name, zones) <= entry["spread"]["zone"] + 1 / counts[name], name
    output_dir = tmp_path / "modelops-output" / fleet
    assert (output_dir / "report.html").stat().st_size > 10_000
    if "modelops_jobs" in inventory["vars"]:
        schedule = json.loads((output_dir / "schedule.json").read_text(encoding="utf-8"))
        assert set(schedule["jobs"]) == set(inventory["vars"]["modelops_jobs"])
        late = {name for name, job in schedule["jobs"].items() if job["status"] != "on_time"}
        # By day the language models leave too little for theirs, and the schedule says what would do.
        assert bool(late) == (fleet == "language"), schedule["summary"]
        assert not late or "all deadlines hold" in schedule["summary"], schedule["summary"]
