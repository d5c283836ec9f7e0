# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Series for the forecast tests: made ones, and the reference data where it is at hand."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("MODELOPS_DATA", ROOT.parent / "shared" / "data"))
MONDAY = 1767571200.0  # 2026-01-05T00:00:00Z
HOUR = 3600


def make_series(name: str, values, *, step_seconds: int = HOUR) -> Series:
    return Series(name, MONDAY, step_seconds, np.asarray(values, dtype=np.float64))


def daily_demand(seed: int, samples: int = 504, *, day: int = 24, noise: float = 0.1) -> np.ndarray:
    """A daily wave with an evening peak, a quieter weekend and multiplicative noise."""
    random = np.random.default_rng(seed)
    when = np.arange(samples)
    wave = 1.0 + 0.5 * np.sin(2 * np.pi * when / day) + 0.2 * np.sin(4 * np.pi * when / day + 1.0)
    week = np.where((when // day) % 7 >= 5, 0.7, 1.0)
    return np.maximum(50.0 * wave * week * (1.0 + noise * random.standard_normal(samples)), 0.0)


def load_reference(name: str) -> dict[str, np.ndarray]:
    """Name to values of one reference file; skips the test where the data is not at hand."""
    path = DATA / "demand" / f"{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"the reference data is not at {path}; set MODELOPS_DATA to where it is")
    found: dict[str, list[float]] = {}
    with gzip.open(path, "rt", newline="") as stream:
        rows = csv.reader(stream)
        next(rows)
        for series, _timestamp, value in rows:
            found.setdefault(series, []).append(float(value) if value else np.nan)
    return {series: np.array(values) for series, values in found.items()}
