# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which demand to plan for, per model, and why.

The forecast is a floor, not a promise::

    levels = max(quantiles of the maximum demand over lead time + planning interval,
                 observed now x headroom)

A forecast that did not beat seasonal naive in its own backtest, or that could not be
made, is replaced by what was seen: max(observed, recent maximum) x headroom.

Scale-in needs evidence. When the forecast or the observation of a model is missing,
stale, not a number, or made from too short a history, ``floor_replicas`` is what runs now: demand that cannot be read
never stops a replica. Zero that was really measured may go down to ``min_replicas``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.signals import (
    KNOWN_LEVEL,
    Levels,
    Signal,
    by_model,
    forecast_signal,
    given_signal,
    is_document,
    reading,
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
    """

    model: str
    levels: Levels
    observed: float | None
    source: str
    floor_replicas: int
    ceiling_replicas: int | None
    reason: str


@dataclass(frozen=True)
class _Observation:
    """What is observed now: the sum of what could be read, and whether that was all of it."""

    requests_per_second: float | None
    complete: bool


def planned_demand(
    models: Sequence[Model],
    forecast: Mapping[str, Any] | None,
    observed: Mapping[str, float] | None,
    current: Sequence[Replica],
    *,
    headroom: float = 1.2,
    lead_time_seconds: Mapping[str, float] | None = None,
    planning_interval_seconds: float = 3600,
    hold_scale_in: bool = False,
    as_of: float | None = None,
) -> tuple[dict[str, ModelDemand], list[str]]:
    """The demand to plan for.

    Args:
        models: the catalogue; each model gets an entry.
        forecast: a forecast document, or ``{model: requests/s}``, or ``{model: {level: requests/s}}``;
            keys may be ``model|region``, which are added up.
        observed: requests/s now by model or ``model|region``. None: the last samples of the
            forecast's history stand in. A model that is absent here was not measured.
        current: what runs now.
        headroom: factor on what is observed, at least 1.
        lead_time_seconds: measured time from start to first answer per model; the
            catalogue's ``startup_seconds`` where it is not measured.
        planning_interval_seconds: time until the next plan takes over.
        hold_scale_in: never plan fewer replicas than run now.
        as_of: epoch seconds the plan is for; None: the start of the forecast.

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
    running = Counter(replica.model for replica in current)
    demands = {}
    for model in sorted(models, key=lambda one: one.name):
        lead_time = _lead_time(model, lead_time_seconds or {})
        signals = _signals(
            document,
            entries.get(model.name, {}),
            window_seconds=lead_time + planning_interval_seconds,
            headroom=headroom,
            as_of=as_of,
        )
        observation = _observation(model.name, measured, signals)
        demands[model.name] = _decide(model, signals, observation, running[model.name], headroom, hold_scale_in)
    return demands, _notes(demands, entries, measured or {})


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
        )
        for name, series in entries.items()
    ]


def _observation(
    model: str, measured: Mapping[str, Mapping[str, Any]] | None, signals: Sequence[Signal]
) -> _Observation:
    if measured is None:
        values = [signal.latest for signal in signals]
        # Numbers an operator wrote down need no measurement beside them.
        complete = all(signal.source == "given" or signal.latest is not None for signal in signals)
    else:
        values = [reading(value, where=f"observed demand of {name}") for name, value in measured.get(model, {}).items()]
        complete = bool(values) and None not in values
    known = [value for value in values if value is not None]
    return _Observation(sum(known) if known else None, complete)


def _decide(
    model: Model,
    signals: Sequence[Signal],
    observation: _Observation,
    running: int,
    headroom: float,
    hold_scale_in: bool,
) -> ModelDemand:
    """Apply the rule of this file to one model."""
    seen = None if observation.requests_per_second is None else observation.requests_per_second * headroom
    levels = summed(signals)
    reasons = [signal.reason for signal in signals]
    if not signals:
        reasons.append("no forecast")
    sources = {signal.source for signal in signals if signal.levels}
    source = "forecast" if "forecast" in sources else min(sources, default="held")
    if seen is not None:
        words = f"observed {observation.requests_per_second:.4g} requests/s x {headroom:g}"
        if not levels or seen > levels[-1][1]:
            source = "observed"
            words += " decides"
        reasons.append(words)
        levels = tuple((level, max(rate, seen)) for level, rate in levels) or ((KNOWN_LEVEL, seen),)
    complete = observation.complete and bool(signals) and all(signal.complete for signal in signals)
    if not observation.complete:
        reasons.append("what is observed now is missing or not a number")
    floor = model.min_replicas
    if running > floor and (hold_scale_in or not complete):
        floor = running
        why = "scale-in is on hold" if complete else "what is not known of demand stops nothing"
        reasons.append(f"the {running} that run stay: {why}")
    ceiling = None if model.max_replicas is None else max(model.max_replicas, floor)
    return ModelDemand(
        model=model.name,
        levels=levels or ((KNOWN_LEVEL, 0.0),),
        observed=observation.requests_per_second,
        source=source,
        floor_replicas=floor,
        ceiling_replicas=ceiling,
        reason="; ".join(reasons),
    )


def _notes(
    demands: Mapping[str, ModelDemand],
    entries: Mapping[str, Mapping[str, Any]],
    measured: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    notes = []
    held = [name for name, demand in demands.items() if demand.source == "held"]
    if held:
        notes.append(f"No demand could be read for {', '.join(held)}: what runs of them stays")
    regional = [name for name in demands if len(entries.get(name, {})) > 1]
    if regional:
        notes.append(
            f"Demand of {', '.join(regional)} is the sum over regions, quantile by quantile:"
            " it assumes they peak together, which is conservative"
        )
    strangers = sorted((set(entries) | set(measured)) - set(demands))
    if strangers:
        notes.append(f"Demand is known for {', '.join(strangers)}, which the catalogue does not list: ignored")
    return notes
