# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook as the role makes it a service: under a real systemd, in its sandbox, it begins a run on a signal."""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rulebook_desk import IMPORTANT, NEEDS_RULEBOOK, ROOT, RULEBOOK, TOKEN, message

sys.path.insert(0, str(ROOT / "tests" / "lab"))

from lab_fleet import LabFleet, Run, why_not

pytestmark = [pytest.mark.slow, NEEDS_RULEBOOK, pytest.mark.skipif(bool(why_not()), reason=why_not() or "a lab")]
HOST, UNIT = "lab-mon1", "modelops-rulebook.service"
JAVA = Path("/usr/bin/java").resolve()
AT_MOST = 2.0  # as tests/unit/foundation/test_foundation_unit_security.py has it for controllers
PLAY = [{
    "name": "The rulebook as a service", "hosts": HOST, "gather_facts": False, "tasks": [
        {"ansible.builtin.file": {"path": "/etc/modelops", "state": "directory", "mode": "0755"}},
        {"ansible.builtin.copy": {"dest": "/etc/modelops/ansible.cfg", "mode": "0644",
                                  "content": f"[defaults]\ncollections_path = {ROOT}/.cache/collections\nnocolor = true\n"}},
        {"ansible.builtin.copy": {"dest": "/etc/modelops/inventory", "mode": "0644", "content": "localhost ansible_connection=local\n"}},
        {"ansible.builtin.include_role": {"name": "modelops.datacenter.monitoring", "tasks_from": "controller"}},
    ],
}]  # fmt: skip


def places() -> list[str]:
    """What the service needs from this machine: this checkout, ansible-rulebook with its Python, and Java."""
    environment = RULEBOOK.parent.parent.resolve()
    python = (environment / "bin/python").resolve().parent.parent
    found = [ROOT, environment, python, JAVA.parent.parent.parent, Path("/etc/java-17-openjdk")]
    shebang = Path(RULEBOOK.read_text(errors="replace").splitlines()[0][2:].strip())
    return sorted({str(path) for path in [*found, shebang.parent.parent.resolve()] if path.exists()})


class Host:
    def __init__(self, lab: LabFleet) -> None:
        self.lab = lab
        self.play_file = lab.directory / "rulebook.json"
        self.play_file.write_text(json.dumps(PLAY), encoding="utf-8")

    def converge(self) -> Run:
        given = {
            "monitoring_rulebook": "modelops.datacenter.remediate", "monitoring_remediation_token": TOKEN,
            "monitoring_ansible_rulebook": str(RULEBOOK), "monitoring_java_home": str(JAVA.parent.parent),
        }  # fmt: skip
        run = self.lab.play(str(self.play_file), "-e", json.dumps(given))
        assert run.code == 0, run.output
        assert TOKEN not in run.output
        return run

    def sh(self, command: str, **more: bool) -> str:
        return self.lab.sh(HOST, command, **more)

    def said(self) -> str:
        return self.sh(f"journalctl --no-pager --output=cat --unit={UNIT}", check=False)

    def wait(self, command: str, seconds: float) -> None:
        try:
            self.lab.wait(HOST, command, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()[-6000:]}") from error

    def post(self, token: str) -> str:
        body = message(IMPORTANT).decode()
        return self.sh(
            f"curl --silent --output /dev/null --write-out '%{{http_code}}' --header 'Authorization: Bearer {token}'"
            f" --header 'Content-Type: application/json' --data '{body}' http://127.0.0.1:5010/endpoint"
        )


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    lab = LabFleet(os.environ.get("MODELOPS_LAB", "rule"), {})
    lab.environment["MODELOPS_LAB_VOLUMES"] = " ".join(f"{path}:{path}:ro" for path in places())
    lab.directory.parent.mkdir(parents=True, exist_ok=True)
    with open(lab.directory.parent / "rulebook.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one test session at a time
        try:
            lab.down()
            lab.up(0, "--monitoring")
            made = Host(lab)
            assert made.converge().changed > 0
            yield made
        finally:
            lab.down()


def test_it_starts_in_its_sandbox_and_listens(host: Host) -> None:
    host.wait("ss --listening --tcp --numeric | grep -q 127.0.0.1:5010", 300)
    shown = host.sh(f"systemd-analyze security --no-pager {UNIT}", check=False)
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", shown)
    assert exposure is not None and float(exposure.group(1)) <= AT_MOST, shown
    print(f"systemd-analyze security {UNIT}: {exposure.group(1)}")
    status = host.sh(f"cat /proc/$(systemctl show -P MainPID {UNIT})/status")
    for line in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"):
        assert line in status, status
    assert host.converge().changed == 0
    assert TOKEN not in host.sh("ps -eo args; systemctl cat modelops-rulebook.service")


def test_a_signal_begins_a_run_that_puts_it_on_record(host: Host) -> None:
    assert host.post("another-token") == "401"
    assert host.post(TOKEN) == "200"
    host.wait("grep -q HostDown /var/lib/modelops/remediation.jsonl", 300)
    host.wait(f"journalctl --unit={UNIT} | grep -q 'PLAY RECAP'", 120)
    said = host.said()
    assert "1 alerts fire: HostDown" in said and "failed=0" in said, said
    assert "Read-only file system" not in said and "Operation not permitted" not in said, said


def test_one_that_is_killed_comes_back_and_listens(host: Host) -> None:
    before = host.sh(f"systemctl show -P MainPID {UNIT}")
    host.sh(f"kill -KILL {before}")
    host.wait(f"test $(systemctl show -P MainPID {UNIT}) -gt 1 -a $(systemctl show -P MainPID {UNIT}) -ne {before}", 60)
    host.wait("ss --listening --tcp --numeric | grep -q 127.0.0.1:5010", 300)
    assert host.post("another-token") == "401"
