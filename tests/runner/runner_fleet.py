# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's fleet in a private data directory of ansible-runner, on ports of its own beside a demo that is up."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))

from loop_fleet import Fleet  # noqa: E402

BIN = Path(sys.executable).parent
PORTS_AWAY = 4000  # from the demo's
GUIDE = ROOT / "docs/docsite/rst/guide_runner.rst"


@dataclass
class Job:
    """What one run through ansible-runner came to, from the artifacts it left with whoever asked for it."""

    status: str
    output: str
    stats: dict[str, Any] = field(default_factory=dict)

    def changed(self) -> int:
        return sum(self.stats.get("changed", {}).values())


class RunnerFleet:
    """The private data directory ``private``; what the fleet keeps lies outside of it, as on real hosts."""

    def __init__(self, root: Path, *, programs: Path = BIN, hosts: Collection[str] = (), **environment: str) -> None:
        """:param programs: where ansible-runner and ansible-playbook are; ``hosts``: those of the demo to take, or all."""
        self.programs = programs
        self.environment = {
            **os.environ,
            # where ansible-runner looks for ansible-playbook
            "PATH": f"{programs}:{os.environ['PATH']}",
            "ANSIBLE_NOCOLOR": "1",
            **environment,
        }
        self.private = root / "private"
        self.state = root / "fleet"
        self.run_dir = Path(tempfile.mkdtemp(prefix="mo-"))
        self.output = self.state / "output"
        for folder in (self.private / "env", self.private / "project", self.state / "models"):
            folder.mkdir(parents=True)
        self._make_inventory(hosts)
        self.moments = self._make_data()
        self._write_env()
        self._jobs = 0

    def _make_inventory(self, kept: Collection[str]) -> None:
        shutil.copytree(ROOT / "inventories/demo/group_vars", self.private / "inventory/group_vars")
        hosts = yaml.safe_load((ROOT / "inventories/demo/hosts.yml").read_text())
        found = hosts["all"]["hosts"]
        hosts["all"]["hosts"] = {name: host for name, host in found.items() if not kept or name in (*kept, "localhost")}
        for host in hosts["all"]["hosts"].values():
            if "modelops_base_port" in host:
                host["modelops_base_port"] += PORTS_AWAY
        (self.private / "inventory/hosts.yml").write_text(yaml.safe_dump(hosts))

    def _make_data(self) -> dict[str, str]:
        tiny = self.state / "models/tiny.gguf"
        printed = self._python("inventories/demo/tiny_model.py", "--seed", "1", "--dest", str(tiny))
        (self.state / "models/tiny.gguf.sha256").write_text("sha256:" + printed.split()[0].replace("sha256:", ""))
        traffic = self._python(
            "inventories/demo/generate_traffic.py", "--seed", "7", "--dest", str(self.state / "traffic.csv.gz")
        )
        return dict(json.loads(traffic))

    def _python(self, *words: str) -> str:
        return subprocess.run(
            [sys.executable, *words], cwd=ROOT, check=True, capture_output=True, text=True, timeout=300
        ).stdout

    def _write_env(self) -> None:
        extra = {
            "demo_root": str(self.state),
            "demo_run": str(self.run_dir / "run"),
            "modelops_as_of": self.moments["trough"],
        }
        (self.private / "env/extravars").write_text(yaml.safe_dump(extra))
        (self.private / "env/envvars").write_text(yaml.safe_dump({"ANSIBLE_PIPELINING": "1", "ANSIBLE_FORKS": "4"}))

    def run(self, playbook: str, *, check: bool = False, **extra: Any) -> Job:
        """``ansible-runner run``."""
        ident = self._ident(playbook)
        self._runner("run", str(self.private), "--ident", ident, "-q", *self._words(playbook, check, extra))
        return job_of(self.private / "artifacts" / ident)

    def stream(self, playbook: str, *, check: bool = False, **extra: Any) -> Job:
        """``transmit | worker | process``, each with a directory of its own, so that nothing but the streams joins them."""
        ident = self._ident(playbook)
        with tempfile.TemporaryDirectory() as folder:
            sent, done = Path(folder, "sent"), Path(folder, "done")
            self._runner(
                "transmit", str(self.private), "--ident", ident, *self._words(playbook, check, extra), out=sent
            )
            self._runner("worker", "--private-data-dir", str(Path(folder, "worker")), given=sent, out=done)
            back = Path(folder, "back")
            back.mkdir()
            self._runner("process", str(back), "--ident", ident, given=done)
            return job_of(back / "artifacts" / ident)

    def _ident(self, playbook: str) -> str:
        self._jobs += 1
        return f"{playbook}-{self._jobs}"

    def _words(self, playbook: str, check: bool, extra: dict[str, Any]) -> list[str]:
        # One word: the command line is taken apart by ansible-runner once more.
        line = " ".join([*(["--check"] if check else []), *([f"-e '{json.dumps(extra)}'"] if extra else [])])
        return ["--playbook", f"modelops.datacenter.{playbook}", *([f"--cmdline={line}"] if line else [])]

    def _runner(self, *words: str, given: Path | None = None, out: Path | None = None) -> None:
        with contextlib.ExitStack() as stack:
            done = subprocess.run(
                [str(self.programs / "ansible-runner"), *words],
                env=self.environment,
                stdin=stack.enter_context(given.open("rb")) if given else subprocess.DEVNULL,
                stdout=stack.enter_context(out.open("wb")) if out else subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=1800,
                check=False,
            )
        # What came of the job stands in its artifacts; this is about ansible-runner itself, whose code may be the job's.
        if b"usage: ansible-runner" in done.stderr or b"Traceback" in done.stderr:
            raise RuntimeError(done.stderr.decode())

    def plan(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.output / "plan.json").read_text())
        return found

    def silent(self) -> list[str]:
        """Placements of the plan that give no completion through their own port."""
        return [
            f"{p['host']}-{p['slot']}" for p in self.plan()["placements"] if not Fleet.answers(p["port"], p["model"])
        ]

    def stop_replica(self, place: dict[str, Any]) -> None:
        """Stop a placement behind the back of the collection, as its host's supervisord does it."""
        configuration = self.state / "hosts" / place["host"] / "etc/supervisord.conf"
        name = f"modelops-{place['model']}-{place['slot']}"
        words = [str(BIN / "supervisorctl"), "-c", str(configuration), "stop", name]
        subprocess.run(words, check=True, capture_output=True)
        if Fleet.answers(place["port"], place["model"]):
            raise RuntimeError(f"{name} still answers")

    def stop(self) -> None:
        for pidfile in self.run_dir.glob("*/supervisord.pid"):
            with contextlib.suppress(OSError, ValueError):
                pid = int(pidfile.read_text())
                os.kill(pid, signal.SIGTERM)
                for _wait in range(300):
                    os.kill(pid, 0)
                    time.sleep(0.1)
        shutil.rmtree(self.run_dir, ignore_errors=True)


def job_of(artifacts: Path) -> Job:
    output = (artifacts / "stdout").read_text() if (artifacts / "stdout").exists() else ""
    stats: dict[str, Any] = {}
    for event in (artifacts / "job_events").glob("*.json"):
        found = json.loads(event.read_text())
        if found["event"] == "playbook_on_stats":
            stats = found["event_data"]
    status = (artifacts / "status").read_text() if (artifacts / "status").exists() else "no status came back"
    return Job(status, output, stats)


def example() -> str:
    """The script of the guide, as it stands there."""
    lines = GUIDE.read_text().split(".. code-block:: python\n", 1)[1].splitlines()
    block = []
    for line in lines:
        if line and not line.startswith("    "):
            break
        block.append(line[4:])
    return "\n".join(block).strip() + "\n"
