# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rollout scenarios share: a lab of serving hosts and a gateway, versions of a tiny model, load on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from lab_fleet import BIN, LabFleet, Run, recap_of  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica  # noqa: E402

MODEL = "chat"
CAPACITY = 30.0
JUDGE = {"minimum_requests": 40, "warmup_seconds": 5, "warmup_requests": 5, "budget": 0.08, "soak_seconds": 8}

# In the words of "show stat"; runs on the gateway.
SERVERS_NOW = f"""
import csv, socket
asked = socket.socket(socket.AF_UNIX)
asked.connect("/run/modelops-gateway/admin.sock")
asked.sendall(b"show stat\\n")
text = b"".join(iter(lambda: asked.recv(65536), b"")).decode().lstrip("# ")
rows = [row for row in csv.DictReader(text.splitlines()) if row["pxname"] == "{MODEL}"]
print(*sorted(row["svname"] + "=" + row["status"].split()[0] for row in rows if row["svname"] not in ("FRONTEND", "BACKEND")))
"""


def entry(version: str, seed: int, **fields: Any) -> dict[str, Any]:
    """The catalogue entry of one version: other weights, so that greedy answers tell versions apart."""
    return {
        "engine": "llama_cpp",
        "version": version,
        "artifact": {"src": f"/srv/lab/tiny-{seed}.gguf"},
        "engine_args": {"ctx-size": 4096, "parallel": 8, "threads": 1},
        "resources": {"accelerators": 1, "accelerator_memory_gib": 20, "cpu_cores": 1, "memory_gib": 0.1},
        "capacity": {"l40s-48gb": {"requests_per_second": CAPACITY, "service_time_seconds": 0.2}},
        "min_replicas": 1,
        "ready_timeout_seconds": 90,
        **fields,
    }


def paced(*flags: str) -> list[str]:
    """The executable of an entry whose server is slowed down, or crashes, by paced.py."""
    server = ["/opt/llama/bin/python", "/opt/modelops/llama_server.py"]
    return ["/usr/bin/python3", "/srv/lab/paced.py", *flags, "--", *server]


def replicas(hosts: int, per_host: int, version: str = "1") -> list[Replica]:
    """``per_host`` replicas on each host, zones in turn."""
    names = [f"lab-{'ab'[number % 2]}{number // 2 + 1}" for number in range(hosts)]
    return [Replica(name, slot, MODEL, version, 8100 + slot, (slot,)) for name in names for slot in range(per_host)]


@dataclass
class LoadRun:
    """A running load generator."""

    process: subprocess.Popen[bytes]
    record: Path
    summary: Path

    def finish(self, *, stop: bool = True, seconds: float = 180) -> dict[str, Any]:
        if stop:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=seconds)
        return json.loads(self.summary.read_text(encoding="utf-8"))


class Rig(LabFleet):
    """A lab in which versions of one model are upgraded."""

    def __init__(self, name: str) -> None:
        super().__init__(name, {MODEL: entry("1", 1)})
        self.output = self.directory
        self.root = ROOT

    def prepare(self, hosts: int, *seeds: int, flags: Sequence[str] = ()) -> None:
        """Bring the lab up, with a model of each seed on its share, and ask for version 1."""
        self.share.mkdir(parents=True, exist_ok=True)
        self._lab("up", str(hosts), "--gateway", *flags, timeout=900)
        shutil.copy(ROOT / "tests/lab/load/paced.py", self.share / "paced.py")
        for seed in seeds:
            path = self.share / f"tiny-{seed}.gguf"
            if not path.exists():
                tool = ROOT / "inventories/demo/tiny_model.py"
                subprocess.run(
                    [sys.executable, str(tool), "--dest", str(path), "--seed", str(seed), "--context", "4096"],
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
        self.catalogue_is(entry("1", 1))

    def serve(self, wanted: list[Replica]) -> None:
        """Run these replicas behind the gateway.

        Raises:
            SystemExit: a playbook failed; with the end of what it printed.
        """
        self.plan(wanted)
        for name in ("gateway", "apply", "gateway"):
            run = self.playbook(name)
            if run.code:
                raise SystemExit(run.output[-3000:])

    def catalogue_is(self, model: Mapping[str, Any]) -> None:
        self.catalogue = {MODEL: model}
        path = self.directory / "catalogue.json"
        path.write_text(json.dumps({"modelops_models": self.catalogue}), encoding="utf-8")

    @property
    def url(self) -> str:
        return f"http://{(self.directory / 'gw1.address').read_text().strip()}:8080"

    def playbook(self, name: str, *flags: str, timeout: float = 1800) -> Run:
        began = time.monotonic()
        done = subprocess.run(
            self.command(name, *flags),
            cwd=ROOT,
            env=self.settings(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Run(done.returncode, done.stdout, recap_of(done.stdout), time.monotonic() - began)

    def command(self, name: str, *flags: str) -> list[str]:
        """Of a playbook of the collection, or of a file."""
        command = [str(BIN / "ansible-playbook"), "-i", str(self.directory / "hosts.yml")]
        command += ["-e", f"@{self.directory / 'catalogue.json'}", "-e", f"modelops_output_dir={self.output}"]
        command += ["-e", "deploy_memory_gate=false", "-e", "gateway_slow_start_seconds=5"]
        return [*command, name if name.endswith(".yml") else f"modelops.datacenter.{name}", *flags]

    def settings(self) -> dict[str, str]:
        return {
            **self.environment,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORKS": "4",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }

    @staticmethod
    def upgrade_flags(*, soak: float = 15, observed: float | None = None) -> list[str]:
        flags = {
            "upgrade_model": MODEL,
            "upgrade_soak_seconds": soak,
            "upgrade_look_seconds": soak,
            "upgrade_deadline_seconds": 240,
            "upgrade_drain_timeout_seconds": 120,
            "upgrade_judge_settings": JUDGE,
            **({} if observed is None else {"upgrade_observed": str(observed)}),
        }
        return ["-e", json.dumps(flags)]

    def start_load(self, name: str, *, seconds: float, rate: float, stream_rate: float, **more: Any) -> LoadRun:
        record, summary = self.directory / f"{name}.csv.gz", self.directory / f"{name}.json"
        command = [sys.executable, str(ROOT / "tests/lab/load/load.py"), "--url", self.url, "--model", MODEL]
        command += ["--seconds", str(seconds), "--rate", str(rate), "--stream-rate", str(stream_rate)]
        command += ["--record", str(record), "--summary", str(summary)]
        for key, value in more.items():
            command += [f"--{key.replace('_', '-')}", str(value)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ)
        return LoadRun(process, record, summary)


def what_runs(rig: Rig, hosts: Sequence[str] = ("lab-a1", "lab-b1")) -> dict[str, list[tuple[Any, ...]]]:
    """Slot, version and release of each replica, as its host says."""
    found = {}
    for host in hosts:
        state = json.loads(rig.sh(host, "cat /etc/ansible/facts.d/modelops.fact"))
        found[host] = [(one["slot"], one["version"], one.get("release")) for one in state["replicas"]]
    return found


def gateway_servers(rig: Rig) -> list[str]:
    """``SERVER=STATE`` of the model in the gateway's current worker."""
    return rig.sh("lab-gw1", f"python3 -c '{SERVERS_NOW}'").split()
