# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The play of the guide, as printed there: a killed llama.cpp server is restarted by its handler, once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from module_command import ROOT, run_alone
from ports import free_ports

GUIDE = ROOT / "docs" / "docsite" / "rst" / "guide_alerts.rst"
LAUNCHER = ROOT / "roles" / "deploy" / "files" / "llama_server.py"
TINY_MODEL = ROOT / "inventories" / "demo" / "tiny_model.py"
# Starts a server in a session of its own, leaves its process ID behind, and waits for its first good health answer.
STARTER = """
import subprocess, sys, time, urllib.request
pid_file, port, *argv = sys.argv[1:]
quiet = subprocess.DEVNULL
child = subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
open(pid_file, "w").write(str(child.pid))
for _look in range(240):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
        break
    except OSError:
        time.sleep(0.5)
else:
    sys.exit("no answer")
"""


def test_module_fires_once_in_check_mode_never(tmp_path: Path) -> None:
    options = {
        "facts": {"servers": {"chat": {"ready": False}}},
        "sets": ["server"],
        "rules": {"server_not_ready": {"hold_seconds": 0}},
        "state_file": str(tmp_path / "alerts.json"),
    }
    checked = run_alone("alert_evaluation", {**options, "_ansible_check_mode": True})
    assert checked["changed"]
    assert not (tmp_path / "alerts.json").exists()
    first = run_alone("alert_evaluation", options)
    assert first["topics"] == ["modelops alert: server not ready"]
    kept = (tmp_path / "alerts.json").read_bytes()
    second = run_alone("alert_evaluation", options)
    assert not second["changed"]
    assert [entry["rule"] for entry in second["firing"]] == ["server_not_ready"]
    assert (tmp_path / "alerts.json").read_bytes() == kept
    (tmp_path / "alerts.json").write_text("{")
    damaged = run_alone("alert_evaluation", options)
    assert damaged["failed"]
    assert "not valid JSON" in damaged["msg"]


def test_the_play_of_the_guide_restarts_a_killed_server_once(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")
    block = re.search(r"code-block:: yaml\n\n(.*?)\n\n``restart_argv``", GUIDE.read_text(), re.DOTALL)
    assert block
    (tmp_path / "play.yml").write_text("---\n" + textwrap.dedent(block[1]) + "\n")
    model, pid_file = tmp_path / "tiny.gguf", tmp_path / "pid"
    subprocess.run([sys.executable, TINY_MODEL, "--seed", "1", "--dest", model], check=True, stdout=subprocess.DEVNULL)
    port = str(free_ports(1)[0])
    server = [sys.executable, str(LAUNCHER), "--model", str(model), "--port", port, "--alias", "chat"]
    start = [sys.executable, "-c", STARTER, str(pid_file), port, *server, "--ctx-size", "256", "--threads", "1"]

    def play(**rules: dict[str, float]) -> str:
        calm = {"memory_short": {"below": 0}, "disk_full": {"below": 0}, "cpu_saturated": {"above": 1e6}}
        variables = {
            "watched": "localhost",
            "ansible_python_interpreter": sys.executable,
            "server_url": f"http://127.0.0.1:{port}",
            "alert_state_file": str(tmp_path / "alerts.json"),
            "alert_rules": {**calm, "server_not_ready": {"hold_seconds": 0}, **rules},
            "restart_argv": start,
        }
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local"]
        done = subprocess.run(
            [*command, str(tmp_path / "play.yml"), "-e", json.dumps(variables)],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        subprocess.run(start, check=True)
        assert "changed=0" in play(), "a healthy server needs nothing"
        first = int(pid_file.read_text())
        os.kill(first, 9)
        assert "RUNNING HANDLER [Restart the server]" in play()
        second = int(pid_file.read_text())
        assert second != first
        assert "RUNNING HANDLER" not in play(), "it resolves, and nothing is done"
        assert "changed=0" in play(), "a second run does nothing"
        busy = {"above": -1.0, "hold_seconds": 0.0}
        assert "RUNNING HANDLER [Ask for more capacity]" in play(cpu_saturated=busy)
        assert "changed=0" in play(cpu_saturated=busy)
        assert int(pid_file.read_text()) == second
    finally:
        os.kill(int(pid_file.read_text()), 9)
