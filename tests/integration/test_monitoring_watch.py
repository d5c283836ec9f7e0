# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's switch beside a real Prometheus and a real Alertmanager, each of which dies in turn."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gateway_bench import ROOT, free_ports, get, wait_until

PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(
    not (PROMETHEUS and ALERTMANAGER), reason="Prometheus and Alertmanager are not installed"
)

TOKEN = "a-token-of-this-test"
HEARTBEAT = {"groups": [{"name": "own", "rules": [{"alert": "MonitoringHeartbeat", "expr": "vector(1)", "labels": {"severity": "none"}}]}]}  # fmt: skip


class Webhook(http.server.BaseHTTPRequestHandler):
    """Keeps what it is told by whoever has the token."""

    heard: list[dict[str, Any]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            self.heard.append(json.loads(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        pass


class Site:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.prometheus, self.alertmanager, self.webhook = free_ports(3)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.webhook), Webhook)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(self, name: str, *command: str) -> None:
        with open(self.directory / f"{name}.log", "ab") as stream:
            self.processes[name] = subprocess.Popen(command, stdout=stream, stderr=stream)

    def run_prometheus(self) -> None:
        (self.directory / "rules.yml").write_text(json.dumps(HEARTBEAT))
        (self.directory / "prometheus.yml").write_text(
            json.dumps(
                {"global": {"evaluation_interval": "1s"}, "rule_files": [str(self.directory / "rules.yml")],
                 "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{self.alertmanager}"]}]}]}}
            )
        )  # fmt: skip
        self.run(
            "prometheus", str(PROMETHEUS), f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'tsdb'}", f"--web.listen-address=127.0.0.1:{self.prometheus}",
            "--rules.alert.resend-delay=2s",
        )  # fmt: skip

    def run_alertmanager(self) -> None:
        path = self.directory / "alertmanager.yml"
        path.write_text(json.dumps({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}))
        self.run(
            "alertmanager", str(ALERTMANAGER), f"--config.file={path}", f"--storage.path={self.directory / 'am'}",
            f"--web.listen-address=127.0.0.1:{self.alertmanager}", "--cluster.listen-address=",
        )  # fmt: skip

    def run_watch(self) -> None:
        (self.directory / "token").write_text(TOKEN + "\n")
        settings = {
            "name": "gw1", "interval_seconds": 1, "misses": 2, "ca_file": "", "login_file": "",
            "hosts": [{"name": "mon1", "prometheus": f"http://127.0.0.1:{self.prometheus}",
                       "alertmanager": f"http://127.0.0.1:{self.alertmanager}"}],
            "webhooks": [{"url": f"http://127.0.0.1:{self.webhook}/alerts", "token_file": str(self.directory / "token")}],
        }  # fmt: skip
        path = self.directory / "watch.json"
        path.write_text(json.dumps(settings))
        self.run("watch", sys.executable, str(ROOT / "roles/monitoring/files/monitoring_watch.py"), str(path))

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait(10)

    def active(self) -> set[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.alertmanager}/api/v2/alerts", timeout=5) as answer:
            return {one["labels"]["alertname"] for one in json.load(answer)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("watch"))
    try:
        made.run_alertmanager()
        made.run_prometheus()
        wait_until(lambda: get(made.prometheus, "/-/ready")[0] == 200, 60, "Prometheus")
        wait_until(lambda: made.active() == {"MonitoringHeartbeat"}, 60, "the heartbeat")
        made.run_watch()
        yield made
    finally:
        for process in made.processes.values():
            process.kill()


def test_a_dead_prometheus_is_raised_through_alertmanager_and_its_return_ends_it(site: Site) -> None:
    site.kill("prometheus")
    wait_until(lambda: "PrometheusDown" in site.active(), 30, "PrometheusDown")
    # What Prometheus sends no more runs out; then nothing is heard of it.
    wait_until(lambda: "MonitoringSilent" in site.active(), 60, "MonitoringSilent")
    assert "AlertmanagerDown" not in site.active()
    assert Webhook.heard == []
    site.run_prometheus()
    wait_until(lambda: site.active() == {"MonitoringHeartbeat"}, 60, "all well")


def test_a_dead_alertmanager_is_told_straight_to_the_webhook_with_its_token(site: Site) -> None:
    site.kill("alertmanager")
    wait_until(lambda: bool(Webhook.heard), 30, "the webhook")
    wait_until(lambda: {one["alerts"][0]["labels"]["alertname"] for one in Webhook.heard} == {
        "AlertmanagerDown", "MonitoringSilent"}, 30, "both")  # fmt: skip
    first = Webhook.heard[0]
    assert (first["status"], first["alerts"][0]["labels"]["host"]) == ("firing", "mon1")
    assert first["alerts"][0]["startsAt"].startswith("20")
    site.run_alertmanager()
    wait_until(lambda: site.active() == {"MonitoringHeartbeat"}, 60, "all well")
