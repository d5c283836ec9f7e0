# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook run_jobs on a real systemd host: real processes, signals, checkpoints, leases, logs.

The tests are one story and run in order.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from job_lab import JobHost, one_host, said, training  # noqa: E402
from lab_fleet import why_not  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica  # noqa: E402

pytestmark = [pytest.mark.systemd, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "can run")]

QUOTES = 'a "b" $HOME `c` %d \'\\'
# Steps of a job that is still at it when its test is over, however slow this machine is.
LONG = 30_000


def train(steps: int, **fields: Any) -> dict[str, Any]:
    return training(steps, **{"environment": {"QUOTES": QUOTES}, "owner": "research", **fields})


class JobLab(JobHost):
    settings = {"modelops_job_owners": {"research": {}}, "run_jobs_period_seconds": 30, "run_jobs_settle_seconds": 0}

    def log(self, name: str) -> str:
        return self.sh(f"cat /var/log/modelops/jobs/{name}.log", check=False)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobLab]:
    with one_host("jobstest") as lab:
        # As deploy leaves it where replicas run: jobs have no business in it, and must run nevertheless.
        lab.sh("lab-a1", "install -d -m 0750 -o daemon -g daemon /var/lib/modelops")
        yield JobLab(lab, tmp_path_factory.mktemp("output"))


def test_check_mode_says_what_it_would_start_and_leaves_nothing(jobs: JobLab) -> None:
    jobs.jobs = {"long": train(LONG, accelerators=2)}
    run = jobs.run("--check")
    assert run.code == 0, run.output
    assert "long starts on lab-a1, accelerators 2, 3" in said(run)
    assert (
        jobs.sh("ls -A /var/lib/modelops /var/log/modelops 2>&1; getent passwd modelops-jobs", check=False).count("\n")
        < 2
    )
    assert jobs.sh("systemctl list-units --all --no-legend 'modelops*'") == ""


def test_a_job_runs_confined_and_unprivileged_and_a_slip_in_another_does_not_keep_it(jobs: JobLab) -> None:
    jobs.jobs["oops"] = train(1, command=["/bin/sh", "-c", "echo oh no >&2; exit 3"], retries=0)
    jobs.jobs["huge"] = train(1, accelerators=16)
    jobs.jobs["whose"] = train(1, owner="somebody")
    jobs.jobs["past"] = train(1, deadline="2026-01-01T00:00:00Z")
    run = jobs.run()
    assert run.code != 0
    text = said(run)
    assert "3 of 5 jobs refused, all others were seen to: huge: it needs 16 accelerators on one host" in text
    assert "past: its deadline 2026-01-01T00:00:00Z had passed when it was asked for; give it a later one" in text
    assert "whose: its owner 'somebody' is not known; modelops_job_owners has research" in text
    jobs.jobs = {name: job for name, job in jobs.jobs.items() if name in ("long", "oops")}
    user = jobs.sh("id -u modelops-jobs")
    jobs.lab.wait("lab-a1", "test -s /var/log/modelops/jobs/long.log", seconds=30)
    assert jobs.log("long") == f"from 0 on 2,3 as {user}"
    shown = jobs.sh("systemctl show modelops-job-long -p Slice,OOMScoreAdjust,KillSignal,NoNewPrivileges,ProtectSystem")
    for line in (
        "Slice=modelops_jobs.slice",
        "OOMScoreAdjust=500",
        "KillSignal=10",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
    ):
        assert line in shown
    assert jobs.sh("systemctl show -P CPUWeight modelops_jobs.slice") == "20"
    assert jobs.sh("cat /proc/$(systemctl show -P MainPID modelops-job-long)/oom_score_adj") == "500"


def test_systemd_itself_keeps_a_second_one_from_starting(jobs: JobLab) -> None:
    assert "already" in jobs.sh("systemd-run --unit modelops-job-long true 2>&1", check=False)


def test_exit_codes_and_logs_are_collected(jobs: JobLab) -> None:
    run = jobs.run()
    assert run.code == 0, run.output
    assert "oops failed on lab-a1 (exit-code, status 3): failed 1 times, last with exit-code, status 3" in said(run)
    assert (jobs.output / "job-logs" / "oops-1.log").read_text() == "oh no\n"
    assert jobs.record("oops")["phase"] == "failed"


def test_another_run_changes_nothing(jobs: JobLab) -> None:
    before = jobs.sh("systemctl show -P MainPID,InvocationID modelops-job-long")
    run = jobs.run()
    assert (run.code, run.changed) == (0, 0), run.output
    assert jobs.sh("systemctl show -P MainPID,InvocationID modelops-job-long") == before
    assert jobs.sh("systemctl list-units --no-legend --plain 'modelops-lease-long*.timer' | wc -l") == "1"


def test_whoever_reloads_systemd_leaves_a_job_its_end(jobs: JobLab) -> None:
    # As apply does for each new replica. What the next test finds on record comes of these.
    jobs.sh("systemctl daemon-reload")
    for hook in ("ExecStop", "ExecStopPost"):
        assert "/var/lib/modelops-jobs/state/hook" in jobs.sh(f"systemctl show -P {hook} modelops-job-long")


def test_serving_takes_its_accelerators_back_and_the_job_goes_on_from_its_checkpoint(jobs: JobLab) -> None:
    jobs.serve([Replica("lab-a1", 0, "chat", "1", 8100, (0, 1, 2))])
    jobs.jobs["long"] = train(LONG, accelerators={"min": 1, "max": 2})
    run = jobs.run()
    assert run.code == 0, run.output
    assert "long on lab-a1: stopping, chat takes accelerator 2 of lab-a1 back" in said(run)
    assert "long starts (attempt 2) on lab-a1, accelerators 3" in said(run)
    jobs.lab.wait("lab-a1", "test $(wc -l < /var/log/modelops/jobs/long.log) -ge 3", seconds=30)
    first, saved, second = jobs.log("long").splitlines()[:3]
    assert first.startswith("from 0 on 2,3")
    assert saved == f"{saved.split(' ' + QUOTES)[0]} {QUOTES}"
    assert second.startswith(f"from {saved.split()[1]} on 3 as")
    record = jobs.record("long")
    assert record["ended"][-1]["end"] == "preempted"
    assert record["ended"][-1]["share"] == pytest.approx(int(saved.split()[1]) / LONG, abs=1e-5)
    assert record["ended"][-1]["accelerator_hours"] > 0


def test_without_a_controller_the_host_stops_it_when_its_lease_is_over_and_the_next_run_goes_on(jobs: JobLab) -> None:
    jobs.serve([])
    jobs.jobs["long"] = train(LONG, accelerators=1)  # else it would go on with the other one that is free now
    assert jobs.run(run_jobs_lease_seconds=5, run_jobs_lease_margin_seconds=0).code == 0
    jobs.lab.wait("lab-a1", "! systemctl is-active modelops-job-long", seconds=60)
    run = jobs.run()
    assert "long was stopped from outside on lab-a1" in said(run)
    assert "long starts (attempt 3) on lab-a1" in said(run)
    assert jobs.record("long")["failures"] == 0


def test_a_job_whose_host_died_goes_on_after_its_boot(jobs: JobLab) -> None:
    jobs.lab.podman("kill", "lab-a1")
    jobs.lab.up(1)
    run = jobs.run()
    assert run.code == 0, run.output
    assert "long was lost on lab-a1" in said(run)
    assert "long starts (attempt 4) on lab-a1" in said(run)


def test_cancel_leaves_nothing_running(jobs: JobLab) -> None:
    run = jobs.run("-e", '{"run_jobs_cancel": ["long"]}')
    assert run.code == 0, run.output
    assert jobs.record("long")["phase"] == "canceled"
    assert jobs.sh("systemctl list-units --all --no-legend 'modelops-job*' 'modelops-lease*'") == ""
    assert jobs.sh("ls /run/systemd/system | grep modelops-job", check=False) == ""
    assert jobs.sh("pgrep -u modelops-jobs", check=False) == ""
    assert jobs.run().changed == 0


def test_a_missing_plan_is_one_message(jobs: JobLab) -> None:
    run = jobs.run(modelops_plan="/nowhere/plan.json")
    assert run.code != 0
    assert "There is no plan at /nowhere/plan.json, so what serving leaves free is not known" in " ".join(
        run.output.split()
    )


def test_a_host_that_remediation_set_aside_gets_no_jobs(jobs: JobLab) -> None:
    event = {
        **{"schema_version": 1, "kind": "remediation", "event": "intent", "id": "q1", "at": 1795767857.0},
        **{
            "step": "quarantine",
            "alert": "AcceleratorEccErrors",
            "target": "lab-a1",
            "scope": "host",
            "host": "lab-a1",
        },
    }
    jobs.sh(f"echo '{json.dumps(event)}' > /var/lib/modelops/remediation.jsonl")
    jobs.jobs = {"next": train(50)}
    run = jobs.run("--check")
    assert run.code == 0, run.output
    assert "next starts" not in said(run)
    jobs.sh("rm /var/lib/modelops/remediation.jsonl")
    assert "next starts on lab-a1" in said(jobs.run("--check"))
