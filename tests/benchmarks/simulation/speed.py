# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the simulation is, and how its time grows: seconds of processor time of one process.

    .venv/bin/python tests/benchmarks/simulation/speed.py

Request by request: requests a second, by replicas and batch size, at 70 % load under no policy. As a fluid: two weeks
of a fleet of one and of ten models with a daily wave under HPA, which looks every 15 s, and under
the whole of ours, which plans every five minutes and forecasts every half hour. About three minutes of processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fleet_run import Course, run_policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fluid import Flow, FluidStation
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_forecast import Ours
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_reactive import Hpa
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.station import Requests, Station

DAY, STEP = 86_400.0, 600.0
WEEKS_BEFORE, DAYS = 2, 14
FLUID = (("hpa", 1), ("hpa", 10), ("modelops", 1), ("modelops", 10))


def requests_per_second(replicas: int, batch: int, count: int) -> float:
    """Simulated requests in a second of processor time."""
    profile = Profile(tuple(0.02 + 0.0005 * size for size in range(batch)), prefill_base_seconds=0.01)
    random = np.random.default_rng(5)
    tokens = 1.0 + random.exponential(200.0, count)
    rate = 0.7 * replicas * profile.requests_per_second(0.0, 201.0)
    trace = Requests(np.cumsum(random.exponential(1.0 / rate, count)), np.zeros(count), tokens)
    station = Station(profile, trace, ready=replicas, start=0.0)
    begun = time.process_time()
    station.run_until(float(trace.arrival[-1]) + 3600.0)
    return count / (time.process_time() - begun)


def fluid_seconds(models: int, policy_name: str) -> float:
    profile = Profile((0.02,) * 16, prefill_base_seconds=0.01, startup_seconds=120.0)
    full = profile.requests_per_second(0.0, 201.0)
    hours = np.arange((WEEKS_BEFORE * 7 + DAYS) * 144) / 6.0
    before, stations = {}, {}
    for number in range(models):
        wave = full * (6.0 + 4.0 * np.sin(2 * np.pi * (hours + number) / 24.0))
        known = WEEKS_BEFORE * 7 * 144
        before[f"m{number:03}"] = np.repeat(wave[:known], int(STEP / 60.0))
        stations[f"m{number:03}"] = FluidStation(profile, Flow(0.0, STEP, wave[known:], 0.0, 201.0), ready=6)
    policy: Any = Hpa(dict.fromkeys(stations, 16), target=0.7)
    if policy_name == "modelops":
        policy = Ours(dict.fromkeys(stations, 0.8 * full), 4.0)
    begun = time.process_time()
    run_policy(stations, policy, Course(0.0, DAYS * DAY, 60.0, before=before))
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without-ours", action="store_true", help="leave out the forecasts, two of the three minutes")
    asked = parser.parse_args()
    single: list[dict[str, Any]] = []
    for replicas, batch, count in (
        (1, 1, 100_000),
        (10, 16, 100_000),
        (10, 64, 100_000),
        (100, 64, 100_000),
        (10, 16, 1_000_000),
    ):
        speed = requests_per_second(replicas, batch, count)
        single.append({"replicas": replicas, "batch": batch, "requests": count, "requests_a_second": round(speed)})
        print(json.dumps(single[-1]), flush=True)
    fluid: list[dict[str, Any]] = []
    for name, models in FLUID[: 2 if asked.without_ours else None]:
        fluid.append({"policy": name, "models": models, "days": DAYS, "seconds": round(fluid_seconds(models, name), 2)})
        print(json.dumps(fluid[-1]), flush=True)
    result = {
        "date": datetime.now(tz=timezone.utc).strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), "numpy": version("numpy")},
        "seconds": "of processor time, one process",
        "requests": single,
        "fluid": fluid,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
