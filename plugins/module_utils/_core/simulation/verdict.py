# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a comparison says, in plain words: what ours is worth, and when a fixed fleet is the better choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.rhythm import FLAT, NO_RHYTHM

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]
NAMES = {
    "modelops": "modelops",
    "static_peak": "a fixed fleet for the peak",
    "static_mean": "a fixed fleet for the mean",
    "person": "a person by day",
    "hpa": "HPA on utilisation",
    "keda": "KEDA on queue length",
    "kpa": "KPA on concurrency",
    "planner": "a Dynamo-like planner",
    "foresight": "perfect foresight",
}
AS_GOOD = 0.001  # of the share that is answered in time
NEARLY = 0.005  # of that share: so much less may be worth fewer accelerator-hours, which is for the operator to say
FIXED = "a fixed fleet is a better choice than modelops"
WORTH_IT = 0.05  # of the accelerator-hours: less is not worth that capacity changes at all


def verdict(document: Mapping[str, Any]) -> list[str]:
    """A few sentences; the first is the answer."""
    figures: Figures = document["policies"]
    if "modelops" not in figures:
        return ["modelops was not among the policies, so there is nothing to hold against it."]
    said = []
    if "static_peak" in figures:
        said.append(_against_fixed(figures))
        if FIXED in said[0]:
            said += _why_fixed(document.get("rhythm") or {})
            said += _too_small(figures, document)
    rivals = [name for name in figures if name not in ("modelops", "static_peak", "static_mean", "foresight")]
    as_good = [name for name in rivals if _share(figures, name) >= _share(figures, "modelops") - AS_GOOD]
    best = min(as_good, key=lambda name: (_hours(figures, name), name)) if as_good else None
    if best:
        said.append(f"Of the others that answer as many in time, {NAMES[best]} takes {_more_or_less(figures, best)}.")
    elif rivals:
        said.append(f"None of the {len(rivals)} other policies that adapt answers as many in time.")
    cheaper = _cheaper(figures)
    if cheaper and cheaper != best:
        said.append(
            f"{_capital(NAMES[cheaper])} answers {_share(figures, cheaper):.2%} in time, nearly as many, and takes"
            f" {_more_or_less(figures, cheaper)}: where that is enough, it is the cheaper choice."
        )
    if "foresight" in figures:
        saved = 1.0 - _hours(figures, "foresight") / max(_hours(figures, "modelops"), 1e-12)
        if saved > 0:
            said.append(f"Perfect foresight of the demand would save another {saved:.0%}.")
    return said


def _cheaper(figures: Figures) -> str | None:
    """Who takes clearly fewer accelerator-hours and answers nearly as many in time: of them the cheapest."""
    least = _share(figures, "modelops") - NEARLY
    most = (1.0 - WORTH_IT) * _hours(figures, "modelops")
    found = [
        name
        for name in figures
        if name not in ("modelops", "foresight") and _share(figures, name) >= least and _hours(figures, name) <= most
    ]
    return min(found, key=lambda name: (_hours(figures, name), name), default=None)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _against_fixed(figures: Figures) -> str:
    ours, fixed = _hours(figures, "modelops"), _hours(figures, "static_peak")
    fewer = 1.0 - ours / max(fixed, 1e-12)
    in_time = (
        f"modelops answers {_share(figures, 'modelops'):.2%} of the requests in time, the fixed fleet"
        f" {_share(figures, 'static_peak'):.2%}"
    )
    lost = _share(figures, "static_peak") - _share(figures, "modelops")
    saves = f"modelops would have used {fewer:.0%} fewer accelerator-hours than {NAMES['static_peak']}"
    if fewer < WORTH_IT:
        changed = (
            f"changing capacity would have saved {fewer:.0%} of the accelerator-hours, which is not worth the changes"
            if fewer > -0.005
            else f"changing capacity would have taken {-fewer:.0%} more accelerator-hours"
        )
        return f"On this demand {FIXED}: {changed}; {in_time}."
    if lost > NEARLY:
        return f"On this demand {FIXED}: {saves}, and paid for it with what was late: {in_time}."
    if lost > AS_GOOD:
        return f"{saves}, and answered fewer in time: {in_time}. Where that matters more than the hours, keep the fixed fleet."
    return f"{saves}; {in_time}."


def _why_fixed(found: Mapping[str, Any]) -> list[str]:
    """What it is about the demand, where that can be told."""
    ratio, repeats = found.get("peak_over_trough"), found.get("repeats")
    if ratio is not None and ratio < FLAT:
        return [f"Demand is flat, there is little to follow: its busy hours are {ratio:.2g} times its quiet ones."]
    if repeats is not None and repeats < NO_RHYTHM:
        return [
            "This demand cannot be forecast: yesterday tells no more of today than the mean does, so a peak is seen only when it is"
            " there, and a replica comes too late for it."
        ]
    return []


def _too_small(figures: Figures, document: Mapping[str, Any]) -> list[str]:
    """That the fixed fleet should be larger, where it makes clearly more late than what ours held in the mean does."""
    if _share(figures, "static_peak") >= _share(figures, "modelops") - NEARLY:
        return []
    hours = len(document["demand"]) * document["step_seconds"] / 3600.0
    held, fixed = (_hours(figures, name) / hours for name in ("modelops", "static_peak"))
    return [
        f"Make it larger than the {fixed:.3g} accelerators that its peak needs: modelops held {held:.3g} in the mean."
    ]


def _more_or_less(figures: Figures, name: str) -> str:
    ratio = _hours(figures, name) / max(_hours(figures, "modelops"), 1e-12) - 1.0
    if abs(ratio) < 0.005:
        return "the same accelerator-hours"
    return f"{abs(ratio):.0%} {'more' if ratio > 0 else 'fewer'} accelerator-hours than modelops"


def _hours(figures: Figures, name: str) -> float:
    return figures[name]["accelerator_hours"]["mean"]


def _share(figures: Figures, name: str) -> float:
    return figures[name]["deadline_share"]["mean"]
