# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of servers, a gateway and a disk on a lab of systemd hosts, each told to the playbook remediate as an alert.

    flock /tmp/lab.lock .venv/bin/python tests/benchmarks/remediation/servers.py [FAULT ...]

Without names all faults are injected, one after the other: stopped (a unit that does not come back), hung (SIGSTOP),
errors (it answers, is drained and restarted), gateway (HAProxy stopped), disk (old versions and logs), unknown (an alert
for a host that nobody has). For each: what was done, whether all replicas answer through the gateway afterwards, and
how long the run took. Writes servers.json beside it when all were run.
"""

from __future__ import annotations

import json
import platform
import sys
import time
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks" / "rollout"))

from rig import CAPACITY, MODEL, Rig, replicas  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import write_plan  # noqa: E402

HOST, SLOT = "lab-a1", 0
SERVICE = f"modelops-{MODEL}-{SLOT}.service"
POLICY = {"cooldown_seconds": 1, "settle_seconds": 0, "next_step_seconds": 0}
FAULTS: dict[str, tuple[str, str, dict[str, str]]] = {
    # name: host, command that makes it, labels of its alert
    "stopped": (HOST, f"systemctl stop {SERVICE}", {"alertname": "ModelServerDown"}),
    "hung": (HOST, f"kill -STOP $(systemctl show -P MainPID {SERVICE})", {"alertname": "ModelServerStalled"}),
    "errors": (HOST, "true", {"alertname": "ModelServerErrors"}),
    "gateway": ("lab-gw1", "systemctl stop modelops-gateway", {"alertname": "GatewayDown"}),
    "disk": (
        HOST,
        "mkdir -p /opt/modelops/models/chat/0.1; dd if=/dev/zero of=/opt/modelops/models/chat/0.1/old bs=1M count=20;"
        " touch -d '1 hour ago' /opt/modelops/models/chat/0.1",
        {"alertname": "HostDiskFull"},
    ),
    "unknown": (HOST, "true", {"alertname": "ModelServerDown", "host": "lab-z9", "slot": "0"}),
}
ABOUT_A_SERVER = ("stopped", "hung", "errors")


def alert(name: str) -> dict[str, Any]:
    host, _command, labels = FAULTS[name]
    found = {"host": host, **labels}
    if name in ABOUT_A_SERVER:
        found.update(slot=str(SLOT), model=MODEL)
    return {"status": "firing", "labels": found, "startsAt": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"}


def answers(url: str, count: int) -> int:
    """How many of so many requests through the gateway get a good answer."""
    good = 0
    for _number in range(count):
        body = json.dumps({"model": MODEL, "prompt": "Hello", "max_tokens": 1}).encode()
        asked = urllib.request.Request(url + "/v1/completions", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=20) as response:
                good += bool(json.load(response)["choices"])
        except OSError:
            continue
    return good


def mend(rig: Rig, name: str) -> dict[str, Any]:
    host, command, _labels = FAULTS[name]
    before = len(record(rig))
    processes = rig.pids_of(["lab-a1", "lab-b1"])
    rig.sh(host, command)
    told = {**alert(name)}
    extra = {
        "remediate_alerts": [told],
        "modelops_remediation_policy": POLICY,
        "remediate_watch_seconds": 4,
        "remediate_watch_looks": 2,
        "remediate_look_timeout_seconds": 5,
    }
    began = time.monotonic()
    run = rig.playbook("remediate", "-e", json.dumps(extra))
    seconds = time.monotonic() - began
    if run.code != 0:
        print(run.output[-6000:], flush=True)
    after = rig.pids_of(["lab-a1", "lab-b1"])
    events = record(rig)[before:]
    return {
        "code": run.code,
        "run_seconds": round(seconds, 1),
        "actions": [f"{one['step']} {one['target']}" for one in events if one["event"] == "intent"],
        "effects": [f"{one['effect']}: {one['evidence']}" for one in events if one["event"] == "result"],
        "told": [one["reason"] for one in events if one["event"] == "escalation"],
        "restarted": sorted(unit for unit, pid in after.items() if processes.get(unit) != pid),
        "good_of_20": answers(rig.url, 20),
    }


def say_floor(rig: Rig) -> None:
    """What must go on being served: the demand of one replica."""
    path = rig.directory / "plan.json"
    plan = json.loads(path.read_text())
    floors = {"floors_requests_per_second": {MODEL: CAPACITY}, "dips": []}
    write_plan(str(path), {**plan, "rollout": floors})


def record(rig: Rig) -> list[dict[str, Any]]:
    text = rig.sh("lab-gw1", "cat /var/lib/modelops/remediation.jsonl 2>/dev/null || true")
    return [json.loads(line) for line in text.splitlines()]


def main() -> int:
    names = sys.argv[1:] or list(FAULTS)
    rig = Rig("rem")
    found: dict[str, Any] = {}
    try:
        rig.prepare(2, 1)
        run = rig.playbook("gateway")
        assert run.code == 0, run.output[-4000:]
        applied = rig.apply(replicas(2, 2))
        assert applied.code == 0, applied.output[-4000:]
        say_floor(rig)
        for name in names:
            found[name] = mend(rig, name)
            print(name, json.dumps(found[name], indent=1), flush=True)
    finally:
        rig.down()
    if set(names) == set(FAULTS):
        figures = {
            "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
            "python": platform.python_version(),
            "faults": found,
        }
        Path(__file__).with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if all(one["code"] == 0 and one["good_of_20"] == 20 for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
