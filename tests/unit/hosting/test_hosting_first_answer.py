"""A replica that cannot start is given up early, one that may still come is waited for. Real processes, real sockets."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting import first_answer
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.lifecycle import ReplicaService
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.managers import SupervisordManager

BIN = Path(sys.executable).parent
CONFIGURATION = """[supervisord]
logfile={root}/supervisord.log
pidfile={root}/supervisord.pid
[unix_http_server]
file={socket}
[supervisorctl]
serverurl=unix://{socket}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[include]
files={root}/*.ini
"""
PROGRAM = """[program:modelops-chat-0]
command={command}
autostart=true
autorestart=true
redirect_stderr=true
stdout_logfile={log}
startsecs=1
startretries=10
"""

pytestmark = pytest.mark.skipif(not (BIN / "supervisord").exists(), reason="supervisord is not installed")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[SupervisordManager]:
    path = f"/tmp/mo-{os.getpid()}-{next(COUNTER)}.sock"
    configuration = tmp_path / "supervisord.conf"
    configuration.write_text(CONFIGURATION.format(root=tmp_path, socket=path))
    made = SupervisordManager(
        configuration=str(configuration),
        supervisord=str(BIN / "supervisord"),
        supervisorctl=str(BIN / "supervisorctl"),
        log_dir=str(tmp_path),
    )
    made.prepare()
    yield made
    subprocess.run([str(BIN / "supervisorctl"), "-c", str(configuration), "shutdown"], check=False, capture_output=True)


COUNTER = itertools.count()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(manager: SupervisordManager, tmp_path: Path, command: str) -> tuple[ReplicaService, int | None]:
    port = free_port()
    (tmp_path / "chat.ini").write_text(
        PROGRAM.format(command=command.replace("PORT", str(port)), log=tmp_path / "modelops-chat-0.log")
    )
    manager.start("modelops-chat-0")
    service = ReplicaService(
        name="modelops-chat-0",
        record={"slot": 0, "model": "chat"},
        definition=(),
        digest="",
        url=f"http://127.0.0.1:{port}",
        engine="command",
        served_name="chat",
        probe="health",
        address="127.0.0.1",
        port=port,
        health_path="/",
        ready_timeout_seconds=90,
    )
    return service, manager.main_pid(service.name) or 1


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_answer, "LOOK_AT_MANAGER_EVERY_SECONDS", 0.4)


@pytest.mark.parametrize("seconds", [0, 1.6], ids=["at once", "after it counted as started"])
def test_three_ends_alike_are_enough(manager: SupervisordManager, tmp_path: Path, seconds: float) -> None:
    service, pid = start(manager, tmp_path, f"/bin/sh -c 'sleep {seconds}; echo no such file; exit 7'")
    began = time.monotonic()
    answer = first_answer.FirstAnswer(manager, poll_seconds=0.1)(service, pid)
    assert not answer.ready and answer.doomed
    assert "3 times" in answer.reason
    assert time.monotonic() - began < 60
    assert "no such file" in manager.log_tail(service.name)


def test_one_that_is_about_to_be_restarted_is_not_given_up(manager: SupervisordManager, tmp_path: Path) -> None:
    service, _pid = start(manager, tmp_path, "/bin/sh -c 'sleep 1.6; exit 7'")
    deadline = time.monotonic() + 60
    while manager._status(service.name) != "EXITED":
        assert time.monotonic() < deadline, "supervisord never said EXITED"
    assert not manager.has_given_up(service.name)


def test_one_that_fails_once_and_then_answers_is_waited_for(manager: SupervisordManager, tmp_path: Path) -> None:
    mark = tmp_path / "tried"
    server = f"{sys.executable} -m http.server --bind 127.0.0.1 --directory {tmp_path} PORT"
    command = f"/bin/sh -c 'test -e {mark} && exec {server}; touch {mark}; exit 1'"
    service, pid = start(manager, tmp_path, command)
    answer = first_answer.FirstAnswer(manager, poll_seconds=0.1)(service, pid)
    assert answer.ready and not answer.doomed
