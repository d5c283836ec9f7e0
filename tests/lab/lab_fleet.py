# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab of systemd hosts for tests: boots it, applies plans to it with ansible-playbook, looks at it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Replica,
    parse_hosts,
    parse_models,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.inventory import fleet_records
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import (
    fleet_fingerprint,
    write_plan,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.waves import order_waves

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab" / "lab"
BIN = Path(sys.executable).parent
# What a host is: every file with owner, mode and, below /etc and /opt, content; users; units with
# their state and main process; packet filter rules. Who held a lock last is no part of it, nor is what
# was measured: by Prometheus, Alertmanager, or the watch without them (alerts.json).
HOST_STATE = r"""
find / -xdev \( -path /tmp -o -path /var/tmp -o -path /root/.ansible -o -path /var/log -o -path /var/cache \
    -o -path /var/lib/systemd -o -path /var/lib/prometheus -o -path /var/lib/modelops-prometheus \
    -o -path /var/lib/modelops-alertmanager -o -path /var/lib/modelops/fleet.lock -o -path /var/lib/modelops/alerts.json \
    -o -name __pycache__ -o -name .lock -o -name modelops.fact.lock \) -prune \
    -o \( -type f -o -type l \) -printf '%p %m %u:%g %s %l\n' | sort
find /etc /opt/modelops -xdev -type f -not -name '*.pyc' -not -name '*.lock' -print0 2>/dev/null | sort -z | xargs -0 --no-run-if-empty sha256sum
find /run/modelops /var/log/modelops -printf '%p %m %u:%g\n' 2>/dev/null | sort
getent passwd; getent group
systemctl list-unit-files --no-legend --plain | sort
units=$(systemctl list-units --all --no-legend --plain --type=service,timer,slice | awk '{print $1}' \
    | grep -vE '^(ssh|user|session|systemd-|dbus|apt-|dpkg-|e2scrub|fstrim|modprobe|getty|run-)' | sort)
systemctl show --property=Id,LoadState,ActiveState,SubState,MainPID $units | sed 's/^$/;/' | tr '\n' ' ' | tr ';' '\n'
nft list ruleset | sed 's/counter packets [0-9]* bytes [0-9]*/counter/'
"""
RECAP = re.compile(r"^(\S+)\s+: ((?:\w+=\d+\s*)+)$", re.MULTILINE)


def why_not() -> str:
    """Why no lab can be had here; empty when one can."""
    if os.geteuid() != 0:
        return "systemd containers need root"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    tools = ("podman", "runc", "mmdebstrap", "ssh", "ssh-keygen", "iptables")
    missing = [tool for tool in tools if not shutil.which(tool, path=path)]
    return f"not installed: {', '.join(missing)}" if missing else ""


def assert_same(before: dict[str, str], after: dict[str, str], output: str) -> None:
    for host, text in before.items():
        differing = set(text.splitlines()) ^ set(after[host].splitlines())
        assert not differing, f"{host}: {sorted(differing)[:20]}\n{output}"


@dataclass(frozen=True)
class Run:
    """One ansible-playbook run: its exit code, what it printed, and the numbers of its recap by host."""

    code: int
    output: str
    recap: Mapping[str, Mapping[str, int]]
    seconds: float

    @property
    def changed(self) -> int:
        return sum(numbers["changed"] for numbers in self.recap.values())

    def did(self) -> list[str]:
        """What the summary says was done, without the measured times."""
        return sorted(re.findall(r"^ +- '?(lab-\w+: .+?)(?: \(first answer .*)?'?$", self.output, re.MULTILINE))


def recap_of(output: str) -> dict[str, dict[str, int]]:
    """The numbers of a run's recap, by host."""
    return {
        host: {key: int(value) for key, value in (pair.split("=") for pair in numbers.split())}
        for host, numbers in RECAP.findall(output)
    }


def write_exact_plan(
    path: Path,
    inventory: Mapping[str, Any],
    catalogue: Mapping[str, Any],
    running: Sequence[Replica],
    target: Sequence[Replica],
) -> Path:
    """A plan file for exactly the replicas of ``target``, from those that run, as ``capacity_plan`` would write it."""
    hosts, models = parse_hosts(fleet_records(list(inventory), inventory)), parse_models(catalogue)
    waves = order_waves(running, target, hosts, models)
    wave_of = {(one["host"], one["slot"]): one["wave"] for one in waves.actions if one["action"] != "stop"}
    write_plan(
        str(path),
        {
            "created_at": clock.format_moment(time.time()),
            "generator": "modelops.datacenter test",
            "fleet_fingerprint": fleet_fingerprint(hosts, models),
            "placements": [{**one.as_record(), "wave": wave_of[(one.host, one.slot)]} for one in target],
            "actions": waves.actions,
            "waves": waves.waves,
            "moves": waves.moves,
            "hosts": [one.as_record() for one in hosts],
            "models": {one.name: one.as_record() for one in models},
        },
    )
    return path


class LabFleet:
    """The hosts of one lab, and the plan that was last applied to them."""

    def __init__(self, name: str, catalogue: Mapping[str, Any]) -> None:
        self.environment = {**os.environ, "MODELOPS_LAB": name}
        self.directory = ROOT / ".cache" / "lab" / name
        self.share = self.directory / "share"
        self.catalogue = catalogue
        self.running: list[Replica] = []

    def up(self, count: int, *options: str) -> None:
        self._lab("up", str(count), *options, timeout=600)
        self.write_catalogue(self.catalogue)

    def write_catalogue(self, catalogue: Mapping[str, Any]) -> None:
        """What the next playbook shall serve."""
        self.catalogue = catalogue
        variables = self.directory / "catalogue.json"
        variables.write_text(json.dumps({"modelops_models": catalogue}), encoding="utf-8")

    def down(self) -> None:
        self._lab("down", timeout=300)

    def podman(self, verb: str, host: str) -> None:
        """``pause``, ``unpause``, ``kill`` or ``start`` a whole host."""
        name = f"modelops-{self.environment['MODELOPS_LAB']}-{host.replace('lab-', '')}"
        self._lab("podman", verb, name, timeout=60)

    def sh(self, host: str, command: str, *, check: bool = True, seconds: float = 60) -> str:
        """What a shell command on a host prints."""
        return self._lab("run", host, "sh", "-c", command, timeout=seconds, check=check).strip()

    def wait(self, host: str, command: str, *, seconds: float) -> None:
        """Until a shell command on a host succeeds."""
        deadline = time.monotonic() + seconds
        while self.sh(host, f"{{ {command}; }} >/dev/null 2>&1 && echo yes", check=False) != "yes":
            assert time.monotonic() < deadline, f"{host}: '{command}' did not succeed within {seconds:g} s"
            time.sleep(0.3)

    def pids(self) -> dict[str, int]:
        """Main process of every replica unit, by host and unit; 0 where there is none."""
        return self.pids_of(sorted({replica.host for replica in self.running}))

    def pids_of(self, hosts: Sequence[str]) -> dict[str, int]:
        """The same of these hosts."""
        script = (
            "for u in $(ls /etc/systemd/system | grep ^modelops-); do echo $u $(systemctl show -P MainPID $u); done"
        )
        found = {}
        for host in hosts:
            for line in self.sh(host, script).splitlines():
                unit, pid = line.split()
                found[f"{host}/{unit.replace('.service', '')}"] = int(pid)
        return found

    def states(self, hosts: Sequence[str]) -> dict[str, str]:
        """Everything about these hosts that a playbook could change, as text."""
        return {host: self.sh(host, HOST_STATE, seconds=300) for host in hosts}

    def plan(self, target: Sequence[Replica]) -> Path:
        """A plan for exactly these replicas, from those of the last apply, as ``capacity_plan`` would write it."""
        inventory = yaml.safe_load((self.directory / "hosts.yml").read_text(encoding="utf-8"))["all"]["hosts"]
        return write_exact_plan(self.directory / "plan.json", inventory, self.catalogue, self.running, target)

    def apply(self, target: Sequence[Replica], *flags: str) -> Run:
        """Apply a plan for ``target`` with the collection's own playbook."""
        run = self.play("apply", "-e", f"modelops_plan={self.plan(target)}", *flags)
        if run.code == 0 and "--check" not in flags:
            self.running = list(target)
        return run

    def play(self, playbook: str, *flags: str) -> Run:
        """Run one of the collection's playbooks, or a file, on the lab."""
        name = playbook if "/" in playbook else f"modelops.datacenter.{playbook}"
        command = [str(BIN / "ansible-playbook"), "-i", str(self.directory / "hosts.yml")]
        command += ["-e", f"@{self.directory / 'catalogue.json'}"]
        began = time.monotonic()
        done = subprocess.run(
            [*command, name, *flags],
            cwd=ROOT,
            env={
                **self.environment,
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml",
                "ANSIBLE_LOCALHOST_WARNING": "false",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert "Traceback" not in done.stdout, done.stdout
        return Run(done.returncode, done.stdout, recap_of(done.stdout), time.monotonic() - began)

    def _lab(self, *words: str, timeout: float, check: bool = True) -> str:
        done = subprocess.run(
            [str(LAB), *words], env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert not check or done.returncode == 0, f"lab {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout
