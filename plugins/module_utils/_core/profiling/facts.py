# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Measured capacities as a host keeps them (``modelops.fact``) and as the next plan goes by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.capacity_fit import Capacity
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.slo import Slo
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.release import release_digest


def capacity_record(
    capacity: Capacity, slo: Slo, *, service_seconds: float, about: Mapping[str, Any], at: float
) -> dict[str, Any]:
    """What is kept of a sweep; ``about`` says of what: ``version``, ``digest`` and ``accelerator_type``."""
    return {
        "accelerator_type": str(about.get("accelerator_type") or "cpu"),
        "version": str(about.get("version") or ""),
        "digest": str(about.get("digest") or ""),
        "requests_per_second": round(capacity.rate, 4),
        "low": round(capacity.low, 4),
        "high": round(capacity.high, 4),
        "service_time_seconds": round(service_seconds, 4),
        "slo": slo.as_record(),
        "at": round(at),
    }


def measured_here(state: Mapping[str, Any] | None, model: str, entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a host measured of this release under this SLO; None when it did not."""
    record = ((state or {}).get("capacity") or {}).get(model)
    if not isinstance(record, Mapping) or record.get("digest") != release_digest(entry):
        return None
    wanted = {name: float(value) for name, value in (entry.get("slo") or {}).items() if value is not None}
    said = {name: float(value) for name, value in (record.get("slo") or {}).items()}
    return record if {"quantile": 0.95, **wanted} == {"quantile": 0.95, **said} else None


def with_measured_capacity(models: Any, states: Iterable[Mapping[str, Any] | None]) -> dict[str, Any]:
    """The catalogue, with capacities that hosts measured in place of those it states.

    A measurement counts for the release and the SLO it was made with. Where several hosts of a type
    measured, the lowest rate and the longest service time count, since a plan may put a replica on any.

    Raises:
        InputError: the catalogue is no mapping.
    """
    known = [state for state in states if state and state.get("capacity")]
    catalogue = dict(expect_mapping(models or {}, what="catalogue of models (modelops_models)"))
    for name, entry in catalogue.items() if known else ():
        if not isinstance(entry, Mapping):
            continue
        found: dict[str, dict[str, float]] = {}
        for record in (measured_here(state, str(name), entry) for state in known):
            if record is None:
                continue
            kind, rate = str(record["accelerator_type"]), float(record["requests_per_second"])
            seconds, before = float(record["service_time_seconds"]), found.get(kind)
            found[kind] = {
                "requests_per_second": min(rate, before["requests_per_second"]) if before else rate,
                "service_time_seconds": max(seconds, before["service_time_seconds"]) if before else seconds,
            }
        if found:
            catalogue[name] = {**entry, "capacity": {**(entry.get("capacity") or {}), **found}}
    return catalogue
