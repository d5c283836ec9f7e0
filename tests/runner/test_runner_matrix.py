# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook on the demo's fleet, through ``ansible-runner run`` and through ``transmit | worker | process``.

Run: ``make runner``; ``MODELOPS_RUNNER_HOSTS=gpu-b2,cpu-b1`` takes some of the demo's hosts. One fleet of real llama.cpp
servers lives through all of it, in order. Provision, gateway, monitoring and run_jobs set up packages, users and systemd units,
and the demo's hosts are all this one machine: those run in check mode, or refuse it. ``make playbooks`` runs them on hosts.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from runner_fleet import Job, RunnerFleet

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")

ROOT = Path(__file__).resolve().parents[2]
WAYS = ("run", "stream")
UNDER_SYSTEMD = Path("/run/systemd/system").is_dir()
QUICK = {"cooldown_seconds": 1, "settle_seconds": 0, "next_step_seconds": 0}
# The memory, disks and processors of the machine the tests run on are none of this fleet's.
CALM = {"memory_short": {"below": 0}, "disk_full": {"below": 0}, "cpu_saturated": {"above": 1e6}}
GONE: set[tuple[str, str]] = set()
REMEDIATE = {"remediate_watch_seconds": 1, "remediate_watch_looks": 1, "modelops_remediation_policy": QUICK}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerFleet]:
    hosts = [name for name in os.environ.get("MODELOPS_RUNNER_HOSTS", "").split(",") if name]
    fleet = RunnerFleet(tmp_path_factory.mktemp("runner"), hosts=hosts)
    yield fleet
    fleet.stop()


def through(fleet: RunnerFleet, way: str, playbook: str, **extra: Any) -> Job:
    job = sent(fleet, way, playbook, **extra)
    assert job.status == "successful", job.output
    return job


def sent(fleet: RunnerFleet, way: str, playbook: str, **extra: Any) -> Job:
    job: Job = getattr(fleet, way)(playbook, **extra)
    GONE.add((way, playbook))
    return job


@pytest.mark.parametrize("way", WAYS)
def test_plan(fleet: RunnerFleet, way: str) -> None:
    shutil.rmtree(fleet.output, ignore_errors=True)
    job = through(fleet, way, "plan")
    assert "Short: nothing" in job.output
    assert fleet.plan()["placements"]


@pytest.mark.parametrize("way", WAYS)
def test_apply(fleet: RunnerFleet, way: str) -> None:
    job = through(fleet, way, "apply")
    assert fleet.silent() == []
    # What the first way has done, the other finds done.
    assert (job.changed() > 0) == (way == WAYS[0])


@pytest.mark.parametrize("way", WAYS)
def test_site(fleet: RunnerFleet, way: str) -> None:
    through(fleet, way, "site", plan_report=False)
    assert fleet.silent() == []


@pytest.mark.parametrize("way", WAYS)
def test_simulate(fleet: RunnerFleet, way: str) -> None:
    (fleet.output / "simulation.html").unlink(missing_ok=True)
    asked = {"modelops_simulation_accelerator_type": "l40s-48gb", "modelops_simulation_days": 1}
    through(
        fleet, way, "simulate", modelops_simulation_step_seconds=1800, modelops_simulation_fidelity="fluid", **asked
    )
    assert (fleet.output / "simulation.html").stat().st_size > 10_000


@pytest.mark.parametrize("way", WAYS)
def test_upgrade(fleet: RunnerFleet, way: str) -> None:
    """Without a gateway there is nobody to compare requests with: on the release already, and said so."""
    job = through(fleet, way, "upgrade", upgrade_model="code-7b")
    assert "code-7b" in job.output and fleet.silent() == []


@pytest.mark.parametrize("way", WAYS)
def test_remediate(fleet: RunnerFleet, way: str) -> None:
    place = fleet.plan()["placements"][0]
    fleet.stop_replica(place)
    through(fleet, way, "remediate", remediate_alerts=[alert(place)], **REMEDIATE)
    assert fleet.silent() == []


@pytest.mark.parametrize("way", WAYS)
def test_watch(fleet: RunnerFleet, way: str) -> None:
    job = through(fleet, way, "watch", watch_rules=CALM, **REMEDIATE)
    assert "Evaluate the alerts" in job.output and fleet.silent() == []


@pytest.mark.parametrize("way", WAYS)
def test_certificates(fleet: RunnerFleet, way: str) -> None:
    """The demo has neither gateway nor monitoring, so that its hosts get to know whom to trust, and the controller."""
    own = {"certificates_authority_file": str(fleet.state / "ca/authority.json"), "certificates_install": False}
    own.update(modelops_internal_ca=True, modelops_watch=True, modelops_tls_dir=str(fleet.state / "tls"))
    if os.geteuid() != 0:  # its files are root's
        through(fleet, way, "certificates", check=True, **own)
        return
    job = through(fleet, way, "certificates", **own)
    assert (job.changed() > 0) == (way == WAYS[0])
    assert (fleet.output / "ca.pem").read_text() == (fleet.state / "tls/ca.pem").read_text()


@pytest.mark.parametrize("way", WAYS)
def test_answer_alerts(fleet: RunnerFleet, way: str) -> None:
    """As the rulebook starts it where no Alertmanager answers: what it was told is gone by."""
    place = fleet.plan()["placements"][-1]
    fleet.stop_replica(place)
    job = through(fleet, way, "answer_alerts", monitoring_told=[alert(place)], **REMEDIATE)
    assert "1 alerts fire: ModelServerDown" in job.output
    assert fleet.silent() == []


@pytest.mark.parametrize("way", WAYS)
def test_profile(fleet: RunnerFleet, way: str) -> None:
    """A figure, or why there is none: ``test_playbook_profile.py`` holds the figure to account, this the way it comes."""
    sweep = {
        **{"profile_seconds": 45, "profile_level_seconds": 3, "profile_most_rate": 400, "profile_most_at_once": 64},
        **{"profile_output_tokens": 64, "profile_prompt_words": 12, "profile_again": True},
        "profile_slo": {"ttft_seconds": 1.0, "latency_seconds": 1.5, "quantile": 0.9},
    }
    job = through(fleet, way, "profile", profile_model="code-7b", profile_hosts=["gpu-b2"], **sweep)
    assert "code-7b sustains " in job.output or "nothing was found out" in job.output
    assert fleet.silent() == []


@pytest.mark.parametrize("way", WAYS)
def test_tune(fleet: RunnerFleet, way: str) -> None:
    for history in fleet.output.glob("tuning-*"):
        history.unlink()
    search = {
        **{"tune_model": "code-7b", "tune_host": "gpu-b2", "tune_method": "random", "tune_repeats": 2},
        "tune_parameters": {"ctx-size": {"values": [256, 512], "default": 512}},
        "tune_objective": {"metric": "requests_per_second", "limits": {"latency_seconds": 20}},
        **{"tune_load_seconds": 2, "tune_load_at_once": 2, "tune_output_tokens": 4, "tune_prompt_words": 4},
    }
    through(fleet, way, "tune", tune_max_trials=1, **search)
    assert list(fleet.output.glob("tuning-code-7b-*.json"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("playbook", ["gateway", "monitoring"])
def test_of_what_the_demo_has_no_host_nothing_is_made(fleet: RunnerFleet, way: str, playbook: str) -> None:
    job = through(fleet, way, playbook, check=True)
    # Under systemd, the serving hosts would get the gateway's agent.
    assert job.changed() == 0 or UNDER_SYSTEMD


@pytest.mark.skipif(UNDER_SYSTEMD, reason="systemd runs this machine, so the playbook would not refuse it")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("playbook", "says"), [("provision", "This role prepares systemd hosts"), ("run_jobs", "Jobs need systemd")]
)
def test_what_needs_systemd_refuses_this_machine_and_the_reason_comes_back(
    fleet: RunnerFleet, way: str, playbook: str, says: str
) -> None:
    job = sent(fleet, way, playbook, check=playbook == "provision")
    assert job.status == "failed" and says in job.output


@pytest.mark.parametrize("way", WAYS)
def test_awx_setup(fleet: RunnerFleet, way: str) -> None:
    """Without a controller: the data is looked at, and what would be sent is listed."""
    objects = str(ROOT / "extensions/awx/objects.yml")
    job = through(fleet, way, "awx_setup", check=True, awx_setup_host="", awx_setup_objects=objects)
    assert "+ workflows fleet loop" in job.output


def test_every_playbook_went_both_ways() -> None:
    """Only where the whole file was run."""
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    if UNDER_SYSTEMD:
        playbooks -= {"provision", "run_jobs"}
    assert {(way, playbook) for way in WAYS for playbook in playbooks} - GONE == set()


def alert(place: dict[str, Any]) -> dict[str, Any]:
    at = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    labels = {"alertname": "ModelServerDown", **{key: str(place[key]) for key in ("host", "model", "slot")}}
    return {"status": "firing", "labels": labels, "startsAt": at}
