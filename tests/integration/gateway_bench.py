# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway on loopback: real HAProxy in master-worker mode, real llama.cpp servers behind it.

For the tests of the gateway and its benchmarks. Load is bounded in count and time.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ports import free_ports

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.actions import (
    drain_members,
    make_members,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.master_socket import MasterSocket
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.runtime_state import (
    Load,
    ServerState,
    parse_load,
    parse_servers_state,
)

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "roles/deploy/files/llama_server.py"
HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


class LlamaServer:
    """A real llama.cpp server with a model of random weights."""

    def __init__(self, model: Path, port: int, *, parallel: int = 4, context: int = 2048, alias: str = "chat") -> None:
        self.port = port
        self.command = [sys.executable, str(LAUNCHER), "--model", str(model), "--alias", alias, "--port", str(port)]
        self.command += ["--parallel", str(parallel), "--ctx-size", str(context), "--threads", "1", "--metrics"]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._healthy, 60, f"llama.cpp on port {self.port}")

    def _healthy(self) -> bool:
        try:
            return get(self.port, "/health")[0] == 200
        except OSError:
            return False

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)


class LogSink:
    """Receives HAProxy's log lines at a socket and writes them to a file, as rsyslog does on a gateway host."""

    def __init__(self, path: str, file: Path) -> None:
        self.file = file
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        with open(self.file, "ab", 0) as stream:
            while True:
                line = self._socket.recv(65536).rstrip(b"\n\0")
                if line.startswith(b"{"):
                    stream.write(line + b"\n")

    def events(self) -> list[dict[str, Any]]:
        time.sleep(0.1)
        return [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]


class GatewayBench:
    """A gateway in a directory of its own, driven by the collection's own code."""

    def __init__(self, **settings: Any) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="gw-"))
        for name in ("etc", "run", "state"):
            (self.root / name).mkdir()
        self.port, self.metrics_port = free_ports(2)
        self.settings: dict[str, Any] = {
            "runtime_dir": str(self.root / "run"),
            "state_dir": str(self.root / "state"),
            "log_socket": str(self.root / "log.sock"),
            "user": "",
            "group": "",
            "binds": [f"127.0.0.1:{self.port}"],
            "metrics_bind": f"127.0.0.1:{self.metrics_port}",
            "max_connections": 2000,
            "check_seconds": 1,
            "check_rise": 1,
            "slow_start_seconds": 0,
            **settings,
        }
        self.config_dir = str(self.root / "etc")
        self.sink = LogSink(self.settings["log_socket"], self.root / "gateway.jsonl")
        self.socket = MasterSocket(str(self.root / "run" / "master.sock"))
        self.process: subprocess.Popen[bytes] | None = None

    def members(self, replicas: list[dict[str, Any]] | None, **options: Any) -> dict[str, Any]:
        options.setdefault("settings", self.settings)
        options.setdefault("models", {"chat": {"engine": "llama_cpp", "engine_args": {"parallel": 8}}})
        result, _differences = make_members(self.config_dir, replicas=replicas, executable=HAPROXY, **options)
        return result

    def drain(self, replicas: list[dict[str, Any]], seconds: float, **options: Any) -> dict[str, Any]:
        return drain_members(self.config_dir, replicas, limit_seconds=seconds, executable=HAPROXY, **options)

    def start(self) -> None:
        command = [HAPROXY, "-W", "-S", f"{self.root}/run/master.sock,mode,600", "-f", f"{self.config_dir}/haproxy.cfg"]
        with open(self.root / "haproxy.out", "ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        wait_until(self.socket.is_up, 20, "HAProxy")
        wait_until(lambda: get(self.port, "/gateway/healthy")[0] == 200, 20, "the gateway")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def states(self) -> dict[str, ServerState]:
        worker = self.socket.current()
        assert worker is not None
        printed = self.socket.ask_worker(worker, "show servers state")
        return {f"{one.backend}/{one.server}": one for one in parse_servers_state(printed)}

    def load(self) -> Load:
        worker = self.socket.current()
        assert worker is not None
        return parse_load(self.socket.ask_worker(worker, "show stat"))

    def ask(self, body: Any = None, **headers: str) -> tuple[int, dict[str, str], str]:
        """One completion, or what ``body`` says."""
        document = {"model": "chat", "prompt": "Hello", "max_tokens": 1} if body is None else body
        return post(self.port, "/v1/completions", document, headers)


def replica(host: str, slot: int, port: int, model: str = "chat") -> dict[str, Any]:
    return {"model": model, "host": host, "slot": slot, "address": "127.0.0.1", "port": port}


def get(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    return _exchange(port, "GET", path, None, headers or {})


def post(port: int, path: str, document: Any, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    return _exchange(port, "POST", path, json.dumps(document), {"Content-Type": "application/json", **(headers or {})})


def _exchange(port: int, verb: str, path: str, body: str | None, headers: dict[str, str]) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(verb, path, body, headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def wait_until(condition: Any, seconds: float, what: str) -> float:
    """Seconds until the condition holds."""
    started = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - started
        except OSError:
            pass
        assert time.monotonic() - started < seconds, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)


def tiny_model(directory: Path) -> Path:
    path = directory / "tiny.gguf"
    command = [sys.executable, str(ROOT / "inventories/demo/tiny_model.py"), "--seed", "3", "--dest", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


@contextlib.contextmanager
def servers(count: int, directory: Path, **options: Any) -> Iterator[list[LlamaServer]]:
    model = tiny_model(directory)
    running = [LlamaServer(model, port, **options) for port in free_ports(count)]
    try:
        for one in running:
            one.start()
        yield running
    finally:
        for one in running:
            one.stop()
