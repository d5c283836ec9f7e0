# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway with TLS on loopback, and clients that ask it until they are told to stop."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from certificates import Issued
from gateway_bench import HAPROXY, GatewayBench, LlamaServer, replica, wait_until

NAME = "gateway.example.org"


@dataclass
class TlsBench:
    gateway: GatewayBench
    path: Path
    llamas: list[LlamaServer]
    trust: str = ""  # certificates in PEM
    strict: bool = False

    def put(self, issued: Issued) -> None:
        """As the module does it: one file, replaced in one step."""
        beside = self.path.with_suffix(".new")
        beside.write_text(issued.chain + issued.private_key)
        beside.replace(self.path)

    def converge(self) -> dict[str, Any]:
        return self.gateway.members([replica("a", number, one.port) for number, one in enumerate(self.llamas)])

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.trust)
        if self.strict:
            context.verify_flags |= ssl.VERIFY_X509_STRICT
        else:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    def connect(self, *, timeout: float = 30) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.gateway.port), timeout=timeout)
        return self.context().wrap_socket(plain, server_hostname=NAME)

    def served(self) -> str:
        """Fingerprint of what a new connection gets."""
        with self.connect() as connection:
            return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()

    def worker(self) -> int:
        current = self.gateway.socket.current()
        assert current is not None
        return current.pid

    def start(self) -> None:
        command = [HAPROXY, "-W", "-S", f"{self.gateway.root}/run/master.sock,mode,600"]
        with open(self.gateway.root / "haproxy.out", "ab") as output:
            self.gateway.process = subprocess.Popen(
                [*command, "-f", f"{self.gateway.config_dir}/haproxy.cfg"], stdout=output, stderr=subprocess.STDOUT
            )
        wait_until(self.gateway.socket.is_up, 30, "HAProxy")
        wait_until(lambda: bool(self.served()), 30, "the gateway")
        self.converge()


@dataclass
class Load:
    """Clients that keep their connections, clients that open one a request, and streams, until told to stop."""

    bench: TlsBench
    pause_seconds: float = 0.0  # of each client after each request
    answered: int = 0
    streams: int = 0
    faults: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Load:
        kinds = [self._kept, self._kept, self._fresh, self._fresh, self._streamed]
        self._threads = [threading.Thread(target=self._until_stopped, args=(kind,)) for kind in kinds]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_reasons: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _until_stopped(self, kind: Any) -> None:
        while not self._stop.is_set():
            self._once(kind)
            time.sleep(self.pause_seconds)

    def _once(self, kind: Any) -> None:
        try:
            kind()
        except (OSError, http.client.HTTPException, ValueError) as error:
            with self._lock:
                self.faults.append(f"{kind.__name__}: {error!r}")

    def _connection(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(
            NAME, self.bench.gateway.port, timeout=60, context=self.bench.context()
        )
        connection.sock = self.bench.connect(timeout=60)
        return connection

    def _ask(self, connection: http.client.HTTPSConnection, tokens: int, *, stream: bool = False) -> str:
        body = {"model": "chat", "prompt": "Hello", "max_tokens": tokens, "stream": stream}
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise ValueError(f"{answer.status} {text[:100]}")
        with self._lock:
            self.answered += 1
        return text

    def _kept(self) -> None:
        connection = self._connection()
        try:
            while not self._stop.is_set():
                self._ask(connection, 1)
                time.sleep(max(0.02, self.pause_seconds))
        finally:
            connection.close()

    def _fresh(self) -> None:
        connection = self._connection()
        try:
            self._ask(connection, 1)
        finally:
            connection.close()

    def _streamed(self) -> None:
        connection = self._connection()
        try:
            text = self._ask(connection, 200, stream=True)
            if "[DONE]" not in text:
                raise ValueError("a stream was cut")
            with self._lock:
                self.streams += 1
        finally:
            connection.close()
