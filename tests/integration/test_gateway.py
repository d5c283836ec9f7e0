# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway of real HAProxy in front of real llama.cpp servers: routing, members, drains, reloads, faults."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import http.client
import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gateway_bench import (
    HAPROXY,
    ROOT,
    GatewayBench,
    LlamaServer,
    get,
    post,
    replica,
    servers,
    wait_until,
)
from module_command import run_alone

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError

pytestmark = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")
MODELS = {
    "chat": {"engine": "llama_cpp", "engine_args": {"parallel": 8}},
    "code": {"engine": "llama_cpp", "engine_args": {"parallel": 8}, "served_model_name": "coder"},
}


@pytest.fixture(scope="module")
def llamas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[LlamaServer]]:
    with servers(2, tmp_path_factory.mktemp("model"), parallel=8, context=8 * 2048) as running:
        yield running


@pytest.fixture
def bench() -> Iterator[GatewayBench]:
    made = GatewayBench()
    try:
        yield made
    finally:
        made.close()


def both(llamas: list[LlamaServer]) -> list[dict[str, Any]]:
    return [replica("gpu-a1", 0, llamas[0].port), replica("gpu-b1", 0, llamas[1].port)]


@contextlib.contextmanager
def slow_server(seconds: float) -> Iterator[int]:
    """A server that takes its time with each request; its port."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(seconds)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def names(bench: GatewayBench, count: int = 6) -> set[str]:
    found = [bench.ask() for _number in range(count)]
    assert {status for status, _headers, _body in found} == {200}
    return {headers["x-modelops-replica"] for _status, headers, _body in found}


def test_a_request_goes_to_the_model_it_names(bench: GatewayBench, llamas: list[LlamaServer]) -> None:
    chat, code = both(llamas)
    bench.settings["hosts"] = {"code.example": "code"}
    bench.members([chat, {**code, "model": "code"}], models=MODELS)
    bench.start()
    body = {"prompt": "a", "max_tokens": 1}

    def answered(**more: Any) -> str:
        status, headers, text = post(bench.port, more.pop("path", "/v1/completions"), body | more.pop("body", {}), more)
        return headers.get("x-modelops-replica") or f"{status} {json.loads(text)['error']['code']}"

    assert answered(body={"model": "chat"}) == "gpu-a1-0"
    assert answered(body={"model": "coder"}) == "gpu-b1-0"
    assert answered(path="/code/v1/completions") == "gpu-b1-0"
    assert answered(**{"X-Model": "code"}) == "gpu-b1-0"
    assert answered(Host="code.example:80") == "gpu-b1-0"
    assert answered(body={"model": "nobody"}) == "404 model_not_found"
    assert answered(**{"X-Model": "nobody"}) == "404 model_not_found"
    assert answered() == "400 model_missing"
    # As OpenAI's clients order it, the model after the prompt: within the buffer it is found, beyond it is not.
    assert answered(body={"prompt": "a " * 20000, "model": "chat"}) in ("gpu-a1-0", "400 exceed_context_size_error")
    assert answered(body={"prompt": "a" * 70000, "model": "chat"}) == "400 model_missing"
    listed = json.loads(get(bench.port, "/v1/models")[2])
    assert [one["id"] for one in listed["data"]] == ["chat", "coder"]


def test_members_come_and_go_without_a_reload_and_the_file_says_the_same(
    bench: GatewayBench, llamas: list[LlamaServer]
) -> None:
    first, second = both(llamas)
    bench.members([first])
    bench.start()
    worker = bench.socket.current()
    added = bench.members([first, second])
    assert (added["done"], added["reloaded"]) == (["chat/gpu-b1-0 added"], False)
    assert names(bench) == {"gpu-a1-0", "gpu-b1-0"}
    assert not bench.members([first, second])["changed"]
    kept = bench.members([first, second], keep_out=[first], weights=[{**second, "share": 0.25}])
    assert (kept["reloaded"], names(bench)) == (False, {"gpu-b1-0"})
    assert not bench.members([first, second], keep_out=[first], weights=[{**second, "share": 0.25}])["changed"]
    assert bench.states()["chat/gpu-b1-0"].weight == 25
    assert bench.socket.current() == worker
    bench.stop()
    bench.start()
    assert names(bench) == {"gpu-b1-0"}
    assert bench.states()["chat/gpu-b1-0"].weight == 25
    assert not bench.members([first, second], keep_out=[first], weights=[{**second, "share": 0.25}])["changed"]


def test_drained_stays_drained_over_reload_restart_and_the_death_of_haproxy(
    bench: GatewayBench, llamas: list[LlamaServer]
) -> None:
    members = both(llamas)
    bench.members(members)
    bench.start()
    drained = bench.drain([members[0]], 30)
    assert drained["drained"][0]["left_in_flight"] == 0
    assert not bench.drain([members[0]], 30)["changed"]
    assert bench.members(None, settings={**bench.settings, "queue_seconds": 7})["reloaded"]
    assert (bench.states()["chat/gpu-a1-0"].is_out, names(bench)) == (True, {"gpu-b1-0"})
    bench.stop()
    bench.start()
    assert names(bench) == {"gpu-b1-0"}
    assert bench.process is not None
    bench.process.kill()
    bench.process.wait()
    (bench.root / "state/servers.state").unlink()
    subprocess.run(["pkill", "-9", "-f", f"{bench.root}/etc/haproxy.cfg"], check=False)
    bench.start()
    assert names(bench) == {"gpu-b1-0"}
    woken = bench.members(members, settings={**bench.settings, "queue_seconds": 7})
    assert (woken["reloaded"], woken["done"]) == (False, ["chat/gpu-a1-0 in"])
    assert names(bench) == {"gpu-a1-0", "gpu-b1-0"}


def test_a_drain_waits_for_the_stream_in_a_worker_that_a_reload_replaced(
    bench: GatewayBench, llamas: list[LlamaServer]
) -> None:
    members = both(llamas)[:1]
    bench.members(members)
    bench.start()
    connection = http.client.HTTPConnection("127.0.0.1", bench.port, timeout=60)
    body = {"model": "chat", "prompt": "Once", "max_tokens": 1500, "stream": True, "ignore_eos": True}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    stream = connection.getresponse()
    stream.readline()
    llamas[0].send(signal.SIGSTOP)  # it stands still in the middle of its answer
    try:
        bench.members(None, settings={**bench.settings, "queue_seconds": 8})
        wait_until(lambda: len(bench.socket.workers()) == 2, 10, "an old worker")
        assert bench.load().servers[("chat", "gpu-a1-0")] == 0  # which is all that the admin socket shows
        waited = bench.drain(members, 2)
        assert (waited["drained"][0]["left_in_flight"], waited["all_drained"]) == (1, False)
    finally:
        llamas[0].send(signal.SIGCONT)
    assert b"[DONE]" in stream.read()
    connection.close()
    assert bench.drain(members, 30)["all_drained"]


def test_a_drain_that_outlived_its_run_does_not_take_out_what_the_next_run_took_in(
    bench: GatewayBench, llamas: list[LlamaServer]
) -> None:
    members = both(llamas)
    bench.members(members)
    bench.start()
    connection = http.client.HTTPConnection("127.0.0.1", bench.port, timeout=60)
    body = {"model": "chat", "prompt": "Once", "max_tokens": 1500, "stream": True, "ignore_eos": True}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    stream = connection.getresponse()
    stream.readline()
    busy = members[0] if stream.headers["X-ModelOps-Replica"] == "gpu-a1-0" else members[1]
    llama = llamas[members.index(busy)]
    llama.send(signal.SIGSTOP)
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            outlived = threads.submit(bench.drain, [busy], 60)
            wait_until(lambda: bench.states()[f"chat/{busy['host']}-0"].is_out, 10, "the drain")
            assert bench.members(members)["done"] == [f"chat/{busy['host']}-0 in"]
            with pytest.raises(
                ModelOpsError, match=f"another run changed chat/{busy['host']}-0 while this one drained it"
            ):
                outlived.result(20)
        assert not bench.states()[f"chat/{busy['host']}-0"].is_out
        assert not bench.members(members)["changed"]
    finally:
        llama.send(signal.SIGCONT)
    assert b"[DONE]" in stream.read()
    connection.close()


def test_a_replica_that_comes_back_slowly_refuses_nothing(bench: GatewayBench) -> None:
    """Seen in 5 of 106,018 requests of rolling upgrades: with a queue of its own, a server in slow start answers 503."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(slow_server(0.25)) for _number in range(2)]
        replicas = [replica("gpu-a1", 0, ports[0]), replica("gpu-b1", 0, ports[1])]
        bench.settings["slow_start_seconds"] = 4
        four = {"chat": {"engine": "command", "gateway_concurrency": 4}}
        bench.members(replicas, models=four)
        bench.start()
        statuses: list[int] = []

        def client() -> None:
            until = time.monotonic() + 7
            while time.monotonic() < until:
                statuses.append(bench.ask()[0])

        clients = [threading.Thread(target=client) for _number in range(24)]
        for one in clients:
            one.start()
        bench.drain(replicas[:1], 2)
        bench.members(replicas, models=four)
        for one in clients:
            one.join()
    assert len(statuses) > 100
    assert set(statuses) == {200}


def test_what_a_person_took_out_stays_out(bench: GatewayBench, llamas: list[LlamaServer]) -> None:
    members = both(llamas)
    bench.members(members)
    bench.start()
    worker = bench.socket.current()
    assert worker is not None
    bench.socket.ask_worker(worker, "set server chat/gpu-a1-0 state drain")
    result = bench.members(members)
    assert (result["changed"], result["out_by_hand"]) == (False, ["chat/gpu-a1-0"])
    assert names(bench) == {"gpu-b1-0"}


def test_a_configuration_that_haproxy_refuses_changes_nothing(bench: GatewayBench, llamas: list[LlamaServer]) -> None:
    bench.members(both(llamas))
    bench.start()
    before = {path.name: path.read_bytes() for path in Path(bench.config_dir).iterdir() if path.name != ".lock"}
    options = {
        "config_dir": bench.config_dir,
        "haproxy": HAPROXY,
        "settings": {**bench.settings, "extra_frontend": ["such words are not known"]},
    }
    result = run_alone("gateway_members", options)
    assert result["failed"]
    assert "HAProxy refuses the new configuration" in result["msg"]
    assert "unknown keyword 'such'" in result["msg"]
    assert {path.name: path.read_bytes() for path in Path(bench.config_dir).iterdir() if path.name != ".lock"} == before
    assert len(names(bench)) == 2


def test_check_mode_only_tells(bench: GatewayBench, llamas: list[LlamaServer]) -> None:
    first, second = both(llamas)
    bench.members([first])
    bench.start()
    before = {path.name: path.read_bytes() for path in Path(bench.config_dir).iterdir() if path.name != ".lock"}
    told = bench.members([first, second], dry_run=True)
    assert (told["changed"], told["done"]) == (True, ["chat/gpu-b1-0 added"])
    assert bench.drain([first], 5, dry_run=True)["changed"]
    assert {path.name: path.read_bytes() for path in Path(bench.config_dir).iterdir() if path.name != ".lock"} == before
    assert names(bench) == {"gpu-a1-0"}


def test_keys_are_wanted_and_only_their_hashes_kept(bench: GatewayBench, llamas: list[LlamaServer]) -> None:
    key = "a-key-of-the-test"
    (Path(bench.config_dir) / "api_keys.map").write_text(hashlib.sha256(key.encode()).hexdigest() + " tests\n")
    bench.settings["require_api_key"] = True
    bench.members(both(llamas))
    bench.start()
    assert bench.ask()[0] == 401
    assert bench.ask(Authorization="Bearer other")[0] == 401
    assert bench.ask(Authorization=f"Bearer {key}")[0] == 200
    assert all(key.encode() not in path.read_bytes() for path in bench.root.rglob("*") if path.is_file())


def test_the_event_log_has_every_request(bench: GatewayBench, llamas: list[LlamaServer]) -> None:
    bench.members(both(llamas))
    bench.start()
    began = time.time()
    connection = http.client.HTTPConnection("127.0.0.1", bench.port)
    for number in range(3):  # on one connection, with a pause: the moment is the request's own
        time.sleep(0.4)
        body = json.dumps({"model": "chat", "prompt": "x", "max_tokens": 1})
        connection.request("POST", "/v1/completions", body, {"X-ModelOps-Synthetic": "1"} if number else {})
        connection.getresponse().read()
    connection.close()
    with socket.create_connection(("127.0.0.1", bench.port)) as odd:
        odd.sendall(b"no http at all\r\n\r\n")
        odd.recv(1000)
    bench.sink.events()
    found = run_alone("gateway_events_info", {"path": str(bench.sink.file), "model": "chat", "since": began})
    events = found["events"]
    assert (found["count"], found["unreadable"], events["synthetic"]) == (3, 0, [0, 1, 1])
    assert events["term"] == ["----"] * 3
    assert all(began + 0.35 * (n + 1) < at < time.time() for n, at in enumerate(events["at"]))
    assert {events["at"][n + 1] - events["at"][n] > 0.35 for n in range(2)} == {True}


def agent_of(tmp_path: Path, llama: LlamaServer, offset: int, **settings: Any) -> subprocess.Popen[bytes]:
    fact, configuration = tmp_path / "modelops.fact", tmp_path / "agent.json"
    record = {"model": "chat", "slot": 0, "port": llama.port, "version": "1"}
    fact.write_text(json.dumps({"replicas": [record]}))
    configuration.write_text(
        json.dumps(
            {
                "fact": str(fact),
                "bind": "127.0.0.1",
                "port_offset": offset,
                "interval_seconds": 1,
                "retry_seconds": 0.3,
                "timeout_seconds": 1,
                "misses": 3,
                "returns": 2,
                "state_dir": str(tmp_path),
                "models": {"chat": {"engine": "llama_cpp", "served_name": "chat", "probe": "completion"}},
                **settings,
            }
        )
    )
    return subprocess.Popen([sys.executable, str(ROOT / "roles/gateway/files/replica_agent.py"), str(configuration)])


def listen_above(port: int) -> tuple[socket.socket, int]:
    """A listener on a port above another, and how far above."""
    for offset in range(1, 100):
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", port + offset)), offset
    raise RuntimeError(f"no free port above {port}")


def agent_says(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.recv(200).decode()


def test_the_agent_tells_a_hung_engine_from_a_busy_one(tmp_path: Path, llamas: list[LlamaServer]) -> None:
    llama = llamas[0]
    listener, offset = listen_above(llama.port)
    listener.close()
    agent = agent_of(tmp_path, llama, offset)
    try:
        wait_until(lambda: agent_says(llama.port + offset) == "up\n", 20, "the agent")
        # Busy: all slots taken for longer than three probes may take.
        body = {"model": "chat", "prompt": "x", "max_tokens": 2000, "ignore_eos": True}
        over = threading.Event()

        def keep_busy() -> None:
            while not over.is_set():
                post(llama.port, "/v1/completions", body)

        busy = [threading.Thread(target=keep_busy, daemon=True) for _number in range(16)]
        for one in busy:
            one.start()
        said = set()
        for _look in range(12):
            time.sleep(0.5)
            said.add(agent_says(llama.port + offset))
        over.set()
        assert said == {"up\n"}
        for one in busy:
            one.join(60)
        llama.send(signal.SIGSTOP)
        took = wait_until(lambda: agent_says(llama.port + offset).startswith("down #a probe got"), 25, "the hang")
        assert took < 20
        llama.send(signal.SIGCONT)
        wait_until(lambda: agent_says(llama.port + offset) == "up\n", 25, "its return")
        (tmp_path / "drain-0").touch()
        assert agent_says(llama.port + offset) == "stopped #drain-0 is set on the host\n"
        (tmp_path / "drain-0").unlink()
    finally:
        llama.send(signal.SIGCONT)
        agent.terminate()
        agent.wait(10)


def test_a_hung_replica_gets_nothing_and_an_empty_pool_is_a_panic(
    bench: GatewayBench, llamas: list[LlamaServer]
) -> None:
    # Both members are said to be down by an agent that is wrong: they are used all the same.
    listener, offset = listen_above(llamas[0].port)

    def lie() -> None:
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"down #it is wrong\n")

    threading.Thread(target=lie, daemon=True).start()
    bench.settings["agent_port_offset"] = offset
    first = both(llamas)[0]
    bench.members([first])
    bench.start()
    try:
        wait_until(lambda: bench.load().status[("chat", "gpu-a1-0")].startswith("DOWN"), 15, "the agent's word")
        assert names(bench) == {"gpu-a1-0"}
        time.sleep(0.2)
        assert bench.sink.events()[-1]["backend"] == "chat:panic"
    finally:
        listener.close()
