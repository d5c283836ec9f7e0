# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real ansible-rulebook, and Alertmanager, on ports of their own, and what is sent to them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULEBOOK = ROOT / ".cache/eda/bin/ansible-rulebook"
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
NEEDS_RULEBOOK = pytest.mark.skipif(not RULEBOOK.exists(), reason="ansible-rulebook is not in .cache/eda: make eda")
NEEDS_ALERTMANAGER = pytest.mark.skipif(not ALERTMANAGER, reason="Alertmanager is not installed")
TOKEN = "a-token-of-this-test"
FLOOD = int(os.environ.get("MODELOPS_FLOOD", "10000"))
WINDOW_SECONDS = 30
CLIENTS = 4


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def post(port: int, path: str, body: bytes, token: str = "") -> int:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def alert(number: int, **labels: str) -> dict[str, Any]:
    return {
        "labels": {"alertname": "HostCpuHigh", "host": f"gpu-{number}", "severity": "ticket", **labels},
        "annotations": {"summary": f"gpu-{number} uses all of its processors"},
        "startsAt": "2026-11-26T20:00:00Z",
    }


IMPORTANT = alert(0, alertname="HostDown", host="gpu-that-matters", severity="page")


def message(one: dict[str, Any]) -> bytes:
    return json.dumps({"version": "4", "status": "firing", "alerts": [{"status": "firing", **one}]}).encode()


class Desk:
    """Alertmanager and the rulebook, on ports of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.log = directory, directory / "rulebook.log"
        self.alertmanager, self.webhook, self.token = free_port(), free_port(), TOKEN
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self.alertmanager_up()
        inventory = self.directory / "hosts.yml"
        inventory.write_text(
            json.dumps(
                {"all": {
                    "vars": {"monitoring_alertmanager_port": self.alertmanager, "ansible_connection": "local",
                             "deploy_state_dir": str(self.directory / "state")},
                    "hosts": {"mon1": {"modelops_monitoring": True, "modelops_address": "127.0.0.1"}},
                }}
            )
        )  # fmt: skip
        self.rulebook("modelops.datacenter.remediate", inventory, {})

    def alertmanager_up(self) -> None:
        settings = self.directory / "alertmanager.yml"
        settings.write_text(json.dumps({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}))
        self._run(
            [str(ALERTMANAGER), f"--config.file={settings}", f"--storage.path={self.directory / 'am'}",
             f"--web.listen-address=127.0.0.1:{self.alertmanager}", "--cluster.listen-address="],
            self.directory / "alertmanager.log", {},
        )  # fmt: skip
        self._wait_for(self.alertmanager)

    def rulebook(self, name: str, inventory: Path, more: dict[str, str]) -> None:
        self._run(
            [str(RULEBOOK), "--rulebook", name, "--inventory", str(inventory),
             "--env-vars", "MODELOPS_EDA_TOKEN,MODELOPS_EDA_HOST,MODELOPS_EDA_PORT"],
            self.log,
            {"MODELOPS_EDA_TOKEN": self.token, "MODELOPS_EDA_HOST": "127.0.0.1", "MODELOPS_EDA_PORT": str(self.webhook),
             "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"), "ANSIBLE_NOCOLOR": "1",
             "PATH": f"{RULEBOOK.parent}:{os.environ['PATH']}", **more},
        )  # fmt: skip
        self._wait_for(self.webhook)

    def _run(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        with open(log, "wb") as stream:
            self.processes.append(
                subprocess.Popen(
                    command, stdout=stream, stderr=stream, cwd=self.directory, env={**os.environ, **environment}
                )
            )

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + 180
        while not listens(port):
            assert all(one.poll() is None for one in self.processes), self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.5)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def record(self) -> list[dict[str, Any]]:
        """What remediation put on record."""
        path = self.directory / "state" / "remediation.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def runs(self) -> int:
        return self.output().count("PLAY [Ask what fires]")

    def wait_for(self, done: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, self.output()[-4000:]
            time.sleep(1)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            end(process)


def listens(port: int) -> bool:
    try:
        http.client.HTTPConnection("127.0.0.1", port, timeout=2).connect()
    except OSError:
        return False
    return True


def end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def post_all(desk: Desk, everything: list[dict[str, Any]]) -> Counter[int]:
    """Each alert as a post of its own, over a few connections at once; how many had which status."""
    answers: Counter[int] = Counter()

    def send(mine: list[dict[str, Any]]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", desk.webhook, timeout=300)
        for one in mine:
            connection.request("POST", "/alerts", message(one), {"Authorization": f"Bearer {desk.token}"})
            answer = connection.getresponse()
            answer.read()
            answers[answer.status] += 1

    threads = [threading.Thread(target=send, args=(everything[place::CLIENTS],)) for place in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
