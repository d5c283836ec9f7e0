# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Every number that an operator may set in the rules, checked once.

Times in seconds, shares and ratios in [0, 1], temperatures in degrees Celsius. The sources of
the defaults are in the guide; those marked there as starting points are to be set for one's own hosts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

WHERE = "monitoring_rules"


@dataclass(frozen=True)
class ModelTargets:
    """A model's service levels. ``None``: no target, so no burn of it is watched."""

    ttft_seconds: float | None = None
    inter_token_seconds: float | None = None


@dataclass(frozen=True)
class Settings:
    """The rules' parameters; the names are those of ``monitoring_rules``."""

    # Service levels over 30 days.
    availability_objective: float = 0.999
    completeness_objective: float = 0.999
    ttft_objective: float = 0.99
    inter_token_objective: float = 0.99
    # Burn: how many times faster than sustainable; capped at half of the largest possible.
    burn_page_fast: float = 14.4
    burn_page_slow: float = 6.0
    burn_ticket: float = 1.0
    burn_minimum_bad: float = 5.0
    burn_minimum_requests: float = 20.0
    # Servers and gateway.
    server_down_hold_seconds: float = 10.0
    server_not_ready_hold_seconds: float = 15.0
    server_stalled_hold_seconds: float = 60.0
    server_error_ratio: float = 0.05
    flapping_window_seconds: float = 1800.0
    flapping_downs: float = 3.0
    gateway_down_hold_seconds: float = 10.0
    error_ratio: float = 0.05
    truncated_minimum: float = 3.0
    queue_minimum: float = 5.0
    queue_hold_seconds: float = 120.0
    # Hosts.
    host_down_hold_seconds: float = 15.0
    cpu_ratio: float = 0.95
    cpu_hold_seconds: float = 300.0
    memory_available_ratio: float = 0.05
    memory_hold_seconds: float = 60.0
    disk_free_ratio: float = 0.05
    disk_hold_seconds: float = 30.0
    disk_fill_hours: float = 4.0
    disk_fill_free_ratio: float = 0.4
    network_error_ratio: float = 0.01
    network_hold_seconds: float = 120.0
    network_saturation_ratio: float = 0.9
    network_bytes_per_second: float = 0.0
    # Accelerators.
    accelerator_memory_ratio: float = 0.98
    accelerator_celsius: float = 87.0
    accelerator_hold_seconds: float = 60.0
    accelerator_throttled_ratio: float = 0.1
    # Forecast and plan.
    demand_hold_seconds: float = 300.0
    demand_over_forecast: float = 1.1
    plan_max_age_seconds: float = 7200.0
    # Longer than a replica takes to start: a plan is for the time by which it has.
    shortfall_hold_seconds: float = 600.0
    coverage_tolerance: float = 0.1
    coverage_minimum_samples: float = 50.0
    skill_minimum: float = -0.1
    # Jobs. A turn at least twice in a lease (run_jobs_lease_seconds).
    jobs_turn_max_age_seconds: float = 1800.0
    job_late_hold_seconds: float = 600.0
    # Certificates and monitoring itself.
    certificate_page_days: float = 3.0
    certificate_ticket_share: float = 1.0 / 3.0
    silent_seconds: float = 60.0
    models: Mapping[str, ModelTargets] = field(default_factory=dict)


# Bounds beyond "above zero": (lowest, highest). Objectives and ratios are below one, or they say nothing.
_SHARES = (1e-6, 1.0 - 1e-6)
_BOUNDS: dict[str, tuple[float, float]] = {
    **{one.name: _SHARES for one in fields(Settings) if one.name.endswith(("_objective", "_ratio", "_share"))},
    "coverage_tolerance": _SHARES,
    "skill_minimum": (-10.0, 1.0),
    "flapping_window_seconds": (300.0, 86_400.0),
    "network_bytes_per_second": (0.0, math.inf),
    "burn_minimum_bad": (0.0, math.inf),
    "burn_minimum_requests": (0.0, math.inf),
    "accelerator_celsius": (20.0, 150.0),
}
MAX_HOLD_SECONDS = 86_400.0


def parse_settings(options: Any, models: Any = None) -> Settings:
    """Options of the role and the catalogue to settings.

    Args:
        options: names of :class:`Settings` to numbers; others keep their defaults.
        models: the catalogue, whose ``slo`` gives each model's targets.

    Raises:
        InputError: an unknown name, or a number out of bounds.
    """
    given = expect_mapping(options or {}, what="options", where=WHERE)
    names = {one.name for one in fields(Settings)} - {"models"}
    for name in sorted(set(map(str, given)) - names):
        raise InputError(f"there is no parameter {name!r}", where=WHERE, remedy=f"Known are {', '.join(sorted(names))}")
    values = {str(name): _number(str(name), given[name]) for name in given}
    return Settings(**values, models=_targets(models))


def _number(name: str, value: Any) -> float:
    low, high = _BOUNDS.get(name, (0.0 if name.endswith("_hold_seconds") else 1e-6, math.inf))
    if name.endswith("_hold_seconds"):
        high = MAX_HOLD_SECONDS
    return expect_number(value, what=name, where=WHERE, minimum=low, maximum=high)


def _targets(models: Any) -> dict[str, ModelTargets]:
    catalogue = expect_mapping(models or {}, what="catalogue of models (modelops_models)")
    found = {}
    for name in sorted(catalogue, key=str):
        entry = expect_mapping(catalogue[name], what="description of the model", where=f"model {name}")
        slo = expect_mapping(entry.get("slo") or {}, what="slo", where=f"model {name}")
        found[str(name)] = ModelTargets(_target(slo, "ttft_seconds", name), _target(slo, "inter_token_seconds", name))
    return found


def _target(slo: Mapping[str, Any], key: str, model: str) -> float | None:
    if slo.get(key) is None:
        return None
    return expect_number(slo[key], what=f"slo.{key}", where=f"model {model}", minimum=1e-6)
