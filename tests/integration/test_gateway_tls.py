# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS at a real HAProxy: certificates change under load and nobody notices but who asks for the fingerprint."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from certificates import Authority
from gateway_bench import HAPROXY, GatewayBench, free_ports, replica, servers, wait_until
from gateway_tls_bench import NAME, Load, TlsBench

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")
pytestmark = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")
ROTATIONS = 8


@dataclass
class Bench(TlsBench):
    authority: Authority = field(default_factory=Authority)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("tls")
    authority = Authority()
    (directory / "ca.pem").write_text(authority.chain)
    gateway = GatewayBench(tls_certificate=str(directory / "gateway.pem"), metrics_tls=True)
    with servers(2, directory, parallel=8) as llamas:
        made = Bench(gateway, directory / "gateway.pem", llamas, trust=authority.chain, authority=authority)
        made.put(authority.issue(NAME))
        made.converge()
        try:
            made.start()
            yield made
        finally:
            gateway.close()


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
