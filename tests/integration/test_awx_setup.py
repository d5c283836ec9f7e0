# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook awx_setup without a controller, and against the one that CONTROLLER_HOST names."""

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
BIN = Path(sys.executable).parent
OBJECTS = ROOT / "extensions/awx/objects.yml"
CONTROLLER = os.environ.get("CONTROLLER_HOST", "")


def play(*words: str, objects: Path = OBJECTS, host: str = "", **extra: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "0", "CONTROLLER_HOST": host}
    command = [str(BIN / "ansible-playbook"), "modelops.datacenter.awx_setup", "-e", json.dumps(extra), *words]
    return subprocess.run(
        [*command, "-e", f"awx_setup_objects={objects}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_check_mode_without_a_controller_lists_what_would_be_sent() -> None:
    done = play("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    data = yaml.safe_load(OBJECTS.read_text())
    assert f"+ organization {data['organization']}" in done.stdout
    for kind in ("teams", "credentials", "job_templates", "workflows", "schedules"):
        for one in data[kind]:
            assert f"+ {kind} {one['name']}" in done.stdout
    assert "failed=0" in done.stdout


def test_nothing_is_asked_or_sent_when_the_data_is_wrong(tmp_path: Path) -> None:
    data = yaml.safe_load(OBJECTS.read_text())
    data["workflows"][0]["nodes"][1]["approval"].pop("timeout_seconds")
    (tmp_path / "objects.yml").write_text(yaml.safe_dump(data))
    # Nobody listens there: whoever asked would fail otherwise.
    done = play(objects=tmp_path / "objects.yml", host="http://127.0.0.1:9")
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "Nothing may be sent to AWX. workflows 'fleet loop': the node 'approve' needs a timeout_seconds" in said
    assert "127.0.0.1" not in done.stdout


def test_without_a_controller_it_says_how_to_name_one() -> None:
    done = play()
    assert done.returncode != 0
    assert "Set CONTROLLER_HOST and CONTROLLER_OAUTH_TOKEN" in " ".join(done.stdout.split())


def test_the_project_gets_playbooks_that_run(tmp_path: Path) -> None:
    done = play(awx_setup_project_dir=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert yaml.safe_load((tmp_path / "collections/requirements.yml").read_text()) == {
        "collections": [{"name": "modelops.datacenter"}]
    }
    templates = {one["playbook"] for one in yaml.safe_load(OBJECTS.read_text())["job_templates"]}
    assert templates == {path.name for path in tmp_path.glob("*.yml")}
    books = [str(tmp_path / name) for name in sorted(templates)]
    checked = subprocess.run(
        [str(BIN / "ansible-playbook"), "--syntax-check", "-i", "localhost,", *books],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "changed=0" in play(awx_setup_project_dir=str(tmp_path)).stdout


@pytest.mark.skipif(not CONTROLLER, reason="CONTROLLER_HOST names no controller of AWX to talk to")
def test_a_real_controller_is_made_so_and_a_second_run_has_nothing_to_send(tmp_path: Path) -> None:
    """Needs awx.awx, CONTROLLER_OAUTH_TOKEN, and MODELOPS_AWX_OBJECTS: data whose project the controller can reach."""
    objects = Path(os.environ.get("MODELOPS_AWX_OBJECTS", str(OBJECTS)))
    asked = play("--check", objects=objects, host=CONTROLLER)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    done = play(objects=objects, host=CONTROLLER)
    assert done.returncode == 0, done.stdout + done.stderr
    exported = tmp_path / "exported.json"
    again = play(objects=objects, host=CONTROLLER, awx_setup_export=str(exported))
    assert again.returncode == 0 and "nothing differs" in again.stdout, again.stdout
    names = {one["name"] for one in json.loads(exported.read_text())["job_templates"]}
    assert {one["name"] for one in yaml.safe_load(objects.read_text())["job_templates"]} <= names
