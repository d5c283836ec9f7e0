# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin plan beside an ordinary inventory, as Ansible reads both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "unit" / "planning"))

from planning_builders import FLEET, sealed_plan  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import write_plan  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_plan(str(tmp_path / "plan.json"), sealed_plan())
    (tmp_path / "fleet.modelops_plan.yml").write_text("plugin: modelops.datacenter.plan\nplan: plan.json\n")
    hosts = {host["name"]: {} for host in FLEET}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {**hosts, "other": {}}}}))
    return tmp_path


def listed(folder: Path, *sources: str) -> tuple[dict[str, Any], str]:
    words = [word for source in sources for word in ("-i", str(folder / source))]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), *words, "--list"],
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    # How ansible-inventory marks text that is never a template.
    found = json.loads(done.stdout, object_hook=lambda one: one.get("__ansible_unsafe", one))
    return found, " ".join(done.stderr.split())


def test_hosts_are_grouped_by_what_is_planned_on_them(folder: Path) -> None:
    found, said = listed(folder, "hosts.yml", "fleet.modelops_plan.yml")
    plan = sealed_plan()
    for model in {place["model"] for place in plan["placements"]}:
        hosts = sorted({place["host"] for place in plan["placements"] if place["model"] == model})
        assert found[f"model_{model.replace('-', '_')}"]["hosts"] == hosts
    for action in ("start", "stop"):
        hosts = sorted({one["host"] for one in plan["actions"] if one["action"] == action})
        assert found.get(f"plan_{action}s", {"hosts": []})["hosts"] == hosts
    zones = {host["zone"] for host in FLEET}
    assert {name for name in found if name.startswith("zone_")} == {f"zone_{zone.replace('-', '_')}" for zone in zones}
    place = plan["placements"][0]
    planned = found["_meta"]["hostvars"][place["host"]]["modelops_planned"]
    assert {"model": place["model"], "version": place["version"], "slot": place["slot"]}.items() <= planned[0].items()
    assert "WARNING" not in said


def test_hosts_that_nobody_else_has_are_left_out_and_named(folder: Path) -> None:
    found, said = listed(folder, "fleet.modelops_plan.yml")
    assert not found["_meta"]["hostvars"]
    assert f"no other inventory has {', '.join(sorted(host['name'] for host in FLEET))}" in said


def test_a_changed_plan_is_refused(folder: Path) -> None:
    plan = folder / "plan.json"
    plan.write_bytes(plan.read_bytes().replace(b'"slot":0', b'"slot":7').replace(b'"slot": 0', b'"slot": 7'))
    _found, said = listed(folder, "hosts.yml", "fleet.modelops_plan.yml")
    assert "plan.json" in said and "changed" in said
