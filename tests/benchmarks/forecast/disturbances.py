# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with histories, done to a case on purpose; seeded by the name of the series."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from tasks import Case, Values

SPIKE_SHARE, SPIKE_FACTOR = 0.01, 5.0
GAP_SHARE, GAP_STEPS = 0.10, (3, 36)
SHIFT_FACTOR, SHIFT_STEPS = 1.5, 48
DRIFT_FACTOR, DRIFT_STEPS = 1.5, 168


def _rng(case: Case) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(case.series.encode()))


def spikes(case: Case) -> Case:
    """One sample in a hundred is five times what it was; what comes after is as it was."""
    history = case.history.copy()
    count = max(1, round(SPIKE_SHARE * history.size))
    history[_rng(case).choice(history.size, count, replace=False)] *= SPIKE_FACTOR
    return replace(case, history=history)


def block_gaps(case: Case) -> Case:
    """Blocks of samples are missing until a tenth is; the first and the last sample stay."""
    history, rng = case.history.copy(), _rng(case)
    while np.isnan(history).mean() < GAP_SHARE:
        length = int(rng.integers(*GAP_STEPS))
        begin = int(rng.integers(1, history.size - length - 1))
        history[begin : begin + length] = np.nan
    return replace(case, history=history)


def short(case: Case, length: int) -> Case:
    """Only the newest samples are known."""
    begin = case.history.size - length
    return replace(case, start=case.start + begin * case.step_seconds, history=case.history[begin:])


def level_shift(case: Case) -> Case:
    """Demand rose by half at once, two days of hours ago, and stays."""
    factor = np.ones(case.history.size)
    factor[-SHIFT_STEPS:] = SHIFT_FACTOR
    return replace(case, history=case.history * factor, actual=case.actual * SHIFT_FACTOR)


def drift(case: Case) -> Case:
    """Demand has been growing for a week, evenly and up to half as much again, and goes on."""
    steps = np.arange(-DRIFT_STEPS, case.actual.size) + 1.0
    factor = 1.0 + (DRIFT_FACTOR - 1.0) * (steps + DRIFT_STEPS) / DRIFT_STEPS
    before: Values = np.ones(case.history.size)
    before[-DRIFT_STEPS:] = factor[:DRIFT_STEPS]
    return replace(case, history=case.history * before, actual=case.actual * factor[DRIFT_STEPS:])
