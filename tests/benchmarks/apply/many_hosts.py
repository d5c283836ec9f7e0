"""The apply playbook over many light hosts: seconds per host, and where the time goes.

    .venv/bin/python tests/benchmarks/apply/many_hosts.py [--hosts 200] [--replicas 2]

Every host is real to Ansible: a local connection, its own files, its own supervisord, and
replicas of the engine ``command`` that run a server of a few lines. Measured are

* ``converged``: everything runs as planned already; the run only proves it;
* ``changed, check``: the settings of every replica changed, in check mode;
* ``fresh, check``: hosts on which nothing is yet, in check mode.

each with Ansible's own settings (``default``) and with those of the guide (``recommended``).
CPU seconds are those of the controller and of the modules, which here share one machine; they
are the figure to compare, since wall time depends on what else runs. Writes a row a run into
many_hosts.json beside this file, under the name given with --label.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from lab_fleet import write_exact_plan  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica  # noqa: E402

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
RESULT = HERE / "many_hosts.json"
BASE_PORT = 22000
# Where another checkout lies as ansible_collections/modelops/datacenter, it is measured instead of this one.
COLLECTIONS = "ANSIBLE_COLLECTIONS_PATH"
MODELS = ("chat", "code", "search", "bulk")

DEFAULT: dict[str, str] = {}
# The settings of docs/docsite/rst/guide_many_hosts.rst. Forks: as many as the controller has cores to spare.
RECOMMENDED = {
    "ANSIBLE_PIPELINING": "1",
    "ANSIBLE_FORKS": "25",
    "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0",
    "ANSIBLE_DISPLAY_OK_HOSTS": "0",
}
SETTINGS = {"default": DEFAULT, "recommended": RECOMMENDED}


def catalogue(environment: dict[str, str]) -> dict[str, Any]:
    return {
        name: {
            "engine": "command",
            "version": "1",
            "executable": [sys.executable, "-I", "-S", str(HERE / "tiny_server.py"), "{port}"],
            "environment": environment,
            "health_path": "/health",
            "resources": {"cpu_cores": 1, "memory_gib": 0.02},
            "capacity": {"cpu": {"requests_per_second": 2.0, "service_time_seconds": 1.0}},
        }
        for name in MODELS
    }


def inventory(directory: Path, hosts: int, replicas: int, *, fresh: bool) -> dict[str, Any]:
    files = directory / ("fresh" if fresh else "hosts") / "{{ inventory_hostname }}"
    machines = {
        f"node-{index:03}": {
            "modelops_zone": f"zone-{'ab'[index % 2]}",
            "modelops_accelerator_type": "cpu",
            "modelops_accelerator_count": 0,
            "modelops_accelerator_memory_gib": 0,
            "modelops_cpu_cores": 64,
            "modelops_memory_gib": 512,
            "modelops_cost_per_hour": 1.0,
            "modelops_base_port": BASE_PORT + replicas * index,
        }
        for index in range(hosts)
    }
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "modelops_models": catalogue({}),
        "modelops_facts_dir": f"{files}/facts.d",
        "deploy_prefix": f"{files}/opt",
        "deploy_config_dir": f"{files}/etc",
        "deploy_state_dir": f"{files}/var",
        "deploy_log_dir": f"{files}/log",
        "deploy_runtime_dir": f"{files}/run",
        "deploy_manage_user": False,
        "deploy_service_manager": "supervisord",
        "deploy_supervisord_executable": str(BIN / "supervisord"),
        "deploy_supervisorctl_executable": str(BIN / "supervisorctl"),
        "deploy_memory_gate": False,
        "apply_plan_max_age_seconds": 0,
    }
    return {"all": {"hosts": {"localhost": {}, **machines}, "vars": common}}


def planned(hosts: int, replicas: int) -> list[Replica]:
    return [
        Replica(
            f"node-{index:03}", slot, MODELS[(index + slot) % len(MODELS)], "1", BASE_PORT + replicas * index + slot, ()
        )
        for index in range(hosts)
        for slot in range(replicas)
    ]


class Fleet:
    """The hosts' files, in a directory of their own."""

    def __init__(self, directory: Path, hosts: int, replicas: int) -> None:
        self.directory, self.hosts, self.replicas = directory, hosts, replicas
        directory.mkdir(parents=True, exist_ok=True)
        self.target = planned(hosts, replicas)
        for name, fresh in (("hosts.yml", False), ("fresh.yml", True)):
            (directory / name).write_text(yaml.safe_dump(inventory(directory, hosts, replicas, fresh=fresh)))
        document = inventory(directory, hosts, replicas, fresh=False)["all"]["hosts"]
        write_exact_plan(directory / "plan.json", document, catalogue({}), [], self.target)
        write_exact_plan(directory / "changed.json", document, catalogue({"CHANGED": "1"}), [], self.target)

    def apply(
        self, settings: dict[str, str], *words: str, inventory: str = "hosts.yml", plan: str = "plan.json", **extra: Any
    ) -> dict[str, Any]:
        """One run of the playbook: its figures, or its output as an error."""
        seconds = self.directory / "task_seconds.json"
        command = [str(BIN / "ansible-playbook"), "-i", str(self.directory / inventory), "modelops.datacenter.apply"]
        command += ["-e", json.dumps({"modelops_plan": str(self.directory / plan), **extra}), *words]
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_") or key == COLLECTIONS},
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "task_seconds",
            "TASK_SECONDS": str(seconds),
            **settings,
        }
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            wrong = [line for line in done.stdout.splitlines() if line.startswith(("fatal", "[ERROR]", "ERROR"))]
            raise SystemExit("\n".join(wrong[:20]) or done.stdout[-4000:])
        rows = json.loads(seconds.read_text())
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        by_task: dict[str, dict[str, Any]] = {}
        for row in rows:
            entry = by_task.setdefault(row["task"], {"seconds": 0.0, "results": 0, "skipped": 0})
            for key in entry:
                entry[key] = round(entry[key] + row[key], 1)
        return {
            "wall_seconds": round(wall, 1),
            "wall_seconds_per_host": round(wall / self.hosts, 3),
            "cpu_seconds": round(cpu, 1),
            "cpu_seconds_per_host": round(cpu / self.hosts, 3),
            "task_results_per_host": round(sum(row["results"] for row in rows) / self.hosts, 1),
            "changed_hosts": len(re.findall(r"changed=[1-9]", done.stdout)),
            "tasks": dict(sorted(by_task.items(), key=lambda item: -item[1]["seconds"])[:12]),
        }

    def stop(self) -> None:
        """End every supervisord of the fleet, each with its replicas."""
        pids = [int(path.read_text()) for path in self.directory.glob("hosts/*/run/supervisord.pid")]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.5)


def measure(fleet: Fleet, names: list[str], settings: list[str]) -> dict[str, Any]:
    changed = {"modelops_models": catalogue({"CHANGED": "1"})}
    scenarios: dict[str, Any] = {
        "converged": fleet.apply,
        "changed, check": lambda chosen: fleet.apply(chosen, "--check", plan="changed.json", **changed),
        "fresh, check": lambda chosen: fleet.apply(chosen, "--check", inventory="fresh.yml"),
    }
    rows: dict[str, Any] = {}
    for name in names:
        for choice in settings:
            rows[f"{name}, {choice}"] = row = scenarios[name](SETTINGS[choice])
            shown = {key: value for key, value in row.items() if key != "tasks"}
            print(f"{name}, {choice}: {json.dumps(shown)}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--label", default="now", help="name of this measurement in the result")
    parser.add_argument("--only", action="append", help="one of the scenarios; all when not given")
    parser.add_argument("--settings", action="append", choices=sorted(SETTINGS), help="both when not given")
    parser.add_argument("--fleet", type=Path, help="keep the fleet here and use it again")
    parser.add_argument("--again", action="store_true", help="the fleet of --fleet runs already")
    arguments = parser.parse_args()
    directory = arguments.fleet or Path(tempfile.mkdtemp(prefix="mo-many-"))
    fleet = Fleet(directory, arguments.hosts, arguments.replicas)
    try:
        first = {"changed_hosts": 0} if arguments.again else fleet.apply(RECOMMENDED | {"ANSIBLE_FORKS": "2"})
        print(f"first apply: {json.dumps({key: value for key, value in first.items() if key != 'tasks'})}", flush=True)
        rows = measure(
            fleet,
            arguments.only or ["converged", "changed, check", "fresh, check"],
            arguments.settings or list(SETTINGS),
        )
        if first["changed_hosts"] >= arguments.hosts:
            rows["first apply, recommended with 2 forks"] = first
    finally:
        if not arguments.fleet:
            fleet.stop()
            shutil.rmtree(directory, ignore_errors=True)
    document = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    document[arguments.label] = {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "ansible-core": version("ansible-core"),
        "hosts": arguments.hosts,
        "replicas_per_host": arguments.replicas,
        "runs": {**(document.get(arguments.label) or {}).get("runs", {}), **rows},
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
