# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Where a forecast goes: the file, and the few figures shown to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def summarise(document: Mapping[str, Any]) -> str:
    """One line for a tired person."""
    entries = document["series"].values()
    usable = [fields for fields in entries if fields["usable"]]
    beating = sum(1 for fields in usable if fields["beats_seasonal_naive"])
    steps = {fields["step_seconds"] for fields in entries}
    reach = f" ({_span(document['horizon_steps'] * next(iter(steps)))})" if len(steps) == 1 else ""
    text = f"{len(entries)} series forecast {document['horizon_steps']} steps ahead{reach}"
    text += f"; {beating} of {len(usable)} usable ones beat seasonal naive in their backtest"
    unusable = len(entries) - len(usable)
    return text + (f"; {unusable} with too little history" if unusable else "")


def figures(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Per series what the module returns inline."""
    return {
        name: {
            "model": fields["model"],
            "skill": (fields["backtest"] or {}).get("skill"),
            "mase": (fields["backtest"] or {}).get("mase"),
            "usable": fields["usable"],
            "warnings": fields["warnings"],
            "window_maximum": fields["window_maximum"],
        }
        for name, fields in document["series"].items()
    }


def _span(seconds: int) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length or (seconds >= length and seconds % length == 0):
            count = seconds / length
            return f"{count:.3g} {unit if count != 1 else unit[:-1]}"
    return f"{seconds} seconds"
