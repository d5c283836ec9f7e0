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

# The normal equations of a group of candidates, and up to which sample: later rows are only added.
Memory = dict[Any, tuple[int, arima.NormalEquations]]


def forecast_all(
    panel: Panel,
    menu: Sequence[Candidate],
    fitted_to: int,
    origins: Any,
    horizon: int,
    memory: Memory | None = None,
) -> Any:
    """Forecasts (C, S, O, horizon) on the panel's scale, each within [0, ceiling].

    From many origins they are for choosing only, and single precision does.

    Args:
        menu: C candidates.
        fitted_to: coefficients are estimated from the samples before this one.
        origins: (O,) first step to forecast; every sample before it is used as history.
        horizon: steps ahead.
        memory: what an earlier call for the same panel has summed up, and what this one does.
    """
    memory = {} if memory is None else memory
    precision = np.float64 if len(origins) == 1 else np.float32
    result = np.empty((len(menu), panel.values.shape[0], len(origins), horizon), dtype=precision)
    for index, candidate in enumerate(menu):
        if not isinstance(candidate, SubsetAutoregression):
            result[index] = candidate.predict(panel.values, origins, horizon)
    logarithms = np.log(panel.values + panel.lift[:, None])
    for key, members in _groups(menu).items():
        z = arima.difference(logarithms if key[0] else panel.values, key[1])
        chosen = [
            candidate for candidate in (menu[at] for at in members) if isinstance(candidate, SubsetAutoregression)
        ]
        equations = _equations(memory, key, z, panel.observed, chosen, fitted_to)
        values = (logarithms if key[0] else panel.values).astype(precision)
        _forecast_group(result, members, chosen, equations, values, panel, origins)
    ceiling = panel.ceiling[:, None, None].astype(precision)
    for forecasts in result:
        np.copyto(forecasts, ceiling, where=np.isnan(forecasts))
        np.clip(forecasts, 0.0, ceiling, out=forecasts)
    return result


def _groups(menu: Sequence[Candidate]) -> dict[tuple[bool, int, int], list[int]]:
    """Indices of the autoregressions that can share a Gram matrix without losing rows that matter.

    The key tells whether they take logarithms, their differencing, and the first row.
    """
    groups: dict[tuple[bool, int, int], list[int]] = {}
    for index, candidate in enumerate(menu):
        if isinstance(candidate, SubsetAutoregression):
            key = (candidate.log, candidate.difference, candidate.samples_lost)
            groups.setdefault(key, []).append(index)
    return groups


def _equations(
    memory: Memory,
    key: tuple[bool, int, int],
    z: Any,
    observed: Any,
    chosen: Sequence[SubsetAutoregression],
    fitted_to: int,
) -> arima.NormalEquations:
    """The normal equations of a group over the samples before ``fitted_to``."""
    terms = tuple(dict.fromkeys(term for specification in chosen for term in specification.terms))
    summed_to, equations = memory.get(key, (key[2], None))
    if equations is None or summed_to > fitted_to:
        equations = arima.normal_equations(z, observed, terms, key[2], fitted_to)
    elif summed_to < fitted_to:
        more = arima.normal_equations(z, observed, terms, summed_to, fitted_to)
        equations = arima.NormalEquations(terms, equations.gram + more.gram, equations.moment + more.moment)
    memory[key] = (fitted_to, equations)
    return equations


def _forecast_group(
    result: Any,
    members: Sequence[int],
    chosen: Sequence[SubsetAutoregression],
    equations: arima.NormalEquations,
    values: Any,
    panel: Panel,
    origins: Any,
) -> None:
    """Predict with the members of one group, writing into ``result``; ``values`` are logarithms where they take them."""
    lift = panel.lift[:, None, None].astype(result.dtype)
    top = np.log(panel.ceiling[:, None, None].astype(result.dtype) + lift)
    for index, specification in zip(members, chosen):
        coefficients = arima.solve(equations, specification)
        forecasts = arima.predict(specification, coefficients, values, origins, result.shape[-1])
        if specification.log:
            forecasts = np.exp(np.minimum(forecasts, top, out=forecasts), out=forecasts)
            forecasts -= lift
        result[index] = forecasts
