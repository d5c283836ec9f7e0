# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which demand to plan for, per model, and why.

The forecast is a floor, not a promise::

    levels = max(quantiles of the maximum demand over lead time + planning interval,
                 observed now x headroom)

The observation guards the forecast, so only what is surely seen counts, and with headroom only as far as
the forecast did not expect it, see :mod:`guard`; where there is nothing to guard it counts as it is.
A forecast that could not be made is replaced by what was seen: max(observed, recent
maximum) x headroom. One that did worse than seasonal naive in its own backtest is
replaced by degrees, see :mod:`trust`.

Scale-in needs evidence. When the forecast or the observation of a model is missing,
stale, not a number, or made from too short a history, ``floor_replicas`` is what runs
now: demand that cannot be read never stops a replica. Zero that was really measured may
go down to ``min_replicas``. With a hold time, demand must have been low for that long,
see :mod:`scale_in`.

``observed`` may be None or a mapping, and an empty mapping is not None: None means that
nobody measured, so the last samples of the history stand in; ``{}`` means that a
measurement was made and showed no model, so nothing is known and nothing stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.guard import guarded
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.readings import reading
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.replica_floor import (
    Running,
    ScaleIn,
    least_replicas,
    running_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.scale_in import (
    Recent,
    looked_again,
    remembered,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.signals import (
    KNOWN_LEVEL,
    Levels,
    Signal,
    by_model,
    expected_sum,
    forecast_signal,
    given_signal,
    is_document,
    summed,
)


@dataclass(frozen=True)
class ModelDemand:
    """What is planned for, for one model.

    ``levels``: (quantile level, requests/s), ascending in both, never empty.
    ``observed``: requests/s now, or None when unknown.
    ``source``: ``forecast``, ``observed`` (what was seen, with headroom, decides), ``given``
    (the operator's own numbers) or ``held`` (nothing could be read).
    ``floor_replicas``, ``ceiling_replicas``: how many replicas the plan must and may have.
    ``recent``: what was asked for of late, for the next plan.
    """

    model: str
    levels: Levels
    observed: float | None
    source: str
    floor_replicas: int
    ceiling_replicas: int | None
    reason: str
    recent: Recent = field(default_factory=Recent)

    def as_record(self) -> dict[str, Any]:
        """The demand as the plan file holds it."""
        return {
            "levels": {repr(level): rate for level, rate in self.levels},
            "observed": self.observed,
            "source": self.source,
            "floor_replicas": self.floor_replicas,
            "reason": self.reason,
            "recent": self.recent.as_record(),
        }


@dataclass(frozen=True)
class _Observation:
    """What is observed now: the sum of what could be read, over how long, and whether that was all of it."""

    requests_per_second: float | None
    complete: bool
    seconds: float


def planned_demand(
    models: Sequence[Model],
    forecast: Mapping[str, Any] | None,
    observed: Mapping[str, float] | None,
    current: Sequence[Replica],
    *,
    headroom: float = 1.2,
    observed_seconds: float | Mapping[str, float] = 0.0,
    lead_time_seconds: Mapping[str, float] | None = None,
    planning_interval_seconds: float = 3600,
    hold_scale_in: bool = False,
    as_of: float | None = None,
    scale_in_hold_seconds: float = 0.0,
    previous: Mapping[str, Any] | None = None,
    hosts: Sequence[Host] = (),
) -> tuple[dict[str, ModelDemand], list[str]]:
    """The demand to plan for.

    Args:
        models: the catalogue; each model gets an entry.
        forecast: a forecast document, or ``{model: requests/s}``, or ``{model: {level: requests/s}}``;
            keys may be ``model|region``, which are added up.
        observed: requests/s now by model or ``model|region``. None: the last samples of the
            forecast's history stand in. A model that is absent here was not measured; with ``{}`` none was.
        current: what runs now.
        headroom: factor on what is observed beyond what the forecast expected, at least 1.
        observed_seconds: over how long ``observed`` was counted, or that by model; 0 takes it as exact.
        lead_time_seconds: measured time from start to first answer per model; the
            catalogue's ``startup_seconds`` where it is not measured.
        planning_interval_seconds: time until the next plan takes over.
        hold_scale_in: never plan fewer replicas than run now.
        as_of: epoch seconds the plan is for; None: the start of the forecast.
        scale_in_hold_seconds: how long demand must have been low before fewer replicas run; 0 for no hold.
            Demand that was given as numbers is not held.
        previous: the previous plan, which remembers recent demand, and what ran on hosts that do not answer now;
            None for none.
        hosts: the stock, which tells what a replica serves at least; without it a hold keeps all that runs.

    Returns:
        Demand per model, and notes that concern the whole.

    Raises:
        InputError: a number out of range, or a document without its fields.
    """
    expect_number(headroom, what="headroom", minimum=1)
    expect_number(planning_interval_seconds, what="planning_interval_seconds", minimum=0)
    document = expect_mapping({} if forecast is None else forecast, what="forecast or demand")
    series = document.get("series") or {} if is_document(document) else document
    entries = by_model(expect_mapping(series, what="series", where="forecast"))
    measured = None if observed is None else by_model(expect_mapping(observed, what="observed demand"))
    expect_number(scale_in_hold_seconds, what="scale_in_hold_seconds", minimum=0)
    gap = max(scale_in_hold_seconds, 2 * planning_interval_seconds)
    memory, elapsed = remembered(previous, as_of, longest_gap_seconds=gap)
    running = running_replicas(models, current, hosts, previous)
    demands = {}
    for model in sorted(models, key=lambda one: one.name):
        signals = _signals(
            document,
            entries.get(model.name, {}),
            window_seconds=_lead_time(model, lead_time_seconds or {}) + planning_interval_seconds,
            headroom=headroom,
            as_of=as_of,
            interval_seconds=planning_interval_seconds,
        )
        counted = observed_seconds.get(model.name, 0.0) if isinstance(observed_seconds, Mapping) else observed_seconds
        observation = _observation(
            model.name, measured, signals, expect_number(counted, what="observed_seconds", minimum=0)
        )
        scale_in = ScaleIn(hold_scale_in, scale_in_hold_seconds, memory.get(model.name), elapsed)
        demands[model.name] = _decide(model, signals, observation, running[model.name], headroom, scale_in)
    return demands, _notes(demands, entries, measured)


def lead_times(models: Sequence[Model], measured: Mapping[str, float] | None) -> dict[str, float]:
    """Seconds from start to first answer per model: measured where it is, else the catalogue's."""
    return {model.name: _lead_time(model, measured or {}) for model in models}


def _lead_time(model: Model, measured: Mapping[str, float]) -> float:
    where = f"lead time of {model.name}"
    seconds = reading(measured.get(model.name), where=where)
    return model.startup_seconds if seconds is None else seconds


def _signals(
    document: Mapping[str, Any],
    entries: Mapping[str, Any],
    *,
    window_seconds: float,
    headroom: float,
    as_of: float | None,
    interval_seconds: float,
) -> list[Signal]:
    if not is_document(document):
        return [given_signal(name, value) for name, value in entries.items()]
    window_steps = int(expect_number(document.get("window_steps", 0), what="window_steps", where="forecast", minimum=0))
    return [
        forecast_signal(
            name,
            series,
            window_steps=window_steps,
            window_seconds=window_seconds,
            headroom=headroom,
            as_of=as_of,
            interval_seconds=interval_seconds,
        )
        for name, series in entries.items()
    ]


def _observation(
    model: str, measured: Mapping[str, Mapping[str, Any]] | None, signals: Sequence[Signal], seconds: float
) -> _Observation:
    if measured is None:
        values = [signal.latest for signal in signals]
        # Numbers an operator wrote down need no measurement beside them.
        complete = all(signal.source == "given" or signal.latest is not None for signal in signals)
    else:
        values = [reading(value, where=f"observed demand of {name}") for name, value in measured.get(model, {}).items()]
        complete = bool(values) and None not in values
    known = [value for value in values if value is not None]
    return _Observation(sum(known) if known else None, complete, seconds)


def _decide(
    model: Model,
    signals: Sequence[Signal],
    observation: _Observation,
    running: Running,
    headroom: float,
    scale_in: ScaleIn,
) -> ModelDemand:
    """Apply the rule of this file to one model."""
    levels, source, reasons = _ladder(signals, observation, headroom)
    complete = observation.complete and bool(signals) and all(signal.complete for signal in signals)
    if not observation.complete:
        reasons.append("what is observed now is missing or not a number")
    recent = Recent()
    if complete:
        recent = looked_again(scale_in.before, scale_in.elapsed_seconds, levels[-1][1], scale_in.hold_seconds)
    floor, why = least_replicas(model, signals, running, scale_in, recent if complete else None)
    if floor > model.min_replicas:
        some = "the" if floor == running.count else f"{floor} of the"
        reasons.append(f"{some} {running.words} stay: {why}")
    return ModelDemand(
        model=model.name,
        levels=levels,
        observed=observation.requests_per_second,
        source=source,
        floor_replicas=floor,
        ceiling_replicas=None if model.max_replicas is None else max(model.max_replicas, floor),
        reason="; ".join(reasons),
        recent=recent,
    )


def _ladder(signals: Sequence[Signal], observation: _Observation, headroom: float) -> tuple[Levels, str, list[str]]:
    """The levels to plan for, which source decides them, and why."""
    levels = summed(signals)
    rate = observation.requests_per_second
    reasons = [signal.reason for signal in signals] or ["no forecast"]
    sources = {signal.source for signal in signals if signal.levels}
    source = "forecast" if "forecast" in sources else min(sources, default="held")
    if rate is not None:
        seen, words = guarded(rate, observation.seconds, headroom, levels, expected_sum(signals))
        if not levels or seen > levels[-1][1]:
            source = "observed"
            words += " decides"
        reasons.append(words)
        levels = tuple((level, max(one, seen)) for level, one in levels) or ((KNOWN_LEVEL, seen),)
    return levels or ((KNOWN_LEVEL, 0.0),), source, reasons


def _notes(
    demands: Mapping[str, ModelDemand],
    entries: Mapping[str, Mapping[str, Any]],
    measured: Mapping[str, Mapping[str, Any]] | None,
) -> list[str]:
    notes = []
    if measured is not None and not measured and demands:
        notes.append("The observed demand names no model: nothing was measured, so what runs stays")
    held = [name for name, demand in demands.items() if demand.source == "held"]
    if held:
        notes.append(f"No demand could be read for {', '.join(held)}: what runs of them stays")
    regional = [name for name in demands if len(entries.get(name, {})) > 1]
    if regional:
        notes.append(
            f"Demand of {', '.join(regional)} is the sum over regions, quantile by quantile:"
            " it assumes they peak together, which is conservative"
        )
    strangers = sorted((set(entries) | set(measured or {})) - set(demands))
    if strangers:
        notes.append(f"Demand is known for {', '.join(strangers)}, which the catalogue does not list: ignored")
    return notes
