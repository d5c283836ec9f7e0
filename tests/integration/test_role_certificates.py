# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role certificates on two hosts: another host as the CA's is noticed, and no second CA is made unasked."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from local_playbook import play

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files are set, so root is needed")


def trust(root: Path, host: str, authority: str, **more: Any) -> tuple[int, str]:
    """The role's entry point trust on one of two gateways, each with a directory of its own."""
    hosts = {name: {"modelops_gateway": True, "modelops_tls_dir": str(root / name)} for name in ("gw1", "gw2")}
    inventory = root / "inventory.json"
    inventory.write_text(
        json.dumps({"all": {"hosts": hosts, "vars": {"ansible_connection": "local"}}}), encoding="utf-8"
    )
    role = {"name": "modelops.datacenter.certificates", "tasks_from": "trust"}
    plays = [{"hosts": host, "gather_facts": False, "tasks": [{"ansible.builtin.include_role": role}]}]
    given = {"certificates_authority_file": str(root / authority / "authority.json"), "certificates_install": False}
    done = play(root / "trust.yml", plays, {**given, **more}, inventory=str(inventory))
    return done.returncode, done.stdout + done.stderr


def test_a_ca_that_is_looked_for_on_another_host_is_not_made_there_unasked(tmp_path: Path) -> None:
    assert trust(tmp_path, "gw2", "ca-of-gw2")[0] == 0
    # A gateway that comes first is added, and so the CA is looked for there.
    code, said = trust(tmp_path, "gw1", "ca-of-gw1")
    assert code == 2 and "there is no CA on this host, though one has signed for the fleet before" in said
    assert "modelops_ca_host" in said
    assert not (tmp_path / "ca-of-gw1/authority.json").exists() and not (tmp_path / "gw1").exists()
    code, said = trust(tmp_path, "gw1", "ca-of-gw2")
    assert code == 0, said
    assert (tmp_path / "gw1/ca.pem").read_text() == (tmp_path / "gw2/ca.pem").read_text()
    code, said = trust(tmp_path, "gw1", "ca-of-gw1", certificates_start_anew=True)
    assert code == 0, said
    assert (tmp_path / "gw1/ca.pem").read_text() != (tmp_path / "gw2/ca.pem").read_text()
