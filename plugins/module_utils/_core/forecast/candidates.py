# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Forecasts of every candidate from every origin, for one panel.

Autoregressions that share scale, differencing and the reach of their longest lag
share one Gram matrix; see :mod:`arima`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import arima
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.arima import (
    SubsetAutoregression,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.menu import Candidate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel


def forecast_all(panel: Panel, menu: Sequence[Candidate], fitted_to: int, origins: Any, horizon: int) -> Any:
    """Forecasts (C, S, O, horizon) on the panel's scale, each within [0, ceiling].

    From many origins they are for choosing only, and single precision does.

    Args:
        menu: C candidates.
        fitted_to: coefficients are estimated from the samples before this one.
        origins: (O,) first step to forecast; every sample before it is used as history.
        horizon: steps ahead.
    """
    precision = np.float64 if len(origins) == 1 else np.float32
    result = np.empty((len(menu), panel.values.shape[0], len(origins), horizon), dtype=precision)
    for index, candidate in enumerate(menu):
        if not isinstance(candidate, SubsetAutoregression):
            result[index] = candidate.predict(panel.values, origins, horizon)
    logarithms = np.log(panel.values + panel.lift[:, None])
    for members in _groups(menu):
        _forecast_group(result, panel, logarithms, menu, members, fitted_to, origins)
    ceiling = panel.ceiling[:, None, None].astype(precision)
    for forecasts in result:
        np.copyto(forecasts, ceiling, where=np.isnan(forecasts))
        np.clip(forecasts, 0.0, ceiling, out=forecasts)
    return result


def _groups(menu: Sequence[Candidate]) -> list[list[int]]:
    """Indices of the autoregressions that can share a Gram matrix without losing rows that matter."""
    groups: dict[Any, list[int]] = {}
    for index, candidate in enumerate(menu):
        if isinstance(candidate, SubsetAutoregression):
            key = (candidate.log, candidate.difference, candidate.samples_lost)
            groups.setdefault(key, []).append(index)
    return list(groups.values())


def _forecast_group(
    result: Any,
    panel: Panel,
    logarithms: Any,
    menu: Sequence[Candidate],
    members: Sequence[int],
    fitted_to: int,
    origins: Any,
) -> None:
    """Fit and predict the members of one group, writing into ``result``."""
    specifications = [
        candidate for candidate in (menu[index] for index in members) if isinstance(candidate, SubsetAutoregression)
    ]
    first = specifications[0]
    values = logarithms if first.log else panel.values
    z = arima.difference(values, first.difference)
    terms = list(dict.fromkeys(term for specification in specifications for term in specification.terms))
    equations = arima.normal_equations(z, panel.observed, terms, first.samples_lost, fitted_to)
    values, horizon = values.astype(result.dtype), result.shape[-1]
    lift = panel.lift[:, None, None].astype(result.dtype)
    top = np.log(panel.ceiling[:, None, None].astype(result.dtype) + lift)
    for index, specification in zip(members, specifications):
        coefficients = arima.solve(equations, specification)
        forecasts = arima.predict(specification, coefficients, values, origins, horizon)
        if specification.log:
            forecasts = np.exp(np.minimum(forecasts, top, out=forecasts), out=forecasts)
            forecasts -= lift
        result[index] = forecasts
