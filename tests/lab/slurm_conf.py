# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small Slurm of Debian on lab hosts: what is installed, and its configuration.

Accelerators are pretended: Slurm counts files.
"""

from __future__ import annotations

INSTALL = """
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -qq -y --no-install-recommends {packages} munge >/dev/null
mkdir -p /var/spool/slurmctld /var/spool/slurmd /var/log/slurm
chown slurm /var/spool/slurmctld /var/log/slurm
"""
CONF = """\
ClusterName=lab
SlurmctldHost={controller}
SlurmUser=slurm
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerParameters=bf_interval=2,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
MinJobAge=3600
KillWait=5
MessageTimeout=30
{more}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:8
"""
CORES = "CPUs=2 Boards=1 SocketsPerBoard=1 CoresPerSocket=2 ThreadsPerCore=1"
