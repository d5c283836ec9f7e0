# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the backtests of many series say together, in numbers and in one line.

Errors are means over series, each counting alike, since MASE has no unit; coverage is
the share over all samples tested, with the tenth and the ninetieth percentile of the
series' own shares beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.document import DIGITS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.evaluation import LeadErrors

Entries = Mapping[str, Mapping[str, Any]]
SPREAD = (0.1, 0.9)


class LeadTotals:
    """Sums of errors by lead, (2, horizon) for the combination and seasonal naive, gathered panel by panel."""

    def __init__(self, horizon: int) -> None:
        self._sums = np.zeros((2, horizon))
        self._counts = np.zeros((2, horizon), dtype=np.int64)

    def add(self, errors: LeadErrors) -> None:
        both = np.stack([errors.combination, errors.naive])
        self._sums += np.nansum(both, axis=1)
        self._counts += np.isfinite(both).sum(axis=1)

    def means(self) -> list[list[float | None]]:
        """Mean over series at each lead, of the combination and of seasonal naive; None where there is none."""
        means = np.round(self._sums / np.maximum(self._counts, 1), DIGITS)
        return [
            [float(value) if count else None for value, count in zip(*line)]
            for line in zip(means.tolist(), self._counts.tolist())
        ]


def describe_overall(entries: Entries, totals: LeadTotals, levels: Sequence[float]) -> dict[str, Any]:
    """The figures over all series, none of them there when no series was tested."""
    tests = [fields["backtest"] for fields in entries.values()]
    scored = [name for name in sorted(entries) if entries[name]["backtest"]["mase"] is not None]
    scaled = [entries[name]["backtest"] for name in scored]
    origins = [test["origins"] for test in tests]
    combined, naive = totals.means()
    return {
        "series_tested": len(tests),
        "beating_seasonal_naive": sum(1 for fields in entries.values() if fields["beats_seasonal_naive"]),
        "fewest_origins": min(origins, default=None),
        "most_origins": max(origins, default=None),
        "mase": _mean([test["mase"] for test in scaled]),
        "mase_seasonal_naive": _mean([test["mase_seasonal_naive"] for test in scaled]),
        "smape": _mean([test["smape"] for test in tests]),
        "skill": _mean([test["skill"] for test in tests]),
        "coverage": {str(level): _coverage(entries, str(level)) for level in levels} if tests else {},
        "worst_series": min(scored, key=lambda name: (-entries[name]["backtest"]["mase"], name), default=None),
        "by_lead": {"mase": combined, "mase_seasonal_naive": naive},
        "candidates": _chosen(entries),
    }


def _coverage(entries: Entries, level: str) -> dict[str, float]:
    share = np.array([fields["backtest"]["coverage"][level] for fields in entries.values()])
    below = np.array([fields["below"][level] for fields in entries.values()])
    count = np.array([fields["tested_samples"] for fields in entries.values()])
    low, high = np.quantile(share, SPREAD)
    return {
        "share": round(float((share * count).sum() / max(count.sum(), 1)), DIGITS),
        "below": round(float((below * count).sum() / max(count.sum(), 1)), DIGITS),
        "p10": round(float(low), DIGITS),
        "p90": round(float(high), DIGITS),
    }


def _chosen(entries: Entries) -> list[dict[str, Any]]:
    """How often each candidate is part of a combination, and with what weight over all series; the most often first."""
    tried: dict[str, list[float]] = {}
    for fields in entries.values():
        for candidate in fields["candidates"]:
            tried.setdefault(candidate["name"], []).append(candidate["weight"])
    found = [
        {
            "name": name,
            "tried": len(weights),
            "chosen": sum(1 for weight in weights if weight > 0.0),
            "mean_weight": round(sum(sorted(weights)) / len(weights), DIGITS),
        }
        for name, weights in tried.items()
    ]
    return sorted(found, key=lambda one: (-one["chosen"], -one["mean_weight"], one["name"]))


def summarise(document: Mapping[str, Any]) -> str:
    """One line for a tired person."""
    overall = document["overall"]
    untested = len(document["untested"])
    rest = f"; {untested} too short to be tested" if untested else ""
    if not overall["series_tested"]:
        return f"no series could be tested {document['horizon_steps']} steps ahead{rest}"
    fewest, most = overall["fewest_origins"], overall["most_origins"]
    origins = f"{most}" if fewest == most else f"{fewest} to {most}"
    text = (
        f"{overall['series_tested']} series tested on {origins} origin{'' if most == 1 else 's'} "
        f"{document['horizon_steps']} steps ahead"
    )
    if overall["mase"] is not None:
        text += f": MASE {overall['mase']:.2f} against {overall['mase_seasonal_naive']:.2f} of seasonal naive"
    level = str(document["quantile_levels"][-1])
    target = 100 * float(level)
    share = 100 * overall["coverage"][level]["share"]
    text += f", {share:.3g} % of actuals below P{target:g} (target {target:g} %)"
    worst = overall["worst_series"]
    if worst is not None and overall["series_tested"] > 1:
        text += f", worst series {worst} (MASE {document['series'][worst]['backtest']['mase']:.2f})"
    return text + rest


def figures(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Per series what the module returns inline."""
    return {
        name: {
            "model": fields["model"],
            "mase": fields["backtest"]["mase"],
            "mase_seasonal_naive": fields["backtest"]["mase_seasonal_naive"],
            "smape": fields["backtest"]["smape"],
            "skill": fields["backtest"]["skill"],
            "pinball": fields["backtest"]["pinball"],
            "coverage": fields["backtest"]["coverage"],
            "weights": {one["name"]: one["weight"] for one in fields["candidates"] if one["weight"] > 0.0},
            "warnings": fields["warnings"],
        }
        for name, fields in document["series"].items()
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), DIGITS) if values else None
