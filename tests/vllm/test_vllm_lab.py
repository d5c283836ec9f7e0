# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real vLLM from bare hosts to an upgrade under load: provision, deploy, gateway, upgrade of a setting.

Two serving hosts and a gateway, systemd containers without a way out: vLLM is installed from a lock file
with hashes out of a wheelhouse, as a closed site does. `make test-vllm` runs it; it is no part of
`make test`. The tests are one story and run in order. Needs root, podman and 8 GiB of memory.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lab"), str(ROOT / "tests" / "benchmarks" / "rollout")]

from lab_fleet import why_not  # noqa: E402
from record import counted, read_record  # noqa: E402
from rig import Rig, replicas  # noqa: E402

VENV = ROOT / ".cache" / "vllm" / "venv"
LOCK = ROOT / "requirements" / "vllm.lock"
VERSION = "0.32.0"
SERVING = ("lab-a1", "lab-b1")
READY_SECONDS = 900
MISSING = why_not() or ("" if (VENV / "ready").exists() else "make test-vllm installs vLLM")

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "can run")


def model(**engine_args: Any) -> dict[str, Any]:
    return {
        "engine": "vllm",
        "engine_version": VERSION,
        "version": "1",
        "artifact": {"src": "/srv/lab/tiny.tar", "unarchive": "always"},
        "engine_args": {"enforce-eager": True, "dtype": "bfloat16", "max-model-len": 512, **engine_args},
        "environment": {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_NUM_OF_RESERVED_CPU": "1",
            "VLLM_ENGINE_READY_TIMEOUT_S": str(READY_SECONDS),
        },
        "ready_timeout_seconds": READY_SECONDS,
        "resources": {"accelerators": 1, "accelerator_memory_gib": 20, "cpu_cores": 1, "memory_gib": 2},
        "capacity": {"l40s-48gb": {"requests_per_second": 4.0, "service_time_seconds": 0.5}},
        "min_replicas": 1,
        "drain_seconds": 60,
    }


def wheelhouse(share: Path) -> Path:
    """Every wheel of the lock file and PyTorch's CPU build on the hosts' share; the lock file that names them all."""
    wheels = share / "wheels"
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "download", "-q", "--no-deps", "--dest", str(wheels)]
    subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
    subprocess.run([*pip, "torch==2.13.0+cpu"], check=True)
    (torch,) = wheels.glob("torch-*.whl")
    lock = share.parent / f"vllm-{VERSION}.lock"
    digest = hashlib.sha256(torch.read_bytes()).hexdigest()
    lock.write_text(f"{LOCK.read_text()}torch==2.13.0+cpu \\\n    --hash=sha256:{digest}\n")
    return lock


class Scenario:
    def __init__(self) -> None:
        self.rig = Rig("vllm")
        self.figures: dict[str, Any] = {}

    def build(self) -> None:
        self.rig.down()  # what an aborted run left
        self.rig.up(2, "--gateway")
        share = self.rig.share
        subprocess.run(
            [str(VENV / "bin/python"), str(Path(__file__).parent / "random_model.py"), str(share / "tiny.tar")],
            check=True,
        )
        self.engine = {"name": "vllm", "version": VERSION, "requirements": str(wheelhouse(share))}
        self.rig.catalogue_is(model(**{"max-num-seqs": 4}))

    def play(self, name: str, **extra: Any) -> Any:
        given = {
            "modelops_engines": [self.engine],
            "provision_engine_find_links": ["/srv/lab/wheels"],
            "provision_engine_no_index": True,
            "provision_accelerators": 0,
            **extra,
        }
        run = self.rig.playbook(name, "-e", json.dumps(given))
        (self.rig.directory / f"{name}.log").write_text(run.output, encoding="utf-8")
        self.figures.setdefault(f"{name}_seconds", []).append(round(run.seconds))
        assert run.code == 0, run.output[-5000:]
        return run

    def words(self, host: str) -> list[str]:
        """The command line of the replica's main process."""
        pid = self.rig.pids_of([host])[f"{host}/modelops-chat-0"]
        return self.rig.sh(host, f"tr '\\0' ' ' < /proc/{pid}/cmdline").split()


@pytest.fixture(scope="module")
def scenario() -> Iterator[Scenario]:
    made = Scenario()
    try:
        made.build()
        yield made
    finally:
        made.rig.down()
        print("\nfigures of vLLM on lab hosts:", json.dumps(made.figures))


def test_hosts_are_provisioned_with_vllm_from_its_lock_file(scenario: Scenario) -> None:
    scenario.play("provision")
    for host in SERVING:
        said = scenario.rig.sh(
            host,
            f"/opt/modelops/engines/vllm-{VERSION}/bin/python -c 'import vllm; print(vllm.__version__)'",
            seconds=180,
        )
        assert said.splitlines()[-1].startswith(VERSION)


def test_replicas_start_and_the_gateway_reaches_both(scenario: Scenario) -> None:
    rig = scenario.rig
    rig.plan(replicas(2, 1))
    for name in ("gateway", "apply"):
        scenario.play(name)
    assert scenario.play("apply").changed == 0
    ask = """curl -sf -D- localhost:8080/v1/completions -d '{"model": "chat", "prompt": "Once", "max_tokens": 4}'"""
    for host in SERVING:
        rig.wait("lab-gw1", f"{ask} | grep -i 'x-modelops-replica: {host}-'", seconds=120)
        words = scenario.words(host)
        assert words[words.index("--max-num-seqs") + 1] == "4"


def test_a_setting_is_upgraded_under_load_and_no_request_fails(scenario: Scenario) -> None:
    rig = scenario.rig
    rig.catalogue_is(model(**{"max-num-seqs": 8}))
    load = rig.start_load("vllm", seconds=3000, rate=1.0, stream_rate=0.1, stream_tokens=100, tokens=8)
    judge = {"minimum_requests": 10, "warmup_seconds": 2, "warmup_requests": 2, "budget": 0.4, "soak_seconds": 4}
    try:
        scenario.play(
            "upgrade", upgrade_model="chat", upgrade_soak_seconds=20, upgrade_look_seconds=20,
            upgrade_observed="1", upgrade_reserve=False, upgrade_judge_settings=judge,
        )  # fmt: skip
    finally:
        scenario.figures["load"] = load.finish()
    counts = counted(read_record(load.record))
    scenario.figures["requests_during_the_upgrade"] = counts
    assert counts["count"] > 100 and (counts["failed"], counts["cut"]) == (0, 0)
    for host in SERVING:
        words = scenario.words(host)
        assert words[words.index("--max-num-seqs") + 1] == "8"


def test_a_second_upgrade_has_nothing_to_change(scenario: Scenario) -> None:
    assert scenario.play("upgrade", upgrade_model="chat").changed == 0
