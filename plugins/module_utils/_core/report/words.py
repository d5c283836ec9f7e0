# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Numbers and facts as a person says them: units, three significant digits, UTC."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

# Typographic signs by code point: beside a hyphen or a letter they are easily misread in source.
DASH = "\u2013"
MINUS = "\u2212"
TIMES = "\u00d7"
UNKNOWN = DASH
SOURCES = {
    "forecast": "the forecast",
    "observed": "what is observed now",
    "held": "held from before",
}


def number(value: float | None, *, digits: int = 3) -> str:
    """``value`` to three significant digits, never in exponents: 0.0123, 1.23, 12.3, 1,234."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    decimals = min(max(digits - 1 - magnitude, 0), 6)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rate(value: float | None) -> str:
    return UNKNOWN if value is None else f"{number(value)} requests/s"


def money(value: float | None) -> str:
    """An amount in the currency the fleet's costs are given in."""
    return UNKNOWN if value is None else f"{value:,.2f}"


def percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{number(100 * share)} %"


def duration(seconds: float | None) -> str:
    """``0.84 s``, ``45 s``, ``4 min``, ``1 h 30 min``."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 90:
        return f"{number(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours:,} h" + (f" {rest} min" if rest else "")


def moment(text: str | None) -> str:
    """``2026-11-23 18:00 UTC``; what cannot be read is shown as it is written."""
    if not text:
        return UNKNOWN
    try:
        written = format_moment(parse_moment(text))
    except InputError:
        return text
    seconds = "" if written.endswith(":00Z") else written[16:19]
    return f"{written[:10]} {written[11:16]}{seconds} UTC"


def short_moment(text: str | None) -> str:
    """``11-23 18:00``, where the year and the zone are said elsewhere."""
    said = moment(text)
    return said[5:-4] if said.endswith(" UTC") else said


def plural(count: int, noun: str, nouns: str = "") -> str:
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def listing(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def indices(values: Sequence[int]) -> str:
    """Accelerator indices, runs shortened: a dash between first and last."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}{DASH}{run[-1]}" for run in runs)


def decision(plan: Mapping[str, Any], *, hosts_in_use: int, hosts: int, models: int) -> str:
    """What will run, where, at what cost, in one sentence."""
    replicas = len(plan["placements"])
    text = f"{plural(replicas, 'replica')} of {plural(models, 'model')} on {hosts_in_use:,} of {plural(hosts, 'host')}"
    cost = plan.get("cost_per_hour")
    return text + ("." if cost is None else f", at {money(cost)} per hour.")


def changes(plan: Mapping[str, Any]) -> str:
    """What has to be done to get there."""
    counted = [
        plural(int(plan.get(key) or 0), noun) for key, noun in (("starts", "start"), ("stops", "stop")) if plan.get(key)
    ]
    moves = f" ({plural(int(plan['moves']), 'move')})" if plan.get("moves") else ""
    if not counted:
        return "Nothing has to change: what runs is what is planned."
    waves = len({action["wave"] for action in plan["actions"] if action["action"] in ("start", "stop")})
    return f"To get there: {listing(counted)}{moves}, in {plural(waves, 'wave')}."


def shortage(plan: Mapping[str, Any]) -> str:
    """What stays unserved, with its price."""
    shortages = plan.get("shortages") or []
    if not shortages:
        return "Nothing is short."
    missing = sum(entry.get("requests_per_second") or 0.0 for entry in shortages)
    cost = sum(entry.get("cost_per_hour") or 0.0 for entry in shortages)
    return f"Short: {plural(len(shortages), 'model')}, {rate(missing)} in all, priced at {money(cost)} per hour."


def demand_sources(plan: Mapping[str, Any]) -> str:
    """Where the demand that was planned for came from."""
    counts: dict[str, int] = {}
    for entry in plan["demand"].values():
        source = str(entry.get("source") or "an unnamed source")
        counts[source] = counts.get(source, 0) + 1
    if not counts:
        return "No demand was planned for."
    order = sorted(counts, key=lambda name: (-counts[name], name))
    parts = [f"{SOURCES.get(source, source)} for {counts[source]:,}" for source in order]
    parts[0] = f"{SOURCES.get(order[0], order[0])} for {plural(counts[order[0]], 'model')}"
    return f"The demand planned for is {listing(parts)}."


def skill(value: float | None) -> str:
    """Skill over seasonal naive: one minus the ratio of their errors."""
    if value is None:
        return UNKNOWN
    if abs(value) < 0.005:
        return "as good as repeating the last season"
    direction = "smaller" if value > 0 else "larger"
    return f"{percent(abs(value))} {direction} error than repeating the last season"


def trust(record: Mapping[str, Any], source: str | None) -> str:
    """Whether the forecast earned its use, or an empty text when there is nothing to say."""
    if record.get("usable") is False:
        consequence = ", the observed value was used" if source == "observed" else ""
        return f"There was no usable forecast{consequence}."
    if record.get("beats_seasonal_naive") is False:
        consequence = ", the observed value was used" if source == "observed" else ""
        return f"The forecast did not beat seasonal naive{consequence}."
    return ""


def coverage(backtest: Mapping[str, Any], interval: tuple[str, str] | None) -> str:
    """How often later observations fell into the interval drawn, beside how often they should.

    ``coverage`` in a backtest is the share of observations at or below each level.
    """
    shares = {level: share for level, share in (backtest.get("coverage") or {}).items() if share is not None}
    parts = []
    if interval and all(level in shares for level in interval):
        low, high = interval
        wanted = float(high) - float(low)
        parts.append(
            f"{percent(shares[high] - shares[low])} inside {low} to {high} ({percent(round(wanted, 9))} wanted)"
        )
    parts += [
        f"{percent(shares[level])} below the {level} level" for level in sorted(shares, key=float) if float(level) > 0.5
    ]
    return ", ".join(parts) or UNKNOWN
