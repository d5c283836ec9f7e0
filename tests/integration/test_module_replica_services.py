"""The service lifecycle on this machine: a real supervisord, real llama.cpp servers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from module_command import run_module
from ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
LAUNCHER = ROOT / "roles" / "deploy" / "files" / "llama_server.py"

# Ends a moment after somebody else has opened the lock, and so waits for it.
LEFT_AT_WORK = """
import glob, os, sys, time
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.state import HostState

def opened(lock):
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if link.split("/")[2] != str(os.getpid()) and os.readlink(link) == lock:
                return True
        except OSError:
            pass

with exclusive(sys.argv[1] + ".lock", doing="changing replicas", wait_seconds=0):
    print("at work", flush=True)
    while not opened(sys.argv[1] + ".lock"):
        time.sleep(0.1)
    time.sleep(0.5)
    HostState(sys.argv[1], dry_run=False).update(startup_seconds={"by-the-other": 7.0})
"""

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")


class Lab:
    """One host under supervisord, in a directory of its own."""

    def __init__(self, root: Path, run: Path) -> None:
        self.root, self.run_dir = root, run
        self.etc, self.log = root / "etc", root / "log"
        for directory in (self.etc, self.log):
            directory.mkdir()
        self.configuration = self.etc / "supervisord.conf"
        self.configuration.write_text(
            f"[supervisord]\nlogfile={self.log}/supervisord.log\npidfile={run}/pid\n"
            f"[unix_http_server]\nfile={run}/sock\n"
            f"[supervisorctl]\nserverurl=unix://{run}/sock\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[include]\nfiles={self.etc}/*.ini\n"
        )
        self.model = root / "tiny.gguf"
        subprocess.run(
            [sys.executable, str(ROOT / "inventories/demo/tiny_model.py"), "--seed", "1", "--dest", str(self.model)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self.ports = free_ports(2)

    def service(self, slot: int, *, extra: str = "", timeout: float = 60, model: str = "") -> dict[str, Any]:
        name = f"modelops-chat-{slot}"
        port = self.ports[slot]
        command = f"{sys.executable} {LAUNCHER} --model {model or self.model} --alias chat --port {port} {extra}"
        return {
            "name": name,
            "record": {"host": "h", "slot": slot, "model": "chat", "version": "1", "port": port, "service": name},
            "engine": "llama_cpp",
            "served_name": "chat",
            "url": f"http://127.0.0.1:{port}",
            "ready_timeout_seconds": timeout,
            "files": [
                {
                    "path": str(self.etc / f"{name}.ini"),
                    "content": f"[program:{name}]\ncommand={command}\nautorestart=true\nstartsecs=1\nstartretries=1\n"
                    f"redirect_stderr=true\nstdout_logfile={self.log}/{name}.log\nstopasgroup=true\nkillasgroup=true\n",
                }
            ],
        }

    def converge(self, *flags: str, **options: Any) -> dict[str, Any]:
        arguments = {
            "manager": "supervisord",
            "supervisord_configuration": str(self.configuration),
            "supervisord_executable": str(BIN / "supervisord"),
            "supervisorctl_executable": str(BIN / "supervisorctl"),
            "log_dir": str(self.log),
            "state_file": str(self.root / "facts.d" / "modelops.fact"),
            "absent_files": [str(self.etc / "{name}.ini")],
            **options,
        }
        return run_module("replica_services", arguments, *flags)

    def pid(self, slot: int) -> int:
        output = subprocess.run(
            [str(BIN / "supervisorctl"), "-c", str(self.configuration), "pid", f"modelops-chat-{slot}"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        return int(output) if output.isdigit() else 0

    def state(self) -> dict[str, Any]:
        return json.loads((self.root / "facts.d" / "modelops.fact").read_text())

    def stop(self) -> None:
        pidfile = self.run_dir / "pid"
        if pidfile.exists():
            pid = int(pidfile.read_text())
            os.kill(pid, signal.SIGTERM)
            for _unused in range(100):
                if not Path(f"/proc/{pid}").exists():
                    return
                time.sleep(0.1)
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    run = Path(tempfile.mkdtemp(prefix="mo-"))  # short: a socket lies in it
    lab = Lab(tmp_path_factory.mktemp("host"), run)
    yield lab
    lab.stop()
    shutil.rmtree(run, ignore_errors=True)


def test_check_mode_says_what_would_start_and_starts_nothing(lab: Lab) -> None:
    result = lab.converge("--check", "--diff", services=[lab.service(0)])
    assert result["changed"]
    assert result["started"] == ["modelops-chat-0"]
    assert not (lab.etc / "modelops-chat-0.ini").exists()
    assert not (lab.run_dir / "pid").exists()


def test_replicas_start_answer_and_are_measured(lab: Lab) -> None:
    result = lab.converge(services=[lab.service(0), lab.service(1)])
    assert result["started"] == ["modelops-chat-0", "modelops-chat-1"], result
    assert 0.05 < result["startup_seconds"]["modelops-chat-0"] < 30
    state = lab.state()
    assert [replica["slot"] for replica in state["replicas"]] == [0, 1]
    assert len(state["startup_seconds"]["chat"]) == 2
    assert (lab.root / "facts.d" / "modelops.fact").stat().st_mode & 0o777 == 0o644


def test_a_second_run_changes_nothing(lab: Lab) -> None:
    pids = [lab.pid(0), lab.pid(1)]
    result = lab.converge(services=[lab.service(0), lab.service(1)])
    assert not result["changed"], result
    assert [lab.pid(0), lab.pid(1)] == pids


def test_what_a_killed_run_left_at_work_is_waited_for_and_loses_nothing(lab: Lab) -> None:
    """It writes the state after the next run has begun; a run that had read it before would write over that."""
    fact = lab.root / "facts.d" / "modelops.fact"
    left = subprocess.Popen([sys.executable, "-c", LEFT_AT_WORK, str(fact)], stdout=subprocess.PIPE, text=True)
    assert left.stdout is not None and left.stdout.readline() == "at work\n"
    result = lab.converge(services=[lab.service(0), lab.service(1)])
    assert left.wait(10) == 0
    assert result["state"]["startup_seconds"]["by-the-other"] == [7.0], result
    assert lab.state() == result["state"]


def test_a_stopped_replica_is_started_and_only_that(lab: Lab) -> None:
    untouched = lab.pid(1)
    subprocess.run(
        [str(BIN / "supervisorctl"), "-c", str(lab.configuration), "stop", "modelops-chat-0"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    result = lab.converge(services=[lab.service(0), lab.service(1)])
    assert result["started"] == ["modelops-chat-0"]
    assert lab.pid(1) == untouched


def test_a_killed_replica_answers_after_the_next_run(lab: Lab) -> None:
    victim, untouched = lab.pid(0), lab.pid(1)
    os.kill(victim, signal.SIGKILL)
    lab.converge(services=[lab.service(0), lab.service(1)])
    assert lab.pid(0) not in (0, victim)
    assert lab.pid(1) == untouched


def test_a_removed_definition_is_put_back_without_a_restart(lab: Lab) -> None:
    before = lab.pid(1)
    (lab.etc / "modelops-chat-1.ini").unlink()
    result = lab.converge(services=[lab.service(0), lab.service(1)])
    assert result["mended"] == ["modelops-chat-1"]
    assert not result["started"] and not result["restarted"]
    assert lab.pid(1) == before


def test_changed_settings_wait_for_a_restart_that_is_asked_for(lab: Lab) -> None:
    before = lab.pid(0)
    changed = [lab.service(0, extra="--parallel 2"), lab.service(1)]
    held = lab.converge(services=changed, restart_changed=False)
    assert held["pending_restarts"] == ["modelops-chat-0"]
    assert lab.pid(0) == before
    done = lab.converge(services=changed)
    assert done["restarted"] == ["modelops-chat-0"]
    assert lab.pid(0) != before
    assert not lab.converge(services=changed)["changed"]


def test_a_taken_port_stops_the_start_with_one_message(lab: Lab) -> None:
    taken = lab.service(0)
    lab.converge(absent=[taken["record"]])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", lab.ports[0]))
        squatter.listen()
        result = lab.converge(services=[taken])
    assert f"port {lab.ports[0]} on 127.0.0.1 is taken" in result["msg"]
    assert lab.pid(0) == 0


def test_a_replica_that_cannot_load_fails_fast_with_its_last_words(lab: Lab) -> None:
    began = time.monotonic()
    result = lab.converge(services=[lab.service(0, model="/nowhere/model.gguf", timeout=120)])
    assert "no such file" in result["msg"]
    assert "modelops-chat-0" in result["msg"]
    assert time.monotonic() - began < 60


def test_a_removed_replica_leaves_nothing(lab: Lab) -> None:
    pid = lab.pid(1)
    result = lab.converge(absent=[lab.service(0)["record"], lab.service(1)["record"]])
    assert result["removed"] == ["modelops-chat-0", "modelops-chat-1"]
    assert not Path(f"/proc/{pid}").exists()
    assert not list(lab.etc.glob("*.ini"))
    assert lab.state()["replicas"] == []
    assert not lab.converge(absent=[])["changed"]
