# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults: how each is made and undone on the lab, what tells of it, and when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from episodes import host_of
from fault_lab import EXPORTER_PORT, GATEWAY, MONITOR, RATE, STREAM_RATE, UNIT, WANTED, FaultLab
from listening import get

HOST = "lab-a1"
BUSY_RATE = 11.0
MODELS = "/opt/modelops/models"
SERVER_ALERTS = ("ModelServerDown", "ModelServerNotReady", "ModelServerStalled", "ModelServerErrors")
# A file system of its own, small and full: of what older versions left, or of what is nobody's.
FULL = (
    f"mkdir -p /run/keep && cp -a {MODELS}/. /run/keep/ && mount -t tmpfs -o size=24m,mode=755 models {MODELS}"
    f" && cp -a /run/keep/. {MODELS}/ && mkdir -p {MODELS}/{{0}} &&"
    f" {{{{ dd if=/dev/zero of={MODELS}/{{0}}/old bs=1M count=64 2>/dev/null; touch -d '1 hour ago' {MODELS}/{{0}}; }}}}"
)
# Down to 3 % of the host's memory, by its own figures.
HOG = (
    "import re,time\\nkept=[]\\n"
    "def left():\\n t=open('/proc/meminfo').read()\\n"
    " return [int(re.search(n+r':\\s+(\\d+)',t)[1]) for n in ('MemAvailable','MemTotal')]\\n"
    "while True:\\n a,t=left()\\n if a>0.035*t: kept.append(bytearray(min(16,max(1,(a-t//30)//2048))<<20))\\n time.sleep(0.3 if a>0.1*t else 1.2)\\n"
)
BUSY = "systemd-run -q --unit lab-hog sh -c 'while :; do :; done & while :; do :; done'"


@dataclass(frozen=True)
class Fault:
    """``hurt``: hosts it is on. ``wanted``: replicas that must be in and answer for it to be over. ``over``: what else must
    hold. ``limits``: seconds that each arm gets. ``goals``: seconds until out and until the alert; None for no goal.
    ``prepare``: what is done before the clock starts; ``undo`` undoes that too."""

    name: str
    words: str
    inject: Callable[[FaultLab], Any]
    undo: Callable[[FaultLab], Any]
    alerts: tuple[str, ...]
    hurt: tuple[str, ...] = (HOST,)
    wanted: int = WANTED
    over: Callable[[FaultLab], bool] = field(default=lambda _lab: True)
    limits: tuple[float, float] = (240, 90)
    goals: tuple[float | None, float | None] = (None, 32)
    row: int | None = None
    prepare: Callable[[FaultLab], Any] = field(default=lambda _lab: None)


def on(host: str, command: str) -> Callable[[FaultLab], Any]:
    return lambda lab: lab.sh(host, command, check=False)


def nothing(_lab: FaultLab) -> None:
    """It undoes itself, or settling does."""


def elsewhere(lab: FaultLab) -> bool:
    return len([server for server in lab.servers_in() if host_of(server) != HOST]) >= WANTED


def quiet(*names: str) -> Callable[[FaultLab], bool]:
    """The alert has been seen and fires no more."""

    def is_quiet(lab: FaultLab) -> bool:
        return any(key[0] in names for key in lab.alerts.seen) and not any(key[0] in names for key in lab.alerts.now)

    return is_quiet


def hog(lab: FaultLab) -> None:
    lab.sh(
        HOST, f'printf "{HOG}" > /run/hog.py; systemd-run -q --unit lab-hog -p OOMScoreAdjust=1000 python3 /run/hog.py'
    )


def busy(lab: FaultLab) -> None:
    lab.small.processors[HOST] = 0.5
    lab.small.limit(HOST)
    lab.sh(HOST, BUSY)


def not_busy(lab: FaultLab) -> None:
    lab.sh(HOST, "systemctl stop lab-hog", check=False)
    lab.small.processors[HOST] = 1.0
    lab.small.limit(HOST)


def more(lab: FaultLab) -> None:
    """So much that twice as much is more than all replicas serve, five requests/s each."""
    lab.more_load(BUSY_RATE - RATE, 0.0)
    time.sleep(15)


def double(lab: FaultLab) -> None:
    lab.more_load(BUSY_RATE, STREAM_RATE)


def single(lab: FaultLab) -> None:
    while len(lab.loads) > 1:
        lab.loads.pop().finish(seconds=90)


def answers(host: str, port: int, path: str) -> Callable[[FaultLab], bool]:
    def does(lab: FaultLab) -> bool:
        return "200" in lab.sh(
            host, f"curl -s -m 2 -o /dev/null -w '%{{http_code}}' http://{lab.address(host)}:{port}{path}", check=False
        )

    return does


def gateway_runs(lab: FaultLab) -> bool:
    states = get(f"http://{lab.address(GATEWAY)}:9797/-1")
    return bool(states and states[-1][1])


TABLE = (
    Fault(
        "server_killed", "Server: SIGKILL", on(HOST, f"systemctl kill --signal=KILL {UNIT}"), nothing,
        SERVER_ALERTS, goals=(6, 32), row=1,
    ),
    Fault(
        "server_frozen", "Server: SIGSTOP", on(HOST, f"systemctl kill --signal=STOP {UNIT}"),
        on(HOST, f"systemctl kill --signal=CONT {UNIT}"), SERVER_ALERTS, goals=(40, 32), row=2,
    ),
    Fault(
        "server_errors", "Server answers 500, health 200", on(HOST, f"systemctl kill --kill-whom=main --signal=USR1 {UNIT}"),
        on(HOST, f"curl -s -m 3 -X POST http://127.0.0.1:8100/v1/completions | grep -q broken && systemctl restart {UNIT}"),
        SERVER_ALERTS, goals=(40, None), row=3,
    ),
    Fault(
        "server_stopped", "Server: its unit is stopped", on(HOST, f"systemctl stop {UNIT}"), nothing, SERVER_ALERTS, goals=(6, 32),
    ),
    Fault(
        "model_deleted", "Model file deleted, server restarted",
        on(HOST, f"find {MODELS} -name '*.gguf' -delete; systemctl restart --no-block {UNIT}"), nothing, SERVER_ALERTS, goals=(6, 32),
    ),
    Fault(
        "disk_full", "Disk 100 % full of old versions", on(HOST, FULL.format("chat/0.1")), on(HOST, f"umount -l {MODELS}"),
        ("HostDiskFull",), over=quiet("HostDiskFull"), goals=(None, None), row=18,
    ),
    Fault(
        "disk_foreign", "Disk 100 % full of files that are nobody's", on(HOST, FULL.format("theirs")), on(HOST, f"umount -l {MODELS}"),
        ("HostDiskFull",), over=elsewhere, limits=(420, 90), goals=(None, None), row=18,
    ),
    Fault(
        "memory_hog", "Memory hog on a host", hog, on(HOST, "systemctl stop lab-hog"), ("HostMemoryHigh",), over=elsewhere,
        limits=(300, 120), goals=(None, None), row=6,
    ),
    Fault(
        "cpu_hog", "CPU hog on a host", busy, not_busy, ("HostCpuHigh",), wanted=WANTED + 1, limits=(360, 120), goals=(None, None),
    ),
    Fault(
        "network_cut", "Network of a host cut", on(HOST, "ip link set eth0 down"), on(HOST, "ip link set eth0 up"), ("HostDown",),
        over=elsewhere, goals=(40, 35), limits=(300, 90), row=9,
    ),
    Fault(
        "host_killed", "Host killed", lambda lab: lab.podman("kill", HOST), lambda lab: lab.start_host(HOST), ("HostDown",),
        over=elsewhere, goals=(8, 35), limits=(300, 90), row=7,
    ),
    Fault(
        "host_frozen", "Host frozen", lambda lab: lab.podman("pause", HOST), lambda lab: lab.podman("unpause", HOST), ("HostDown",),
        over=elsewhere, goals=(40, 35), limits=(300, 90),
    ),
    Fault(
        "gateway_killed", "Gateway: HAProxy SIGKILL", on(GATEWAY, "systemctl kill --signal=KILL modelops-gateway"), nothing, ("GatewayDown",),
        hurt=(GATEWAY,), over=gateway_runs, goals=(None, None), row=10,
    ),
    Fault(
        "gateway_stopped", "Gateway: its unit is stopped", on(GATEWAY, "systemctl stop modelops-gateway"),
        on(GATEWAY, "systemctl start modelops-gateway"), ("GatewayDown",), hurt=(GATEWAY,), over=gateway_runs,
    ),
    Fault(
        "prometheus_killed", "Prometheus: SIGKILL", on(MONITOR, "systemctl kill --signal=KILL modelops-prometheus"), nothing,
        ("PrometheusDown", "MonitoringSilent"), hurt=(MONITOR,), over=answers(MONITOR, 9090, "/-/ready"), goals=(None, None), row=12,
    ),
    Fault(
        "alertmanager_killed", "Alertmanager: SIGKILL", on(MONITOR, "systemctl kill --signal=KILL modelops-alertmanager"), nothing,
        ("AlertmanagerDown", "MonitoringSilent"), hurt=(MONITOR,), over=answers(MONITOR, 9093, "/-/ready"), goals=(None, None),
    ),
    Fault(
        "load_doubled", "Load doubled, to more than all replicas serve", double, single, ("QueueGrowing", "ModelTtftBurn", "HostCpuHigh"),
        hurt=(), wanted=WANTED + 1, limits=(420, 240), goals=(None, None), prepare=more,
    ),
    Fault(
        "exporter_silent", "Accelerator exporter silent", on(HOST, "systemctl stop lab-accelerators"),
        on(HOST, "systemctl start lab-accelerators"), ("AcceleratorExporterSilent",),
        over=answers(HOST, EXPORTER_PORT, "/metrics"), limits=(180, 60), goals=(None, None),
    ),
)  # fmt: skip
FAULTS = {fault.name: fault for fault in TABLE}
