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


def moods(random: np.random.Generator, count: int, row: int) -> np.ndarray:
    """Log-normal ratios, the same for so many requests in a row."""
    drawn = np.exp(random.normal(0.0, SCATTER, count // row + 1))
    return np.repeat(drawn, row)[:count]


def rounds(count: int = 4000, row: int = 1) -> list[dict[str, Any]]:
    """What a run would have measured of a server whose seconds scatter around its profile, alike for a ``row`` of requests."""
    random = np.random.default_rng(1)
    full = PROFILE.requests_per_second(136.0, 104.0)
    found = []
    for load in calibration.LOADS:
        alone = []
        for _sample in range(2):
            sizes = calibration.lengths(random, 400)
            seconds = 0.0003 * sizes[:, 0] + 0.001 * (sizes[:, 1] - 1.0)
            alone.append((sizes, seconds * moods(random, 400, row)))
        sizes = calibration.lengths(random, count)
        sent = np.cumsum(random.exponential(1.0 / (load * full), count))
        real = calibration.simulated(PROFILE, sent, sizes, moods(random, count, row))
        found.append({"load": load, "alone": alone, "sizes": sizes, "sent": sent, "real": real})
    return found


def test_a_server_that_scatters_is_found_again() -> None:
    found = calibration.evaluated(rounds())
    assert found["goal_met"], found["loads"]
    assert found["profiles"]["scatter"]["median"] == pytest.approx(SCATTER, rel=0.15)


def test_a_server_that_is_slow_for_a_while_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "DRAWS", 8)
    known = rounds(16_000, row=4)
    found = calibration.evaluated(known)
    assert found["goal_met"], found["loads"]
    assert found["profiles"]["scatter_of_neighbours"]["median"] > 0.5
    monkeypatch.setattr(calibration, "STRETCH", 1)
    alone = calibration.evaluated(known)["loads"][-1]
    assert alone["p95_error"] < found["loads"][-1]["p95_error"] - 0.05, "what is drawn one by one has shorter queues"


def test_without_the_scatter_the_simulator_is_too_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "ratios", lambda _profile, _samples: 1.0 + 1e-6 * np.arange(calibration.STRETCH))
    errors = [row["p95_error"] for row in calibration.evaluated(rounds())["loads"]]
    assert max(errors) < -0.03


def test_a_round_in_which_the_server_changed_its_speed_is_left_out() -> None:
    known = rounds()
    sizes, seconds = known[-1]["alone"][1]
    spoilt = {**known[-1], "alone": [known[-1]["alone"][0], (sizes, 1.3 * seconds)], "real": 20.0 * known[-1]["real"]}
    found = calibration.evaluated([*known, spoilt])
    assert found["goal_met"] and found["steady_rounds_of"] == [4, 5]
    assert found["of_all_rounds"][-1]["p95_error"] < -0.3
    with pytest.raises(SystemExit, match=r"no steady round at a load of \[0.8\]"):
        calibration.evaluated([*known[:-1], spoilt])
