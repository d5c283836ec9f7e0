# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second look, by the playbook: a replica that was restarted five minutes ago, beside its peers, out of a gateway's log.

The replicas are small HTTP servers that are healthy, the gateway is its log alone; role, modules and judge are real.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    INTENT,
    RESULT,
    append,
    read_history,
)

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SERVERS = ("alpha-0", "alpha-1", "beta-0")


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@dataclass
class Site:
    """Two hosts with three replicas, and a gateway."""

    root: Path
    servers: list[ThreadingHTTPServer] = field(default_factory=list)

    def __post_init__(self) -> None:
        for _name in SERVERS:
            server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.servers.append(server)
        self.write()

    @property
    def record(self) -> Path:
        return self.root / "state" / "remediation.jsonl"

    def write(self) -> None:
        hosts: dict[str, dict[str, Any]] = {}
        for host in ("alpha", "beta"):
            known = {"accelerator_type": "cpu", "accelerator_count": 2, "cpu_cores": 8, "memory_gib": 32, "zone": "z"}
            hosts[host] = {f"modelops_{name}": value for name, value in known.items()}
        hosts["gw"] = {"modelops_gateway": True, "gateway_log_file": str(self.root / "gateway.jsonl")}
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "modelops_models": {"chat": {"engine": "command", "version": "1", "probe": "health", "health_path": "/"}},
            "modelops_output_dir": str(self.root / "output"),
            "modelops_facts_dir": f"{self.root}/{{{{ inventory_hostname }}}}",
            "deploy_state_dir": str(self.root / "state"),
        }
        groups = {"all": {"hosts": {"localhost": {}, **hosts}, "vars": common}}
        (self.root / "hosts.yml").write_text(yaml.safe_dump(groups))
        for host in ("alpha", "beta"):
            running = [
                {"host": host, "slot": int(name[-1]), "model": "chat", "version": "1", "port": server.server_port,
                 "accelerators": [int(name[-1])], "service": f"modelops-chat-{name[-1]}"}
                for name, server in zip(SERVERS, self.servers)
                if name.startswith(host)
            ]  # fmt: skip
            (self.root / host).mkdir()
            state = {"schema_version": 1, "kind": "host", "replicas": running, "startup_seconds": {}}
            (self.root / host / "modelops.fact").write_text(json.dumps(state, indent=1))
        self.record.parent.mkdir()

    def mended(self, ended: float) -> None:
        """alpha-0 was restarted, which helped."""
        action = {"event": INTENT, "id": "abc", "at": ended - 40.0, "step": "restart", "alert": "ModelServerDown"}
        action.update(target="replica alpha-0", scope="replica", host="alpha", slot=0, model="chat", zone="z")
        action.update(servers=["alpha-0"], owner="one", reason="", since=ended - 60.0)
        done = {"event": RESULT, "id": "abc", "at": ended, "effect": "effective", "evidence": "alpha-0 answers"}
        self.record.unlink(missing_ok=True)
        append(str(self.record), [action, done])

    def requests(self, begin: float, errors_of_the_mended: int) -> None:
        """Two a second of each server for five minutes; of the mended one every so-many-th an error."""
        lines = []
        for name in SERVERS:
            for number in range(600):
                bad = name == "alpha-0" and errors_of_the_mended and number % errors_of_the_mended == 0
                known = {
                    "at": begin + number / 2,
                    "id": f"{name}-{number}",
                    "model": "chat",
                    "server": name,
                    "term": "----",
                }
                known.update(
                    status=500 if bad else 200, queue_ms=0, connect_ms=0, response_ms=20, total_ms=30, bytes=900
                )
                lines.append({**known, "request_bytes": 300, "retries": 0, "synthetic": 0})
        log = "".join(json.dumps(line) + "\n" for line in sorted(lines, key=lambda line: line["at"]))
        (self.root / "gateway.jsonl").write_text(log)

    def run(self) -> str:
        command = [str(BIN / "ansible-playbook"), "-i", str(self.root / "hosts.yml"), "modelops.datacenter.remediate"]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1"}
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.stop()


def test_one_that_answers_but_does_worse_than_its_peers_was_not_mended_and_a_person_is_told(site: Site) -> None:
    ended = time.time() - 301.0
    site.mended(ended)
    site.requests(ended, errors_of_the_mended=5)
    output = site.run()
    review, told = read_history(str(site.record))[2:]
    assert (review["event"], review["id"], review["holds"]) == ("review", "abc", False), output
    assert "beside 2 peers for 300 s it did worse: " in review["evidence"]
    assert (told["alert"], told["target"]) == ("RemediationReview", "replica alpha-0")
    assert "a person must look at replica alpha-0 (RemediationReview): mended, but it does not hold" in output
    # Without a log nothing can be compared, and that is what the record says.
    (site.root / "gateway.jsonl").unlink()
    site.mended(time.time() - 301.0)
    site.run()
    (blind,) = read_history(str(site.record))[2:]
    assert (blind["event"], blind["holds"]) == ("review", None)
    assert blind["evidence"].startswith("not compared: ")


def test_one_that_does_no_worse_holds_and_a_second_run_does_nothing(site: Site) -> None:
    ended = time.time() - 301.0
    site.mended(ended)
    site.requests(ended, errors_of_the_mended=0)
    output = site.run()
    (review,) = read_history(str(site.record))[2:]
    assert (review["event"], review["holds"]) == ("review", True), output
    assert review["evidence"].startswith("no worse beside 2 peers for 300 s")
    before = site.record.read_bytes()
    recap = site.run()
    assert site.record.read_bytes() == before
    recap = recap[recap.index("PLAY RECAP") :]
    assert all("changed=0" in line for line in recap.splitlines() if "changed=" in line)
