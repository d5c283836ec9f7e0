# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten reloads while a replica is drained, with streams of a minute in flight.

    .venv/bin/python tests/benchmarks/gateway/reloads.py        writes reloads.json beside it

Real HAProxy, real llama.cpp servers on loopback, the collection's own code. The servers are
throttled (stopped and let go in turn, a few milliseconds each) so that a stream lasts a minute.
Clients that keep their connections alive ask all the while. As soon as the drain is over the
drained server is killed: a request that it still had, or still gets, fails.
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "integration"))

from gateway_bench import HAPROXY, GatewayBench, LlamaServer, replica, servers  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway import store  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.configuration import (  # noqa: E402
    Gateway,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.control import Control  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.version import (  # noqa: E402
    installed_version,
)

RELOADS = 10
STREAM_SECONDS = 65.0
STREAM_TOKENS = 480
STREAMS = 9
SLICE_SECONDS = 0.001
PAUSE_SECONDS = 0.35


class Stream(threading.Thread):
    """One streamed completion; whole when its last event is ``[DONE]`` after a reason to finish."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.tokens = 0
        self.replica = ""
        self.seconds = 0.0
        self.whole = False
        self.problem = ""

    def run(self) -> None:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        body = {"model": "chat", "prompt": "Once", "max_tokens": STREAM_TOKENS, "stream": True, "ignore_eos": True}
        try:
            connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self.replica = answer.getheader("X-ModelOps-Replica") or ""
            finished = False
            for line in answer:
                if not line.startswith(b"data: "):
                    continue
                if line.startswith(b"data: [DONE]"):
                    self.whole = finished and answer.status == 200
                    continue
                self.tokens += 1
                finished = finished or json.loads(line[6:])["choices"][0].get("finish_reason") is not None
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.problem = repr(error)
        finally:
            self.seconds = time.monotonic() - began
            connection.close()


class KeepAlive(threading.Thread):
    """A client that asks on one connection again and again, and opens another only where it was told to close."""

    def __init__(self, port: int, pause_seconds: float, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.port, self.pause_seconds, self.over = port, pause_seconds, over
        self.asked = 0
        self.failed: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = json.dumps({"model": "chat", "prompt": "Hi", "max_tokens": 1})
        while not self.over.wait(self.pause_seconds):
            self.asked += 1
            try:
                connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failed.append(str(answer.status))
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
        connection.close()


class Throttle(threading.Thread):
    """Lets a server run a few milliseconds in every third of a second, until its streams have lasted a minute."""

    def __init__(self, server: LlamaServer, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.server, self.over = server, over
        self.began = time.monotonic()

    def run(self) -> None:
        while not self.over.is_set() and self.server.process is not None and self.server.process.poll() is None:
            if time.monotonic() - self.began > STREAM_SECONDS:
                break  # on a busy machine they have had less than their slices
            self.server.send(signal.SIGSTOP)
            time.sleep(PAUSE_SECONDS)
            self.server.send(signal.SIGCONT)
            time.sleep(SLICE_SECONDS)
        if self.server.process is not None and self.server.process.poll() is None:
            self.server.send(signal.SIGCONT)


def reload_now(bench: GatewayBench) -> None:
    stored = store.load(bench.config_dir)
    assert stored is not None
    gateway = Gateway(stored.settings, stored.models, stored.members, installed_version(HAPROXY))
    Control(gateway, executable=HAPROXY).reload()


def measure(bench: GatewayBench, running: list[LlamaServer]) -> dict[str, Any]:
    members = [replica(f"gpu-{letter}1", 0, one.port) for letter, one in zip("abc", running)]
    bench.members(members)
    bench.start()
    streams = [Stream(bench.port) for _number in range(STREAMS)]
    over = threading.Event()
    clients = [KeepAlive(bench.port, pause, over) for pause in (0.3, 0.5, 1.0, 1.0, 2.0, 20.0)]
    for one in [*streams, *clients]:
        one.start()
    for one in running:
        Throttle(one, over).start()
    time.sleep(3)
    result: dict[str, Any] = {}
    began = time.time()
    drain = threading.Thread(target=lambda: result.update(bench.drain([members[0]], 280)), daemon=True)
    drain.start()
    time.sleep(2)
    still_out = workers = 0
    for _number in range(RELOADS):
        reload_now(bench)
        still_out += bench.states()["chat/gpu-a1-0"].is_out
        workers = max(workers, len(bench.socket.workers()))
        time.sleep(4)
    in_flight_at_last_reload = sum(one.is_alive() for one in streams)
    drain.join(290)
    running[0].stop()
    ended = time.time()
    time.sleep(5)
    for one in streams:
        one.join(120)
    over.set()
    for one in clients:
        one.join(30)
    events = bench.sink.events()
    late = [one for one in events if one["server"] == "gpu-a1-0" and one["at"] > began + 1]
    return {
        "reloads": RELOADS,
        "still_out_after_reload": still_out,
        "undrained": RELOADS - still_out,
        "workers_at_once_at_most": workers,
        "streams": STREAMS,
        "streams_on_the_drained_replica": sum(one.replica == "gpu-a1-0" for one in streams),
        "streams_in_flight_after_the_last_reload": in_flight_at_last_reload,
        "stream_seconds": [round(min(s.seconds for s in streams), 1), round(max(s.seconds for s in streams), 1)],
        "truncated": sum(not one.whole for one in streams),
        "stream_problems": [one.problem for one in streams if one.problem],
        "keep_alive_clients": len(clients),
        "keep_alive_requests": sum(one.asked for one in clients),
        "keep_alive_failed": sum(len(one.failed) for one in clients),
        "keep_alive_problems": [problem for one in clients for problem in one.failed],
        "drained": result.get("drained"),
        "all_drained": result.get("all_drained"),
        "killed_after_seconds": round(ended - began, 1),
        "requests_to_it_by_old_workers_while_draining": len(late),
        "events_logged": len(events),
        "terminations": {t: sum(e["term"] == t for e in events) for t in sorted({e["term"] for e in events})},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dest", default=str(HERE / "reloads.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, servers(3, Path(scratch), parallel=8, context=8 * 8192) as running:
        bench = GatewayBench()
        try:
            found = measure(bench, running)
        finally:
            bench.close()
    document = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "haproxy": subprocess.run([HAPROXY, "-v"], capture_output=True, text=True, check=True).stdout.split()[2],
        **found,
    }
    text = json.dumps(document, indent=1, sort_keys=False)
    Path(options.dest).write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
