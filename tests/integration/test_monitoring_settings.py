# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role makes of its variables, checked by the programs that read it: promtool and amtool."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gateway_bench import free_ports, wait_until

ROOT = Path(__file__).resolve().parents[2]
PROMTOOL, AMTOOL = shutil.which("promtool"), shutil.which("amtool")
pytestmark = pytest.mark.skipif(not (PROMTOOL and AMTOOL), reason="promtool and amtool are not installed")
PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
# From Prometheus' guide to basic authentication.
PASSWORD, BCRYPT = "test", "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"
GIVEN: dict[str, Any] = {
    "monitoring_receivers": [{"name": "people", "webhook_configs": [{"url": "http://127.0.0.1:9/people"}]}],
    "monitoring_remediation_url": "http://127.0.0.1:9/alerts",
    "monitoring_remediation_token": "a-secret-of-this-test",
    "monitoring_dead_man_url": "http://127.0.0.1:9/heartbeat",
    "monitoring_external_labels": {"site": "north"},
    "monitoring_scrape_options": {"modelops-node": {"scheme": "https", "tls_config": {"insecure_skip_verify": True}}},
    "monitoring_users": {"prometheus": BCRYPT},
    "monitoring_login_user": "prometheus",
    "monitoring_login_password": "another-secret-of-this-test",
}


def write_documents(directory: Path, hosts: dict[str, Any], variables: dict[str, Any]) -> Path:
    """The documents of the role, by Ansible from its own variables, for the first of the hosts."""
    play, inventory = directory / "play.yml", directory / "hosts.yml"
    tasks = [
        {"ansible.builtin.copy": {
            "content": "{{ __monitoring_" + name + "_config | to_nice_yaml(indent=2, width=200) }}",
            "dest": str(directory / f"{name}.yml"), "mode": "0600"}}
        for name in ("prometheus", "alertmanager")
    ]  # fmt: skip
    (directory / "rules").mkdir()
    (directory / "rules/modelops.yml").write_text("groups: []\n")
    play.write_text(
        json.dumps(
            [{"hosts": "all", "gather_facts": False, "connection": "local", "tasks": tasks,
              "vars_files": [str(ROOT / "roles/monitoring" / part / "main.yml") for part in ("defaults", "vars")],
              "vars": {"ansible_facts": {"os_family": "Debian"}, "ansible_python_interpreter": sys.executable}}]
        )
    )  # fmt: skip
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), "--limit", min(hosts), str(play),
         "-e", json.dumps({**variables, "monitoring_config_dir": str(directory)})],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return directory


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("monitoring")
    for name in ("login.password", "remediation.token"):
        (directory / name).write_text("secret")
    hosts = {
        f"mon{number}": {"modelops_monitoring": True, "modelops_address": f"192.0.2.{number}"} for number in (1, 2)
    }
    return write_documents(directory, hosts, GIVEN)


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


def asked(url: str, cafile: Path, login: str = "") -> tuple[int, str]:
    """Status and body."""
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    context = ssl.create_default_context(cafile=str(cafile))
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=10, context=context
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


@pytest.mark.skipif(not (PROMETHEUS and ALERTMANAGER), reason="Prometheus and Alertmanager are not installed")
def test_with_tls_and_logins_they_let_in_whom_they_know_and_still_reach_themselves(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    said(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate),
    )  # fmt: skip
    ports = free_ports(2)
    (tmp_path / "login.password").write_text(PASSWORD)
    write_documents(
        tmp_path,
        {"mon1": {"modelops_monitoring": True, "modelops_address": "127.0.0.1"}},
        {
            "monitoring_tls_certificate": str(certificate), "monitoring_tls_key": str(key),
            "monitoring_ca_file": str(certificate), "monitoring_users": {"prometheus": BCRYPT},
            "monitoring_login_user": "prometheus", "monitoring_login_password": PASSWORD,
            "monitoring_prometheus_port": ports[0], "monitoring_alertmanager_port": ports[1],
            "monitoring_scrape_seconds": 1,
        },
    )  # fmt: skip
    web = tmp_path / "web.yml"
    web.write_text(
        json.dumps(
            {"tls_server_config": {"cert_file": str(certificate), "key_file": str(key)},
             "basic_auth_users": {"prometheus": BCRYPT}}
        )
    )  # fmt: skip
    said(str(PROMTOOL), "check", "web-config", str(web))
    jobs = {"modelops-prometheus": ports[0], "modelops-alertmanager": ports[1]}
    (tmp_path / "targets").mkdir()
    for job, port in jobs.items():
        (tmp_path / f"targets/{job}.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"], "labels": {}}]))
    commands = (
        [str(PROMETHEUS), f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
         f"--web.config.file={web}", f"--web.listen-address=127.0.0.1:{ports[0]}"],
        [str(ALERTMANAGER), f"--config.file={tmp_path / 'alertmanager.yml'}", f"--storage.path={tmp_path / 'am'}",
         f"--web.config.file={web}", f"--web.listen-address=127.0.0.1:{ports[1]}", "--cluster.listen-address="],
    )  # fmt: skip
    processes = [
        subprocess.Popen(one, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path) for one in commands
    ]
    login = f"prometheus:{PASSWORD}"
    try:
        for port in ports:
            url = f"https://127.0.0.1:{port}/-/ready"
            wait_until(lambda url=url: asked(url, certificate, login)[0] == 200, 60, url)
            assert asked(url, certificate)[0] == 401
            assert asked(url, certificate, "prometheus:another")[0] == 401
        query = f"https://127.0.0.1:{ports[0]}/api/v1/query?query=up"

        def reached() -> set[str]:
            found = json.loads(asked(query, certificate, login)[1] or "{}").get("data", {}).get("result", [])
            return {one["metric"]["job"] for one in found if one["value"][1] == "1"}

        wait_until(lambda: reached() == set(jobs), 30, "both targets")
        discovered = query.replace("query=up", "query=prometheus_notifications_alertmanagers_discovered")
        wait_until(lambda: '"1"' in asked(discovered, certificate, login)[1], 30, "the Alertmanager")
    finally:
        for process in processes:
            process.kill()
