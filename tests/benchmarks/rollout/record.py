# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the load generator's record says: by stretch of time, by version, and beside the gateway's own log."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Runs on the gateway. A request that HAProxy tried on two servers has retries; one it logged twice, an id twice.
COUNT_LOG = """
import collections, glob, gzip, json, sys
since, ids, rows, retried, terms = float(sys.argv[1]), set(), 0, 0, collections.Counter()
for path in glob.glob("/var/log/modelops/gateway.jsonl*"):
    for line in (gzip.open if path.endswith(".gz") else open)(path, "rt"):
        event = json.loads(line)
        if event["at"] < since or int(event["synthetic"]):
            continue
        rows, retried = rows + 1, retried + (str(event["retries"]).lstrip("+") != "0")
        terms[event["term"]] += 1
        ids.add(event["id"])
print(json.dumps({"logged": rows, "ids_logged_twice": rows - len(ids), "tried_again": retried, "terms": terms}))
"""

# Runs on the gateway: what went wrong since a moment, by whom. A cut stream is a 200 whose session the server ended.
BAD_ROWS = """
import json, sys
since, rows = float(sys.argv[1]), []
for line in open("/var/log/modelops/gateway.jsonl"):
    event = json.loads(line)
    if event["at"] >= since and not int(event["synthetic"]):
        if event["status"] >= 500 or event["status"] < 100 or event["term"][0] in "SsD":
            rows.append([event["at"], event["server"], event["status"], event["term"]])
print(json.dumps(rows))
"""


SLOW_SECONDS = 5.0


@dataclass(frozen=True)
class Answered:
    """One request of the record. ``at``: epoch seconds; the rest as load.py writes it."""

    at: float
    stream: bool
    status: int
    latency: float
    ttft: float
    tokens: int
    complete: bool
    answer: str
    replica: str

    @property
    def good(self) -> bool:
        return self.complete and self.status == 200

    @property
    def failed(self) -> bool:
        return self.status != 200

    @property
    def cut(self) -> bool:
        """A 200 whose answer did not come to its end."""
        return self.status == 200 and not self.complete


def read_record(path: Path) -> list[Answered]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        return [
            Answered(
                float(row["scheduled_at"]),
                row["kind"] == "stream",
                int(row["status"]),
                float(row["latency"]),
                float(row["ttft"]),
                int(row["tokens"]),
                row["complete"] == "True",
                row["answer"],
                row["replica"],
            )
            for row in csv.DictReader(stream)
        ]


def stretch(requests: Sequence[Answered]) -> dict[str, Any]:
    """Counts and latencies, seconds, of requests."""
    short = [one for one in requests if not one.stream]
    streams = [one for one in requests if one.stream]
    return {
        "requests": len(requests),
        "failed": sum(one.failed for one in requests),
        "cut": sum(one.cut for one in requests),
        "short": {"count": len(short), **_spread("latency", short, lambda one: one.latency)},
        "stream": {
            "count": len(streams),
            **_spread("latency", streams, lambda one: one.latency),
            **_spread("ttft", streams, lambda one: one.ttft),
            "of_three_seconds_or_more": sum(one.good and one.latency >= 3 for one in streams),
        },
    }


def counted(requests: Sequence[Answered], begin: float = 0, end: float = float("inf")) -> dict[str, Any]:
    """Requests due in a span of epoch seconds: how many streams, and how many that failed, were cut, or waited long."""
    own = [one for one in requests if begin <= one.at < end]
    return {
        "count": len(own),
        "streams": sum(one.stream for one in own),
        "failed": sum(one.failed for one in own),
        "cut": sum(one.cut for one in own),
        "slower_than_5_s": sum(one.latency > SLOW_SECONDS for one in own),
    }


def timeline(requests: Sequence[Answered], versions: Mapping[str, str], seconds: float = 10) -> list[dict[str, Any]]:
    """For each stretch of ``seconds``: answers by version, P50 and P99 of short ones, what failed."""
    if not requests:
        return []
    first = min(one.at for one in requests)
    bins: dict[int, list[Answered]] = {}
    for one in requests:
        bins.setdefault(int((one.at - first) // seconds), []).append(one)
    rows = []
    for number in sorted(bins):
        own = bins[number]
        by_version: dict[str, int] = {}
        for one in own:
            if one.good:
                version = versions.get(one.answer, "unknown")
                by_version[version] = by_version.get(version, 0) + 1
        short = [one for one in own if not one.stream]
        rows.append(
            {
                "second": round(number * seconds),
                "versions": dict(sorted(by_version.items())),
                "bad": sum(not one.good for one in own),
                **_spread("latency", short, lambda one: one.latency),
            }
        )
    return rows


def _spread(name: str, requests: Sequence[Answered], value: Callable[[Answered], float]) -> dict[str, float | None]:
    ordered = sorted(value(one) for one in requests if one.good and value(one) >= 0)
    return {
        f"{name}_p{round(share * 100)}": ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
        for share in (0.5, 0.99)
    }
