# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How much a rollout has to leave in service.

The target is sized for a high quantile of the largest demand over
lead time plus planning interval; a rollout passes in minutes and needs what is asked for
meanwhile. Were the floor the highest level, nothing would be spare but what rounding to
whole replicas leaves, and an upgrade in place would replace one replica after the other.
The floor of a model is therefore::

    F = max(median of the largest demand over the window, observed now x headroom)

The ladder of a model's demand was already raised to what is observed, so F is its rate at
the least level of at least 0.5. For a window of n steps the median of the maximum is the
0.5^(1/n) quantile of a single step where steps are independent (0.89 for n = 6) and never
below the median of one: what is exceeded in one step out of nine or so, beside the margin
that ``requests_per_second`` inside the SLO and the headroom keep.

A model of which no demand could be read keeps :data:`UNREAD_SHARE` of what it serves,
as AWS instance refresh keeps 90 % of a group healthy: unknown demand stops little at a
time, but an upgrade still ends.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand

ROLLOUT_LEVEL = 0.5
UNREAD_SHARE = 0.9


def rollout_floors(demands: Mapping[str, ModelDemand], serving: Mapping[str, float]) -> dict[str, float]:
    """Requests/s per model that no wave may go below, unless the target gives less.

    Args:
        demands: what is planned for, by model.
        serving: what each model serves now, requests/s (:func:`serving_capacity`).
    """
    return {
        name: UNREAD_SHARE * serving.get(name, 0.0) if demand.source == "held" else _rate_to_keep(demand)
        for name, demand in demands.items()
    }


def _rate_to_keep(demand: ModelDemand) -> float:
    return next((rate for level, rate in demand.levels if level >= ROLLOUT_LEVEL), demand.levels[-1][1])
