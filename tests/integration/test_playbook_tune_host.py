# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook tune on the kernel's own settings, in a network namespace of the test.

The server is one whose speed hangs on a setting as it was when the server began, and that does not start with another.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import module_command
import pytest
from loop_fleet import Fleet, make_fleet

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and ip, for a network namespace"
    ),
]

NAMESPACE = f"modelops-tune-{os.getpid()}"
IN_USE, FAST, CRASHES = 4096, 1024, 13
SERVER = f"""
import http.server, json, sys, time
found = int(open("/proc/sys/net/core/somaxconn").read())
if found == {CRASHES}:
    sys.exit("no room in the queue")
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.answer(b"ok")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.01 if found == {FAST} else 0.1)
        self.answer(b'data: {{"choices": [{{"text": "x"}}]}}\\n\\ndata: [DONE]\\n\\n')
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SETTING = "sysctl:net.core.somaxconn"
TUNE: dict[str, Any] = {
    **{"tune_model": "own", "tune_host": "alpha", "tune_method": "random", "tune_repeats": 2, "tune_max_trials": 2},
    "tune_parameters": {
        "queue": {"kind": "host", "setting": SETTING, "values": [FAST, CRASHES]},
        "pin": {"kind": "host", "setting": "cpu_affinity", "values": ["0"]},
    },
    "tune_objective": {"metric": "requests_per_second"},
    **{"tune_pairs": 2, "tune_load_seconds": 1, "tune_load_at_once": 2, "tune_ready_timeout_seconds": 8},
}


def value() -> int:
    said = subprocess.check_output(["ip", "netns", "exec", NAMESPACE, "cat", "/proc/sys/net/core/somaxconn"])
    return int(said)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = subprocess.run(["ip", "netns", "add", NAMESPACE], check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    fleet = make_fleet(tmp_path_factory.mktemp("fleet"))
    try:
        subprocess.run(["ip", "-n", NAMESPACE, "link", "set", "lo", "up"], check=True)
        fleet.within = ("ip", "netns", "exec", NAMESPACE)
        server = fleet.root / "server.py"
        server.write_text(SERVER)
        fleet.models["own"] = {
            **{key: one for key, one in fleet.models["chat"].items() if key not in ("artifact", "engine_args")},
            **{"engine": "command", "executable": [sys.executable, str(server), "{port}"]},
        }
        fleet.write_inventory()
        assert value() == IN_USE
        yield fleet
    finally:
        fleet.stop()
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=False)


@pytest.mark.long
def test_a_setting_wins_and_the_host_is_as_before(fleet: Fleet) -> None:
    run = fleet.play("tune", seconds=900, **TUNE)
    assert run.code == 0, run.output
    history = json.loads((fleet.root / "output/tuning-own-l40s-48gb.json").read_text())
    assert {(one["params"]["queue"], one["state"]) for one in history["trials"][:3]} == {
        (IN_USE, "done"),
        (FAST, "done"),
        (CRASHES, "failed"),
    }
    assert history["step"]["changed"] == {"queue": FAST}
    assert "pin is left out, cpu_affinity: only systemd pins" in run.output
    assert "put into the inventory, then provision and apply:" in run.output
    assert "provision_sysctl:" in run.output
    assert f"net.core.somaxconn: {FAST}" in run.output
    assert value() == IN_USE
    assert not list(fleet.run_dir.glob("*/host-tuning.json"))
    assert fleet.running() == {}


def measure_what_is_in_use(history: str) -> None:
    """So that a run begins with a trial."""
    queue = {**TUNE["tune_parameters"]["queue"], "values": [IN_USE, FAST, CRASHES], "default": IN_USE}
    options = {"history": history, "parameters": {"queue": queue}, "objective": TUNE["tune_objective"]}
    options.update(method="random", repeats=2, pairs=2, max_trials=2)
    assert module_command.run_alone("tuning_step", options)["trial"] == 0
    for rate in (20.0, 20.1):
        outcome = {"trial": 0, "seconds": 1, "measurement": {"requests_per_second": rate}}
        step = module_command.run_alone("tuning_step", {**options, "outcome": outcome})
    assert step["host_settings"][SETTING] != IN_USE


@pytest.mark.long
def test_the_next_run_puts_back_what_a_killed_one_left(fleet: Fleet) -> None:
    history = str(fleet.root / "killed.json")
    measure_what_is_in_use(history)
    run = fleet.begin("tune", tune_history=history, **TUNE)
    try:
        until = time.monotonic() + 600
        while value() == IN_USE:
            assert time.monotonic() < until
            assert run.poll() is None, run.communicate()[0]
            time.sleep(0.1)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
    left = value()
    assert left in (FAST, CRASHES)
    assert list(fleet.run_dir.glob("*/host-tuning.json"))
    none = {"profile": {"kind": "host", "setting": "tuned_profile", "values": ["a", "b"]}}
    following = fleet.play("tune", **{**TUNE, "tune_parameters": none})
    assert f"set /proc/sys/net/core/somaxconn from {left} to {IN_USE}" in following.output
    assert "profile is left out, tuned_profile: tuned does not run here" in following.output
    assert "Nothing of tune_parameters can be tuned on alpha" in following.output
    assert value() == IN_USE
    assert not list(fleet.run_dir.glob("*/host-tuning.json"))


def test_check_mode_sets_nothing(fleet: Fleet) -> None:
    run = fleet.play("tune", "--check", tune_history=str(fleet.root / "checked.json"), **TUNE)
    assert run.code == 0, run.output
    assert SETTING in run.output
    assert value() == IN_USE


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        ({"setting": "sysctl:kernel.modprobe", "values": ["/bin/sh"]}, "is no setting of a host that may be tuned"),
        ({"setting": SETTING, "values": ["many"]}, "takes a whole number, not 'many'"),
    ],
)
def test_what_cannot_be_is_one_clear_message(fleet: Fleet, parameter: dict[str, Any], says: str) -> None:
    run = fleet.play("tune", **{**TUNE, "tune_parameters": {"x": {"kind": "host", **parameter}}})
    assert run.code != 0
    assert says in run.output
    assert value() == IN_USE


def test_the_module_alone(fleet: Fleet, tmp_path: Path) -> None:
    record = str(tmp_path / "record.json")
    options = {"settings": {SETTING: 8192}, "record": record}

    def run(**more: Any) -> dict[str, Any]:
        script = f"import module_command, json; print(json.dumps(module_command.run_alone('host_tuning', { ({**options, **more})!r})))"
        words = ["ip", "netns", "exec", NAMESPACE, sys.executable, "-c", script]
        return json.loads(subprocess.check_output(words, cwd=Path(module_command.__file__).parent))

    shown = run(_ansible_check_mode=True, _ansible_diff=True)
    assert (shown["changed"], shown["diff"]["after"]) == (True, {SETTING: "8192"})
    assert value() == IN_USE
    assert run()["actions"] == [f"set /proc/sys/net/core/somaxconn from {IN_USE} to 8192"]
    assert not run()["changed"]
    refused = run(settings={SETTING: 99_999_999_999})
    assert "the kernel refuses '99999999999'" in refused["msg"]
    assert run(state="restored")["changed"]
    assert value() == IN_USE
    assert not run(state="restored")["changed"]
