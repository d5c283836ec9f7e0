"""What the history says of now: never a value that is old."""

from __future__ import annotations

import numpy as np

from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.describe import describe
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series


def series(name: str, values: list[float], start: float = 0.0) -> Series:
    return Series(name=name, start=start, step_seconds=600, values=np.array(values, dtype=float))


def test_the_newest_value_is_observed_now() -> None:
    assert describe([series("chat", [1.0, 2.0, 3.0])])["observed"] == {"chat": 3.0}


def test_a_short_gap_is_bridged_and_a_zero_is_a_value() -> None:
    nan = float("nan")
    described = describe([series("chat", [1.0, 4.0, nan, nan]), series("code", [5.0, 5.0, 5.0, 0.0])])
    assert described["observed"] == {"chat": 4.0, "code": 0.0}


def test_an_old_value_is_not_now() -> None:
    nan = float("nan")
    described = describe([series("ended", [7.0, 7.0]), series("gap", [7.0] + [nan] * 9), series("live", [1.0] * 10)])
    assert described["observed"] == {"live": 1.0}
