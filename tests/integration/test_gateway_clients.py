# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of a real HAProxy: whose key is good for which model and how often, and keys that change while streams run."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gateway_bench import HAPROXY, GatewayBench, get, post, replica

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.clients import key_lines

pytestmark = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")
MODELS = {"chat": {"engine": "command"}, "code": {"engine": "command", "served_model_name": "coder"}}
PIECES = 30
PAUSE_SECONDS = 0.1


class Replica(http.server.BaseHTTPRequestHandler):
    """Streams for three seconds where the request says so, and tells which headers it was sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        pieces = [b"piece\n"] * (PIECES if asked.get("stream") else 0) + [json.dumps(dict(self.headers)).encode()]
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, piece in enumerate(pieces):
            time.sleep(PAUSE_SECONDS if number else 0)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        pass


class Clients(GatewayBench):
    """A gateway whose keys are put beside its configuration as the role does it."""

    def __init__(self, port: int) -> None:
        super().__init__(require_api_key=True)
        self.replicas = [replica("a", 0, port), replica("a", 1, port, model="code")]

    def keys(self, api_keys: dict[str, Any], clients: dict[str, Any] | None = None) -> dict[str, Any]:
        (Path(self.config_dir) / "api_keys.map").write_text(key_lines(api_keys))
        return self.members(self.replicas, models=MODELS, settings={**self.settings, "clients": clients or {}})

    def status(self, key: str, model: str = "chat", **more: Any) -> str:
        status, _headers, text = post(
            self.port, "/v1/completions", {"model": model, **more}, {"Authorization": f"Bearer {key}"} if key else {}
        )
        return str(status) if status == 200 else f"{status} {json.loads(text)['error']['code']}"


@pytest.fixture
def bench() -> Iterator[Clients]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Replica) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = Clients(server.server_address[1])
        try:
            yield made
        finally:
            made.close()
            server.shutdown()


def key() -> str:
    return secrets.token_hex(32)


def listed(bench: Clients, value: str) -> list[str]:
    body = get(bench.port, "/v1/models", {"Authorization": f"Bearer {value}"})[2]
    return [one["id"] for one in json.loads(body)["data"]]


def test_a_key_is_good_for_the_models_of_its_client(bench: Clients) -> None:
    one, other, none = key(), key(), key()
    bench.keys({"one": one, "other": other, "none": none}, {"one": {"models": ["code"]}, "none": {"models": []}})
    bench.start()
    assert bench.status("") == bench.status(key()) == "401 invalid_api_key"
    assert bench.status(one, "coder") == bench.status(one, "code") == "200"
    assert bench.status(one, "chat") == "403 model_not_allowed"
    assert bench.status(one, "nobody") == "404 model_not_found"
    assert bench.status(other, "chat") == bench.status(other, "coder") == "200"
    assert bench.status(none, "chat") == bench.status(none, "coder") == "403 model_not_allowed"
    assert [listed(bench, value) for value in (one, other, none)] == [["coder"], ["chat", "coder"], []]
    # By each way to name a model: path, header.
    headers = {"Authorization": f"Bearer {one}"}
    assert post(bench.port, "/chat/v1/completions", {"prompt": "x"}, headers)[0] == 403
    assert post(bench.port, "/v1/completions", {"prompt": "x"}, {**headers, "X-Model": "chat"})[0] == 403
    # The key is the word after Bearer, and nothing else.
    for wrong in (f"Basic {one}", one, f"Bearer{one}", f"Bearer {one[:-1]}", f"Bearer {one},{other}"):
        assert post(bench.port, "/v1/completions", {"model": "code"}, {"Authorization": wrong})[0] == 401, wrong


def test_no_key_goes_further_than_the_gateway(bench: Clients) -> None:
    value = key()
    bench.keys({"one": value})
    bench.start()
    sent = post(bench.port, "/v1/completions", {"model": "chat"}, {"Authorization": f"Bearer {value}"})[2]
    assert "X-ModelOps-Request" in {name.title().replace("Modelops", "ModelOps") for name in json.loads(sent)}
    assert "authorization" not in sent.lower()
    bench.status(key())
    assert [event["client"] for event in bench.sink.events()[-2:]] == ["one", "-"]
    assert all(value.encode() not in path.read_bytes() for path in bench.root.rglob("*") if path.is_file())


def test_a_key_is_replaced_by_another_and_both_are_good_meanwhile(bench: Clients) -> None:
    old, new = key(), key()
    bench.keys({"one": old})
    bench.start()
    worker = bench.socket.current()
    both = bench.keys({"one": [new, old]})
    assert (both["reloaded"], both["done"]) == (
        False,
        ["keys and permissions of clients in the worker: 1 came, 0 went"],
    )
    assert bench.status(old) == bench.status(new) == "200"
    assert not bench.keys({"one": [new, old]})["changed"]
    assert bench.keys({"one": new})["done"] == ["keys and permissions of clients in the worker: 0 came, 1 went"]
    assert (bench.status(old), bench.status(new)) == ("401 invalid_api_key", "200")
    assert bench.socket.current() == worker
    bench.stop()
    bench.start()
    assert (bench.status(old), bench.status(new)) == ("401 invalid_api_key", "200")


def test_a_key_is_taken_away_at_once_and_the_streams_of_its_client_end_well(bench: Clients) -> None:
    value, stays = key(), key()
    bench.keys({"one": value, "other": stays})
    bench.start()
    headers = {"Authorization": f"Bearer {value}", "Content-Type": "application/json"}
    body = json.dumps({"model": "chat", "stream": True})
    texts: list[str] = []
    with contextlib.ExitStack() as stack:
        streams = [http.client.HTTPConnection("127.0.0.1", bench.port, timeout=30) for _number in range(4)]
        for stream in streams:
            stack.callback(stream.close)
            stream.request("POST", "/v1/completions", body, headers)
        answers = [stream.getresponse() for stream in streams]
        # Two of the streams are then in a worker that a reload replaced.
        bench.settings["queue_seconds"] = 19
        assert bench.keys({"one": value, "other": stays})["reloaded"]
        done = bench.keys({"one": [], "other": stays})
        assert not done["reloaded"]
        assert done["done"] == [
            f"keys and permissions of clients in {worker}: 0 came, 1 went"
            for worker in ("the worker", "a replaced worker")
        ]
        assert bench.status(value) == "401 invalid_api_key"
        assert bench.status(stays) == "200"
        texts = [answer.read().decode() for answer in answers]
        assert [text.count("piece") for text in texts] == [PIECES] * len(streams)
        # A connection that was kept open is no way around it, in the replaced worker either.
        for stream in streams:
            with contextlib.suppress(OSError, http.client.HTTPException):
                stream.request("POST", "/v1/completions", body, headers)
                assert stream.getresponse().status == 401
    assert [event["term"] for event in bench.sink.events() if event["status"] == 200] == ["----"] * (len(streams) + 1)


def test_models_of_a_client_change_without_a_reload(bench: Clients) -> None:
    value = key()
    bench.keys({"one": value}, {"one": {"models": ["chat"]}})
    bench.start()
    assert (bench.status(value, "chat"), bench.status(value, "code")) == ("200", "403 model_not_allowed")
    changed = bench.keys({"one": value}, {"one": {"models": ["code"]}})
    assert not changed["reloaded"]
    assert (bench.status(value, "chat"), bench.status(value, "code")) == ("403 model_not_allowed", "200")
    assert listed(bench, value) == ["coder"]
    assert not bench.keys({"one": value}, {"one": {"models": ["code"]}})["changed"]
    bench.keys({"one": value})
    assert (bench.status(value, "chat"), listed(bench, value)) == ("200", ["chat", "coder"])


def test_a_client_has_so_many_requests_at_once(bench: Clients) -> None:
    value, free = key(), key()
    bench.keys({"one": value, "free": free}, {"one": {"concurrent_requests": 2}})
    bench.start()
    with contextlib.ExitStack() as stack:
        streams = [http.client.HTTPConnection("127.0.0.1", bench.port, timeout=30) for _number in range(2)]
        for stream in streams:
            stack.callback(stream.close)
            stream.request(
                "POST", "/v1/completions", '{"model":"chat","stream":true}', {"Authorization": f"Bearer {value}"}
            )
        answers = [stream.getresponse() for stream in streams]
        assert bench.status(value) == "429 rate_limit_exceeded"
        assert bench.status(free) == "200"
        assert [answer.read().count(b"piece") for answer in answers] == [PIECES, PIECES]
    assert [bench.status(value) for _number in range(4)] == ["200"] * 4


def test_a_client_has_so_many_requests_a_minute_and_refusals_do_not_count(bench: Clients) -> None:
    value, free = key(), key()
    bench.keys({"one": value, "free": free}, {"one": {"requests_per_minute": 5, "models": ["chat"]}})
    bench.start()
    assert [bench.status(value, "code") for _number in range(6)] == ["403 model_not_allowed"] * 6
    assert [bench.status(value) for _number in range(8)] == ["200"] * 5 + ["429 rate_limit_exceeded"] * 3
    assert [bench.status(free) for _number in range(8)] == ["200"] * 8
    # Another limit is told without a reload.
    assert not bench.keys({"one": value, "free": free}, {"one": {"requests_per_minute": 7, "models": ["chat"]}})[
        "reloaded"
    ]
    assert [bench.status(value) for _number in range(3)] == ["200"] * 2 + ["429 rate_limit_exceeded"]
    answer = post(bench.port, "/v1/completions", {"model": "chat"}, {"Authorization": f"Bearer {value}"})
    assert answer[1]["retry-after"] == "10"
