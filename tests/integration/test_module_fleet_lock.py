# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs of Ansible and the lock of the fleet: the second waits, unless the first was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from module_command import ROOT, run_module

PLAY = """
- name: Hold the lock
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Work under the lock
      block:
        - name: Take it
          ansible.builtin.include_role: {name: modelops.datacenter.fleet_lock}
        - name: Work
          ansible.builtin.wait_for: {path: "{{ fleet_lock_path }}.done"}
        - name: Renew it
          ansible.builtin.include_role: {name: modelops.datacenter.fleet_lock, tasks_from: renew}
      always:
        - name: Release it
          ansible.builtin.include_role: {name: modelops.datacenter.fleet_lock, tasks_from: release}
"""


def start(play: Path, path: Path) -> subprocess.Popen[str]:
    variables = {"fleet_lock_path": str(path), "fleet_lock_purpose": "a test", "ansible_connection": "local"}
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", str(play)]
        + ["-e", json.dumps({**variables, "ansible_python_interpreter": sys.executable})],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def owner(path: Path) -> str:
    return str(json.loads(path.read_text())["owner"]) if path.exists() else ""


def wait_for_owner(path: Path, run: subprocess.Popen[str]) -> str:
    until = time.monotonic() + 90
    while not owner(path):
        assert time.monotonic() < until
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.2)
    return owner(path)


def test_the_second_run_waits_for_the_first_and_takes_over_from_a_killed_one(tmp_path: Path) -> None:
    play, path = tmp_path / "play.yml", tmp_path / "fleet.lock"
    play.write_text(PLAY)
    first = start(play, path)
    try:
        assert wait_for_owner(path, first).endswith(f":{first.pid}")
        refused = run_module("fleet_lock", {"path": str(path), "purpose": "another"})
        assert refused["failed"]
        assert f":{first.pid} has held the lock of the fleet for a test since" in refused["msg"]
        assert "force: true" in refused["msg"]
        checked = run_module("fleet_lock", {"path": str(path)}, "--check")
        assert checked["failed"]
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    taken = run_module("fleet_lock", {"path": str(path)})
    assert not taken["failed"], taken
    assert (taken["changed"], taken["number"]) == (True, 2)
    # That run has ended too, without releasing; the play renews, and releases at the end.
    second = start(play, path)
    until = time.monotonic() + 90
    while not owner(path).endswith(f":{second.pid}") and time.monotonic() < until:
        time.sleep(0.2)
    (tmp_path / "fleet.lock.done").write_text("")
    output = second.communicate(timeout=90)[0]
    assert second.returncode == 0, output
    assert "changed=0" in output
    assert json.loads(path.read_text())["number"] == 3
    assert owner(path) == ""
