# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit files as roles write them with their defaults, and what systemd-analyze says of each."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = Path(__file__).resolve().parents[3]
HOST = {
    "inventory_hostname": "gpu-a1",
    "groups": {"all": ["gpu-a1"]},
    "hostvars": {"gpu-a1": {"inventory_hostname": "gpu-a1", "modelops_monitoring": True}},
    "modelops_monitoring": True,
    "ansible_managed": "Ansible managed",
    "ansible_facts": {
        "os_family": "Debian",
        "service_mgr": "systemd",
        "python": {"executable": "/usr/bin/python3"},
        "default_ipv4": {"interface": "eth0"},
        "getent_passwd": {name: ["x", "0", "0", "", f"/home/{name}", "/bin/sh"] for name in ("root", "modelops")},
    },
    "modelops_models": {},
}
REPLICA = {
    "name": "modelops-chat-0", "model": "chat", "version": "1", "slot": 0, "accelerators": [0],
    "exec_start": "/opt/modelops/engines/vllm/bin/vllm serve /models/chat", "kill_mode": "mixed",
    "stop_timeout_seconds": 60, "success_exit_status": "", "environment": {},
}  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """``kind`` says how closed it must be; ``given`` is what the tasks of the role hand to the template."""

    name: str
    role: str
    template: str
    kind: str
    given: dict[str, Any] = field(default_factory=dict)

    def render(self) -> str:
        loader = DataLoader()
        variables = dict(HOST)
        for place in ("defaults", "vars"):
            path = ROOT / "roles" / self.role / place / "main.yml"
            if path.exists():
                variables.update(_load(loader, path))
        variables.update(self.given)
        return _render(loader, ROOT / "roles" / self.role / "templates" / self.template, variables)


def exposure(text: str, name: str, directory: Path) -> tuple[float, dict[str, float]]:
    """Overall exposure, 0 to 10, and what each open item adds to it, as systemd-analyze computes them offline."""
    path = directory / name
    path.write_text(text)
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    last = [line for line in printed.stdout.splitlines() if "Overall exposure level" in line]
    if not last:
        raise ValueError(f"systemd-analyze refuses {name}: {printed.stderr.strip()}")
    table = subprocess.run([*command, "--json=short"], capture_output=True, text=True, check=False, timeout=60).stdout
    items = {item["json_field"]: float(item["exposure"] or 0) for item in json.loads(table)}
    return float(last[0].split(": ")[1].split()[0]), {name: cost for name, cost in sorted(items.items()) if cost}


def systemd_version() -> str:
    printed = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    return printed.split()[1]


def _load(loader: DataLoader, path: Path) -> dict[str, Any]:
    try:
        return loader.load_from_file(str(path), trusted_as_template=True)
    except TypeError:  # before ansible-core 2.19 everything is trusted
        return loader.load_from_file(str(path))


def _render(loader: DataLoader, path: Path, variables: dict[str, Any]) -> str:
    text = path.read_text()
    try:
        from ansible.template import trust_as_template

        text = trust_as_template(text)
    except ImportError:
        pass
    as_the_module_does = {"trim_blocks": True}
    loader.set_basedir(str(path.parent))  # where includes are looked for
    templar = Templar(loader=loader, variables=variables)
    return str(templar.template(text, escape_backslashes=False, overrides=as_the_module_does))
