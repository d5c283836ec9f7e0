# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Slurm on the lab of lab_day.py: slurmctld on the gateway, slurmd on the hosts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from day_world import EACH, HOSTS
from rig import Rig
from slurm_conf import CONF, CORES, INSTALL

from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import slurm_queue

CONTROLLER = "lab-gw1"
PREPARE = """
id research >/dev/null 2>&1 || useradd --system --uid 990 --create-home research
echo {key} | base64 -d > /etc/munge/munge.key && chown munge /etc/munge/munge.key && chmod 0400 /etc/munge/munge.key
echo {conf} | base64 -d > /etc/slurm/slurm.conf
printf 'NodeName={nodes} Name=gpu File=/dev/card[0-{last}]\\n' > /etc/slurm/gres.conf
systemctl restart munge {services}
"""
# A node counts as lost after half a minute, for a day of minutes; the default is five.
MORE = """\
SlurmdParameters=config_overrides
SlurmdTimeout=30
ReturnToService=2
{nodes}"""
# Bare hosts have a network with packages; the engine that the lab's other hosts carry comes from there.
ENGINE = """
set -e
apt-get install -qq -y --no-install-recommends python3-venv libgomp1 libnuma1 curl >/dev/null
python3 -m venv /opt/llama
/opt/llama/bin/pip install --quiet --no-deps {wheel}
"""
NODE = "NodeName={name} NodeAddr={address} {cores} Gres=gpu:{each} State=UNKNOWN"
CARDS = "for n in $(seq 0 {last}); do touch /dev/card$n; done"


class Slurm:
    """Slurm of one lab."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def address(self, host: str) -> str:
        return (self.rig.directory / f"{host.replace('lab-', '')}.address").read_text().strip()

    def install(self) -> None:
        nodes = "\n".join(NODE.format(name=name, address=self.address(name), cores=CORES, each=EACH) for name in HOSTS)
        conf = CONF.format(controller=f"{CONTROLLER}({self.address(CONTROLLER)})", more=MORE.format(nodes=nodes))
        lock = (self.rig.root / "requirements/demo.lock").read_text(encoding="utf-8")
        wheel = next(line.split()[0] for line in lock.splitlines() if line.startswith("xllamacpp=="))
        key = base64.b64encode(bytes(range(256)) * 4).decode()
        for host in (*HOSTS, CONTROLLER):
            served = host in HOSTS
            script = (INSTALL + PREPARE).format(
                packages="slurmd slurm-client" if served else "slurmctld slurm-client",
                services="slurmd" if served else "slurmctld",
                key=key,
                conf=base64.b64encode(conf.encode()).decode(),
                nodes=",".join(HOSTS),
                last=EACH - 1,
            )
            self.rig.sh(host, CARDS.format(last=EACH - 1) if served else "true")
            self.rig.sh(host, script, seconds=600)
            if served:
                self.rig.sh(host, ENGINE.format(wheel=wheel), seconds=600)
        hosts = self.rig.directory / "hosts.yml"
        engine = (
            "    deploy_llama_cpp_provider: xllamacpp\n    deploy_llama_cpp_python: /opt/llama/bin/python\n  hosts:\n"
        )
        hosts.write_text(hosts.read_text(encoding="utf-8").replace("  hosts:\n", engine, 1), encoding="utf-8")
        self.rig.wait(
            CONTROLLER, f"test $(sinfo --noheader --Node --states=idle | wc -l) -eq {len(HOSTS)}", seconds=120
        )

    def forget(self) -> None:
        """The jobs and the reservation of a day before; Slurm itself keeps none of its own."""
        stop = "scancel --user=research; scontrol delete ReservationName=modelops_serving; systemctl stop slurmctld"
        self.rig.sh(CONTROLLER, f"{stop}; rm -rf /var/spool/slurmctld/*; systemctl start slurmctld", seconds=180)
        self.rig.wait(CONTROLLER, "squeue", seconds=60)

    def variables(self) -> dict[str, Any]:
        return {
            "modelops_job_backend": "slurm",
            "modelops_slurm_host": CONTROLLER,
            "modelops_job_owners": {"vision": {"user": "research"}, "speech": {"user": "research"}},
        }

    def host_is_back(self, host: str) -> None:
        """What the accelerators' driver does at boot; the rest is systemd's and Slurm's."""
        self.rig.sh(host, CARDS.format(last=EACH - 1) + "; systemctl restart slurmd")

    def held(self, up: Sequence[str]) -> tuple[list[tuple[str, int]], list[str]]:
        """Accelerators of running jobs by host, all of a reserved node's that any job holds, and the jobs' names."""
        # With --json squeue filters nothing: jobs that are over are in it as well.
        queue = slurm_queue.parse_queue(self.rig.sh(CONTROLLER, " ".join(slurm_queue.COMMAND)))
        own = [one for one in queue.jobs if one.active and not one.pending and one.nodes in up]
        held = [(one.nodes, index) for one in own for index in range(EACH)]
        return sorted(set(held)), [one.name for one in own]

    def remains(self) -> list[str]:
        """What a day before left in Slurm."""
        jobs = self.rig.sh(CONTROLLER, "squeue --noheader --states=all --format='job %i (%j)'").splitlines()
        reserved = self.rig.sh(CONTROLLER, "scontrol --oneliner show reservation")
        return [*jobs, *(["a reservation"] if "ReservationName=" in reserved else [])]
