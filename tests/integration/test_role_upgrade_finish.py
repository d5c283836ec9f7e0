# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an upgrade ends: in short, with the page of its journal, and with a failure where it did not succeed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from local_playbook import play
from test_module_upgrade_step import releases, replicas, step

PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.include_role": {"name": "modelops.datacenter.upgrade", "tasks_from": "finish"}}],
    }
]


def finish(folder: Path, last: dict[str, Any], left: dict[str, int], *words: str) -> subprocess.CompletedProcess[str]:
    """The role's end on the hosts of ``left``, each with so many requests still in flight at the drain limit (-1: none drained)."""
    undrained = {name: [{"left_in_flight": count}] if count >= 0 else [] for name, count in left.items()}
    hosts = {name: {"__upgrade_undrained": found} for name, found in undrained.items()}
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
    variables = {
        **{"upgrade_model": "chat", "upgrade_output_dir": str(folder / "output"), "__upgrade_begins": False},
        **{"__upgrade_step": last, "ansible_connection": "local"},
    }
    return play(folder / "finish.json", PLAYBOOK, variables, *words, inventory=str(inventory))


def upgrade(folder: Path, running: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A step of the real module, with its files where the role keeps them."""
    return step(folder / "output", running, journal=str(folder / "output/upgrade-chat.json"), **more)


def test_one_that_was_turned_back_fails_with_its_reason_and_has_a_page(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    releases(output / "releases.json", "1", applied=["chat"])
    good = json.loads((output / "releases.json").read_text())["models"]["chat"]["good"]["digest"]
    running = replicas("1", good)
    canary = upgrade(tmp_path, running)
    running[0].update(version="2", release=canary["release"])
    refused = {"verdict": "fail", "judged": ["a1-0"], "reasons": ["answers are three times slower"]}
    back = upgrade(tmp_path, running, begins=False, outcome=refused)
    running[0].update(version="1", release=good)
    last = upgrade(tmp_path, running, begins=False, outcome={})
    assert (back["last"], last["last"], last["succeeded"]) == (False, True, False)

    done = finish(tmp_path, last, {"a1": 2, "b1": 3, "gw1": -1})
    said = done.stdout + done.stderr
    assert done.returncode == 2
    assert f"The upgrade of chat {last['kind'].replace('_', ' ')}: {last['reason']}" in said
    assert "three times slower" in said
    assert "5 requests were still in flight at the drain limit" in said
    page = output / "upgrade-chat.html"
    assert f"Page: {page}" in said and "three times slower" in page.read_text(encoding="utf-8")


def test_where_nothing_was_to_be_done_no_page_is_named_that_is_not_there(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.mkdir()
    releases(output / "releases.json", "2", applied=["chat"])
    good = json.loads((output / "releases.json").read_text())["models"]["chat"]["good"]["digest"]
    last = upgrade(tmp_path, replicas("2", good))
    assert (last["kind"], last["last"], (output / "upgrade-chat.json").exists()) == ("done", True, False)

    done = finish(tmp_path, last, {"a1": -1})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "chat: done" in done.stdout and "in flight" not in done.stdout
    assert "Page:" not in done.stdout and not (output / "upgrade-chat.html").exists()
