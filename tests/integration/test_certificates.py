# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook certificates: a CA of the fleet's own, a real HAProxy served by it, renewed and the CA replaced under load."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from certificates import Authority, Issued
from gateway_bench import HAPROXY, GatewayBench, free_ports, servers, wait_until
from gateway_tls_bench import NAME, Load, TlsBench

from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls import request
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.certificate import describe
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.office import Wish, visit

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")
pytestmark = [
    pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="owners of files are set, so root is needed"),
]
ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "the-passphrase-of-the-vault-1f9c"
RECAP = re.compile(r"^(?:gw1|localhost) .* changed=(\d+) .* failed=0", re.MULTILINE)
ANSWER = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: modelops.datacenter.monitoring, tasks_from: answer}
"""
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


@dataclass
class Fleet:
    """A gateway that also monitors, both on this machine; its CA lies here too."""

    root: Path
    gateway: GatewayBench
    seen: list[str] = field(default_factory=list)

    @property
    def trust(self) -> Path:
        return self.root / "tls/ca.pem"

    @property
    def authority(self) -> str:
        return str(self.root / "ca/authority.json")

    def run(self, *flags: str, playbook: str = "modelops.datacenter.certificates", **more: Any) -> tuple[int, str]:
        """How many changes the playbook made on the host, -1 where it failed, and what it said."""
        given = {
            "modelops_internal_ca": True, "modelops_tls_dir": str(self.root / "tls"),
            "modelops_output_dir": str(self.root / "output"),
            "certificates_authority_file": self.authority, "certificates_install": False,
            "modelops_ca_passphrases": [PASSPHRASE], "fleet_lock_path": str(self.root / "fleet.lock"),
            "gateway_config_dir": self.gateway.config_dir, "gateway_haproxy": HAPROXY, "gateway_tls_names": [NAME],
            "monitoring_config_dir": str(self.root / "monitoring"), "monitoring_group": "root",
            "ansible_python_interpreter": sys.executable, "ansible_connection": "local", **more,
        }  # fmt: skip
        host = {"ansible_host": "127.0.0.1", "modelops_gateway": True, "modelops_monitoring": True}
        (self.root / "inventory.json").write_text(json.dumps({"all": {"hosts": {"gw1": host}}}))
        (self.root / "given.json").write_text(json.dumps(given))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.root / "inventory.json")]
        command += [playbook, "-e", f"@{self.root}/given.json", "-vv", *flags]
        environment = {
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
        }
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900
        )
        said = done.stdout + done.stderr
        self.seen.append(said)
        if done.returncode:
            return -1, said
        recap = RECAP.search(said)
        assert recap is not None, said
        return int(recap.group(1)), said


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("ca")
    gateway = GatewayBench(tls_certificate=str(root / "tls/gateway.pem"), metrics_tls=True)
    (root / "monitoring").mkdir()
    (root / "monitoring/prometheus.yml").write_text("{}\n")
    try:
        yield Fleet(root, gateway)
    finally:
        gateway.close()


@pytest.fixture(scope="module")
def bench(fleet: Fleet) -> Iterator[TlsBench]:
    """The playbook has run, and HAProxy serves what it made; clients trust the CA alone and are as strict as can be."""
    changes, said = fleet.run("--check", "--diff")
    assert changes > 0 and not (fleet.root / "ca").exists() and not (fleet.root / "tls").exists(), said
    changes, said = fleet.run("--diff")
    assert changes > 0, said
    with servers(1, fleet.root, parallel=8) as llamas:
        made = TlsBench(
            fleet.gateway, fleet.root / "tls/gateway.pem", llamas, trust=fleet.trust.read_text(), strict=True
        )
        made.converge()
        made.start()
        yield made


def test_made_once_and_nothing_changes_after(fleet: Fleet, bench: TlsBench) -> None:
    served = bench.served()
    assert served == describe(str(bench.path)).fingerprint
    changes, said = fleet.run()
    assert changes == 0, said
    assert bench.served() == served
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (fleet.root / "tls").iterdir()}
    assert files == {"ca.pem": 0o644, "gateway.pem": 0o600, "monitoring.pem": 0o640}, "no key is left waiting"
    assert stat.S_IMODE(os.stat(fleet.authority).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(fleet.root / "ca").st_mode) == 0o700
    assert "ENCRYPTED PRIVATE KEY" in Path(fleet.authority).read_text()
    assert (fleet.root / "output/ca.pem").read_text() == fleet.trust.read_text()
    assert {"gw1", NAME} <= set(describe(str(bench.path)).names)


def test_renewed_and_the_ca_replaced_under_load_and_no_request_fails(fleet: Fleet, bench: TlsBench) -> None:
    """Clients get to trust both CAs between the first step and the second, as an operator would see to."""
    worker, first, old = bench.worker(), bench.served(), fleet.trust.read_text()
    served = [first]
    with Load(bench, pause_seconds=0.5) as load:
        for more in (
            {"certificates_renew_share": 1.0}, {"modelops_ca_replacement": "trust"},
            {"modelops_ca_replacement": "sign"}, {"modelops_ca_replacement": "drop"},
        ):  # fmt: skip
            seen = load.answered
            wait_until(lambda seen=seen: load.answered >= seen + 20, 120, "the load")
            changes, said = fleet.run(**more)
            assert changes > 0, said
            served.append(bench.served())
            if more == {"modelops_ca_replacement": "trust"}:
                bench.trust = fleet.trust.read_text()
                assert bench.trust.startswith(old) and bench.trust != old
    print(f"{load.answered} requests, {load.streams} streams, certificates {served}, failed: {load.faults}")
    assert load.faults == []
    assert len(set(served)) == 3 and served[1] == served[2] and served[3] == served[4]
    assert bench.worker() == worker, "no reload was needed"
    assert old not in fleet.trust.read_text()
    bench.trust = old
    with pytest.raises(ssl.SSLCertVerificationError):
        bench.served()
    bench.trust = fleet.trust.read_text()
    assert bench.served() == served[-1]
    assert fleet.run(modelops_ca_replacement="drop")[0] == 0


def test_what_is_foreign_or_expired_is_replaced_and_what_is_the_operators_is_left(
    fleet: Fleet, bench: TlsBench
) -> None:
    foreign = Authority().issue("gw1", NAME)
    bench.put(foreign)
    changes, said = fleet.run()
    assert changes > 0 and "does not come from the CA" in said
    assert bench.served() == describe(str(bench.path)).fingerprint != foreign.fingerprint
    bench.put(Authority().issue("gw1", NAME, days=(-30, -1)))
    changes, said = fleet.run()
    assert changes > 0 and "expired at" in said
    own = fleet.root / "own.pem"
    issued = Authority().issue(NAME)
    own.write_text(issued.chain + issued.private_key)
    changes, said = fleet.run(gateway_tls_certificate=str(own))
    assert changes >= 0, said
    assert own.read_text() == issued.chain + issued.private_key


def test_clients_come_in_with_a_certificate_of_the_ca_alone(fleet: Fleet, bench: TlsBench, tmp_path: Path) -> None:
    fleet.gateway.settings["tls_client_ca"] = str(fleet.trust)
    assert bench.converge()["reloaded"]

    def status(certificate: Path | None) -> int:
        context = bench.context()
        if certificate is not None:
            context.load_cert_chain(certificate)
        try:
            plain = socket.create_connection(("127.0.0.1", fleet.gateway.port), timeout=20)
            connection = http.client.HTTPSConnection(NAME, fleet.gateway.port, timeout=20)
            connection.sock = context.wrap_socket(plain, server_hostname=NAME)
            connection.request("GET", "/gateway/healthy")
            return connection.getresponse().status
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            return 0

    def written(issued: Issued) -> Path:
        (tmp_path / "foreign.pem").write_text(issued.chain + issued.private_key)
        return tmp_path / "foreign.pem"

    assert status(fleet.root / "tls/monitoring.pem") == 200
    assert status(None) == 0
    assert status(written(Authority().issue("gw1"))) == 0, "of another CA"
    assert status(bench.path) == 0, "for servers alone"
    brief = tmp_path / "brief.pem"
    wish = {"host": "brief", "use": "client", "names": ["brief"], "purposes": ["client"], "days": 4 / 86400}
    asked = Wish(passphrases=(PASSPHRASE,), requests=({**wish, "csr": request.ask(str(brief), ["brief"])},))
    made = visit(fleet.authority, asked, now=time.time(), dry_run=False)
    brief.write_text(made.signed[0]["chain"] + request.read_waiting(request.waiting_key(str(brief))))
    assert status(brief) == 200
    time.sleep(5)
    assert status(brief) == 0, "expired"


@pytest.mark.skipif(not ALERTMANAGER, reason="alertmanager is not installed")
def test_a_job_that_begins_with_nothing_learns_whom_to_trust_and_asks_alertmanager(
    fleet: Fleet, bench: TlsBench, tmp_path: Path
) -> None:
    """As a job of AWX answers alerts: the controller's copy is gone, the CA's host is not asked."""
    (port,) = free_ports(1)
    certificate = str(fleet.root / "tls/monitoring.pem")
    (tmp_path / "web.yml").write_text(f"tls_server_config: {{cert_file: {certificate}, key_file: {certificate}}}\n")
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    (tmp_path / "answer.yml").write_text(ANSWER)
    command = [str(ALERTMANAGER), f"--config.file={tmp_path}/alertmanager.yml", f"--storage.path={tmp_path}/data"]
    command += [
        f"--web.config.file={tmp_path}/web.yml",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        alert = {"labels": {"alertname": "HostDown", "host": "gpu-a1", "severity": "page"}}
        asked = urllib.request.Request(
            f"https://127.0.0.1:{port}/api/v2/alerts",
            json.dumps([alert]).encode(),
            {"Content-Type": "application/json"},
        )
        context = ssl.create_default_context(cadata=fleet.trust.read_text())
        wait_until(lambda: urllib.request.urlopen(asked, timeout=5, context=context).status == 200, 30, "Alertmanager")
        for kept in (True, False):
            if not kept:
                (fleet.root / "output/ca.pem").unlink()
            lost = str(fleet.root / "nowhere/authority.json")
            changes, said = fleet.run(
                playbook=str(tmp_path / "answer.yml"),
                monitoring_alertmanager_port=port,
                certificates_authority_file=lost,
            )
            assert "1 alerts fire: HostDown" in said, said
            assert (changes > 0) == (not kept)
        assert (fleet.root / "output/ca.pem").read_text() == fleet.trust.read_text()
    finally:
        process.kill()
        process.wait()


def test_faults_are_said_in_words_and_no_secret_is_shown(fleet: Fleet, bench: TlsBench) -> None:
    served = bench.path.read_text()
    for more, says in (
        ({"modelops_internal_ca": False}, "This playbook is for fleets with a CA of their own"),
        ({"modelops_ca_passphrases": [], "certificates_renew_share": 1.0}, "no passphrase was given"),
        ({"gateway_tls_names": ["not a name"]}, "is neither a host name nor an address"),
        ({"certificates_authority_file": str(fleet.root / "lost/authority.json")}, "there is no CA on this host"),
        ({"modelops_ca_replacement": "sign"}, "there is no CA to sign from now on"),
    ):
        changes, said = fleet.run(**more)
        assert changes == -1 and says in said, said
        assert "Traceback" not in said
    assert bench.path.read_text() == served
    secrets = {PASSPHRASE, *bench.path.read_text().partition("PRIVATE KEY-----\n")[2].splitlines()[:2]}
    assert not [one for one in secrets for said in fleet.seen if one in said]
    shutil.rmtree(fleet.root / "lost", ignore_errors=True)
