# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook apply on two real systemd hosts, reached by ssh: what it makes of them, and what it mends.

The tests are one story and run in order; each names the fault it makes.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from lab_fleet import LabFleet, why_not  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica  # noqa: E402

pytestmark = [pytest.mark.systemd, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "can run")]

KEY = "a-key-of-the-test"
KEY_FILE = "/etc/modelops-keys/keyed"
DRAIN_SECONDS = 12


def model(**fields: Any) -> dict[str, Any]:
    return {
        "engine": "llama_cpp",
        "version": "1",
        "artifact": {"src": "/srv/lab/tiny.gguf"},
        "resources": {"accelerators": 1, "accelerator_memory_gib": 20, "cpu_cores": 1, "memory_gib": 0.25},
        "capacity": {"l40s-48gb": {"requests_per_second": 2.0, "service_time_seconds": 1.0}},
        "ready_timeout_seconds": 60,
        **fields,
    }


CATALOGUE = {
    "chat": model(engine_args={"ctx-size": 512, "parallel": 2}),
    "keyed": model(engine_args={"ctx-size": 512}, api_key_file=KEY_FILE),
    # A server of one's own, on the CPU, that may take its time to stop.
    "own": model(
        engine="command",
        executable=["/opt/llama/bin/python", "/opt/modelops/llama_server.py", "--model", "{model_path}"]
        + ["--alias", "{alias}", "--port", "{port}"],
        probe="completion",
        drain_seconds=DRAIN_SECONDS,
        resources={"cpu_cores": 1, "memory_gib": 0.25},
    ),
}
CHAT_A = Replica("lab-a1", 0, "chat", "1", 8100, (0,))
KEYED_A = Replica("lab-a1", 1, "keyed", "1", 8101, (1,))
CHAT_B = Replica("lab-b1", 0, "chat", "1", 8100, (0,))
OWN_B = Replica("lab-b1", 1, "own", "1", 8101, ())
ALL = [CHAT_A, KEYED_A, CHAT_B, OWN_B]
UNITS = {
    "lab-a1": ("modelops-chat-0", "modelops-keyed-1"),
    "lab-b1": ("modelops-chat-0", "modelops-own-1"),
}
TRACES = (
    "ls -l /etc/systemd/system /etc/modelops /etc/ansible/facts.d /opt/modelops /var/lib/modelops /run/modelops "
    "/var/log/modelops 2>&1; getent passwd modelops; getent group modelops; true"
)


@pytest.fixture(scope="module")
def fleet() -> Iterator[LabFleet]:
    lab = LabFleet(os.environ.get("MODELOPS_LAB", "test"), CATALOGUE)
    lab.directory.parent.mkdir(parents=True, exist_ok=True)
    with open(lab.directory.parent / "test.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one test session at a time
        try:
            lab.down()  # what an aborted session left
            lab.up(2)
            subprocess.run(
                [sys.executable, str(ROOT / "inventories/demo/tiny_model.py"), "--dest", str(lab.share / "tiny.gguf")],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            yield lab
        finally:
            lab.down()


def complete(fleet: LabFleet, replica: Replica, key: str = "") -> str:
    """The HTTP status of a completion asked for on the replica's own host."""
    body = json.dumps({"model": replica.model, "prompt": "Once", "max_tokens": 4})
    header = f"-H 'Authorization: Bearer {key}'" if key else ""
    return fleet.sh(
        replica.host,
        f"curl -s -o /dev/null -w '%{{http_code}}' {header} -H 'Content-Type: application/json' "
        f"-d '{body}' http://127.0.0.1:{replica.port}/v1/completions",
        check=False,
    )


def unit_property(fleet: LabFleet, host: str, unit: str, name: str) -> str:
    return fleet.sh(host, f"systemctl show --value --property={name} {unit}")


def test_check_mode_on_a_fresh_host_says_what_it_would_do_and_does_nothing(fleet: LabFleet) -> None:
    before = {host: fleet.sh(host, TRACES) for host in UNITS}
    run = fleet.apply(ALL, "--check", "--diff")
    assert run.code == 0, run.output
    for host, units in UNITS.items():
        for unit in units:
            assert f"{host}: started {unit}" in run.did()
    assert "+ExecStart=" in run.output
    assert {host: fleet.sh(host, TRACES) for host in UNITS} == before


def test_apply_starts_every_replica_until_it_answers(fleet: LabFleet) -> None:
    for host in UNITS:  # the key comes by the operator's own way, before the first apply
        fleet.sh(
            host,
            f"groupadd --system modelops && install -d -m 0755 {Path(KEY_FILE).parent} && printf {KEY} > {KEY_FILE} "
            f"&& chown root:modelops {KEY_FILE} && chmod 0640 {KEY_FILE}",
        )
    run = fleet.apply(ALL)
    assert run.code == 0, run.output
    assert [complete(fleet, replica, KEY if replica is KEYED_A else "") for replica in ALL] == ["200"] * 4
    for host, units in UNITS.items():
        for unit in units:
            pid = fleet.pids()[f"{host}/{unit}"]
            assert fleet.sh(host, f"ps -o user= -p {pid}") == "modelops"
            assert unit_property(fleet, host, unit, "Slice") == "modelops.slice"
            assert unit_property(fleet, host, unit, "Restart") == "always"
            assert fleet.sh(host, f"systemctl is-enabled {unit}") == "enabled"


def test_startup_times_are_measured(fleet: LabFleet) -> None:
    state = json.loads(fleet.sh("lab-a1", "cat /etc/ansible/facts.d/modelops.fact"))
    assert [(one["slot"], one["model"], one["service"]) for one in state["replicas"]] == [
        (0, "chat", "modelops-chat-0"),
        (1, "keyed", "modelops-keyed-1"),
    ]
    assert all(0.05 < one["startup_seconds"] < 60 for one in state["replicas"])
    assert sorted(state["startup_seconds"]) == ["chat", "keyed"]


def test_units_pass_systemds_own_checks(fleet: LabFleet) -> None:
    for host, units in UNITS.items():
        for unit in units:
            # With 2>&1: a warning is a failure.
            assert fleet.sh(host, f"systemd-analyze verify /etc/systemd/system/{unit}.service 2>&1") == ""
            verdict = fleet.sh(host, f"systemd-analyze security --no-pager {unit}.service | tail -1")
            score = float(re.search(r": (\d+\.\d+) ", verdict).group(1))  # type: ignore[union-attr]
            assert score <= 2.0, verdict


def test_systemd_waits_longer_than_the_engine_drains(fleet: LabFleet) -> None:
    assert unit_property(fleet, "lab-b1", "modelops-own-1", "TimeoutStopUSec") == f"{DRAIN_SECONDS + 30}s"
    assert unit_property(fleet, "lab-a1", "modelops-chat-0", "TimeoutStopUSec") == "20s"  # it cuts its work at once


def test_the_key_is_for_the_replica_alone(fleet: LabFleet) -> None:
    assert complete(fleet, KEYED_A) == "401"
    unit, pid = "modelops-keyed-1", fleet.pids()["lab-a1/modelops-keyed-1"]
    settings = f"/etc/modelops/{unit}.env"
    assert fleet.sh("lab-a1", f"stat -c '%a %U:%G' {settings}") == "640 root:modelops"
    assert fleet.sh("lab-a1", f"setpriv --reuid=65534 --clear-groups cat {settings} && echo read", check=False) == ""
    everywhere = f"systemctl show {unit}; cat /etc/systemd/system/{unit}.service {settings} /proc/{pid}/cmdline"
    everywhere += f"; cat /proc/{pid}/environ /etc/ansible/facts.d/modelops.fact; journalctl --no-pager"
    found = fleet.sh("lab-a1", f"({everywhere}) | tr '\\0' '\\n'")
    assert KEY_FILE in found
    assert KEY not in found


def test_a_second_apply_changes_nothing(fleet: LabFleet) -> None:
    before = fleet.pids()
    looked = fleet.apply(ALL, "--check", "--diff")
    assert (looked.code, looked.changed, looked.did()) == (0, 0, []), looked.output
    assert "\n+++ " not in looked.output
    run = fleet.apply(ALL)
    assert (run.code, run.changed, run.did()) == (0, 0, []), run.output
    assert fleet.pids() == before


def test_systemd_restarts_a_killed_replica(fleet: LabFleet) -> None:
    victim = fleet.pids()["lab-a1/modelops-chat-0"]
    fleet.sh("lab-a1", "systemctl kill --signal=KILL modelops-chat-0")
    fleet.wait("lab-a1", f"curl -sf localhost:{CHAT_A.port}/health", seconds=30)
    assert fleet.pids()["lab-a1/modelops-chat-0"] not in (0, victim)


def test_what_a_killed_replica_leaves_in_shared_memory_is_gone(fleet: LabFleet) -> None:
    def look(command: str) -> str:
        pid = fleet.pids()["lab-a1/modelops-chat-0"]
        return fleet.sh("lab-a1", f"nsenter --target {pid} --mount sh -c '{command}'")

    assert look("touch /dev/shm/psm_left && ls /dev/shm") == "psm_left"
    assert fleet.sh("lab-a1", "ls /dev/shm") == ""
    fleet.sh("lab-a1", "systemctl kill --signal=KILL modelops-chat-0")
    fleet.wait("lab-a1", f"curl -sf localhost:{CHAT_A.port}/health", seconds=30)
    assert look("ls /dev/shm") == ""


def test_apply_mends_exactly_what_is_broken(fleet: LabFleet) -> None:
    before = fleet.pids()
    weights = "/opt/modelops/models/chat/1/tiny.gguf"
    checksum = fleet.sh("lab-a1", f"sha256sum {weights}")
    fleet.sh("lab-a1", "systemctl stop modelops-keyed-1 && rm -r /opt/modelops/models/chat")
    fleet.sh("lab-a1", "systemctl --quiet disable modelops-chat-0")
    definition = "/etc/systemd/system/modelops-chat-0.service /etc/modelops/modelops-chat-0.env"
    fleet.sh("lab-b1", f"rm {definition} && systemctl daemon-reload")
    run = fleet.apply(ALL)
    assert run.code == 0, run.output
    assert run.did() == [
        "lab-a1: put the definition of modelops-chat-0 right",
        "lab-a1: started modelops-keyed-1",
        "lab-b1: put the definition of modelops-chat-0 right",
    ]
    after = fleet.pids()
    assert after.pop("lab-a1/modelops-keyed-1") > 0
    assert after == {name: pid for name, pid in before.items() if name in after}
    assert fleet.sh("lab-a1", f"sha256sum {weights}") == checksum
    assert [fleet.sh(host, "systemctl is-enabled modelops-chat-0") for host in UNITS] == ["enabled"] * 2
    assert [complete(fleet, replica, KEY if replica is KEYED_A else "") for replica in ALL] == ["200"] * 4


def test_settings_taken_up_by_hand_are_restarted_away(fleet: LabFleet) -> None:
    before = fleet.pids()
    unit = "/etc/systemd/system/modelops-own-1.service"
    fleet.sh("lab-b1", f"sed -i 's/--alias own/--alias other/' {unit} && systemctl daemon-reload")
    fleet.sh("lab-b1", "systemctl restart modelops-own-1")
    by_hand = fleet.pids()["lab-b1/modelops-own-1"]
    run = fleet.apply(ALL)
    assert run.code == 0, run.output
    assert run.did() == ["lab-b1: restarted modelops-own-1"]
    after = fleet.pids()
    assert after.pop("lab-b1/modelops-own-1") not in (0, by_hand)
    assert after == {name: pid for name, pid in before.items() if name in after}
    assert fleet.sh("lab-b1", "pgrep -f -- '[-]-alias other'", check=False) == ""


def test_a_replica_that_is_planned_no_more_leaves_nothing(fleet: LabFleet) -> None:
    before = fleet.pids()
    run = fleet.apply([CHAT_A, CHAT_B, OWN_B])
    assert run.code == 0, run.output
    assert run.did() == ["lab-a1: removed modelops-keyed-1"]
    gone = before.pop("lab-a1/modelops-keyed-1")
    assert fleet.pids() == before
    left = "ls -d /etc/systemd/system/*modelops-keyed* /etc/systemd/system/*/*modelops-keyed* /etc/modelops/*keyed*"
    assert fleet.sh("lab-a1", f"{left} /proc/{gone} 2>/dev/null", check=False) == ""
    assert fleet.sh("lab-a1", "find /sys/fs/cgroup -name 'modelops-keyed*'") == ""
    assert fleet.sh("lab-a1", "pgrep -f -- '[-]-alias keyed'", check=False) == ""
    assert fleet.sh("lab-a1", "systemctl list-units --all --no-legend 'modelops-keyed*'") == ""


def test_a_plan_with_work_for_a_frozen_host_is_refused_before_anything_stops(fleet: LabFleet) -> None:
    before = fleet.pids()
    fleet.podman("pause", "lab-b1")
    try:
        # Chat would go from a1 and come to b1.
        run = fleet.apply([CHAT_B, OWN_B, Replica("lab-b1", 2, "chat", "1", 8102, (1,))])
    finally:
        fleet.podman("unpause", "lab-b1")
    assert run.code != 0
    assert "it has work for host lab-b1, which does not answer" in " ".join(run.output.split())
    assert run.seconds < 90
    assert fleet.pids() == before


def test_a_dead_host_is_left_out_and_serves_again_after_its_boot(fleet: LabFleet) -> None:
    everything = list(fleet.running)
    before = fleet.pids()["lab-a1/modelops-chat-0"]
    fleet.podman("kill", "lab-b1")
    fleet.running = [CHAT_A]  # what still answers
    run = fleet.apply([CHAT_A])
    assert (run.code, run.changed) == (0, 0), run.output
    assert "lab-b1 did not answer and was left as it is" in run.output
    fleet.up(2)
    for replica in (CHAT_B, OWN_B):
        fleet.wait("lab-b1", f"curl -sf localhost:{replica.port}/health", seconds=30)
    fleet.running = everything
    run = fleet.apply(everything)
    assert (run.code, run.changed, run.did()) == (0, 0, []), run.output
    assert fleet.pids()["lab-a1/modelops-chat-0"] == before
