# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Where a forecast goes: the file, and the few figures shown to a person."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    canonical_bytes,
    read_document,
    write_atomically,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError


def store(path: str, document: Mapping[str, Any], *, now: float, dry: bool) -> bool:
    """Write the forecast with ``created_at``, unless the file says the same already.

    Args:
        path: destination.
        document: the forecast without ``created_at``.
        now: epoch seconds.
        dry: only tell.

    Returns:
        Whether the file changed, or would.
    """
    path = os.path.abspath(os.path.expanduser(path))
    if _content(path) == canonical_bytes(document):
        return False
    if not dry:
        write_atomically(path, canonical_bytes({**document, "created_at": format_moment(now)}))
    return True


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


def _content(path: str) -> bytes | None:
    """The canonical bytes of the forecast at ``path`` without ``created_at``; None when there is none to compare."""
    if not os.path.exists(path):
        return None
    try:
        found = read_document(path, what="forecast")
    except InputError:
        return None  # whatever it is, it is not this forecast, and dest says to replace it
    if not isinstance(found, dict):
        return None
    return canonical_bytes({key: value for key, value in found.items() if key != "created_at"})


def _span(seconds: int) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length or (seconds >= length and seconds % length == 0):
            count = seconds / length
            return f"{count:.3g} {unit if count != 1 else unit[:-1]}"
    return f"{seconds} seconds"
