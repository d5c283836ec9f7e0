# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a load sweep repeats: real llama.cpp servers under CPU quotas, each swept several times.

    tests/benchmarks/profile/repeats.py --quotas 0.2 0.4 --seconds 200 --level 14

A quota stands for a host class; it is set with a control group, which needs root. The servers have a core of their own:
over several the kernel hands a quota out in slices, and what a slice leaves on an idle core is lost. A virtual machine's
core may be three times slower in one minute than in another, so a quota is a share of a core of known speed
(``REFERENCE``), and follows what its core does now: a host that keeps its speed is what is to be measured. All sweeps take
turns, a level each, so that what drifts all the same meets all alike; the whole takes ``seconds`` for each of them.
Figures go into repeats.json, one entry a quota.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))

import gateway_bench  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.load import Sender, Target  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.slo import Sample, read_slo  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.sweep import Bounds, sweep  # noqa: E402

RESULT = Path(__file__).with_name("repeats.json")
SLO = {"ttft_seconds": 0.25, "latency_seconds": 0.5, "quantile": 0.95}
PERIOD_US = 10_000
# Seconds that a quota's core takes for so many additions of this interpreter; how often that is measured, and over how
# many of the last measurements the mean is taken: the neighbours of a core come and go within tenths of a second.
ADDITIONS, REFERENCE = 10_000, 0.0012
PROBE_SECONDS, PROBES = 0.05, 80


class Turns:
    """First come, first served: one at a time, and whoever has had its turn waits behind all others."""

    def __init__(self) -> None:
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def mine(self) -> Iterator[None]:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket)
        try:
            yield
        finally:
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()


class InTurn(Sender):
    """Sends while no other does."""

    def __init__(self, target: Target, most_at_once: int, turns: Turns) -> None:
        super().__init__(target, most_at_once)
        self._turns = turns

    def alone(self, count: int) -> list[Sample]:
        with self._turns.mine():
            return super().alone(count)

    def level(self, *args: Any) -> list[Sample]:
        with self._turns.mine():
            return super().level(*args)


@contextmanager
def quota(pid: int, core: int) -> Iterator[Path]:
    """The file of a process's quota, in microseconds of :data:`PERIOD_US` on that core; control groups of either version."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})
    first = Path("/sys/fs/cgroup/cpu")
    group = (first if first.is_dir() else Path("/sys/fs/cgroup")) / f"modelops-profile-{pid}"
    group.mkdir()
    try:
        if first.is_dir():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        else:
            (group / "cpu.max").write_text(f"max {PERIOD_US}")
        (group / "cgroup.procs").write_text(str(pid))
        yield group / ("cpu.cfs_quota_us" if first.is_dir() else "cpu.max")
    finally:
        with suppress(OSError):  # it has ended
            (group.parent / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def keep_pace(quotas: Mapping[Path, float], core: int, seen: Any) -> None:
    """Hold each quota to its share of the reference, whatever the core's speed; ``seen``: least and most seconds that the
    additions took on average, and how often a quota would have had to be more than the core."""
    os.sched_setaffinity(0, {core})
    took: deque[float] = deque(maxlen=PROBES)
    while True:
        began, total = time.thread_time(), 0
        for number in range(ADDITIONS):
            total += number
        took.append(time.thread_time() - began)
        mean = sum(took) / len(took)
        if len(took) == PROBES:
            seen[0], seen[1] = min(seen[0] or mean, mean), max(seen[1], mean)
        for file, share in quotas.items():
            wanted = share * mean / REFERENCE
            seen[2] += wanted > 1
            file.write_text(str(int(min(1.0, wanted) * PERIOD_US)))
        time.sleep(PROBE_SECONDS)


@contextmanager
def pace(quotas: Mapping[Path, float], core: int) -> Iterator[Any]:
    seen = multiprocessing.Array("d", 3)
    keeper = multiprocessing.get_context("fork").Process(target=keep_pace, args=(quotas, core, seen), daemon=True)
    keeper.start()
    try:
        time.sleep(PROBE_SECONDS * PROBES)
        yield seen
        if not keeper.is_alive():
            raise RuntimeError("the quotas were not kept to the end")
    finally:
        keeper.terminate()
        keeper.join()


def sweeps(shares: Sequence[float], seconds: float, level: float) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """One sweep for each of ``shares``, of a server of its own, the n-th with the share ``shares[n]``; and how fast
    their core was meanwhile."""
    *rest, own = sorted(os.sched_getaffinity(0))
    turns = Turns()

    def one(number: int, port: int) -> dict[str, Any]:
        target = Target(f"http://127.0.0.1:{port}", "chat", output_tokens=8, prompt_words=12)
        bounds = Bounds(seconds=seconds * len(shares), level_seconds=level, seed=number + 1)
        found = sweep(target, read_slo(SLO), bounds, InTurn(target, bounds.most_at_once, turns))
        print(shares[number], found.capacity, found.note, f"{len(found.levels)} levels", flush=True)
        return {"seed": bounds.seed, **asdict(found)}

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(gateway_bench.servers(len(shares), folder, parallel=4, context=2048))
        quotas = {}
        for share, server in zip(shares, running):
            assert server.process is not None
            quotas[stack.enter_context(quota(server.process.pid, own))] = share
        seen = stack.enter_context(pace(quotas, own))
        # What sends must not run where the servers do.
        os.sched_setaffinity(0, rest or {own})
        with ThreadPoolExecutor(len(shares)) as pool:
            found = list(pool.map(one, range(len(shares)), [server.port for server in running]))
        names = ("fastest_seconds", "slowest_seconds", "times_too_slow")
        return found, {"reference_seconds": REFERENCE, **dict(zip(names, seen))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quotas", type=float, nargs="+", required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=150, help="of each sweep")
    parser.add_argument("--level", type=float, default=12)
    options = parser.parse_args()
    found, speed = sweeps(options.quotas * options.repeats, options.seconds, options.level)
    stored = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    for number, share in enumerate(options.quotas):
        runs = found[number :: len(options.quotas)]
        rates = [run["capacity"]["rate"] for run in runs if run["capacity"]]
        spread = (max(rates) - min(rates)) / (sum(rates) / len(rates)) if rates else None
        stored[f"quota {share:g}"] = {
            "date": datetime.now(timezone.utc).date().isoformat(),
            "versions": {"xllamacpp": metadata.version("xllamacpp")},
            "slo": SLO,
            "seconds": options.seconds,
            "level_seconds": options.level,
            "in_turn_with": options.quotas,
            "additions": speed,
            "spread": spread,
            "mean_requests_per_second": sum(rates) / len(rates) if rates else None,
            "runs": runs,
        }
        said = f"{spread:.1%} over {len(rates)}" if spread is not None else "no run enclosed the capacity"
        print(f"quota {share:g}: {[round(rate, 1) for rate in rates]}, spread (largest - smallest) / mean: {said}")
    print(f"{ADDITIONS} additions: {speed}")
    RESULT.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
