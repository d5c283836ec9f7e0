# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The figures of a verdict, as a report needs them: plain numbers, null where there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.settings import Settings

if TYPE_CHECKING:
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.judge import Findings

MOST_POINTS = 200
DIGITS = 6


def as_figures(found: Findings, settings: Settings) -> dict[str, Any]:
    """Counts, ratios, the course of E, latency ratios with their intervals, and what is missing."""
    canary, baseline, missing = found.canary, found.baseline, found.missing
    return {
        "counts": {"canary": asdict(canary), "baseline": asdict(baseline)},
        "bad_ratio": {
            "canary": _ratio(canary.bad, canary.bounded),
            "canary_upper": _plain(found.bad.bound),
            "baseline": _ratio(baseline.bad, baseline.bounded),
            "allowed": _plain(found.bad.allowed),
        },
        "failed_ratio": {
            "canary": _ratio(canary.failed, canary.bounded),
            "canary_upper": _plain(found.failed.bound),
            "baseline": _ratio(baseline.failed, baseline.bounded),
            "allowed": _plain(found.failed.allowed),
        },
        "e_value": {
            "largest": _plain(found.evidence.largest),
            "limit": _plain(1.0 / settings.alpha),
            "windows": len(found.evidence.course),
            "course": [_plain(value) for value in _thinned(found.evidence.course)],
        },
        "latency": {
            name: {
                "ratio": _plain(shift.ratio),
                "lower": _plain(shift.lower),
                "upper": _plain(shift.upper),
                "p_value": _plain(shift.p_value),
                "limit": _plain(settings.alpha / (len(found.shifts) * settings.latency_looks)),
                "margin": _plain(settings.latency_margin),
                "least_ratio": _plain(found.telling_ratio),
                "canary": shift.canary,
                "baseline": shift.baseline,
                "strata": shift.strata,
            }
            for name, shift in found.shifts.items()
        },
        "missing": {
            "canary": missing.real[0],
            "baseline": missing.real[1],
            "canary_with_synthetic": {"real": missing.least_real[0], "synthetic": missing.synthetic[0]},
            "baseline_with_synthetic": {"real": missing.least_real[1], "synthetic": missing.synthetic[1]},
            "canary_for_budget": missing.for_bound,
            "synthetic_requests_per_second": _plain(missing.synthetic_requests_per_second),
            "synthetic_seconds": None if missing.synthetic_seconds is None else _plain(missing.synthetic_seconds),
            "soak_seconds": _plain(max(0.0, settings.soak_seconds - found.soaked_seconds)),
        },
    }


def _ratio(part: int, whole: int) -> float | None:
    return _plain(part / whole) if whole else None


def _plain(number: float) -> float | None:
    """To six significant digits; None for what JSON cannot say."""
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None


def _thinned(course: Sequence[float]) -> list[float]:
    """At most :data:`MOST_POINTS` of the course, the last and the largest among them."""
    if len(course) <= MOST_POINTS:
        return list(course)
    spots = {round(number * (len(course) - 1) / (MOST_POINTS - 2)) for number in range(MOST_POINTS - 1)}
    spots.add(max(range(len(course)), key=lambda spot: course[spot]))
    return [course[spot] for spot in sorted(spots)]
