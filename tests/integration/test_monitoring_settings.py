# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role makes of its variables, checked by the programs that read it: promtool and amtool."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROMTOOL, AMTOOL = shutil.which("promtool"), shutil.which("amtool")
pytestmark = pytest.mark.skipif(not (PROMTOOL and AMTOOL), reason="promtool and amtool are not installed")
GIVEN: dict[str, Any] = {
    "monitoring_receivers": [{"name": "people", "webhook_configs": [{"url": "http://127.0.0.1:9/people"}]}],
    "monitoring_remediation_url": "http://127.0.0.1:9/alerts",
    "monitoring_remediation_token": "a-secret-of-this-test",
    "monitoring_dead_man_url": "http://127.0.0.1:9/heartbeat",
    "monitoring_external_labels": {"site": "north"},
    "monitoring_scrape_options": {"modelops-node": {"scheme": "https", "tls_config": {"insecure_skip_verify": True}}},
    "monitoring_users": {"prometheus": "$2y$10$EYxs8IOG46m9CtpB/XlPxO1ei7E4BjAen0SUv6di7mD4keR/8JO6m"},
    "monitoring_login_user": "prometheus",
    "monitoring_login_password": "another-secret-of-this-test",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents of the role, by Ansible from its own variables."""
    directory = tmp_path_factory.mktemp("monitoring")
    play = directory / "play.yml"
    files = ("prometheus", "alertmanager")
    tasks = [
        {"ansible.builtin.copy": {
            "content": "{{ __monitoring_" + name + "_config | to_nice_yaml(indent=2, width=200) }}",
            "dest": str(directory / f"{name}.yml"), "mode": "0600"}}
        for name in files
    ]  # fmt: skip
    (directory / "rules").mkdir()
    (directory / "rules/modelops.yml").write_text("groups: []\n")
    for name in ("login.password", "remediation.token"):
        (directory / name).write_text("secret")
    play.write_text(
        json.dumps(
            [{"hosts": "all", "gather_facts": False, "connection": "local", "tasks": tasks,
              "vars_files": [str(ROOT / "roles/monitoring" / part / "main.yml") for part in ("defaults", "vars")],
              "vars": {"ansible_facts": {"os_family": "Debian"}, "ansible_python_interpreter": sys.executable}}]
        )
    )  # fmt: skip
    inventory = directory / "hosts.yml"
    hosts = {
        f"mon{number}": {"modelops_monitoring": True, "modelops_address": f"192.0.2.{number}"} for number in (1, 2)
    }
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), "--limit", "mon1", str(play),
         "-e", json.dumps({**GIVEN, "monitoring_config_dir": str(directory)})],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return directory


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_both_programs_take_what_is_written(written: Path) -> None:
    said(str(PROMTOOL), "check", "config", str(written / "prometheus.yml"))
    said(str(AMTOOL), "check-config", str(written / "alertmanager.yml"))


def test_every_monitoring_host_tells_every_alertmanager(written: Path) -> None:
    text = (written / "prometheus.yml").read_text()
    assert "192.0.2.1:9093" in text
    assert "192.0.2.2:9093" in text


def test_secrets_are_named_by_file_and_never_written_into_the_settings(written: Path) -> None:
    for name in ("prometheus.yml", "alertmanager.yml"):
        assert "secret-of-this-test" not in (written / name).read_text()


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["alertname=ModelServerDown", "severity=page"], "remediation,people"),
        (["alertname=HostCpuHigh", "severity=ticket"], "remediation,people"),
        (["alertname=MonitoringHeartbeat", "severity=none"], "dead-man"),
        (["alertname=Other"], "people"),
    ],
)
def test_who_is_told(written: Path, labels: list[str], receivers: str) -> None:
    told = said(str(AMTOOL), "config", "routes", "test", f"--config.file={written / 'alertmanager.yml'}", *labels)
    assert told.replace(" ", "") == receivers
