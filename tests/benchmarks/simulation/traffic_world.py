# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demand, the requests and the replicas that every policy gets.

Demand: series of ServeGen (Alibaba, 14 days, 10-minute means): ``small-c5`` has a daily rhythm with a peak of
more than eight times the trough, ``small-c8`` one of twice, ``mid-c66`` one of seventeen times and more, ``mid-c36`` has
none to speak of. Each is scaled so that the busiest hour of its first seven days needs ``peak_replicas`` at full
rate. Steps in which the sum over all clients is 0 are gaps of the recording; with the step before and after, which was
recorded in part, they are filled by a straight line. Arrivals are Poisson within a step; token lengths are drawn from
the rows of Mooncake's conversation trace that fit into 32,768 tokens (93 %). Profiles are measured ones, of SageServe's table, on A100 and H100.

Settings are searched on days 6 and 7, counted from 0, with one seed. Judged are five days that come later, each with a
seed of its own; day 9 is left out, since half of it is a gap in the recording.

SLO: TTFT within 10 s and 0.4 s a token: an idle replica keeps it for all prompts. Cached prefixes and
prefill in chunks are not modelled. All policies start from the same replicas and have the same stock.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fleet_run import Course, run_policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.measures import Goals, measure
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile_sources import (
    from_table,
    read_table,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.station import Requests, Station

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("MODELOPS_DATA", ROOT.parent / "shared" / "data"))
LONGEST_PROMPT = 32_768
DAY, GRID, SAMPLE = 86_400.0, 600, 60.0
TUNING = (7, 8)  # from which day until which, counted from 0
JUDGED = {1: (8, 9), 2: (10, 11), 3: (11, 12), 4: (12, 13), 5: (13, 14)}  # by seed
STARTUP = 120.0
TTFT, ITL, DEADLINE = 10.0, 0.4, 120.0


@dataclass(frozen=True)
class Size:
    """How much is simulated. ``models``: series to (model of SageServe's table, hardware), eight accelerators each."""

    models: Mapping[str, tuple[str, str]]
    peak_replicas: int


WHOLE = Size(
    {
        "small-c5": ("B", "h100-80gb"),
        "small-c8": ("A", "a100-80gb"),
        "mid-c66": ("A", "h100-80gb"),
        "mid-c36": ("B", "h100-80gb"),
    },
    5,
)
SMALL = Size({"small-c8": ("A", "a100-80gb"), "mid-c66": ("B", "h100-80gb")}, 4)
WAVES = Size({"small-c5": ("A", "a100-80gb"), "mid-c66": ("B", "h100-80gb")}, 4)  # peak over trough above three
SIZES = {"whole": WHOLE, "waves": WAVES, "small": SMALL}
SHAPES = ("recorded", "flat", "bursts")
BURST, ONE_IN = 3.0, 12  # so many times the rest, in so many steps by chance


class World:
    """Demand, lengths and profile; requests by seed, and forecasts by seed, which no policy changes."""

    def __init__(self, size: Size, shape: str = "recorded") -> None:
        """``shape``: demand as recorded; its mean all the time; or that mean in bursts which nothing announces."""
        self.size = size
        rows = [(row["input_tokens"], row["output_tokens"]) for row in _rows("traces/mooncake_conversation")]
        lengths = np.array(rows, dtype=np.float64)
        self.lengths = lengths[lengths[:, 0] <= LONGEST_PROMPT]
        table = DATA / "alloc" / "profiles" / "sageserve_perf_model_4_models.csv"
        measured = read_table(table.read_bytes(), where=table.name)
        self.profiles = {
            name: from_table(measured, model=model, hardware=hardware, tensor_parallel=8)
            for name, (model, hardware) in self.size.models.items()
        }
        self.full = {name: one.requests_per_second(*self.lengths.mean(axis=0)) for name, one in self.profiles.items()}
        self.stock = 2.0 * self.size.peak_replicas * sum(one.accelerators for one in self.profiles.values())
        self.demand = self._demand()
        if shape != "recorded":
            self.demand = {
                name: _reshaped(values, shape, number) for number, (name, values) in enumerate(self.demand.items())
            }
        self._requests: dict[tuple[int, str], Requests] = {}
        self.memory: dict[int, dict[float, Any]] = defaultdict(dict)
        self.hourly: dict[int, dict[tuple[str, float], float]] = defaultdict(dict)

    def _demand(self) -> dict[str, np.ndarray]:
        series: dict[str, list[float]] = defaultdict(list)
        for part in ("small", "mid"):
            for row in _rows(f"demand/servegen_{part}_10min"):
                if row["series"] in (*self.size.models, f"{part}-total"):
                    series[row["series"]].append(float(row["value"]))
        found = {}
        for name in self.size.models:
            values = np.array(series[name])
            known = np.flatnonzero(_whole(np.array(series[f"{name.split('-')[0]}-total"]) > 0))
            filled = np.interp(np.arange(len(values)), known, values[known])
            hourly = filled[: 7 * 144].reshape(-1, 6).mean(axis=1)
            found[name] = filled * self.size.peak_replicas * self.full[name] / hourly.max()
        return found

    def requests(self, seed: int, name: str) -> Requests:
        """Of all days that are simulated, at absolute seconds."""
        if (seed, name) not in self._requests:
            random = np.random.default_rng([seed, list(WHOLE.models).index(name)])
            first, last = (one * 144 for one in JUDGED.get(seed, TUNING))
            counts = random.poisson(self.demand[name][first:last] * GRID)
            starts = GRID * np.repeat(np.arange(first, last), counts)
            arrival = np.sort(starts + GRID * random.random(len(starts)))
            drawn = self.lengths[random.integers(len(self.lengths), size=len(arrival))]
            self._requests[seed, name] = Requests(arrival, drawn[:, 0], drawn[:, 1])
        return self._requests[seed, name]


def _reshaped(values: np.ndarray, shape: str, number: int) -> np.ndarray:
    """The mean of the first seven days all the time, or with bursts around the same mean."""
    flat = np.full(len(values), values[: 7 * 144].mean())
    if shape == "flat":
        return flat
    factors = np.where(np.random.default_rng(number).random(len(values)) < 1.0 / ONE_IN, BURST, 1.0)
    return flat * factors / (1.0 + (BURST - 1.0) / ONE_IN)


def _whole(recorded: np.ndarray) -> np.ndarray:
    """Steps that were recorded from end to end: beside a gap, a step was recorded in part."""
    after_gap, before_gap = np.roll(recorded, 1), np.roll(recorded, -1)
    after_gap[0] = before_gap[-1] = True
    return recorded & after_gap & before_gap


def _rows(name: str) -> list[dict[str, str]]:
    with gzip.open(DATA / f"{name}.csv.gz", "rt") as stream:
        return list(csv.DictReader(stream))


def run(world: World, policy: Any, seed: int, days: tuple[int, int], startup: float = STARTUP) -> dict[str, float]:
    """The figures of one policy over these days."""
    begin, end = days[0] * DAY, days[1] * DAY
    stations = {name: _station(world, name, startup, seed, begin) for name in world.size.models}
    before = {name: np.repeat(world.demand[name][: days[0] * 144], int(GRID / SAMPLE)) for name in world.size.models}
    run_policy(stations, policy, Course(begin, end, SAMPLE, world.stock, before=before))
    return measure(stations, Goals(begin, end, TTFT, ITL, DEADLINE), world.full, SAMPLE)


def _station(world: World, name: str, startup: float, seed: int, begin: float) -> Station:
    now = world.demand[name][int(begin / GRID)] / (0.7 * world.full[name])
    profile = replace(world.profiles[name], startup_seconds=startup)
    requests = world.requests(seed, name)
    first = int(np.searchsorted(requests.arrival, begin))
    part = Requests(requests.arrival[first:], requests.input_tokens[first:], requests.output_tokens[first:])
    return Station(profile, part, ready=max(1, math.ceil(now)), start=begin)
