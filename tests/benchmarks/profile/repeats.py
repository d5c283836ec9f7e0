# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a load sweep repeats: a real llama.cpp server under a CPU quota, swept several times.

    tests/benchmarks/profile/repeats.py --quota 0.6 --repeats 3 --seconds 150

A quota (of one core) stands for a host class; it is set with a control group, which needs root. The server has a core
of its own: over several the kernel hands a quota out in slices, and what a slice leaves on an idle core is lost.
Figures go into repeats.json, one entry a quota.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))

import gateway_bench  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.load import Target  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.slo import read_slo  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.sweep import Bounds, sweep  # noqa: E402

RESULT = Path(__file__).with_name("repeats.json")
SLO = {"ttft_seconds": 0.25, "latency_seconds": 0.5, "quantile": 0.95}
PERIOD_US = 10_000


@contextmanager
def quota(share: float, pid: int) -> Iterator[None]:
    """Hold a process to a share of the last core; control groups of either version."""
    last = max(os.sched_getaffinity(0))
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {last})
    first = Path("/sys/fs/cgroup/cpu")
    group = (first if first.is_dir() else Path("/sys/fs/cgroup")) / f"modelops-profile-{os.getpid()}"
    group.mkdir()
    try:
        if first.is_dir():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(int(share * PERIOD_US)))
        else:
            (group / "cpu.max").write_text(f"{int(share * PERIOD_US)} {PERIOD_US}")
        (group / "cgroup.procs").write_text(str(pid))
        yield
        (group.parent / "cgroup.procs").write_text(str(pid))
    finally:
        group.rmdir()


def once(share: float, seconds: float, level: float, seed: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as folder,
        gateway_bench.servers(1, Path(folder), parallel=4, context=2048) as running,
    ):
        server = running[0]
        assert server.process is not None
        with quota(share, server.process.pid):
            target = Target(f"http://127.0.0.1:{server.port}", "chat", output_tokens=8, prompt_words=12)
            found = sweep(target, read_slo(SLO), Bounds(seconds=seconds, level_seconds=level, seed=seed))
    capacity = asdict(found.capacity) if found.capacity else None
    return {
        "seed": seed,
        "capacity": capacity,
        "lone_seconds": found.lone_seconds,
        "note": found.note,
        "levels": found.levels,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quota", type=float, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--level", type=float, default=12)
    options = parser.parse_args()
    runs = []
    for number in range(options.repeats):
        runs.append(once(options.quota, options.seconds, options.level, number + 1))
        print(number + 1, runs[-1]["capacity"], runs[-1]["note"], flush=True)
    rates = [run["capacity"]["rate"] for run in runs if run["capacity"]]
    spread = (max(rates) - min(rates)) / (sum(rates) / len(rates)) if rates else None
    stored = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    stored[f"quota {options.quota:g}"] = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "versions": {"xllamacpp": metadata.version("xllamacpp")},
        "slo": SLO,
        "seconds": options.seconds,
        "level_seconds": options.level,
        "spread": spread,
        "mean_requests_per_second": sum(rates) / len(rates) if rates else None,
        "runs": runs,
    }
    RESULT.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"spread (largest - smallest) / mean: {spread:.1%}" if spread is not None else "no run enclosed the capacity")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
