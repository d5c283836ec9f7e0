# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does each replica of this host really answer? HAProxy is told, a TCP port a replica.

    replica_agent.py /etc/modelops/agent.json

Each replica in the host's local fact is asked for one token every few seconds. HAProxy connects to
the replica's port plus an offset and reads ``up``, or ``down`` and why. An engine that is only busy
is not down: where a probe gets no answer in time but the engine's own counters move, it counts as good.
While the file ``drain`` (or ``drain-SLOT``) is in the state directory, the answer is ``stopped``.
It never says ``ready`` or ``drain``: those would undo what was said to HAProxy itself.

Python's standard library only.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from typing import Any

PROGRESS = re.compile(
    r"^(?:vllm:(?:generation|prompt)_tokens_total|sglang:(?:generation|prompt)_tokens_total"
    r"|tgi_batch_inference_count|llamacpp:n_decode_total)(?:\{[^}]*\})? (\S+)",
    re.MULTILINE,
)
METRICS_SECONDS = 3.0
WATCH_SECONDS = 1.0


class Replica:
    """What is known of one replica; probed by a thread of its own."""

    def __init__(self, record: dict[str, Any], model: dict[str, Any], settings: dict[str, Any]) -> None:
        self.name = f"{record['model']} in slot {record['slot']}"
        self.slot, self.port = int(record["slot"]), int(record["port"])
        self.model, self.settings = model, settings
        address = str(model.get("address") or "")
        self.address = "127.0.0.1" if address in ("", "0.0.0.0", "::", "*") else address
        self.up: bool | None = None
        self.reason = ""
        self.misses = self.goods = 0
        self.gone = threading.Event()

    def answer(self) -> str:
        """The line for HAProxy; empty before the first probe is over."""
        for flag in ("drain", f"drain-{self.slot}"):
            if os.path.exists(os.path.join(self.settings["state_dir"], flag)):
                return f"stopped #{flag} is set on the host\n"
        if self.up is None:
            return ""
        return "up\n" if self.up else f"down #{self.reason[:120]}\n"

    def watch(self) -> None:
        while not self.gone.is_set():
            problem, final = self.probe()
            self.count(problem, final)
            steady = self.up and not self.misses
            self.gone.wait(self.settings["interval_seconds" if steady else "retry_seconds"])

    def count(self, problem: str, final: bool) -> None:
        """``misses`` in a row are down, ``returns`` good ones in a row up again; ``final`` is down at once."""
        before = self.up
        if problem:
            self.goods, self.misses, self.reason = 0, self.misses + 1, problem
            if final or self.misses >= self.settings["misses"]:
                self.up = False
        else:
            self.goods, self.misses = self.goods + 1, 0
            if self.up is None or self.goods >= self.settings["returns"]:
                self.up = True
        if self.up != before and self.up is not None:
            print(f"{self.name}: {'up' if self.up else 'down: ' + self.reason}", flush=True)

    def probe(self) -> tuple[str, bool]:
        """What is wrong, empty when nothing is; and whether that is beyond doubt (nothing listens)."""
        before = self.progress()
        status, problem = self.ask()
        if status == 0 and problem == "refused":
            return "nothing listens on its port", True
        if 0 < status < 500 and status != 429:
            return "", False
        if status in (0, 429, 503) and before is not None:
            after = self.progress()
            if after is not None and after != before:
                return "", False
        return (f"a probe was answered by {status}" if status else f"a probe got {problem}"), False

    def ask(self) -> tuple[int, str]:
        probe = str(self.model.get("probe") or "completion")
        if probe != "completion":
            return self.request("GET", str(self.model.get("health_path") or "/health"), None)
        if self.model.get("engine") == "tgi":
            return self.request("POST", "/generate", {"inputs": "Hello", "parameters": {"max_new_tokens": 1}})
        body = {"model": self.model["served_name"], "prompt": "Hello", "max_tokens": 1, "temperature": 0}
        return self.request("POST", "/v1/completions", body)

    def request(self, verb: str, path: str, body: Any) -> tuple[int, str]:
        try:
            return self.exchange(verb, path, body, self.settings["timeout_seconds"])[0], ""
        except ConnectionRefusedError:
            return 0, "refused"
        except (socket.timeout, TimeoutError):
            return 0, f"no answer within {self.settings['timeout_seconds']:g} s"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return 0, f"no answer ({type(error).__name__})"

    def progress(self) -> tuple[str, ...] | None:
        """The engine's counters of work done; None where it shows none."""
        try:
            status, text = self.exchange("GET", "/metrics", None, METRICS_SECONDS)
        except (OSError, http.client.HTTPException, ValueError):
            return None
        found = tuple(PROGRESS.findall(text)) if status == 200 else ()
        return found or None

    def exchange(self, verb: str, path: str, body: Any, seconds: float) -> tuple[int, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "modelops-agent", "X-ModelOps-Synthetic": "1"}
        key = self.key()
        if key:
            headers["Authorization"] = f"Bearer {key}"
        # The whole exchange is bounded, not only each read of it.
        connection = http.client.HTTPConnection(self.address, self.port, timeout=seconds)
        limit = threading.Timer(seconds + 1.0, lambda: _break_off(connection))
        limit.daemon = True
        limit.start()
        try:
            connection.request(verb, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read(4 * 1024 * 1024).decode("utf-8", "replace")
        finally:
            limit.cancel()
            connection.close()

    def key(self) -> str:
        path = self.model.get("api_key_file")
        if not path:
            return ""
        with open(path, encoding="utf-8") as stream:
            return stream.readline().strip()


def _break_off(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


class Port:
    """The agent port of one replica."""

    def __init__(self, replica: Replica, bind: str, port: int) -> None:
        self.replica = replica
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((bind, port))
        self.listener.listen(64)

    def serve(self) -> None:
        while True:
            try:
                connection, _peer = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(2.0)
                    connection.sendall(self.replica.answer().encode("utf-8"))
                except OSError:
                    continue

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Agent:
    """Follows the local fact: a replica that comes is watched, one that goes is forgotten."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.watched: dict[str, tuple[Replica, Port]] = {}
        self.seen: tuple[Any, ...] | None = None

    def look(self) -> None:
        path = self.settings["fact"]
        try:
            status = os.stat(path)
            stamp: tuple[Any, ...] = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp == self.seen:
                return
            with open(path, encoding="utf-8") as stream:
                records = json.load(stream).get("replicas") or []
        except FileNotFoundError:
            stamp, records = (), []
        except (OSError, ValueError) as error:
            print(f"{path} cannot be read ({error}): watching what was known", file=sys.stderr, flush=True)
            return
        if self.follow(records):
            self.seen = stamp

    def follow(self, records: list[dict[str, Any]]) -> bool:
        """Whether all of them are watched now; a port may still be in use for a moment."""
        fields = ("model", "slot", "port", "version")
        wanted = {json.dumps([record.get(name) for name in fields]): record for record in records}
        for key in [key for key in self.watched if key not in wanted]:
            replica, port = self.watched.pop(key)
            replica.gone.set()
            port.close()
        complete = True
        for key, record in wanted.items():
            model = self.settings["models"].get(record.get("model"))
            if key in self.watched or model is None:
                continue
            replica = Replica(record, model, self.settings)
            try:
                port = Port(replica, self.settings["bind"], replica.port + self.settings["port_offset"])
            except OSError as error:
                print(f"{replica.name}: no port for its agent ({error}), trying again", file=sys.stderr, flush=True)
                complete = False
                continue
            self.watched[key] = (replica, port)
            for target in (replica.watch, port.serve):
                threading.Thread(target=target, daemon=True).start()
        return complete


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as stream:
        agent = Agent(json.load(stream))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os._exit(0))
    while True:
        agent.look()
        time.sleep(WATCH_SECONDS)


if __name__ == "__main__":
    main()
