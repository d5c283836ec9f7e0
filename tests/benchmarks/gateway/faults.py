# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas that die, hang or fail at once: how long and how much the gateway still sends them.

    .venv/bin/python tests/benchmarks/gateway/faults.py         writes faults.json beside it

Real HAProxy with the role's own settings, real llama.cpp servers on loopback; only the backend that
fails at once is a few lines of Python, since no engine does so on demand.
"""

from __future__ import annotations

import datetime
import http.server
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "integration"))

from gateway_bench import HAPROXY, ROOT, GatewayBench, LlamaServer, replica, servers, wait_until  # noqa: E402

ROLE = {"check_seconds": 2, "check_rise": 3, "slow_start_seconds": 60, "agent_port_offset": 0}
AGENT = {"interval_seconds": 10, "retry_seconds": 2, "timeout_seconds": 5, "misses": 3, "returns": 3}
BLACK_HOLE_REQUESTS = 400
SHARE_WINDOW_SECONDS = 8
SLOW_START_SECONDS = 32


def is_down(bench: GatewayBench, server: str) -> bool:
    return bench.load().status[("chat", server)].startswith("DOWN")


def killed(running: list[LlamaServer]) -> dict[str, Any]:
    """SIGKILL under requests: seconds until it is out, and requests that failed until then."""
    bench = GatewayBench(**ROLE)
    statuses: list[int] = []
    over = threading.Event()

    def status() -> int:
        try:
            return bench.ask()[0]
        except OSError:
            return 0

    def ask() -> None:
        while not over.wait(0.02):
            statuses.append(status())

    try:
        bench.members([replica("gpu-a1", 0, running[0].port), replica("gpu-b1", 0, running[1].port)])
        bench.start()
        clients = [threading.Thread(target=ask, daemon=True) for _number in range(4)]
        for one in clients:
            one.start()
        time.sleep(3)
        running[1].stop()
        seconds = wait_until(lambda: is_down(bench, "gpu-b1-0"), 60, "the kill")
        time.sleep(2)
        over.set()
        for one in clients:
            one.join(30)
        return {"seconds": round(seconds, 2), "requests": len(statuses), "by_status": dict(Counter(statuses))}
    finally:
        bench.close()
        running[1].start()


def hung(running: list[LlamaServer], scratch: Path, *, checks: bool) -> float:
    """SIGSTOP: seconds until it is out; by all means, or by the agent alone (an engine that hangs behind good checks)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        offset = free.getsockname()[1] - running[1].port
    if offset <= 0:
        return hung(running, scratch, checks=checks)
    fact, configuration = scratch / "modelops.fact", scratch / "agent.json"
    record = {"model": "chat", "slot": 0, "port": running[1].port, "version": "1"}
    fact.write_text(json.dumps({"replicas": [record]}), encoding="utf-8")
    models = {"chat": {"engine": "llama_cpp", "served_name": "chat", "probe": "completion"}}
    settings = {"fact": str(fact), "bind": "127.0.0.1", "port_offset": offset, "state_dir": str(scratch), **AGENT}
    configuration.write_text(json.dumps({**settings, "models": models}), encoding="utf-8")
    agent = subprocess.Popen([sys.executable, str(ROOT / "roles/gateway/files/replica_agent.py"), str(configuration)])
    bench = GatewayBench(**{**ROLE, "agent_port_offset": offset})
    engine = {"engine": "llama_cpp", "engine_args": {"parallel": 8}, **({} if checks else {"health_path": ""})}
    try:
        bench.members(
            [replica("gpu-a1", 0, running[0].port), replica("gpu-b1", 0, running[1].port)], models={"chat": engine}
        )
        bench.start()
        time.sleep(4)
        running[1].send(signal.SIGSTOP)
        return round(wait_until(lambda: is_down(bench, "gpu-b1-0"), 90, "the hang"), 2)
    finally:
        running[1].send(signal.SIGCONT)
        agent.terminate()
        agent.wait(10)
        bench.close()


class FailsAtOnce(http.server.BaseHTTPRequestHandler):
    """Healthy to every check, 500 to every request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._say(200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._say(500)

    def _say(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        pass


class Quiet(http.server.ThreadingHTTPServer):
    """Health checks break their connections off; that is no news."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


def black_hole(running: list[LlamaServer], *, limit: int) -> dict[str, Any]:
    """Which share of requests goes to a backend that fails at once, with eight clients."""
    server = Quiet(("127.0.0.1", 0), FailsAtOnce)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    bench = GatewayBench(**{**ROLE, "error_limit": limit})
    statuses: list[int] = []

    body = {"model": "chat", "prompt": "Once", "max_tokens": 200, "ignore_eos": True}

    def ask() -> None:
        statuses.extend(bench.ask(body)[0] for _number in range(BLACK_HOLE_REQUESTS // 8))

    try:
        bench.members([replica("gpu-a1", 0, running[0].port), replica("gpu-x1", 0, server.server_address[1])])
        bench.start()
        clients = [threading.Thread(target=ask, daemon=True) for _number in range(8)]
        began = time.monotonic()
        for one in clients:
            one.start()
        for one in clients:
            one.join(120)
        failed = sum(status >= 500 for status in statuses)
        return {
            "requests": len(statuses),
            "failed": failed,
            "share": round(failed / len(statuses), 3),
            "seconds": round(time.monotonic() - began, 1),
        }
    finally:
        bench.close()
        server.shutdown()


def slow_start(running: list[LlamaServer]) -> list[float]:
    """Share of the requests that a replica gets after drain, maintenance and return, window by window."""
    bench = GatewayBench(**{**ROLE, "slow_start_seconds": SLOW_START_SECONDS, "balance": "roundrobin"})
    members = [replica("gpu-a1", 0, running[0].port), replica("gpu-b1", 0, running[1].port)]
    try:
        bench.members(members)
        bench.start()
        bench.drain(members[1:], 30)
        bench.members(members)
        shares = []
        for _window in range(SLOW_START_SECONDS // SHARE_WINDOW_SECONDS + 1):
            found: Counter[str] = Counter()
            until = time.monotonic() + SHARE_WINDOW_SECONDS
            while time.monotonic() < until:
                found[bench.ask()[1].get("x-modelops-replica", "")] += 1
                time.sleep(0.03)
            shares.append(round(found["gpu-b1-0"] / sum(found.values()), 3))
        return shares
    finally:
        bench.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, servers(2, Path(directory), parallel=8) as running:
        found: dict[str, Any] = {
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
            "haproxy": subprocess.run([HAPROXY, "-v"], capture_output=True, text=True, check=True).stdout.split()[2],
            "killed": killed(running),
            "hung_seconds": hung(running, Path(directory), checks=True),
            "black_hole": black_hole(running, limit=5),
            "black_hole_without_observation": black_hole(running, limit=1_000_000),
            "slow_start_shares": slow_start(running),
            "hung_seconds_by_the_agent_alone": hung(running, Path(directory), checks=False),
        }
    text = json.dumps(found, indent=1)
    (HERE / "faults.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
