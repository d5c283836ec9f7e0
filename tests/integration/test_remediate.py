# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remediation on real llama.cpp servers: dead, hung, overloaded, unknown; from alerts and from facts alone.

The tests of this file build on each other, in order: one fleet lives through all of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from loop_fleet import BIN, Fleet, Run, make_fleet
from test_loop import NIGHT, write_history

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")

# Pauses are for people's fleets; the budgets stay.
POLICY = {"cooldown_seconds": 1, "settle_seconds": 0, "next_step_seconds": 0}
CALM = {"memory_short": {"below": 0}, "disk_full": {"below": 0}, "cpu_saturated": {"above": 1e6}}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = make_fleet(tmp_path_factory.mktemp("fleet"))
    write_history(fleet.root / "history.csv.gz")
    fleet.write_inventory(
        modelops_history=str(fleet.root / "history.csv.gz"),
        modelops_as_of=NIGHT,
        modelops_remediation_policy=POLICY,
        remediate_watch_seconds=2,
        remediate_watch_looks=2,
        plan_report=False,
    )
    run = fleet.play("site", seconds=600)
    assert run.code == 0, run.output
    yield fleet
    fleet.stop()


def alert(name: str, **labels: Any) -> dict[str, Any]:
    at = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    shown = {key: str(value) for key, value in labels.items()}
    return {"status": "firing", "labels": {"alertname": name, **shown}, "startsAt": at}


def remediate(fleet: Fleet, *alerts: dict[str, Any], flags: tuple[str, ...] = (), **extra: Any) -> Run:
    given = fleet.root / "alerts.json"
    given.write_text(json.dumps({"version": "4", "alerts": list(alerts)}))
    run = fleet.play("remediate", *flags, seconds=600, remediate_alerts=str(given), **extra)
    assert run.code == 0, run.output
    return run


def record(fleet: Fleet) -> list[dict[str, Any]]:
    path = fleet.root / "alpha" / "var" / "remediation.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def first(fleet: Fleet, model: str) -> dict[str, Any]:
    return next(one for one in fleet.plan()["placements"] if one["model"] == model)


def stop(fleet: Fleet, one: dict[str, Any]) -> None:
    service = f"modelops-{one['model']}-{one['slot']}"
    configuration = str(fleet.root / one["host"] / "etc" / "supervisord.conf")
    subprocess.run([str(BIN / "supervisorctl"), "-c", configuration, "stop", service], check=True, capture_output=True)
    assert not fleet.answers(one["port"], one["model"])


def test_check_mode_says_it_and_does_nothing(fleet: Fleet) -> None:
    one = first(fleet, "chat")
    stop(fleet, one)
    before = fleet.running()
    down = alert("ModelServerDown", host=one["host"], slot=one["slot"], model="chat")
    run = remediate(fleet, down, flags=("--check",))
    assert f"would restart replica {one['host']}-{one['slot']} for ModelServerDown" in run.output
    assert (fleet.running(), record(fleet)) == (before, [])


def test_a_dead_server_is_restarted_and_a_second_run_changes_nothing(fleet: Fleet) -> None:
    one = first(fleet, "chat")
    before = fleet.running()
    down = alert("ModelServerDown", host=one["host"], slot=one["slot"], model="chat")
    run = remediate(fleet, down, down, down)
    assert fleet.silent() == [], run.output
    after = fleet.running()
    assert {name: pid for name, pid in after.items() if name in before} == before, "no other was touched"
    assert [event["event"] for event in record(fleet)] == ["intent", "result"]
    assert record(fleet)[-1]["effect"] == "effective"
    again = remediate(fleet)
    assert set(again.changed().values()) == {0}
    assert fleet.running() == after
    # The alert comes late once more: the server answers, and is left alone.
    late = remediate(fleet, alert("ModelServerDown", host=one["host"], slot=one["slot"], model="chat"))
    assert "it answers" in late.output
    assert fleet.running() == after


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is told."""

    told: list[dict[str, Any]] = []

    def do_POST(self) -> None:
        self.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def test_a_hung_server_is_restarted_and_what_is_unknown_is_told(fleet: Fleet) -> None:
    one = first(fleet, "code")
    service = f"{one['host']}/modelops-code-{one['slot']}"
    before = fleet.running()
    os.kill(before[service], signal.SIGSTOP)
    trap = fleet.root / "trap"
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        run = remediate(
            fleet,
            alert("ModelServerStalled", host=one["host"], slot=one["slot"], model="code"),
            alert("ModelServerDown", host="nowhere", slot=0, model="chat"),
            alert("ModelServerDown", host=f"{{{{ lookup('pipe', 'touch {trap}') }}}}", slot=0, model="chat"),
            remediate_escalation_url=f"http://127.0.0.1:{server.server_port}/",
            remediate_look_timeout_seconds=3,
        )
    finally:
        server.shutdown()
    assert fleet.answers(one["port"], "code"), run.output
    after = fleet.running()
    assert after[service] != before[service]
    assert {name: pid for name, pid in after.items() if name != service} == {
        name: pid for name, pid in before.items() if name != service
    }
    (told,) = Receiver.told
    assert [one["reason"] for one in told["escalations"]] == [
        "nothing is done: the alert names no host",
        "nothing is done: the inventory has no serving host nowhere",
    ]
    assert not trap.exists()


def watch(fleet: Fleet, **rules: Any) -> Run:
    ready = {"server_not_ready": {"hold_seconds": 0}}
    run = fleet.play("watch", seconds=600, watch_rules={**CALM, **ready, **rules})
    assert run.code == 0, run.output
    return run


def test_facts_alone_restart_a_dead_server_and_a_second_run_does_nothing(fleet: Fleet) -> None:
    one = first(fleet, "chat")
    stop(fleet, one)
    before = fleet.running()
    run = watch(fleet)
    assert "RUNNING HANDLER [Have it mended]" in run.output
    assert fleet.silent() == [], run.output
    after = fleet.running()
    assert {name: pid for name, pid in after.items() if name in before} == before
    again = watch(fleet)
    assert "RUNNING HANDLER" not in again.output
    assert set(again.changed().values()) == {0}
    assert fleet.running() == after


def test_facts_alone_scale_out_on_a_busy_processor_and_once_is_enough(fleet: Fleet) -> None:
    before = fleet.running()
    run = watch(fleet, cpu_saturated={"above": -1.0, "hold_seconds": 0})
    after = fleet.running()
    assert set(before) < set(after), run.output
    assert {name: after[name] for name in before} == before
    assert fleet.silent() == []
    last = [event for event in record(fleet) if event["event"] in ("intent", "result")][-2:]
    assert (last[0]["step"], last[1]["effect"]) == ("scale_out", "effective")
    again = watch(fleet)
    assert set(again.changed().values()) == {0}
    assert fleet.running() == after
