# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a simulated policy served and what it took.

Counted are the requests that arrived in ``[begin, end - tail_seconds)``, all models together,
so that each of them had time to finish. One that was not served by the end counts as lost: it
misses its deadline and its SLO, and it is left out of the percentiles and the mean, which
are therefore to be read with the lost beside them.

- response: seconds from arrival to the last token; deadline completion: the share of all requests with response
  at most ``deadline_seconds``.
- TTFT: seconds to the first token; ITL: mean seconds between the tokens of a request.
- SLO attainment: the share with TTFT and ITL inside theirs; goodput: those, per second.
- accelerator-hours: from start to gone, so starting and draining is in them.
- shortfall: demand of a sample step over what the ready replicas sustain, requests/s, summed over models; the
  worst of them, and the longest time that it was above 0 without a pause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.student import t_quantile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fluid import FluidStation
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.station import Counts, Station

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
PERCENTILES = (50, 90, 99)
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Goals:
    """What is promised, and over which time it is looked at; all in seconds."""

    begin: float
    end: float
    ttft_seconds: float
    itl_seconds: float
    deadline_seconds: float
    tail_seconds: float = 600.0


def measure(stations: Mapping[str, Station], goals: Goals, rates: Mapping[str, float], step: float) -> dict[str, float]:
    """The figures of one run, request by request.

    Args:
        rates: requests/s that one replica of each model sustains, for the shortfall.
        step: seconds of the steps in which demand is compared with capacity.
    """
    parts = [_of_requests(station, goals) for _name, station in sorted(stations.items())]
    arrival, first, finish, decoded = (np.concatenate(column) for column in zip(*parts))
    if not len(arrival):
        raise InputError("no request arrived in the time that is looked at", remedy="Give a longer trace")
    served = np.isfinite(finish)
    response, ttft = (finish - arrival)[served], (first - arrival)[served]
    itl = (finish[served] - first[served]) / np.maximum(decoded[served], 1.0)
    good = int(((ttft <= goals.ttft_seconds) & (itl <= goals.itl_seconds)).sum())
    seconds = goals.end - goals.tail_seconds - goals.begin
    figures = {
        "requests": len(arrival),
        "lost": int((~served).sum()),
        "mean_response_seconds": _mean(response),
        "deadline_share": float((response <= goals.deadline_seconds).sum() / len(arrival)),
        "mean_ttft_seconds": _mean(ttft),
        "slo_share": good / len(arrival),
        "goodput_per_second": good / seconds,
    }
    for name, values in (("ttft", ttft), ("itl", itl), ("response", response)):
        for percentile in PERCENTILES:
            value = float(np.percentile(values, percentile)) if len(values) else math.nan
            figures[f"p{percentile}_{name}_seconds"] = value
    return {**figures, **_of_replicas(stations, goals, rates, step)}


def measure_fluid(
    stations: Mapping[str, FluidStation], goals: Goals, rates: Mapping[str, float], step: float
) -> dict[str, float]:
    """The figures of one run as a fluid: means over requests; the SLO share is that of the steps' mean waits.

    A step is inside the SLO when the mean wait and prefill of its requests is within the TTFT and their mean step of
    decoding within the ITL. What a single request meets is not known to a fluid.
    """
    served, stay, good = [], [], []
    for _name, station in sorted(stations.items()):
        flow = station.flow
        prefill = station.profile.prefill_seconds(flow.input_tokens)
        moments = flow.start + flow.step_seconds * np.arange(len(station.served))
        part = (moments >= goals.begin) & (moments < goals.end - goals.tail_seconds) & (station.served > 0)
        decode = (station.stay - station.wait - prefill)[part] / max(flow.output_tokens - 1.0, 1.0)
        served.append(station.served[part])
        stay.append(station.stay[part])
        good.append((station.wait[part] + prefill <= goals.ttft_seconds) & (decode <= goals.itl_seconds))
    weights, stays = np.concatenate(served), np.concatenate(stay)
    total = float(weights.sum())
    if total <= 0:
        raise InputError("no request arrived in the time that is looked at", remedy="Give a longer series")
    finite = np.isfinite(stays)
    return {
        "requests": total,
        "mean_response_seconds": float(np.average(stays[finite], weights=weights[finite]))
        if finite.any()
        else math.nan,
        "deadline_share": float(weights[stays <= goals.deadline_seconds].sum() / total),
        "slo_share": float(weights[np.concatenate(good)].sum() / total),
        **_of_replicas(stations, goals, rates, step),
    }


def over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean of each figure, and half the width of its 95 % confidence interval by Student's t (0 for one run)."""
    found = {}
    for key in runs[0]:
        values = np.array([run[key] for run in runs], dtype=np.float64)
        half = 0.0
        if len(values) > 1:
            half = t_quantile(0.975, len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
        found[key] = {"mean": float(values.mean()), "half_width": half}
    return found


def steps_at(course: Sequence[tuple[float, int]], moments: Array) -> Array:
    """The counts of a step curve ``[(moment, count)]`` at those moments."""
    changed = np.array([moment for moment, _count in course])
    counts = np.array([count for _moment, count in course])
    return counts[np.maximum(np.searchsorted(changed, moments, side="right") - 1, 0)]


def _of_requests(station: Station, goals: Goals) -> tuple[Array, Array, Array, Array]:
    arrival = np.asarray(station.requests.arrival, dtype=np.float64)
    part = (arrival >= goals.begin) & (arrival < goals.end - goals.tail_seconds)
    first, finish = np.asarray(station.first_token)[part], np.asarray(station.finish)[part]
    decoded = np.maximum(np.asarray(station.requests.output_tokens, dtype=np.float64)[part] - 1.0, 0.0)
    return arrival[part], first, finish, decoded


def _of_replicas(
    stations: Mapping[str, Any], goals: Goals, rates: Mapping[str, float], step: float
) -> dict[str, float]:
    edges = np.arange(goals.begin, goals.end + step / 2.0, step)
    short = np.zeros(len(edges) - 1)
    total = Counts()
    for name, station in sorted(stations.items()):
        counts = station.counts
        total.accelerator_seconds += counts.accelerator_seconds
        total.starts += counts.starts
        total.stops += counts.stops
        demand = np.array([station.arrived_between(begin, end) for begin, end in zip(edges, edges[1:])]) / step
        short += np.maximum(0.0, demand - steps_at(counts.ready, edges[:-1]) * rates[name])
    return {
        "accelerator_hours": total.accelerator_seconds / SECONDS_PER_HOUR,
        "starts": total.starts,
        "stops": total.stops,
        "worst_shortfall_per_second": float(short.max()),
        "longest_shortfall_seconds": _longest(short > 0) * step,
    }


def _longest(flags: Array) -> int:
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else math.nan
