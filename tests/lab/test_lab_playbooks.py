# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook on a live lab: check mode changes nothing on any host, and a second run has nothing to change.

A new playbook is one row of ``PLAYBOOKS``. The lab has no way out, as a closed site: engines come
from a wheelhouse on the hosts. What "nothing" means is a checksum of each host, ``lab_fleet.HOST_STATE``.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from lab_fleet import LabFleet, assert_same, why_not  # noqa: E402

pytestmark = [pytest.mark.systemd, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "can run")]

SERVING = ("lab-a1", "lab-b1")
HOSTS = (*SERVING, "lab-gw1", "lab-mon1")
LOCK = next((ROOT / "roles/provision/files").glob("llama_cpp-*.lock"))
VERSION = LOCK.stem.partition("-")[2]
MODELS = {
    "chat": {
        "engine": "llama_cpp",
        "version": "1",
        "artifact": {"src": "/srv/lab/tiny.gguf"},
        "resources": {"accelerators": 1, "accelerator_memory_gib": 20, "cpu_cores": 1, "memory_gib": 0.25},
        "capacity": {"l40s-48gb": {"requests_per_second": 2.0, "service_time_seconds": 1.0}},
        "engine_args": {"ctx-size": 512, "parallel": 2},
        "min_replicas": 2,
        "ready_timeout_seconds": 120,
    }
}
PROVISION = (
    ("modelops_engines", [{"name": "llama_cpp", "version": VERSION, "requirements": LOCK.name}]),
    ("provision_engine_find_links", ["/srv/lab/wheels"]),
    ("provision_engine_no_index", True),
    ("provision_accelerators", 0),
    ("provision_firewall", True),
)
# That the machine under the lab is busy with other work is no fault of its hosts.
BUSY = (
    ("watch_rules", {"cpu_saturated": {"above": 1000, "clear": 900}}),
    ("monitoring_rules", {"cpu_hold_seconds": 3600}),
)
# In the order in which they are first run.
PLAYBOOKS = (
    "provision", "gateway", "plan", "apply", "run_jobs", "site", "upgrade", "monitoring", "watch", "answer_alerts", "remediate",
)  # fmt: skip
FLAGS = {"upgrade": ("-e", "upgrade_model=chat"), "remediate": ("-e", '{"remediate_alerts": []}')}


@pytest.fixture(scope="module")
def fleet() -> Iterator[LabFleet]:
    lab = LabFleet("plays", MODELS)
    lab.directory.parent.mkdir(parents=True, exist_ok=True)
    with open(lab.directory.parent / "plays.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one test session at a time
        try:
            lab.down()  # what an aborted session left
            lab.up(2, "--gateway", "--monitoring")
            make_share(lab.share)
            yield lab
        finally:
            lab.down()


def make_share(share: Path) -> None:
    """The wheelhouse of a closed site, and a model."""
    for words in (
        [str(ROOT / "inventories/demo/tiny_model.py"), "--dest", str(share / "tiny.gguf")],
        ["-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        + ["--python-version", "3.11", "--dest", str(share / "wheels"), "-r", str(LOCK)],
    ):
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def flags(fleet: LabFleet, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What every playbook is given."""
    import json

    extra = fleet.directory / "extra.json"
    output = tmp_path_factory.mktemp("output")
    extra.write_text(
        json.dumps({**dict(PROVISION), **dict(BUSY), "modelops_output_dir": str(output)}), encoding="utf-8"
    )
    return ("-e", f"@{extra}")


def test_check_mode_on_bare_hosts_lists_what_it_would_do_and_does_nothing(
    fleet: LabFleet, flags: tuple[str, ...]
) -> None:
    before = fleet.states(HOSTS)
    run = fleet.play("provision", *flags, "--check", "--diff")
    assert run.code == 0, run.output
    assert all(run.recap[host]["changed"] > 5 for host in SERVING)
    assert f"made /opt/modelops/engines/llama_cpp-{VERSION}" in run.output
    assert "+Description=All replicas of models on this host" in run.output
    assert_same(before, fleet.states(HOSTS), run.output)


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_the_first_run_of_each_brings_the_lab_to_life(fleet: LabFleet, flags: tuple[str, ...], playbook: str) -> None:
    run = fleet.play(playbook, *flags, *FLAGS.get(playbook, ()))
    assert run.code == 0, run.output


def test_the_gateway_reaches_them(fleet: LabFleet) -> None:
    ask = """curl -sf -D- localhost:8080/v1/completions -d '{"model": "chat", "prompt": "Once", "max_tokens": 2}'"""
    for host in SERVING:
        fleet.wait("lab-gw1", f"{ask} | grep -i 'x-modelops-replica: {host}-'", seconds=60)


def test_replicas_run_from_the_engine_environment(fleet: LabFleet) -> None:
    for host in SERVING:
        command = fleet.sh(host, "systemctl show --property=ExecStart 'modelops-chat-*'")
        # The lab's inventory names a Python of its own; the environment wins.
        assert f"/opt/modelops/engines/llama_cpp-{VERSION}/bin/python" in command
        fleet.wait(host, "curl -sf localhost:8100/health", seconds=30)


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_check_mode_changes_nothing_and_a_second_run_has_nothing_to_change(
    fleet: LabFleet, flags: tuple[str, ...], playbook: str
) -> None:
    flags = (*flags, *FLAGS.get(playbook, ()))
    before = fleet.states(HOSTS)
    looked = fleet.play(playbook, *flags, "--check", "--diff")
    assert looked.code == 0, looked.output
    assert_same(before, fleet.states(HOSTS), looked.output)
    run = fleet.play(playbook, *flags)
    assert (run.code, looked.changed, run.changed) == (0, 0, 0), looked.output + run.output
    assert_same(before, fleet.states(HOSTS), run.output)


def test_what_was_spoiled_by_hand_is_put_back_and_nothing_else(fleet: LabFleet, flags: tuple[str, ...]) -> None:
    before = fleet.states(HOSTS)
    fleet.sh("lab-a1", "nft delete table inet modelops; systemctl stop prometheus-node-exporter")
    fleet.sh("lab-a1", "sed -i s/500/100/ /etc/systemd/system/modelops.slice")
    fleet.sh(
        "lab-a1", f"rm -r /opt/modelops/engines/llama_cpp-{VERSION}/lib/python3*/site-packages/xllamacpp/__init__.py"
    )
    run = fleet.play("provision", *flags)
    assert run.code == 0, run.output
    assert run.recap["lab-b1"]["changed"] == 0
    after = fleet.states(HOSTS)
    for text in (before, after):
        text["lab-a1"] = "\n".join(line for line in text["lab-a1"].splitlines() if "node-exporter.service" not in line)
    assert_same(before, after, run.output)
