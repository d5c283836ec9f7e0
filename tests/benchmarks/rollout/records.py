# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of the requests of a span of time, from the load generator's record."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, str]
SLOW_SECONDS = 5.0


def read(path: Path) -> list[Row]:
    """Every request, by the moment it was due."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        return sorted(csv.DictReader(stream), key=lambda row: float(row["scheduled_at"]))


def is_failed(row: Row) -> bool:
    return row["status"] != "200"


def is_cut(row: Row) -> bool:
    """A 200 whose answer did not come to its end."""
    return row["status"] == "200" and row["complete"] != "True"


def between(rows: Sequence[Row], begin: float, end: float) -> list[Row]:
    """Those due in a span of epoch seconds."""
    return [row for row in rows if begin <= float(row["scheduled_at"]) < end]


def counts(rows: Sequence[Row], begin: float, end: float) -> dict[str, Any]:
    """Requests due in a span: how many streams, and how many that failed, were cut, or waited long."""
    own = between(rows, begin, end)
    return {
        "count": len(own),
        "streams": sum(row["kind"] == "stream" for row in own),
        "failed": sum(map(is_failed, own)),
        "cut": sum(map(is_cut, own)),
        "slower_than_5_s": sum(float(row["latency"]) > SLOW_SECONDS for row in own),
    }
