# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What must be given, cut to what there is.

Floors that fit stand. Floors that do not are never an error: each keeps the fraction

    f_i = min(1, w_i t) of its floor,

with t as large as the resources allow, so all of equal weight keep the same fraction and
twice the weight keeps twice as much. Tasks that need none of a scarce resource keep all.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.max_min_fairness import fill
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.problem import Instance

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
ROUNDING = 1e-12


def cut_to_fit(instance: Instance, wanted: Array, kept: Array) -> Array:
    """The part of ``wanted`` that fits, at least ``kept``.

    Args:
        wanted: l_i, capacity units, shape (n,).
        kept: what of it is already known to fit, shape (n,).

    Returns:
        ``wanted`` itself where everything fits, shape (n,).
    """
    asking = wanted > 0
    if not asking.any():
        return wanted
    direct = instance.use == "all" or len(instance.resources) == 1
    if direct and (wanted @ instance.needs <= instance.amounts * (1.0 + ROUNDING)).all():
        return wanted
    some = instance.only(asking)
    filling = fill(some, some.weight * wanted[asking], kept[asking], wanted[asking])
    fitting = np.array(wanted)
    fitting[asking] = np.minimum(filling.shares, wanted[asking])
    return fitting
