# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The Prometheus text format: what a server's ``/metrics`` says, as samples.

Format: prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4; the
exemplars of OpenMetrics are passed over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError

_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
_QUOTED = r"(?:[^\"\\]|\\.)*"
_LABEL = re.compile(rf'\s*({_NAME})\s*=\s*"({_QUOTED})"\s*,?')
_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*"
    rf'(?:\{{(?P<labels>(?:\s*{_NAME}\s*=\s*"{_QUOTED}"\s*,?)*\s*)\}})?\s*'
    r"(?P<value>[^\s#]+)(?:\s+[-+0-9.eE]+)?\s*(?:#.*)?"
)
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass(frozen=True)
class Sample:
    """One line: ``name{labels} value``."""

    name: str
    labels: Mapping[str, str]
    value: float


class Exposition:
    """All samples of one answer, found by name."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._by_name: dict[str, list[Sample]] = {}
        for sample in samples:
            self._by_name.setdefault(sample.name, []).append(sample)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def named(self, name: str, **labels: str) -> list[Sample]:
        """The samples of ``name`` whose labels have these values, in the order of the answer."""
        return [
            sample
            for sample in self._by_name.get(name, [])
            if all(sample.labels.get(key) == value for key, value in labels.items())
        ]

    def total(self, name: str, **labels: str) -> float | None:
        """Sum over all label sets; ``None`` when there is no such sample or one of them is not a number."""
        values = [sample.value for sample in self.named(name, **labels)]
        total = math.fsum(values) if values and all(map(math.isfinite, values)) else math.nan
        return total if math.isfinite(total) else None

    def buckets(self, name: str) -> list[tuple[float, float]]:
        """Upper bound and cumulative count of histogram ``name``, summed over label sets, by rising bound."""
        counts: dict[float, float] = {}
        for sample in self.named(f"{name}_bucket"):
            bound = _number(sample.labels.get("le", ""))
            if bound is not None and not math.isnan(bound) and math.isfinite(sample.value):
                counts[bound] = counts.get(bound, 0.0) + sample.value
        return sorted(counts.items())


def parse_exposition(text: str, *, where: str = "metrics") -> Exposition:
    """Samples of a ``/metrics`` answer.

    Raises:
        SourceUnavailableError: a line is no sample, with its number; an HTML page says so at line 1.
    """
    samples = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _SAMPLE.fullmatch(stripped)
        value = _number(match["value"]) if match else None
        if match is None or value is None:
            raise SourceUnavailableError(
                f"line {number} is not Prometheus text: {stripped[:80]!r}",
                where=where,
                remedy="Check that the address is the engine's metrics endpoint",
            )
        samples.append(Sample(name=match["name"], labels=_labels(match["labels"] or ""), value=value))
    return Exposition(samples)


def histogram_quantile(quantile: float, buckets: list[tuple[float, float]]) -> float | None:
    """Quantile of a histogram, linear inside a bucket, as Prometheus' ``histogram_quantile`` does it.

    Args:
        quantile: in (0, 1).
        buckets: upper bound and cumulative count, rising; the last bound is infinity.

    Returns:
        ``None`` for an empty histogram; the highest finite bound when the quantile lies
        above it, since nothing more is known. The lower bound of the first bucket is 0.
    """
    if len(buckets) < 2 or buckets[-1][1] <= 0:
        return None
    rank = quantile * buckets[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if math.isinf(bound):
                return lower
            if count == below:
                return bound
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower


def _labels(text: str) -> dict[str, str]:
    return {
        key: re.sub(r"\\.", lambda found: _ESCAPES.get(found.group(), found.group()), value)
        for key, value in _LABEL.findall(text)
    }


def _number(text: str) -> float | None:
    try:
        return float(text.replace("Inf", "inf"))
    except ValueError:
        return None
