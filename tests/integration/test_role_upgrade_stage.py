# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose fault it is that an artefact cannot be had: content that is not as declared is the release's, a source that is away is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from local_playbook import play

PLAYBOOK = [
    {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.set_fact": {"__upgrade_trouble": [], "__upgrade_hindrance": []}},
            {"ansible.builtin.include_role": {"name": "modelops.datacenter.upgrade", "tasks_from": "stage"}},
            {
                "ansible.builtin.copy": {
                    "content": "{{ {'trouble': __upgrade_trouble, 'hindrance': __upgrade_hindrance} | to_json }}",
                    "dest": "{{ said }}",
                    "mode": "0644",
                }
            },
        ],
    }
]


def staged(tmp_path: Path, **artifact: Any) -> dict[str, list[str]]:
    """What the role remembers after it has tried to fetch the artefact."""
    said = tmp_path / "said.json"
    entry = {"engine": "command", "version": "2", "executable": ["/bin/true"], "artifact": artifact}
    variables = {
        "upgrade_model": "chat",
        "__upgrade_step": {"models": {"chat": entry}},
        "deploy_prefix": str(tmp_path / "prefix"),
        "modelops_host_state": {},
        "said": str(said),
    }
    done = play(tmp_path / "stage.json", PLAYBOOK, variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(said.read_text(encoding="utf-8")))


def test_another_checksum_is_the_release_s_fault(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("weights", encoding="utf-8")
    found = staged(tmp_path, src=str(tmp_path / "weights"), checksum=f"sha256:{'0' * 64}")
    assert found["hindrance"] == []
    assert "its checksum is sha256:" in found["trouble"][0]


@pytest.mark.parametrize("source", ["http://127.0.0.1:9/weights", "{tmp}/not-there"])
def test_a_source_that_is_not_there_is_not(tmp_path: Path, source: str) -> None:
    found = staged(tmp_path, src=source.format(tmp=tmp_path), checksum=f"sha256:{'1' * 64}")
    assert found["trouble"] == []
    assert len(found["hindrance"]) == 1
