# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook run_jobs with a real slurmctld and slurmd of Debian, on one host.

The tests are one story and run in order.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lab"))

from job_lab import JobHost, one_host, said, training  # noqa: E402
from lab_fleet import why_not  # noqa: E402
from slurm_conf import CONF, CORES, INSTALL  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica  # noqa: E402

pytestmark = [pytest.mark.systemd, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "can run")]

NODE = f"NodeName=lab-a1 {CORES} Gres=gpu:4 State=UNKNOWN"
SLURM = f"""{INSTALL.format(packages="slurmctld slurmd slurm-client")}
cat > /etc/slurm/slurm.conf <<END
{CONF.format(controller="lab-a1", more=NODE)}END
touch /dev/card0 /dev/card1 /dev/card2 /dev/card3
echo 'Name=gpu File=/dev/card[0-3]' > /etc/slurm/gres.conf
systemctl restart munge slurmctld slurmd
useradd --system --create-home research
mkdir -p /srv/jobs
"""


LONG = 20_000


def train(steps: int, **fields: Any) -> dict[str, Any]:
    return training(steps, **{"environment": {"QUOTES": 'a "b" $HOME `c` \'\\'}, "owner": "science", **fields})


class SlurmLab(JobHost):
    """One host that is a whole cluster."""

    settings = {
        "modelops_job_owners": {"science": {"user": "research"}},
        "modelops_job_backend": "slurm",
        "modelops_job_work_dir": "/srv/jobs",
        "run_jobs_period_seconds": 60,
    }

    def log(self, name: str) -> list[str]:
        return self.sh(f"cat /srv/jobs/{name}/output.log", check=False).splitlines()

    def queue(self) -> str:
        return self.sh("squeue --noheader --format='%j %T %u %b' --sort=j")

    def wait_for_log(self, name: str, count: int) -> list[str]:
        self.lab.wait("lab-a1", f"test $(wc -l < /srv/jobs/{name}/output.log) -ge {count}", seconds=60)
        return self.log(name)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmLab]:
    with one_host("slurm", "--bare") as lab:
        lab.sh("lab-a1", SLURM, seconds=400)
        lab.wait(
            "lab-a1",
            "sinfo --noheader --format=%T | grep -q idle || ! scontrol update nodename=lab-a1 state=resume",
            seconds=60,
        )
        yield SlurmLab(lab, tmp_path_factory.mktemp("output"))


def test_check_mode_submits_nothing(slurm: SlurmLab) -> None:
    slurm.jobs = {"long": train(LONG, accelerators=2)}
    run = slurm.run("--check")
    assert run.code == 0, run.output
    assert "long is submitted (attempt 1) for 2 accelerators" in said(run), run.output
    assert slurm.queue() == ""
    assert slurm.sh("ls /srv/jobs; ls /var/lib/modelops/jobs.json 2>/dev/null", check=False) == ""


def test_jobs_run_as_their_owner_s_user_with_the_accelerators_and_the_deadline_of_the_schedule(slurm: SlurmLab) -> None:
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 86_400))
    slurm.jobs["long"]["deadline"] = f"{tomorrow}Z"
    slurm.jobs["oops"] = train(10, command=["/bin/sh", "-c", "exit 3"], retries=0)
    run = slurm.run()
    assert run.code == 0, run.output
    user = slurm.sh("id -u research")
    assert slurm.wait_for_log("long", 1)[0].endswith(f"as {user}")
    assert slurm.queue() == "modelops-long RUNNING research gres:gpu:2"
    shown = slurm.sh("scontrol show job $(squeue --noheader --format=%i --name=modelops-long)")
    assert f"Deadline={tomorrow}" in shown
    assert "Comment=modelops 1" in shown


def test_what_became_of_them_is_read_back_and_another_run_changes_nothing(slurm: SlurmLab) -> None:
    run = slurm.run()
    assert run.code == 0, run.output
    assert "oops failed on slurm (failed, status 3): failed 1 times, last with failed, status 3" in said(run)
    again = slurm.run()
    assert (again.code, again.changed) == (0, 0), again.output
    assert slurm.queue() == "modelops-long RUNNING research gres:gpu:2"


def test_the_reservation_follows_the_plan_and_jobs_give_way_with_a_checkpoint(slurm: SlurmLab) -> None:
    slurm.serve([Replica("lab-a1", 0, "chat", "1", 8100, (0,))])
    run = slurm.run()
    assert run.code == 0, run.output
    assert "serving has the nodes lab-a1" in said(run)
    assert "long on lab-a1: stopping, serving takes lab-a1 back" in said(run)
    shown = slurm.sh("scontrol show reservation modelops_serving")
    assert "Nodes=lab-a1" in shown
    assert "Users=root" in shown
    record = slurm.record("long")
    saved = int(slurm.log("long")[1].split()[1])
    assert record["ended"][-1]["end"] == "preempted"
    assert record["ended"][-1]["share"] == pytest.approx(saved / LONG, abs=1e-5)
    assert record["ended"][-1]["accelerator_hours"] > 0
    time.sleep(5)  # Slurm looks every two seconds, and must not start it there
    assert "RUNNING" not in slurm.queue()


def test_when_serving_leaves_it_goes_on_from_its_checkpoint(slurm: SlurmLab) -> None:
    saved = int(slurm.log("long")[1].split()[1])
    slurm.serve([])
    run = slurm.run()
    assert run.code == 0, run.output
    assert "No reservations" in slurm.sh("scontrol show reservation")
    assert slurm.wait_for_log("long", 3)[2].startswith(f"from {saved} on")


def test_a_job_that_finishes_is_done_and_is_not_submitted_again(slurm: SlurmLab) -> None:
    slurm.jobs["brief"] = train(10)
    assert slurm.run().code == 0
    slurm.wait_for_log("brief", 2)
    slurm.lab.wait("lab-a1", 'test -z "$(squeue --noheader --name=modelops-brief)"', seconds=60)
    run = slurm.run()
    assert "brief finished on slurm: done" in said(run)
    assert slurm.record("brief")["phase"] == "done"
    assert slurm.run().changed == 0


def test_cancel(slurm: SlurmLab) -> None:
    run = slurm.run("-e", '{"run_jobs_cancel": ["long"]}')
    assert run.code == 0, run.output
    assert slurm.record("long")["phase"] == "canceled"
    assert slurm.queue() == ""


def test_slurm_down_is_one_message_and_nothing_is_put_on_record(slurm: SlurmLab) -> None:
    before = slurm.sh("cat /var/lib/modelops/jobs.json")
    slurm.jobs["more"] = train(30)
    slurm.sh("systemctl stop slurmctld")
    run = slurm.run()
    assert run.code != 0
    assert "Slurm: squeue failed: Failed while looking for jobs." in said(run)
    assert "Look at it with 'scontrol ping' on the host that submits; jobs that run go on" in said(run)
    assert slurm.sh("cat /var/lib/modelops/jobs.json") == before
    slurm.sh("systemctl start slurmctld")
    slurm.lab.wait("lab-a1", "sinfo", seconds=60)
    assert slurm.run().code == 0
