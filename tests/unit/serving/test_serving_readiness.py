# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness against a real HTTP server on loopback that behaves as each engine does, well or badly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import process
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.readiness import (
    Target,
    look,
    version_of,
    wait_until_ready,
)

MODELS = {"object": "list", "data": [{"id": "chat-8b"}]}
COMPLETION = {"choices": [{"text": " there", "index": 0}]}
GOOD = {
    "GET /health": (200, ""),
    "GET /v1/models": (200, MODELS),
    "POST /v1/completions": (200, COMPLETION),
    "GET /version": (200, {"version": "0.32.0"}),
}


class Engine:
    """A server whose answers are a mapping from ``METHOD /path`` to status and body, or to ``hang`` or ``close``."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = dict(GOOD)
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                engine.asked.append((f"{self.command} {self.path}", dict(self.headers), body))
                planned = engine.answers.get(f"{self.command} {self.path}", (404, "Not Found"))
                if planned == "hang":
                    time.sleep(1.5)
                    return
                if planned == "close":
                    self.connection.close()
                    return
                status, content = planned
                text = content if isinstance(content, str) else json.dumps(content)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def target(self, **kwargs: Any) -> Target:
        return Target(
            **{"url": self.url, "engine": "vllm", "model": "chat-8b", "request_timeout_seconds": 0.5, **kwargs}
        )


@pytest.fixture
def engine() -> Iterator[Engine]:
    found = Engine()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_ready_is_an_answered_completion_of_one_token(engine: Engine) -> None:
    found = look(engine.target())
    assert (found.healthy, found.ready, found.reason) == (True, True, "")
    assert (found.models, found.answer) == (("chat-8b",), " there")
    assert found.answer_seconds is not None
    assert found.answer_seconds > 0
    (body,) = [body for path, _headers, body in engine.asked if path == "POST /v1/completions"]
    assert (body["model"], body["max_tokens"]) == ("chat-8b", 1)
    assert version_of(engine.target()) == "0.32.0"


@pytest.mark.parametrize(
    ("changes", "healthy", "reason"),
    [
        ({"GET /health": (503, {"error": "Loading model"})}, False, "/health answered 503"),
        ({"GET /health": "hang"}, False, "no answer within 0.5 s"),
        ({"GET /health": "close"}, False, "closed without an answer"),
        ({"GET /v1/models": (200, {"data": [{"id": "other"}]})}, True, "serves other, not chat-8b"),
        ({"GET /v1/models": (401, "")}, True, "refused the key"),
        ({"POST /v1/completions": (500, "head size 16 is not supported")}, True, "answered 500: head size 16"),
        ({"POST /v1/completions": "hang"}, True, "the engine may hang"),
        ({"POST /v1/completions": (200, "<html>")}, True, "with no completion"),
        ({"POST /v1/completions": (200, {"choices": []})}, True, "with no completion"),
    ],
)
def test_a_good_health_alone_is_not_ready(engine: Engine, changes: dict[str, Any], healthy: bool, reason: str) -> None:
    engine.answers.update(changes)
    found = look(engine.target())
    assert (found.healthy, found.ready) == (healthy, False)
    assert reason in found.reason


def test_nothing_listens() -> None:
    found = look(Target(url="http://127.0.0.1:9", engine="vllm"))
    assert not found.healthy
    assert "connection refused" in found.reason


def test_the_key_is_sent(engine: Engine) -> None:
    look(engine.target(api_key="k1"))
    assert {headers.get("Authorization") for _path, headers, _body in engine.asked} == {"Bearer k1"}


def test_tgi_answers_in_its_own_way(engine: Engine) -> None:
    engine.answers = {
        "GET /health": (200, ""),
        "POST /generate": (200, {"generated_text": "x"}),
        "GET /info": (200, {"version": "3.3.7"}),
    }
    target = engine.target(engine="tgi")
    assert look(target).answer == "x"
    assert version_of(target) == "3.3.7"


@pytest.mark.parametrize(("model_status", "ready"), [(200, True), (400, False)])
def test_triton_is_ready_when_server_and_model_say_so(engine: Engine, model_status: int, ready: bool) -> None:
    engine.answers = {
        "GET /v2/health/live": (200, ""),
        "GET /v2/health/ready": (200, ""),
        "GET /v2/models/chat-8b/ready": (model_status, ""),
        "GET /v2": (200, {"name": "triton", "version": "2.60.0"}),
    }
    target = engine.target(engine="triton")
    assert look(target).ready is ready
    assert version_of(target) == "2.60.0"


def test_other_probes(engine: Engine) -> None:
    engine.answers = {"GET /up": (200, "")}
    assert look(engine.target(engine="command", probe="health", health_path="/up")).ready
    engine.answers = {}
    assert not look(engine.target(probe="health")).ready
    assert look(engine.target(probe="none")).ready, "404 is an answer"


def test_waiting_ends_as_soon_as_it_is_ready(engine: Engine) -> None:
    engine.answers["GET /health"] = (503, "")
    threading.Timer(0.4, lambda: engine.answers.update({"GET /health": (200, "")})).start()
    found = wait_until_ready(engine.target(), wait_seconds=10, poll_seconds=0.1)
    assert found.ready
    assert found.looks > 1
    assert 0.3 < found.waited_seconds < 3


def test_waiting_ends_in_time_when_it_is_never_ready(engine: Engine) -> None:
    engine.answers["GET /health"] = (503, "")
    started = time.monotonic()
    found = wait_until_ready(engine.target(), wait_seconds=0.5, poll_seconds=0.1)
    assert not found.ready
    assert time.monotonic() - started < 1.5
    assert wait_until_ready(engine.target(), wait_seconds=0, poll_seconds=5).looks == 1


def test_the_age_of_a_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    time.sleep(0.5)
    age = process.age_seconds(child.pid)
    child.kill()
    child.wait()
    assert age is not None
    assert 0.4 < age < 5
    assert process.age_seconds(child.pid) is None
    assert process.age_seconds(os.getpid(), proc="/nonexistent") is None


def test_a_zombie_is_no_process_and_odd_names_do_not_confuse(tmp_path: Any) -> None:
    (tmp_path / "7").mkdir()
    stat = "7 (a) b (c) {} 1 " + " ".join(["0"] * 17) + " 100 0 0\n"
    (tmp_path / "7" / "stat").write_text(stat.format("S"))
    age = process.age_seconds(7, proc=str(tmp_path))
    assert age == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME) - 1.0, abs=0.5)
    (tmp_path / "7" / "stat").write_text(stat.format("Z"))
    assert process.age_seconds(7, proc=str(tmp_path)) is None
