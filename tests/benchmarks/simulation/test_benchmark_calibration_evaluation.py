# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evaluation finds a server that is as the simulator says, also where requests of one size scatter."""

from __future__ import annotations

from typing import Any

import calibration
import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import Profile

PROFILE = Profile((0.001,), prefill_seconds_per_token=0.0003)
SCATTER = 0.2


def rounds(count: int = 4000) -> list[dict[str, Any]]:
    """What a run would have measured of a server whose seconds scatter log-normally around its profile."""
    random = np.random.default_rng(1)
    full = PROFILE.requests_per_second(136.0, 104.0)
    found = []
    for load in calibration.LOADS:
        alone = []
        for _sample in range(2):
            sizes = calibration.lengths(random, 400)
            seconds = 0.0003 * sizes[:, 0] + 0.001 * (sizes[:, 1] - 1.0)
            alone.append((sizes, seconds * np.exp(random.normal(0.0, SCATTER, 400))))
        sizes = calibration.lengths(random, count)
        sent = np.cumsum(random.exponential(1.0 / (load * full), count))
        real = calibration.simulated(PROFILE, sent, sizes, np.exp(random.normal(0.0, SCATTER, 100_000)))
        found.append({"load": load, "alone": alone, "sizes": sizes, "sent": sent, "real": real})
    return found


def test_a_server_that_scatters_is_found_again() -> None:
    found = calibration.evaluated(rounds())
    assert found["goal_met"], found["loads"]
    assert found["profiles"]["scatter"]["median"] == pytest.approx(SCATTER, rel=0.15)


def test_without_the_scatter_the_simulator_is_too_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "ratios", lambda _profile, _samples: np.ones(1))
    errors = [row["p95_error"] for row in calibration.evaluated(rounds())["loads"]]
    assert max(errors) < -0.03
