# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles put certificates from a vault in place, for gateway and monitoring, and refuse unfit ones in words."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from certificates import Authority, Issued

pytestmark = [
    pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="owners of files are set, so root is needed"),
]
NAME = "models.example.org"
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.setup: {gather_subset: ["!all", "!min", "distribution", "python"]}
    - ansible.builtin.set_fact: {__monitoring_program: {stat: {exists: true}}}
    - ansible.builtin.include_role: {name: modelops.datacenter.gateway, tasks_from: tls}
    - ansible.builtin.include_role: {name: modelops.datacenter.monitoring, tasks_from: secrets}
"""


class Roles:
    def __init__(self, root: Path, authority: Authority) -> None:
        self.root, self.authority = root, authority
        self.files = {"gateway": root / "tls/gateway.pem", "monitoring": root / "monitoring/tls.pem"}
        (root / "monitoring").mkdir()
        (root / "tls.yml").write_text(PLAYBOOK)

    def run(self, issued: Issued, *flags: str, **more: Any) -> tuple[int, str]:
        common = {"chain": issued.chain, "private_key": issued.private_key, "ca": self.authority.chain, "names": [NAME]}
        given = {f"{role}_tls_{name}": value for role in self.files for name, value in common.items()}
        given.update(
            gateway_tls_certificate=str(self.files["gateway"]), monitoring_tls_certificate=str(self.files["monitoring"]),
            monitoring_tls_key=str(self.files["monitoring"]), monitoring_config_dir=str(self.root / "monitoring"),
            monitoring_group="root", **more,
        )  # fmt: skip
        (self.root / "given.json").write_text(json.dumps(given))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", *flags]
        command += ["-e", f"@{self.root}/given.json", "-e", f"ansible_python_interpreter={sys.executable}", "-vvv"]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(
            [*command, str(self.root / "tls.yml")],
            capture_output=True, text=True, env=environment, check=False, timeout=900,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert not any(line in said for line in given["gateway_tls_private_key"].splitlines()[1:-1])
        return done.returncode, said


def test_from_a_vault_to_the_files_and_what_is_unfit_is_refused(tmp_path: Path) -> None:
    authority = Authority()
    roles = Roles(tmp_path, authority)
    good = authority.issue(NAME)
    code, said = roles.run(good, "--diff")
    assert code == 0, said
    assert good.fingerprint in said
    for role, mode in (("gateway", 0o600), ("monitoring", 0o640)):
        path = roles.files[role]
        assert path.read_text() == good.chain + good.private_key
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert str(roles.files["monitoring"]) in (tmp_path / "monitoring/web.yml").read_text()
    code, said = roles.run(good)
    assert code == 0 and "changed=0" in said

    code, said = roles.run(good, gateway_tls_private_key=authority.issue(NAME).private_key)
    assert code == 2 and "the private key is not that of the certificate" in said
    code, said = roles.run(authority.issue(NAME, days=(-30, -1)))
    assert code == 2 and "the certificate expired at" in said
    assert roles.files["gateway"].read_text() == good.chain + good.private_key
