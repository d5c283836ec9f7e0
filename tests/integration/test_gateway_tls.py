# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS at a real HAProxy: certificates change under load and nobody notices but who asks for the fingerprint."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from certificates import Authority, Issued
from gateway_bench import HAPROXY, GatewayBench, LlamaServer, free_ports, replica, servers, wait_until

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")
pytestmark = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")
NAME = "gateway.example.org"
ROTATIONS = 8


@dataclass
class Bench:
    gateway: GatewayBench
    authority: Authority
    path: Path
    llamas: list[LlamaServer]

    def put(self, issued: Issued) -> None:
        """As the module does it: one file, replaced in one step."""
        beside = self.path.with_suffix(".new")
        beside.write_text(issued.chain + issued.private_key)
        beside.replace(self.path)

    def converge(self) -> dict[str, Any]:
        return self.gateway.members([replica("a", number, one.port) for number, one in enumerate(self.llamas)])

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority.chain)
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


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority()
    (directory / "ca.pem").write_text(authority.chain)
    gateway = GatewayBench(tls_certificate=str(directory / "gateway.pem"), metrics_tls=True)
    with servers(2, directory, parallel=8) as llamas:
        made = Bench(gateway, authority, directory / "gateway.pem", llamas)
        made.put(authority.issue(NAME))
        made.converge()
        try:
            _start(made)
            yield made
        finally:
            gateway.close()


def _start(bench: Bench) -> None:
    command = [HAPROXY, "-W", "-S", f"{bench.gateway.root}/run/master.sock,mode,600"]
    with open(bench.gateway.root / "haproxy.out", "ab") as output:
        bench.gateway.process = subprocess.Popen(
            [*command, "-f", f"{bench.gateway.config_dir}/haproxy.cfg"], stdout=output, stderr=subprocess.STDOUT
        )
    wait_until(bench.gateway.socket.is_up, 30, "HAProxy")
    wait_until(lambda: bool(bench.served()), 30, "the gateway")
    bench.converge()


@dataclass
class Load:
    """Clients that keep their connections, clients that open one a request, and streams, until told to stop."""

    bench: Bench
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
                time.sleep(0.02)
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


def test_certificates_change_under_load_and_no_request_fails(bench: Bench) -> None:
    worker, before = bench.worker(), bench.served()
    with Load(bench) as load:
        for number in range(ROTATIONS):
            seen = load.answered
            wait_until(lambda seen=seen: load.answered >= seen + 20, 120, "the load")
            issued = bench.authority.issue(NAME, days=(-1, 30 + number))
            bench.put(issued)
            assert bench.served() == before, "the gateway is told by nobody yet"
            result = bench.converge()
            assert result["done"] == [f"another certificate is served: {bench.path}"]
            assert not result["reloaded"]
            assert bench.served() == issued.fingerprint
            assert bench.converge()["changed"] is False
            before = issued.fingerprint
    print(f"{load.answered} requests, {load.streams} streams, {ROTATIONS} rotations, failed: {load.faults}")
    assert load.faults == []
    assert load.answered >= ROTATIONS * 20
    assert bench.worker() == worker, "no reload was needed"


def test_check_mode_tells_and_changes_nothing(bench: Bench) -> None:
    served = bench.served()
    old = bench.path.read_text()
    bench.put(bench.authority.issue(NAME))
    replicas = [replica("a", number, one.port) for number, one in enumerate(bench.llamas)]
    result = bench.gateway.members(replicas, dry_run=True)
    assert result["done"] == [f"another certificate is served: {bench.path}"]
    assert bench.served() == served
    bench.path.write_text(old)
    assert bench.converge()["changed"] is False


def test_a_rotation_that_was_cut_off_is_finished_by_the_next_run_and_by_a_reload(bench: Bench) -> None:
    """The file was replaced and the run killed: HAProxy serves the old one until the next run."""
    issued = bench.authority.issue(NAME)
    bench.put(issued)
    bench.gateway.socket.ask("reload")
    wait_until(lambda: bench.served() == issued.fingerprint, 30, "the reloaded worker")
    wait_until(bench.gateway.socket.is_up, 30, "the master")
    assert bench.converge()["done"] == []


@pytest.mark.parametrize("fault", ["wrong key", "expired"])
def test_an_unfit_certificate_is_refused_and_the_one_before_is_served_on(bench: Bench, fault: str) -> None:
    served, old, worker = bench.served(), bench.path.read_text(), bench.worker()
    if fault == "wrong key":
        bench.path.write_text(bench.authority.issue(NAME).chain + bench.authority.issue(NAME).private_key)
    else:
        bench.put(bench.authority.issue(NAME, days=(-30, -1)))
    says = {"wrong key": "the private key is not that of the certificate", "expired": "the certificate expired at"}
    with pytest.raises(InputError, match=says[fault]):
        bench.converge()
    assert (bench.served(), bench.worker()) == (served, worker)
    bench.path.write_text(old)
    assert bench.converge()["changed"] is False


def test_metrics_are_served_over_tls(bench: Bench) -> None:
    plain = socket.create_connection(("127.0.0.1", bench.gateway.metrics_port), timeout=10)
    with bench.context().wrap_socket(plain, server_hostname=NAME) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert connection.recv(100).split()[1] == b"200"


def test_another_ca_for_clients_is_a_reload(bench: Bench, tmp_path: Path) -> None:
    ours, theirs = Authority("one"), Authority("two")
    ca = tmp_path / "clients.pem"
    ca.write_text(ours.chain)
    bench.gateway.settings["tls_client_ca"] = str(ca)
    try:
        assert bench.converge()["reloaded"]
        assert not bench.converge()["changed"]
        ca.write_text(ours.chain + theirs.chain)
        assert bench.converge()["reloaded"]
    finally:
        bench.gateway.settings["tls_client_ca"] = ""
        bench.converge()


@pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")
def test_prometheus_reads_the_file_at_each_connection(tmp_path: Path) -> None:
    """Chain and key are one file there too, so that a connection never meets a pair that does not fit."""
    authority = Authority()
    (port,) = free_ports(1)
    path = tmp_path / "tls.pem"
    first, second = authority.issue(NAME), authority.issue(NAME)
    path.write_text(first.chain + first.private_key)
    (tmp_path / "web.yml").write_text(f"tls_server_config: {{cert_file: {path}, key_file: {path}}}\n")
    (tmp_path / "prometheus.yml").write_text("{}\n")
    command = ["prometheus", "--config.file=prometheus.yml", "--web.config.file=web.yml", "--storage.tsdb.path=data"]
    process = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def served() -> str:
        context = ssl.create_default_context(cadata=authority.chain)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        with context.wrap_socket(plain, server_hostname=NAME) as connection:
            return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()

    try:
        wait_until(lambda: served() == first.fingerprint, 60, "prometheus")
        beside = tmp_path / "new.pem"
        beside.write_text(second.chain + second.private_key)
        beside.replace(path)
        assert served() == second.fingerprint
    finally:
        process.kill()
        process.wait()
