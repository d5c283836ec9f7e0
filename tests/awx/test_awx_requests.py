# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role awx_setup with the real modules of awx.awx against a STAND-IN (stand_in.py): the requests, not a controller.

Run: ``make awx``. ``tests/integration/test_awx_setup.py`` talks to a real controller where ``CONTROLLER_HOST`` names one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from stand_in import StandIn

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = ROOT / "extensions/awx/objects.yml"
SECRET = "Zq7canary93x"
SECRETS = {
    "secret store": {"url": "https://vault.example", "secret_id": SECRET},
    "fleet ssh": {"username": "deploy"},
    "fleet vault": {"vault_password": SECRET},
    "fleet channel": {"token": SECRET, "channels": ["fleet"]},
}
COLLECTIONS = os.environ.get("MODELOPS_AWX_COLLECTIONS", str(ROOT / ".cache/awx"))
pytestmark = pytest.mark.skipif(
    not Path(COLLECTIONS, "ansible_collections/awx/awx").is_dir(), reason="awx.awx is not here: run make awx"
)


@pytest.fixture(scope="module")
def controller() -> Iterator[StandIn]:
    controller = StandIn()
    yield controller
    controller.close()


def some(data: dict[str, Any]) -> dict[str, Any]:
    """A few templates of each kind: all of them take minutes and show no more."""
    kept = {"plan", "apply", "verify", "upgrade"}
    return {
        **data,
        "job_templates": [one for one in data["job_templates"] if one["name"] in kept],
        "schedules": [one for one in data["schedules"] if "workflow" in one],
        "grants": [one for one in data["grants"] if one["name"] in (*kept, "fleet loop")],
    }


def play(controller: StandIn, data: dict[str, Any], tmp_path: Path, *words: str, **extra: Any) -> str:
    objects = tmp_path / "objects.json"
    objects.write_text(json.dumps(data))
    (tmp_path / "secrets.json").write_text(json.dumps({"awx_setup_secrets": SECRETS}))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", *words]
    command += ["-e", f"awx_setup_objects={objects}", "-e", f"@{tmp_path}/secrets.json", "-e", json.dumps(extra)]
    done = subprocess.run(
        [*command, "modelops.datacenter.awx_setup"],
        env={
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/.cache/collections:{COLLECTIONS}",
            "CONTROLLER_HOST": controller.url,
            "CONTROLLER_OAUTH_TOKEN": SECRET,
        },
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert SECRET not in said
    return said


def test_a_first_run_in_check_mode_sends_nothing(controller: StandIn, tmp_path: Path) -> None:
    said = play(controller, some(yaml.safe_load(OBJECTS.read_text())), tmp_path, "--check")
    assert "+ organization modelops" in said and controller.store.sent == []


def test_everything_is_made_and_the_export_is_what_was_declared(controller: StandIn, tmp_path: Path) -> None:
    data = some(yaml.safe_load(OBJECTS.read_text()))
    play(controller, data, tmp_path, "-vvv")
    tables = controller.store.tables
    assert {one["name"] for one in tables["job_templates"].values()} == {one["name"] for one in data["job_templates"]}
    store = next(one for one in tables["credentials"].values() if one["name"] == "secret store")
    assert store["inputs"] == SECRETS["secret store"]

    controller.store.sent.clear()
    exported = tmp_path / "exported.json"
    again = play(controller, data, tmp_path, "-vvv", awx_setup_export=str(exported))
    assert "nothing differs" in again
    assert controller.store.sent == []
    found = json.loads(exported.read_text())
    for kind in ("teams", "credentials", "job_templates", "workflows", "schedules", "grants", "notifications"):
        assert len(found[kind]) == len(data[kind]), kind


def test_what_was_exported_is_data_that_can_be_sent(controller: StandIn, tmp_path: Path) -> None:
    exported = tmp_path / "exported.json"
    play(controller, some(yaml.safe_load(OBJECTS.read_text())), tmp_path, "--check", awx_setup_export=str(exported))
    said = play(controller, json.loads(exported.read_text()), tmp_path, "--check")
    assert "nothing differs" in said


def test_drift_is_shown_by_field_and_mended_alone(controller: StandIn, tmp_path: Path) -> None:
    data = some(yaml.safe_load(OBJECTS.read_text()))
    tables = controller.store.tables
    plan = next(one for one in tables["job_templates"].values() if one["name"] == "plan")
    plan["timeout"] = 60
    approval = next(iter(tables["workflow_approval_templates"].values()))
    approval["timeout"] = 0
    stray = {"identifier": "stray", "workflow_job_template": next(iter(tables["workflow_job_templates"]))}
    stray["unified_job_template"] = plan["id"]
    controller.store.make("workflow_job_template_nodes", stray)
    shown = play(controller, data, tmp_path, "--check")
    assert "~ job_templates plan: timeout_seconds 60 -> 3600" in shown
    assert "~ workflows fleet loop: nodes" in shown
    controller.store.sent.clear()
    play(controller, data, tmp_path)
    assert (plan["timeout"], approval["timeout"]) == (3600, 3600)
    assert "stray" not in {one["identifier"] for one in tables["workflow_job_template_nodes"].values()}
    touched = {line.split("/")[0].split()[1] for line in controller.store.sent}
    assert touched <= {"job_templates", "workflow_job_template_nodes", "workflow_approval_templates"}, touched
