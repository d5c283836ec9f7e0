# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From what a counter showed to the rate it counted at."""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import numpy.typing as npt


def rates(counts: npt.NDArray[np.float64], step_seconds: int) -> npt.NDArray[np.float64]:
    """Mean rate per second over the time since the sample before.

    With ``c_j`` the sample at step ``j`` and ``i`` the newest step before ``j`` that has one::

        increase_j = c_j - c_i   when c_j >= c_i
                   = c_j         otherwise: the counter began again at zero
        rate_j     = increase_j / ((j - i) S),   S = step_seconds

    What was counted between the last sample before a reset and the reset is not
    known and not guessed. A step without a sample stays a gap, also when the next
    sample shows that something was counted meanwhile; so does the first sample.

    Args:
        counts: shape (n,), NaN where there was no sample.
        step_seconds: S.

    Returns:
        Shape (n,), per second.
    """
    result = np.full(len(counts), np.nan)
    known = np.flatnonzero(~np.isnan(counts))
    if len(known) > 1:
        before, after = counts[known[:-1]], counts[known[1:]]
        increase = np.where(after >= before, after - before, after)
        result[known[1:]] = increase / (np.diff(known) * step_seconds)
    return result
