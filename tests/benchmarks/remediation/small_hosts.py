# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives each host of a lab the memory and the processor of a small machine, with figures of its own.

A container shows its exporter the whole machine. Here each has limits (control groups, version 1), and its /proc/meminfo
and /proc/stat are files that say, once a second, what it uses of them. So a hog on one host is that host's alone.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
TICKS = 100
MIB = 1 << 20
EXPORTER = "/etc/systemd/system/prometheus-node-exporter.service"


class SmallHosts:
    """``processors``: by host, 1 unless a fault lowers it for a while."""

    def __init__(self, directory: Path, containers: dict[str, str], mebibytes: int) -> None:
        self.directory, self.containers, self.mebibytes = directory, containers, mebibytes
        self.processors = dict.fromkeys(containers, 1.0)
        self._busy = dict.fromkeys(containers, 0.0)
        self._idle = dict.fromkeys(containers, 0.0)
        self._before: dict[str, tuple[float, float]] = {}
        self._over = threading.Event()

    def start(self) -> None:
        for host in self.containers:
            (self.directory / host).mkdir(parents=True, exist_ok=True)
        self.write()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(1.0):
            self.write()

    def group(self, kind: str, host: str) -> Path:
        return GROUPS / kind / "libpod_parent" / f"libpod-{self.containers[host]}"

    def limit(self, host: str) -> None:
        (self.group("memory", host) / "memory.limit_in_bytes").write_text(str(self.mebibytes * MIB))
        quota = int(100_000 * self.processors[host]) if self.processors[host] < 1 else -1
        (self.group("cpu", host) / "cpu.cfs_quota_us").write_text(str(quota))

    def write(self) -> None:
        for host in self.containers:
            with contextlib.suppress(OSError):  # A host that is off has no group.
                used = float((self.group("cpuacct", host) / "cpuacct.usage").read_text()) / 1e9
                put(self.directory / host / "meminfo", self._memory(host))
                put(self.directory / host / "stat", self._processor(host, used))

    def _memory(self, host: str) -> str:
        group = self.group("memory", host)
        fields = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        total, used = self.mebibytes * MIB, int((group / "memory.usage_in_bytes").read_text())
        cached = int(fields["total_inactive_file"]) + int(fields["total_active_file"])
        free = max(0, total - used)
        figures = {
            "MemTotal": total, "MemFree": free, "MemAvailable": min(total, free + cached), "Buffers": 0,
            "Cached": cached, "SwapCached": 0, "SwapTotal": 0, "SwapFree": 0,
        }  # fmt: skip
        return "".join(f"{name + ':':<16}{value // 1024:>12} kB\n" for name, value in figures.items())

    def _processor(self, host: str, used: float) -> str:
        now = os.times().elapsed
        before = self._before.get(host, (now, used))
        self._before[host] = (now, used)
        elapsed = max(0.0, now - before[0])
        busy = min(elapsed, max(0.0, used - before[1]) / self.processors[host])
        self._busy[host] += busy
        self._idle[host] += elapsed - busy
        ticks = f"{self._busy[host] * TICKS:.0f} 0 0 {self._idle[host] * TICKS:.0f} 0 0 0 0 0 0"
        rest = [line for line in Path("/proc/stat").read_text().splitlines() if not line.startswith(("cpu", "intr"))]
        return "\n".join([f"cpu  {ticks}", f"cpu0 {ticks}", "intr 0", *rest]) + "\n"

    def show(self, host: str, container: str, podman: list[str]) -> None:
        """Put the figures in the place of the machine's; again after each start of the host.

        The exporter is shut into mounts of its own, with a fresh /proc, and is told of them apart. That it sees a disk that
        is mounted later needs shared mounts, which systemd makes on a machine but not in a container.
        """
        self.limit(host)
        pairs = [(f"/srv/lab/{self.directory.name}/{host}/{name}", f"/proc/{name}") for name in ("meminfo", "stat")]
        bound = " ".join(":".join(pair) for pair in pairs)
        command = "; ".join(
            ["mount --make-rshared /", *(f"mount --bind {source} {target}" for source, target in pairs)]
            + [
                f"mkdir -p {EXPORTER}.d",
                f"printf '[Service]\\nBindReadOnlyPaths={bound}\\n' > {EXPORTER}.d/zz-lab.conf",
                "systemctl daemon-reload",
                "systemctl try-restart prometheus-node-exporter",
            ]
        )
        subprocess.run([*podman, "exec", container, "sh", "-ec", command], check=True, capture_output=True)


def put(path: Path, text: str) -> None:
    """In place, since the file is mounted elsewhere; one write, so that nobody reads half."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(handle, text.encode(), 0)
        os.ftruncate(handle, len(text.encode()))
    finally:
        os.close(handle)
