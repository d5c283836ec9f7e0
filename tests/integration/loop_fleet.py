"""A small local fleet for the loop tests: pretended hosts, real llama.cpp servers under supervisord."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ports import FIRST_PORT

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PORTS = {"alpha": FIRST_PORT, "beta": FIRST_PORT + 20}


@dataclass
class Run:
    """One ansible-playbook run."""

    code: int
    output: str

    def changed(self) -> dict[str, int]:
        """``changed=`` of every host in the recap."""
        recap = self.output[self.output.index("PLAY RECAP") :]
        counts = {}
        for line in recap.splitlines():
            if "changed=" in line:
                counts[line.split()[0]] = int(line.split("changed=")[1].split()[0])
        return counts


@dataclass
class Fleet:
    root: Path
    run_dir: Path
    models: dict[str, Any] = field(default_factory=dict)
    # Words before each command, such as those that enter a namespace.
    within: tuple[str, ...] = ()

    def write_inventory(
        self, name: str = "hosts.yml", *, hosts: dict[str, Any] | None = None, **variables: Any
    ) -> Path:
        path = self.root / name
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "modelops_models": self.models,
            "modelops_output_dir": str(self.root / "output"),
            "modelops_facts_dir": f"{self.root}/{{{{ inventory_hostname }}}}/facts.d",
            "deploy_prefix": f"{self.root}/{{{{ inventory_hostname }}}}/opt",
            "deploy_config_dir": f"{self.root}/{{{{ inventory_hostname }}}}/etc",
            "deploy_state_dir": f"{self.root}/{{{{ inventory_hostname }}}}/var",
            "deploy_log_dir": f"{self.root}/{{{{ inventory_hostname }}}}/log",
            "deploy_runtime_dir": f"{self.run_dir}/{{{{ inventory_hostname }}}}",
            "deploy_manage_user": False,
            "deploy_service_manager": "supervisord",
            "deploy_supervisord_executable": str(BIN / "supervisord"),
            "deploy_supervisorctl_executable": str(BIN / "supervisorctl"),
            "deploy_llama_cpp_provider": "xllamacpp",
            "deploy_llama_cpp_python": sys.executable,
            "deploy_memory_gate": False,
            **variables,
        }
        path.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": {}, **(hosts or HOSTS)}, "vars": common}}))
        return path

    def play(
        self, playbook: str, *arguments: str, inventory: str = "hosts.yml", seconds: float = 300, **extra: Any
    ) -> Run:
        with self.begin(playbook, *arguments, inventory=inventory, **extra) as run:
            try:
                output = run.communicate(timeout=seconds)[0]
            except BaseException:
                run.kill()
                raise
        return Run(run.returncode, output)

    def begin(
        self, playbook: str, *arguments: str, inventory: str = "hosts.yml", **extra: Any
    ) -> subprocess.Popen[str]:
        """A run in a process group of its own, under way."""
        command = [*self.within, str(BIN / "ansible-playbook"), "-i", str(self.root / inventory)]
        command += [f"modelops.datacenter.{playbook}", "-e", json.dumps(extra), *arguments]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1", "ANSIBLE_FORKS": "4"}
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def plan_path(self) -> Path:
        return self.root / "output" / "plan.json"

    def plan(self) -> dict[str, Any]:
        return json.loads(self.plan_path.read_text())

    def placed(self) -> list[tuple[str, int, str]]:
        return sorted((p["host"], p["slot"], p["model"]) for p in self.plan()["placements"])

    def running(self) -> dict[str, int]:
        """Process id of every replica that runs, by ``host/service``."""
        pids = {}
        for host in PORTS:
            for words in self._settled(self.root / host / "etc" / "supervisord.conf"):
                if words[1] == "RUNNING":
                    pids[f"{host}/{words[0]}"] = int(words[3].rstrip(","))
        return pids

    def _settled(self, configuration: Path) -> list[list[str]]:
        """What supervisord says of its programs, once none is in its first second any more."""
        if not configuration.exists():
            return []
        while True:
            status = subprocess.run(
                [str(BIN / "supervisorctl"), "-c", str(configuration), "status"],
                capture_output=True,
                text=True,
                check=False,
            ).stdout
            lines = [line.split() for line in status.splitlines() if line.startswith("modelops-")]
            if not any(words[1] == "STARTING" for words in lines):
                return lines
            time.sleep(0.3)

    @staticmethod
    def answers(port: int, model: str) -> bool:
        body = json.dumps({"model": model, "prompt": "Hello", "max_tokens": 1}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions", data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return bool(json.load(response)["choices"])
        except OSError:
            return False

    def silent(self) -> list[str]:
        """Placements of the plan that give no completion through their own port."""
        return [
            f"{p['host']}:{p['port']} {p['model']}"
            for p in self.plan()["placements"]
            if not self.answers(p["port"], p["model"])
        ]

    def stop(self) -> None:
        for pidfile in self.run_dir.glob("*/supervisord.pid"):
            pid = int(pidfile.read_text())
            os.kill(pid, signal.SIGTERM)
            for _unused in range(200):
                if not Path(f"/proc/{pid}").exists():
                    break
                time.sleep(0.1)
        shutil.rmtree(self.run_dir, ignore_errors=True)


HOSTS = {
    name: {
        "modelops_zone": f"zone-{name[0]}",
        "modelops_accelerator_type": "l40s-48gb",
        "modelops_accelerator_count": 4,
        "modelops_accelerator_memory_gib": 48,
        "modelops_cpu_cores": 32,
        "modelops_memory_gib": 256,
        "modelops_cost_per_hour": 4.0,
        "modelops_base_port": port,
    }
    for name, port in PORTS.items()
}


def model(tiny: Path, checksum: str, rate: float) -> dict[str, Any]:
    return {
        "engine": "llama_cpp",
        "version": "1.0",
        "artifact": {"src": str(tiny), "checksum": checksum},
        "engine_args": {"ctx-size": 256},
        "resources": {"accelerators": 1, "accelerator_memory_gib": 20, "cpu_cores": 1, "memory_gib": 8},
        "capacity": {"l40s-48gb": {"requests_per_second": rate, "service_time_seconds": 1.0}},
        "min_replicas": 1,
        "max_replicas": 4,
        "startup_seconds": 60,
    }


def make_fleet(root: Path) -> Fleet:
    """The fleet, its tiny model and two weeks of traffic; nothing runs yet."""
    fleet = Fleet(root, Path(tempfile.mkdtemp(prefix="mo-")))
    tiny = root / "tiny.gguf"
    printed = subprocess.run(
        [sys.executable, str(ROOT / "inventories/demo/tiny_model.py"), "--seed", "3", "--dest", str(tiny)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    checksum = "sha256:" + printed.split()[0].replace("sha256:", "")
    fleet.models = {"chat": model(tiny, checksum, 3.0), "code": model(tiny, checksum, 3.0)}
    fleet.write_inventory()
    return fleet
