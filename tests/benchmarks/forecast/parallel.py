# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a second worker saves: one process, two of loky, and two workers of a Dask scheduler on loopback.

    tests/benchmarks/forecast/run parallel [--series 4000] [--turns 3] [--official]

The same series are forecast in turn on each, and the documents must be the same byte for
byte. Wall time, least of the turns, after a first call that imports what each needs; it
means something only while nothing else uses the cores. Writes parallel.json to
.cache/benchmark-results, or beside this file with --official.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from speed import HORIZON, START, waves
from tasks import ROOT

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.parallel import Parallel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

SAMPLES = 900
ARIMA_SHARE = 200
START_SECONDS = 60


@contextmanager
def dask_cluster(workers: int) -> Iterator[str]:
    """Address of a scheduler of its own on loopback with this many workers of one thread."""
    import distributed

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:

        def start(program: str, *arguments: str) -> None:
            command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"]
            started.append(subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

        try:
            start("dask_scheduler", "--host", "127.0.0.1", "--port", str(port))
            for number in range(workers):
                place = ("--host", "127.0.0.1", "--local-directory", f"{folder}/{number}")
                start("dask_worker", address, "--no-nanny", "--nthreads", "1", *place)
            deadline = time.monotonic() + START_SECONDS
            while socket.socket().connect_ex(("127.0.0.1", port)):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"no Dask scheduler answered within {START_SECONDS} s")
                time.sleep(0.1)
            with distributed.Client(address, set_as_default=False) as client:
                client.wait_for_workers(workers, timeout=START_SECONDS)
            yield address
        finally:
            for process in started:
                process.kill()
                process.wait()


def compare(series: list[Series], options: dict[str, Any], ways: dict[str, Parallel], turns: int) -> dict[str, Any]:
    """Seconds of each way, least of the turns, and the share of one process's time."""
    asked = parse_options({"horizon_steps": HORIZON, **options})
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    digests = set()
    for way in ways.values():
        forecast_series(series[:8], asked, parallel=way)
    for _turn in range(turns):
        for name, way in ways.items():
            began = time.perf_counter()
            document = forecast_series(series, asked, parallel=way)
            seconds[name].append(time.perf_counter() - began)
            digests.add(hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest())
    if len(digests) != 1:
        raise RuntimeError(f"the ways gave {len(digests)} different documents")
    least = {name: min(found) for name, found in seconds.items()}
    return {
        "series": len(series),
        "samples": SAMPLES,
        "seconds": {name: round(value, 2) for name, value in least.items()},
        "times_one_process": {name: round(value / least["one process"], 2) for name, value in least.items()},
        "documents": "the same byte for byte",
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests/benchmarks/forecast/run parallel",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--series", type=int, default=4000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--official", action="store_true", help="write the published file")
    given = parser.parse_args()
    folder = Path(__file__).parent if given.official else ROOT / ".cache" / "benchmark-results"
    series = [Series(f"m{i:05}", float(START), 3600, row) for i, row in enumerate(waves(given.series, SAMPLES))]
    with dask_cluster(2) as address:
        ways = {
            "one process": Parallel(),
            "two of loky": Parallel(2),
            "two Dask workers": Parallel(1, "dask", address),
        }
        figures = {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "cores": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 2),
            "auto": compare(series, {}, ways, given.turns),
            "sarimax": compare(
                series[: max(8, given.series // ARIMA_SHARE)],
                {"engine": "sarimax", "order": [1, 0, 1], "seasonal_order": [0, 1, 1, 24]},
                ways,
                1,
            ),
        }
    text = json.dumps(figures, indent=1)
    print(text)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "parallel.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
