# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the forecast costs: CPU and memory by the number and length of series, end to end, and from a cold start.

    tests/benchmarks/forecast/run speed [--official]

Hourly series of a day and a week with noise, seeded. CPU is user and system time of one
process with one thread. Prints the figures and writes speed.json to .cache/benchmark-results,
or beside this file with --official.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from tasks import ROOT, Case, Values

HORIZON = 48
START = 1_767_571_200  # a Monday
MODULE = "ansible_collections.modelops.datacenter.plugins.modules.demand_forecast"
HEAVY = ("scipy", "pandas", "statsmodels", "ortools", "pyarrow", "joblib", "torch", "ansible")
TINY = f"""
import sys
from {MODULE.replace("modules.demand_forecast", "module_utils._core")}.forecast.engine import forecast_series
from {MODULE.replace("modules.demand_forecast", "module_utils._core")}.forecast.specification import parse_options
from {MODULE.replace("modules.demand_forecast", "module_utils._core")}.history.series import Series
import numpy as np
values = 50.0 + 10.0 * np.sin(np.arange(336) * np.pi / 12.0)
forecast_series([Series("a", {START}.0, 3600, values)], parse_options({{"horizon_steps": 24}}))
print(*(name for name in {HEAVY!r} if name in sys.modules))
"""


def waves(count: int, length: int) -> Values:
    """(count, length) hourly demand: a day, a week, noise, each series with its own size and phase."""
    rng = np.random.default_rng(7)
    hours = np.arange(length)
    phase, size = rng.uniform(0.0, 24.0, (count, 1)), rng.lognormal(3.0, 1.0, (count, 1))
    day = np.sin((hours + phase) * np.pi / 12.0)
    week = np.where(hours // 24 % 7 >= 5, 0.6, 1.0)
    return np.maximum(size * (2.0 + day) * week + 0.2 * size * rng.standard_normal((count, length)), 0.0)


def measure(command: list[str], text: str = "") -> tuple[float, float, str]:
    """CPU seconds, peak memory in MiB, and standard output of a process of its own.

    Raises:
        RuntimeError: it failed; the message is what it wrote.
    """
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as taken:
        given.write(text)
        given.seek(0)
        process = subprocess.Popen(command, stdin=given, stdout=taken, stderr=subprocess.STDOUT)
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        taken.seek(0)
        output = taken.read()
    if process.returncode:
        raise RuntimeError(f"{command[-1][:80]} ended with {process.returncode}: {output[-400:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024.0, output


def cold_start() -> dict[str, Any]:
    """A process that forecasts one small series, less one that does nothing; median of five."""
    nothing = statistics.median(measure([sys.executable, "-c", "pass"])[0] for _turn in range(5))
    runs = [measure([sys.executable, "-c", TINY]) for _turn in range(5)]
    return {
        "cpu_seconds": round(statistics.median(run[0] for run in runs) - nothing, 3),
        "peak_memory_mib": round(statistics.median(run[1] for run in runs), 1),
        "heavy_libraries_imported": runs[0][2].split(),
    }


def per_series(count: int, length: int) -> float:
    """CPU milliseconds a series, of one call in this process."""
    import ours

    values = waves(count, length)
    cases = [Case(f"m{i:05}", length, float(START), 3600, row, row[:0], "") for i, row in enumerate(values)]
    _entries, cpu_seconds = ours.forecast_cases(cases, HORIZON)
    return round(1000.0 * cpu_seconds / count, 3)


def end_to_end(count: int, length: int) -> dict[str, Any]:
    """The module itself: gzipped CSV in, forecast.json out."""
    moments = [
        datetime.fromtimestamp(START + 3600 * k, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") for k in range(length)
    ]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "history.csv.gz", Path(folder) / "forecast.json"
        with gzip.open(source, "wt", encoding="utf-8", compresslevel=3) as out:
            out.write("series,timestamp,value\n")
            for index, row in enumerate(waves(count, length)):
                out.writelines(f"m{index:05},{moment},{value:.4f}\n" for moment, value in zip(moments, row))
        asked = {"src": str(source), "dest": str(target), "horizon_steps": HORIZON, "window_steps": 6}
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": asked})
        cpu_seconds, peak, output = measure([sys.executable, "-m", MODULE], arguments)
        made = len(json.loads(target.read_text(encoding="utf-8"))["series"])
    if made != count:
        raise RuntimeError(f"{made} of {count} series were forecast: {output[:400]}")
    return {"series": count, "samples": length, "cpu_seconds": round(cpu_seconds, 1), "peak_memory_mib": round(peak)}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests/benchmarks/forecast/run speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--official", action="store_true", help="write the published file")
    folder = Path(__file__).parent if parser.parse_args().official else ROOT / ".cache" / "benchmark-results"
    per_series(2, 336)  # numpy's first call of each routine
    figures = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "horizon": HORIZON,
        "cold_start": {**cold_start(), "goal_cpu_seconds": 0.5},
        "cpu_ms_per_series": {"series": 1000, "samples": 900, "value": per_series(1000, 900), "goal": 4.0},
        "end_to_end": {**end_to_end(10_000, 336), "goal_cpu_seconds": 40.0},
        "cpu_ms_per_series_by_count": {str(count): per_series(count, 900) for count in (1, 10, 100, 1000)},
        "cpu_ms_per_series_by_length": {str(length): per_series(100, length) for length in (168, 336, 900, 2016, 4032)},
    }
    text = json.dumps(figures, indent=1)
    print(text)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "speed.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
