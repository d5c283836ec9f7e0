# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One variable, and a host's gateway, Prometheus and Alertmanager speak TLS by a CA of the fleet's own, under a real systemd."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from lab_fleet import LabFleet, Run, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "a lab")]
HOST = "lab-mon1"
PORTS = {"gateway": 8080, "metrics": 8405, "Prometheus": 9090, "Alertmanager": 9093}
MODELS = {"chat": {"engine": "llama_cpp", "capacity": {"l40s-48gb": {"requests_per_second": 10}}}}
PASSPHRASE = "the-passphrase-of-the-vault-7c21"


class Host:
    """One host that is gateway and monitoring at once, and keeps the CA."""

    def __init__(self, lab: LabFleet) -> None:
        self.lab, self.output = lab, lab.directory / "output"
        given = {
            "modelops_internal_ca": True, "modelops_ca_passphrases": [PASSPHRASE], "modelops_gateway": True,
            "modelops_output_dir": str(self.output),
        }  # fmt: skip
        (lab.directory / "given.json").write_text(json.dumps(given), encoding="utf-8")
        self.address = (lab.directory / "mon1.address").read_text().strip()

    def play(self, playbook: str, *flags: str) -> Run:
        run = self.lab.play(playbook, "-e", f"@{self.lab.directory / 'given.json'}", *flags)
        assert run.code == 0, run.output
        assert PASSPHRASE not in run.output
        return run

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.lab.sh(HOST, "cat /etc/modelops/tls/ca.pem"))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    def get(self, what: str, path: str) -> Any:
        url = f"https://{self.address}:{PORTS[what]}{path}"
        with urllib.request.urlopen(url, timeout=10, context=self.context()) as answer:
            return answer.read()

    def served(self) -> dict[str, str]:
        """Fingerprints of what each port serves, in the eyes of a client that trusts the CA alone."""
        found = {}
        for what, port in PORTS.items():
            with (
                socket.create_connection((self.address, port), timeout=10) as plain,
                self.context().wrap_socket(plain, server_hostname=HOST) as connection,
            ):
                found[what] = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
        return found

    def targets(self) -> dict[str, str]:
        """Health of what Prometheus scrapes, by job."""
        found = json.loads(self.get("Prometheus", "/api/v1/targets"))["data"]["activeTargets"]
        return {one["labels"]["job"]: one["health"] for one in found}

    def wait_for_targets(self) -> None:
        jobs = ("modelops-gateway", "modelops-prometheus", "modelops-alertmanager")
        deadline = time.monotonic() + 120
        while any(self.targets().get(job) != "up" for job in jobs):
            assert time.monotonic() < deadline, self.get("Prometheus", "/api/v1/targets")
            time.sleep(1)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    lab = LabFleet(os.environ.get("MODELOPS_LAB", "certs"), MODELS)
    lab.directory.parent.mkdir(parents=True, exist_ok=True)
    with open(lab.directory.parent / "certs.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one test session at a time
        try:
            lab.down()
            lab.up(0, "--monitoring", "--bare")  # bare: the role installs the library from the distribution
            lab.sh(HOST, "apt-get update -q", seconds=300)
            yield Host(lab)
        finally:
            lab.down()


def test_one_variable_and_everything_speaks_tls(host: Host) -> None:
    host.play("gateway", "--check", "--diff")
    assert host.lab.sh(HOST, "ls /etc/modelops", check=False) == ""
    for playbook in ("gateway", "monitoring"):
        assert host.play(playbook, "--diff").changed > 0
    served = host.served()
    assert served["gateway"] == served["metrics"] != served["Prometheus"] == served["Alertmanager"]
    assert host.get("gateway", "/gateway/healthy")
    host.wait_for_targets()
    for playbook in ("gateway", "monitoring"):
        run = host.play(playbook)
        assert run.changed == 0, run.output
    modes = host.lab.sh(
        HOST, "stat -c '%a %U %G %n' /etc/modelops/ca /etc/modelops/ca/* /etc/modelops/tls/*"
    ).splitlines()
    assert "700 root root /etc/modelops/ca" in modes and "600 root root /etc/modelops/ca/authority.json" in modes
    assert "600 root root /etc/modelops/tls/gateway.pem" in modes
    assert "640 root prometheus /etc/modelops/tls/monitoring.pem" in modes
    print("\n".join(modes), host.lab.sh(HOST, "dpkg-query -W python3-cryptography"))


def test_all_are_renewed_and_served_without_a_restart(host: Host) -> None:
    units = "modelops-gateway modelops-prometheus modelops-alertmanager"
    before, running = host.served(), host.lab.sh(HOST, f"systemctl show -P MainPID {units}")
    assert host.play("certificates").recap[HOST]["changed"] == 0
    assert host.play("certificates", "-e", "certificates_renew_share=1").recap[HOST]["changed"] > 0
    after = host.served()
    assert not set(before.values()) & set(after.values())
    for step in ("trust", "sign", "drop"):
        assert host.play("certificates", "-e", f"modelops_ca_replacement={step}").recap[HOST]["changed"] > 0
        host.wait_for_targets()
    assert not set(after.values()) & set(host.served().values())
    assert host.lab.sh(HOST, f"systemctl show -P MainPID {units}") == running
    assert (host.output / "ca.pem").read_text().strip() == host.lab.sh(HOST, "cat /etc/modelops/tls/ca.pem")
    assert host.play("certificates").changed == 0
