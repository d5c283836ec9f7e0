# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a fault to the first task of the playbook that answers it: by event, and by the clock.

    tests/benchmarks/monitoring/reaction.py [REPEATS [built]]

On a lab of two serving hosts, a gateway and a monitoring host. Faults: a server that is stopped, a server
that is frozen (SIGSTOP), a host that is frozen. For each: when the alert fires (Prometheus), when a playbook
begins by a real ansible-rulebook on this machine, and when one begins by a systemd timer on the monitoring host,
which is a controller of its own. The faults are undone in between. ``built``: the lab of the last run is still
up. Needs root, podman, Java and `make eda` once.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/lab"))

from lab_fleet import LabFleet  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica  # noqa: E402

LAB = os.environ.get("MODELOPS_LAB", "react")
TOKEN, PORT, TIMER_SECONDS, QUIET_SECONDS = "a-token-of-this-lab", 5010, 60, 40
RULEBOOK = ROOT / ".cache/eda/bin/ansible-rulebook"
MODELS = {
    "chat": {
        "engine": "llama_cpp",
        "version": "1",
        "artifact": {"src": "/srv/lab/tiny.gguf"},
        "resources": {"accelerators": 1, "accelerator_memory_gib": 20, "cpu_cores": 1, "memory_gib": 0.25},
        "capacity": {"l40s-48gb": {"requests_per_second": 20.0, "service_time_seconds": 0.2}},
        "engine_args": {"ctx-size": 2048, "parallel": 4},
        "min_replicas": 2,
        "ready_timeout_seconds": 120,
    }
}
UNIT = "modelops-chat-0.service"
FAULTS: dict[str, tuple[str, str, str]] = {
    # What is done, how it is undone, and the alert; HOST for the whole host.
    "server stopped": (
        f"systemctl stop {UNIT}",
        f"systemctl reset-failed {UNIT}; systemctl start {UNIT}",
        "ModelServerDown",
    ),
    "server frozen": (
        f"systemctl kill --signal=STOP {UNIT}",
        f"systemctl kill --signal=CONT {UNIT}",
        "ModelServerDown",
    ),
    "host frozen": ("HOST pause", "HOST unpause", "HostDown"),
}
# ansible-playbook on the monitoring host: from the share, with the lab's own inventory.
RUNNER = """#!/bin/sh
export PYTHONPATH=/srv/lab/python ANSIBLE_COLLECTIONS_PATH=/srv/lab/collections ANSIBLE_NOCOLOR=1 HOME=/root
exec /usr/bin/python3 /srv/lab/python/bin/ansible-playbook "$@"
"""


class Listener:
    """The rulebook, and when each of its runs began."""

    def __init__(self, fleet: LabFleet, address: str) -> None:
        environment = {
            **os.environ,
            "MODELOPS_EDA_TOKEN": TOKEN,
            "MODELOPS_EDA_HOST": address,
            "MODELOPS_EDA_PORT": str(PORT),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
            "ANSIBLE_NOCOLOR": "1",
            "PATH": f"{RULEBOOK.parent}:{os.environ['PATH']}",
        }
        self.process = subprocess.Popen(
            [str(RULEBOOK), "--rulebook", "modelops.datacenter.remediate", "--inventory", str(fleet.directory / "hosts.yml"),
             "--env-vars", "MODELOPS_EDA_TOKEN,MODELOPS_EDA_HOST,MODELOPS_EDA_PORT"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=fleet.directory,
        )  # fmt: skip
        self.began: list[float] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            if "TASK [Ask Alertmanager]" in line:
                self.began.append(time.time())


class Bench:
    def __init__(self) -> None:
        self.fleet = LabFleet(LAB, MODELS)
        self.listener: Listener | None = None

    def listen(self) -> None:
        self.address = (self.fleet.directory / "mon1.address").read_text().strip()
        self.listener = Listener(self.fleet, self.address.rsplit(".", 1)[0] + ".1")

    def build(self) -> None:
        fleet = self.fleet
        fleet._lab("up", "2", "--gateway", "--monitoring", timeout=900)
        (fleet.directory / "catalogue.json").write_text(json.dumps({"modelops_models": MODELS}))
        subprocess.run(
            [sys.executable, str(ROOT / "inventories/demo/tiny_model.py"), "--dest", str(fleet.share / "tiny.gguf")],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.address = (fleet.directory / "mon1.address").read_text().strip()
        here = self.address.rsplit(".", 1)[0] + ".1"
        self._controller_in_the_lab()
        flags = ("-e", "provision_accelerators=0")
        watch = (
            "-e",
            f"monitoring_remediation_url=http://{here}:{PORT}/alerts",
            "-e",
            f"monitoring_remediation_token={TOKEN}",
        )
        for name, given in (("provision", flags), ("gateway", flags)):
            done = fleet.play(name, *given)
            assert done.code == 0, done.output[-3000:]
        target = [Replica(host, 0, "chat", "1", 8100, (0,)) for host in ("lab-a1", "lab-b1")]
        done = fleet.apply(target)
        assert done.code == 0, done.output[-3000:]
        done = fleet.play("monitoring", *watch)
        assert done.code == 0, done.output[-3000:]
        self.start_timer()

    def _controller_in_the_lab(self) -> None:
        share = self.fleet.share
        (share / "controller").mkdir(exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--target", str(share / "python"), "--upgrade", "ansible-core"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        shutil.rmtree(share / "collections", ignore_errors=True)
        subprocess.run([str(ROOT / "tests/tools/copy_collection"), str(share / "collections")], check=True)
        (share / "ansible-playbook").write_text(RUNNER)
        (share / "ansible-playbook").chmod(0o755)
        inventory = (self.fleet.directory / "hosts.yml").read_text()
        (share / "controller/hosts.yml").write_text(
            inventory.replace(str(self.fleet.directory / "key"), "/root/lab.key")
        )
        key = (self.fleet.directory / "key").read_text()
        self.fleet.sh("lab-mon1", f"umask 077; cat > /root/lab.key <<'KEY'\n{key}KEY\n")

    def start_timer(self) -> None:
        """With the role's own units, on the monitoring host as the controller."""
        play = self.fleet.directory / "controller.yml"
        play.write_text(
            json.dumps(
                [{"hosts": "lab-mon1", "gather_facts": False, "tasks": [{"ansible.builtin.include_role": {
                    "name": "modelops.datacenter.monitoring", "tasks_from": "controller"}}],
                  "vars": {
                    "monitoring_timers": {"answer_alerts": {"every": f"{TIMER_SECONDS}s"}},
                    "monitoring_ansible_playbook": "/srv/lab/ansible-playbook",
                    "monitoring_inventory": "/srv/lab/controller/hosts.yml", "monitoring_controller_dir": "/root",
                }}]
            )
        )  # fmt: skip
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.fleet.directory / "hosts.yml"), str(play)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:]

    def ask(self, expr: str) -> list[Any]:
        url = f"http://{self.address}:9090/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return list(json.load(answer)["data"]["result"])

    def wait(self, condition: Any, seconds: float, what: str) -> float:
        deadline = time.time() + seconds
        while not condition():
            assert time.time() < deadline, f"{what}: not within {seconds:g} s"
            time.sleep(0.2)
        return time.time()

    def inflict(self, command: str) -> None:
        if command.startswith("HOST "):
            self.fleet.podman(command.split()[1], "lab-a1")
        else:
            self.fleet.sh("lab-a1", command)

    def timer_runs(self) -> list[float]:
        """When the unit of the timer was started, by its journal."""
        printed = self.fleet.sh(
            "lab-mon1", "journalctl -u modelops-answer-alerts.service -o short-unix --no-pager", check=False
        )
        return [float(one) for one in re.findall(r"^([0-9.]+) .*TASK \[Ask Alertmanager\]", printed, re.MULTILINE)]

    def one(self, fault: str) -> dict[str, float | None]:
        do, undo, alert = FAULTS[fault]
        firing = f'ALERTS{{alertname="{alert}", alertstate="firing", host="lab-a1"}}'
        self.wait(lambda: not self.ask(firing), 120, "quiet before the fault")
        assert self.listener
        began = time.time()
        self.inflict(do)
        try:
            fired = self.wait(lambda: bool(self.ask(firing)), 120, alert)
            event = self.wait(lambda: any(at > fired for at in self.listener.began), 180, "a run by event")
            clock = self.wait(lambda: any(at > fired for at in self.timer_runs()), 240, "a run by the clock")
        finally:
            self.inflict(undo)
        event = min(at for at in self.listener.began if at > fired)
        clock = min(at for at in self.timer_runs() if at > fired)
        return {"alert": fired - began, "by_event": event - began, "by_clock": clock - began}


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    bench = Bench()
    result: dict[str, Any] = {}
    try:
        if sys.argv[2:] != ["built"]:
            bench.build()
        bench.listen()
        time.sleep(QUIET_SECONDS)
        for fault in FAULTS:
            rows = []
            for _number in range(repeats):
                rows.append(bench.one(fault))
                print(fault, {key: round(value, 1) for key, value in rows[-1].items() if value is not None}, flush=True)
                time.sleep(QUIET_SECONDS)
            result[fault] = {
                key: {"median": round(statistics.median(row[key] for row in rows), 1),
                      "highest": round(max(row[key] for row in rows), 1)}
                for key in ("alert", "by_event", "by_clock")
            }  # fmt: skip
            write(result, repeats)
    finally:
        if bench.listener:
            bench.listener.process.terminate()


def write(result: dict[str, Any], repeats: int) -> None:
    document = {
        "what": "seconds from the fault to the alert, and to the first task of the playbook that answers it",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "repeats": repeats,
        "timer_seconds": TIMER_SECONDS,
        "load_average": round(os.getloadavg()[1], 1),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "faults": result,
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(path, flush=True)


if __name__ == "__main__":
    main()
