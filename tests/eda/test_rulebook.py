# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real ansible-rulebook behind real HTTP posts, beside a real Alertmanager: who is let in, and a flood.

Ten thousand alerts, one of which matters. It must be in what a run reads, and the number of runs must
follow the clock, not the number of alerts.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULEBOOK = ROOT / ".cache/eda/bin/ansible-rulebook"
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
TOKEN = "a-token-of-this-test"
FLOOD = int(os.environ.get("MODELOPS_FLOOD", "10000"))
WINDOW_SECONDS = 30
CLIENTS = 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RULEBOOK.exists(), reason="ansible-rulebook is not in .cache/eda: make eda"),
    pytest.mark.skipif(not ALERTMANAGER, reason="Alertmanager is not installed"),
]


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
        self.alertmanager, self.webhook = free_port(), free_port()
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        settings = self.directory / "alertmanager.yml"
        settings.write_text(json.dumps({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}))
        self._run(
            [str(ALERTMANAGER), f"--config.file={settings}", f"--storage.path={self.directory / 'am'}",
             f"--web.listen-address=127.0.0.1:{self.alertmanager}", "--cluster.listen-address="],
            self.directory / "alertmanager.log", {},
        )  # fmt: skip
        inventory = self.directory / "hosts.yml"
        inventory.write_text(
            json.dumps(
                {"all": {
                    "vars": {"monitoring_alertmanager_port": self.alertmanager, "ansible_connection": "local"},
                    "hosts": {"mon1": {"modelops_monitoring": True, "modelops_address": "127.0.0.1"}},
                }}
            )
        )  # fmt: skip
        self._run(
            [str(RULEBOOK), "--rulebook", "modelops.datacenter.remediate", "--inventory", str(inventory),
             "--env-vars", "MODELOPS_EDA_TOKEN,MODELOPS_EDA_HOST,MODELOPS_EDA_PORT"],
            self.log,
            {"MODELOPS_EDA_TOKEN": TOKEN, "MODELOPS_EDA_HOST": "127.0.0.1", "MODELOPS_EDA_PORT": str(self.webhook),
             "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"), "ANSIBLE_NOCOLOR": "1",
             "PATH": f"{RULEBOOK.parent}:{os.environ['PATH']}"},
        )  # fmt: skip
        for port in (self.alertmanager, self.webhook):
            self._wait_for(port)

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


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("desk"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_nobody_without_the_token_starts_anything(desk: Desk) -> None:
    assert post(desk.webhook, "/alerts", message(IMPORTANT)) == 401
    assert post(desk.webhook, "/alerts", message(IMPORTANT), "another-token") == 401
    assert post(desk.webhook, "/alerts", b"no json", TOKEN) == 400
    # Malformed, resolved, or with a template for a label: heard, and no signal.
    for body in (
        b"[]",
        json.dumps({"alerts": [{"status": "resolved", **IMPORTANT}]}).encode(),
        message(alert(1, host="{{ lookup('pipe', 'id') }}")),
    ):
        assert post(desk.webhook, "/alerts", body, TOKEN) == 200
    time.sleep(WINDOW_SECONDS + 5)
    assert desk.runs() == 0


def test_a_flood_neither_loses_the_important_alert_nor_starts_a_run_each(desk: Desk) -> None:
    """All fire in Alertmanager; the signals come over four connections, the important one in their midst."""
    everything = [alert(number) for number in range(1, FLOOD)]
    everything.insert(FLOOD * 7 // 10, IMPORTANT)
    for start in range(0, FLOOD, 1000):
        assert post(desk.alertmanager, "/api/v2/alerts", json.dumps(everything[start : start + 1000]).encode()) == 200
    began, answers = time.monotonic(), Counter[int]()

    def send(mine: list[dict[str, Any]]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", desk.webhook, timeout=300)
        for one in mine:
            connection.request("POST", "/alerts", message(one), {"Authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse()
            answer.read()
            answers[answer.status] += 1

    threads = [threading.Thread(target=send, args=(everything[place::CLIENTS],)) for place in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = time.monotonic() - began
    assert answers == {200: FLOOD}

    def quiet() -> bool:
        before = desk.output().count("PLAY RECAP")
        time.sleep(WINDOW_SECONDS + 15)
        return desk.output().count("PLAY RECAP") == before and desk.runs() == before and before > 0

    desk.wait_for(quiet, 1200)
    took, runs = time.monotonic() - began, desk.runs()
    read = [int(number) for number in re.findall(r"(\d+) alerts fire:", desk.output())]
    print(f"{FLOOD} posts in {sent:.0f} s, {runs} runs in {took:.0f} s, which read {read} alerts")
    # Two rules, two groups (urgent or not), each at most once in a window.
    assert 1 <= runs <= 4 * (took / WINDOW_SECONDS + 1)
    assert read and max(read) == FLOOD
    assert "HostDown" in desk.output()


def test_an_alert_that_comes_while_runs_are_held_back_gets_a_run_after_it(desk: Desk) -> None:
    time.sleep(WINDOW_SECONDS)
    before = desk.runs()
    assert post(desk.webhook, "/alerts", message(alert(1)), TOKEN) == 200
    desk.wait_for(lambda: desk.runs() > before, 60)
    late = desk.runs()
    assert post(desk.webhook, "/alerts", message(alert(2)), TOKEN) == 200
    desk.wait_for(lambda: desk.runs() > late, 2 * WINDOW_SECONDS + 60)
