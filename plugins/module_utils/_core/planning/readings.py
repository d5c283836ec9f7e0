# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Numbers as they stand in what was measured or forecast."""

from __future__ import annotations

import math
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError


def reading(value: Any, *, where: str) -> float | None:
    """A measured rate, or None for what is not one: absent, NaN, infinite, negative.

    Raises:
        InputError: text that is no number at all.
    """
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"requests/s must be a number, not {value!r}", where=where, remedy="Leave out what was not measured"
        ) from error
    return number if math.isfinite(number) and number >= 0 else None


def forecast_rate(value: Any, *, where: str) -> float | None:
    """A forecast rate, or None for what is none: a model may dip below zero, demand cannot."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return max(0.0, float(value))
    return reading(value, where=where)


def quantile_level(key: Any, *, where: str) -> float:
    """The level that a key of quantiles names."""
    return expect_number(key, what="quantile level", where=where, minimum=1e-9, maximum=1)
