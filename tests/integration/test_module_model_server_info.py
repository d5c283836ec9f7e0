# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""model_server_info against a real llama.cpp server with a tiny random model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from module_command import ROOT, run_module
from ports import free_ports

from ansible_collections.modelops.datacenter.plugins.modules import model_server_info

LAUNCHER = ROOT / "roles" / "deploy" / "files" / "llama_server.py"
TINY_MODEL = ROOT / "inventories" / "demo" / "tiny_model.py"

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")


def look(**options: Any) -> dict[str, Any]:
    """The module's own ``execute``, with the defaults of its options."""
    defaults = {name: spec.get("default") for name, spec in model_server_info.ARGUMENT_SPEC.items()}
    unknown = set(options) - set(defaults)
    assert not unknown
    return model_server_info.execute({**defaults, "engine": "llama_cpp", **options}, False, False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    subprocess.run([sys.executable, TINY_MODEL, "--seed", "1", "--dest", path], check=True, stdout=subprocess.DEVNULL)
    return path


class Server:
    def __init__(self, model: Path, *arguments: str, **environment: str) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, LAUNCHER, "--model", model, "--port", str(self.port), "--alias", "chat", *arguments],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> int:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()


@pytest.fixture
def server(model: Path) -> Iterator[Server]:
    found = Server(model, "--metrics", "--ctx-size", "256", "--parallel", "2", "--threads", "1")
    yield found
    if found.process.poll() is None:
        found.stop()


def test_from_its_start_to_its_first_answer(server: Server) -> None:
    started = time.monotonic()
    found = look(url=server.url, model="chat", wait_seconds=30, poll_seconds=0.05, pid=server.process.pid)
    elapsed = time.monotonic() - started
    assert (found["healthy"], found["ready"], found["reason"]) == (True, True, "")
    assert found["models"] == ["chat"]
    assert found["startup_observed"]
    assert 0.1 < found["startup_seconds"] < elapsed + 1
    assert found["metrics"]["generation_tokens_total"] == 1
    assert found["metrics"]["running"] == 0
    again = look(url=server.url, model="chat")
    assert again["ready"]
    assert again["metrics"]["generation_tokens_total"] == 2
    assert server.stop() == 0, "SIGTERM ends the launcher with 0"


def test_throughput_over_a_time(server: Server) -> None:
    look(url=server.url, wait_seconds=30, poll_seconds=0.05)
    body = b'{"prompt": "a", "max_tokens": 5}'
    script = f"import time, urllib.request; time.sleep(0.5); urllib.request.urlopen({server.url + '/v1/completions'!r}, {body!r})"
    with subprocess.Popen([sys.executable, "-c", script]):
        found = look(url=server.url, sample_seconds=2)
    assert found["throughput"]["generation_tokens_per_second"] == pytest.approx(5 / 2, rel=0.1)
    assert found["throughput"]["requests_per_second"] is None, "llama.cpp counts no requests"


def test_another_model_than_the_wanted_one_is_not_ready(server: Server) -> None:
    look(url=server.url, wait_seconds=30, poll_seconds=0.05)
    found = look(url=server.url, model="other", wait_seconds=0.3, poll_seconds=0.1)
    assert (found["healthy"], found["ready"]) == (True, False)
    assert "serves chat, not other" in found["reason"]


def test_a_hung_server_is_not_ready_in_time(server: Server) -> None:
    look(url=server.url, wait_seconds=30, poll_seconds=0.05)
    server.process.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    found = look(url=server.url, model="chat", wait_seconds=1, poll_seconds=0.2, request_timeout_seconds=0.5)
    assert time.monotonic() - started < 3
    assert (found["healthy"], found["ready"]) == (False, False)
    assert "no answer within 0.5 s" in found["reason"]
    server.process.send_signal(signal.SIGCONT)
    assert look(url=server.url, model="chat")["ready"], "it answers again"


def test_a_killed_server_is_a_finding(server: Server) -> None:
    look(url=server.url, wait_seconds=30, poll_seconds=0.05)
    server.process.kill()
    server.process.wait()
    found = look(url=server.url, model="chat", pid=server.process.pid)
    assert not found["ready"]
    assert "connection refused" in found["reason"]
    assert f"process {server.process.pid} is not running" in found["reason"]
    assert (found["metrics"], found["startup_seconds"]) == (None, None)


def test_a_key(model: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    server = Server(model, LLAMA_ARG_API_KEY_FILE=str(key), LLAMA_ARG_ENDPOINT_METRICS="1")
    try:
        found = look(url=server.url, wait_seconds=30, poll_seconds=0.05, api_key_file=str(key))
        assert found["ready"]
        assert found["metrics"] is not None
        without = look(url=server.url)
        assert not without["ready"]
        assert "refused the key" in without["reason"]
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("delay_seconds", [0.15, 0.4, 0.8])
def test_the_launcher_ends_with_0_also_while_it_loads(model: Path, delay_seconds: float) -> None:
    server = Server(model)
    time.sleep(delay_seconds)
    # Before Python has begun to run the script, a signal ends it as any program.
    assert server.stop() in ((0, -signal.SIGTERM) if delay_seconds < 0.3 else (0,))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "/nonexistent.gguf"], "no such file"),
        (["--modle", "x"], "unrecognized arguments: --modle x"),
        (["--port", "http"], "invalid int value"),
        (["--api-key-file", "/nonexistent"], "--api-key-file /nonexistent"),
        ([], "no model"),
    ],
)
def test_the_launcher_refuses_what_it_does_not_know(model: Path, arguments: list[str], said: str) -> None:
    given = arguments if not arguments or "--model" in arguments else ["--model", str(model), *arguments]
    ran = subprocess.run([sys.executable, LAUNCHER, *given], capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_the_launcher_fails_on_a_port_in_use(server: Server, model: Path) -> None:
    look(url=server.url, wait_seconds=30, poll_seconds=0.05)
    command = [sys.executable, LAUNCHER, "--model", model, "--port", str(server.port)]
    ran = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert ran.returncode == 1


def test_a_tiny_model_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    def make(name: str, *arguments: str) -> tuple[str, bytes]:
        path = tmp_path / name
        ran = subprocess.run(
            [sys.executable, TINY_MODEL, "--dest", path, *arguments], capture_output=True, text=True, check=True
        )
        return ran.stdout.strip(), path.read_bytes()

    first, second, other = make("a"), make("b", "--seed", "1"), make("c", "--seed", "2")
    assert first == second
    assert first[0] != other[0]
    assert len(first[1]) < 1_000_000


def test_run_by_ansible(server: Server) -> None:
    look(url=server.url, wait_seconds=30, poll_seconds=0.05)
    result = run_module("model_server_info", {"url": server.url, "engine": "llama_cpp", "model": "chat"}, "--check")
    assert result["ready"]
    assert not result["changed"]


def test_run_by_ansible_fails_with_one_message_only_when_asked_to() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert not run_module("model_server_info", {"url": url})["failed"]
    failed = run_module("model_server_info", {"url": url, "fail_if_not_ready": True})
    assert failed["failed"]
    assert url in failed["msg"]
    assert "connection refused" in failed["msg"]
    assert "Look at the service's log" in failed["msg"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "localhost:8000"}, "url must begin with http"),
        ({"url": "http://x", "poll_seconds": 0}, "poll_seconds must be above 0"),
        ({"url": "http://x", "wait_seconds": -1}, "wait_seconds must not be negative"),
        ({"url": "http://x", "api_key_file": "/nonexistent"}, "cannot read the key"),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

    with pytest.raises(InputError, match=said):
        look(**options)


def test_a_server_without_metrics_is_ready_with_a_warning(model: Path) -> None:
    server = Server(model)
    try:
        found = look(url=server.url, wait_seconds=30, poll_seconds=0.05)
        assert found["ready"]
        assert found["metrics"] is None
        assert "metrics cannot be read" in found["warnings"][0]
        with urllib.request.urlopen(f"{server.url}/health", timeout=5) as answer:
            assert answer.status == 200
    finally:
        server.stop()
