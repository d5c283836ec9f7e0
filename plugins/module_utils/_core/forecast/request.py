# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From the plain options of an operator to the forecast document."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import read_document
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.calendar_forecast import (
    forecast_with_calendar,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.feedback import read_feedback
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.parallel import parse_parallel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.source import read_source
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.traffic_calendar import parse_calendar


def forecast_request(params: Mapping[str, Any]) -> dict[str, Any]:
    """The forecast document, without ``created_at``.

    Args:
        params: the options as module ``demand_forecast`` documents them; absent ones have their defaults.

    Raises:
        InputError: an option, the history or the earlier forecast is not what it should be.
    """
    options = parse_options(params)
    parallel = parse_parallel(params)
    calendar = parse_calendar(params)
    series, noticed, fingerprint = read_source(params)
    if calendar is not None and not params.get("names"):
        calendar.check_series_names([one.name for one in series])
    feedback = read_feedback(earlier_forecast(params.get("previous")), series, options.quantiles)
    document = forecast_with_calendar(series, options, calendar, feedback=feedback, parallel=parallel)
    document["inputs"] = {"history": fingerprint}
    document["warnings"] = noticed + document["warnings"]
    return document


def earlier_forecast(path: str | None) -> Mapping[str, Any] | None:
    """The forecast at ``path``; None where none was made yet.

    Raises:
        InputError: the file is there and cannot be read.
    """
    if not path or not os.path.exists(os.path.expanduser(path)):
        return None
    found: Mapping[str, Any] = read_document(os.path.expanduser(path), what="earlier forecast")
    return found
