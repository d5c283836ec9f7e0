# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet with a history, a forecast and a plan, of any size, written as docs/files.md says.

The plan is first fit, made to look at, not to be good. Everything follows from
the seed.
"""

from __future__ import annotations

import csv
import gzip
import math
import random
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import digest, write_document

AS_OF = parse_moment("2026-11-23T18:00:00Z")
STEP_SECONDS = 600
HORIZON_STEPS = 48
LEVELS = (0.05, 0.5, 0.9, 0.95)
FAMILIES = ("chat-8b", "chat-70b", "embed-small", "rerank", "code-34b", "vision", "speech", "translate", "guard")
# accelerators a replica, requests/s of one replica
SIZES = {
    "chat-70b": (4, 2.4),
    "code-34b": (2, 3.1),
    "embed-small": (0.25, 60.0),
    "rerank": (0.5, 25.0),
    "guard": (0, 18.0),
}
DEFAULT_SIZE = (1, 6.5)


@dataclass(frozen=True)
class SampleSeries:
    name: str
    start: float
    step_seconds: float
    values: list[float]


@dataclass
class Sample:
    plan: dict[str, Any]
    forecast: dict[str, Any]
    history: dict[str, SampleSeries] = field(default_factory=dict)

    def write(self, directory: Any) -> dict[str, str]:
        """The three files; their paths by option name."""
        paths = {name: str(directory / file) for name, file in FILES.items()}
        write_document(paths["plan"], self.plan)
        write_document(paths["forecast"], self.forecast)
        with gzip.open(paths["history"], "wt", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["series", "timestamp", "value"])
            for name in sorted(self.history):
                series = self.history[name]
                for index, value in enumerate(series.values):
                    moment = format_moment(series.start + index * series.step_seconds)
                    rows.writerow([name, moment, "" if math.isnan(value) else f"{value:.4f}"])
        return paths


FILES = {"plan": "plan.json", "forecast": "forecast.json", "history": "history.csv.gz"}


def build(models: int = 5, *, days: float = 8.0, seed: int = 7, names: list[str] | None = None) -> Sample:
    """A sample with ``models`` models; the second is short, the third distrusts its forecast."""
    source = random.Random(seed)
    names = names or [_name(index) for index in range(models)]
    history = {name: _history(name, source, days) for name in names}
    forecasts = {name: _forecast(name, history[name], trusted=position != 2) for position, name in enumerate(names)}
    forecast = {
        "schema_version": 1,
        "kind": "forecast",
        "created_at": format_moment(AS_OF),
        "generator": "modelops.datacenter 0.1.0",
        "inputs": {"history": digest(names)},
        "horizon_steps": HORIZON_STEPS,
        "window_steps": 6,
        "quantile_levels": list(LEVELS),
        "series": forecasts,
        "warnings": [],
    }
    return Sample(plan=_plan(names, forecasts, digest(forecast)), forecast=forecast, history=history)


def _name(index: int) -> str:
    family = FAMILIES[index % len(FAMILIES)]
    return family if index < len(FAMILIES) else f"{family}-t{index // len(FAMILIES):02d}"


def _shape(seconds: float) -> float:
    day = 2 * math.pi * (seconds % 86400) / 86400
    weekend = 0.65 if int(seconds // 86400) % 7 in (2, 3) else 1.0
    return weekend * (1.0 + 0.55 * math.sin(day - 2.1) + 0.12 * math.sin(2 * day))


def _history(name: str, source: random.Random, days: float) -> SampleSeries:
    level = size_of(name)[1] * source.uniform(1.5, 4.0)
    start = AS_OF - days * 86400
    values, noise = [], 0.0
    for index in range(int(days * 86400 / STEP_SECONDS)):
        noise = 0.8 * noise + source.gauss(0, 0.04)
        values.append(max(0.0, level * (_shape(start + index * STEP_SECONDS) + noise)))
    for index in range(len(values) // 3, len(values) // 3 + 9):
        values[index] = math.nan
    return SampleSeries(name, start, STEP_SECONDS, values)


def size_of(name: str) -> tuple[float, float]:
    return SIZES.get(name.split("-t")[0], DEFAULT_SIZE)


def _forecast(name: str, history: SampleSeries, *, trusted: bool) -> dict[str, Any]:
    last = history.values[-1]
    ratio = last / _shape(AS_OF - STEP_SECONDS)
    mean = [max(0.0, ratio * _shape(AS_OF + step * STEP_SECONDS)) for step in range(HORIZON_STEPS)]
    width = [0.06 + 0.12 * math.sqrt(step / HORIZON_STEPS) for step in range(HORIZON_STEPS)]
    deviations = {0.05: -1.645, 0.5: 0.0, 0.9: 1.2816, 0.95: 1.645}
    quantiles = {
        str(level): [round(max(0.0, value * (1 + deviations[level] * spread)), 4) for value, spread in zip(mean, width)]
        for level in LEVELS
    }
    return {
        "model": "combination of 6",
        "candidates": [{"name": "airline(1,0,1)(0,1,1)", "weight": 0.4, "mae": 0.31}],
        "usable": True,
        "beats_seasonal_naive": trusted,
        "start": format_moment(AS_OF),
        "step_seconds": STEP_SECONDS,
        "history_end": format_moment(AS_OF - STEP_SECONDS),
        "last_observed": round(last, 4),
        "recent_maximum": round(max(history.values[-6:]), 4),
        "mean": [round(value, 4) for value in mean],
        "quantiles": quantiles,
        "window_maximum": {level: max(values[:6]) for level, values in quantiles.items()},
        "backtest": {
            "origins": 24,
            "lead_steps": 6,
            "mase": 0.71 if trusted else 1.08,
            "mase_seasonal_naive": 1.02,
            "smape": 0.083,
            "skill": 0.304 if trusted else -0.059,
            "pinball": {str(level): 0.12 for level in LEVELS},
            "coverage": {"0.05": 0.062, "0.5": 0.51, "0.9": 0.893, "0.95": 0.941},
        },
        "seasonal_periods": [144, 1008],
        "warnings": [] if trusted else ["9 samples are missing between 2026-11-18 and 2026-11-18"],
    }


def fleet(hosts: int) -> list[dict[str, Any]]:
    """Hosts over three zones: most with eight accelerators, some with four, one in eight with none."""
    records = []
    for index in range(hosts):
        zone = "abc"[index % 3]
        kind, count, cost = [("h100-80gb", 8, 24.0), ("l40s-48gb", 4, 6.4)][index % 5 == 3]
        if index % 8 == 7:
            kind, count, cost = "cpu", 0, 1.1
        records.append(
            {
                "name": f"{'cpu' if count == 0 else 'gpu'}-{zone}{index // 3 + 1:02d}",
                "zone": zone,
                "region": "eu-north",
                "accelerator_type": kind,
                "accelerator_count": count,
                "accelerator_memory_gib": 80.0 if kind == "h100-80gb" else 48.0,
                "accelerator_uuids": [],
                "cpu_cores": 96.0,
                "memory_gib": 1024.0,
                "cost_per_hour": cost,
                "state": "draining" if index == 4 else "maintenance" if index == 8 else "active",
                "reachable": index != 6,
                "base_port": 8100,
                "max_replicas": None,
            }
        )
    return records


class _Packing:
    """First fit of replicas on accelerators; shares of one accelerator are packed together."""

    def __init__(self, hosts: list[dict[str, Any]]) -> None:
        self.hosts = hosts
        self.free = {host["name"]: [1.0] * host["accelerator_count"] for host in hosts}
        self.slots = {host["name"]: 0 for host in hosts}

    def place(self, name: str, size: float, *, start: int, draining: bool = False) -> dict[str, Any] | None:
        for offset in range(len(self.hosts)):
            host = self.hosts[(start + offset) % len(self.hosts)]
            if not host["reachable"] or host["state"] == "maintenance" or (host["state"] == "draining") != draining:
                continue
            if size == 0 and host["accelerator_count"]:
                continue
            indices = self._fit(host["name"], size)
            if indices is None:
                continue
            slot = self.slots[host["name"]]
            self.slots[host["name"]] += 1
            return {
                "host": host["name"],
                "slot": slot,
                "model": name,
                "version": "2026.11.1",
                "port": 8100 + slot,
                "accelerators": indices,
            }
        return None

    def _fit(self, host: str, size: float) -> list[int] | None:
        free = self.free[host]
        if size == 0:
            return []
        need = [index for index, share in enumerate(free) if share >= min(size, 1.0) - 1e-9][: math.ceil(size)]
        if len(need) < math.ceil(size):
            return None
        for index in need:
            free[index] -= min(size, 1.0)
        return need


def _plan(names: list[str], forecasts: dict[str, Any], forecast_digest: str) -> dict[str, Any]:
    peaks = {name: forecasts[name]["window_maximum"]["0.95"] for name in names}
    needed = {name: max(1, math.ceil(peaks[name] / size_of(name)[1])) for name in names}
    accelerators = sum(needed[name] * size_of(name)[0] for name in names)
    hosts = fleet(max(9, math.ceil(accelerators / 4.0)))
    packing, placements, actions = _Packing(hosts), [], []
    short = names[1] if len(names) > 1 else None
    for position, name in enumerate(names):
        for replica in range(needed[name] - (1 if name == short and needed[name] > 1 else 0)):
            record = packing.place(name, size_of(name)[0], start=position)
            if record is None:
                continue
            wave = 0 if replica < needed[name] - 1 else 1 + position % 2
            placements.append({**record, "wave": wave})
            action = "keep" if wave == 0 else "start"
            reason = "" if wave == 0 else "The level planned for needs one more replica"
            actions.append({**record, "wave": wave, "action": action, "move": None, "reason": reason})
    _add_stops(names, packing, placements, actions)
    return _document(names, peaks, needed, hosts, placements, actions, short, forecast_digest)


def _add_stops(names: list[str], packing: _Packing, placements: list[Any], actions: list[Any]) -> None:
    """One replica that only stops, and one that moves off the draining host."""
    stopping = packing.place(names[0], size_of(names[0])[0], start=2)
    if stopping:
        actions.append({**stopping, "wave": 3, "action": "stop", "move": None, "reason": "Demand fell for 30 min"})
    starts = [action for action in actions if action["action"] == "start" and action["model"] == names[-1]]
    leaving = packing.place(names[-1], size_of(names[-1])[0], start=0, draining=True)
    if leaving and starts:
        starts[-1]["move"] = 1
        starts[-1]["reason"] = "Takes over from a draining host"
        actions.append({**leaving, "wave": 3, "action": "stop", "move": 1, "reason": "The host is draining"})


def _document(
    names: list[str],
    peaks: dict[str, float],
    needed: dict[str, int],
    hosts: list[dict[str, Any]],
    placements: list[dict[str, Any]],
    actions: list[dict[str, Any]],
    short: str | None,
    forecast_digest: str,
) -> dict[str, Any]:
    counts = {name: sum(1 for record in placements if record["model"] == name) for name in names}
    planned = {name: round(counts[name] * size_of(name)[1], 4) for name in names}
    running = {name: round(max(counts[name] - 1, 0) * size_of(name)[1], 4) for name in names}
    used = {record["host"] for record in placements}
    missing = round(max(0.0, peaks[short] - planned[short]), 4) if short else 0.0
    plan: dict[str, Any] = {
        "schema_version": 1,
        "kind": "plan",
        "generator": "modelops.datacenter 0.1.0",
        "fleet_fingerprint": digest(hosts),
        "inputs": {key: digest(key) for key in ("hosts", "models", "current", "observed")}
        | {"forecast": forecast_digest},
        "as_of": format_moment(AS_OF),
        "lead_time_seconds": {name: 240.0 + 60 * size_of(name)[0] for name in names},
        "demand": {name: _demand(name, position, peaks[name], needed[name]) for position, name in enumerate(names)},
        "capacity": {
            name: {"planned_requests_per_second": planned[name], "running_requests_per_second": running[name]}
            for name in names
        },
        "placements": sorted(placements, key=lambda record: (record["host"], record["slot"])),
        "actions": sorted(actions, key=lambda record: (record["wave"], record["host"], record["slot"])),
        "waves": [
            {
                "wave": wave,
                "starts": sum(1 for action in actions if (action["wave"], action["action"]) == (wave, "start")),
                "stops": sum(1 for action in actions if (action["wave"], action["action"]) == (wave, "stop")),
                "serving_requests_per_second": planned,
                "note": "Stops come last: serving capacity stays above the floor" if wave == 3 else "",
            }
            for wave in (1, 2, 3)
        ],
        "moves": sum(1 for action in actions if action["move"] is not None) // 2,
        "starts": sum(1 for action in actions if action["action"] == "start"),
        "stops": sum(1 for action in actions if action["action"] == "stop"),
        "keeps": sum(1 for action in actions if action["action"] == "keep"),
        "shortages": [],
        "violations": [],
        "reasons": [f"{name}: {counts[name]} replicas serve the 0.95 level of the forecast" for name in names[:6]],
        "fairness": {name: min(1.0, round(planned[name] / peaks[name], 4)) if peaks[name] else 1.0 for name in names},
        "cost_per_hour": round(sum(host["cost_per_hour"] for host in hosts if host["name"] in used), 2),
        "expected_response_time_seconds": {name: round(0.4 + 0.3 * size_of(name)[0], 3) for name in names},
        "solver": {"method": "highs", "status": "optimal", "bound": 101.25, "objective": 101.25, "gap": 0.0},
        "hosts": hosts,
        "models": {
            name: {
                "engine": "command" if size_of(name)[0] == 0 else "vllm",
                "version": "2026.11.1",
                "accelerators": size_of(name)[0],
                "capacity": {"h100-80gb": {"requests_per_second": size_of(name)[1]}},
            }
            for name in names
        },
        "warnings": ["gpu-a03 did not answer; its replicas are taken as lost"],
    }
    if short and missing:
        plan["shortages"].append(
            {
                "model": short,
                "requests_per_second": missing,
                "replicas": 1,
                "cost_per_hour": round(missing * 3600 * 0.02, 2),
                "reason": "No host has the accelerators of one more replica free",
            }
        )
        plan["violations"].append(
            {"limit": "spread over zones", "model": short, "amount": 1, "reason": "Two of three replicas are in zone a"}
        )
    plan["digest"] = digest(plan)
    plan["created_at"] = format_moment(AS_OF + 12)
    return plan


def _demand(name: str, position: int, peak: float, floor: int) -> dict[str, Any]:
    sources = {2: "observed", 4: "held"}
    reasons = {
        "observed": "What is observed now with its headroom, because the forecast did not beat seasonal naive",
        "held": "Scale-in waits until demand has been low for 30 min",
        "forecast": "The 0.95 level of the largest demand in the next hour is above what is observed now",
    }
    source = sources.get(position, "forecast")
    return {
        "levels": {"0.5": round(0.86 * peak, 4), "0.9": round(0.96 * peak, 4), "0.95": round(peak, 4)},
        "observed": round(0.84 * peak, 4),
        "source": source,
        "floor_replicas": floor,
        "reason": reasons[source],
    }
