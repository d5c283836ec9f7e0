# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From the options of a module to how is planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.plan_document import Policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.parallel import parse_parallel

MAX_PERIODS = 168


def policy_of(params: Mapping[str, Any]) -> Policy:
    """The policy that the options of ``capacity_plan`` describe.

    Raises:
        InputError: the first option that is out of range.
    """
    period = params.get("period_seconds")
    return Policy(
        objective=params["objective"],
        method=params["method"],
        periods=int(documents.expect_number(params["periods"], what="periods", minimum=1, maximum=MAX_PERIODS)),
        period_seconds=None if period is None else documents.expect_number(period, what="period_seconds", minimum=1),
        response_time_price=documents.expect_number(
            params["response_time_price"], what="response_time_price", minimum=0
        ),
        tenants={str(name): str(tenant) for name, tenant in params["tenants"].items()},
        headroom=documents.expect_number(params["headroom"], what="headroom", minimum=1),
        observed_seconds=documents.expect_number(params["observed_seconds"], what="observed_seconds", minimum=0),
        planning_interval_seconds=documents.expect_number(
            params["planning_interval_seconds"], what="planning_interval_seconds", minimum=1
        ),
        churn_hours=documents.expect_number(params["churn_hours"], what="churn_hours", minimum=0),
        hold_scale_in=params["hold_scale_in"],
        scale_in_hold_seconds=documents.expect_number(
            params["scale_in_hold_seconds"], what="scale_in_hold_seconds", minimum=0
        ),
        time_limit_seconds=documents.expect_number(
            params["time_limit_seconds"], what="time_limit_seconds", minimum=0.1
        ),
        dask_address=parse_parallel({"parallel": params.get("parallel")}).address,
        as_of=clock.parse_moment(params["as_of"], what="as_of") if params.get("as_of") else None,
    )
