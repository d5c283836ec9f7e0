# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Seasonal subset ARIMA by conditional least squares, for many series at once.

A subset autoregression with Fourier terms on a differenced series,

    z[t] = y[t] - y[t-D]                     (or z = y without differencing)
    z[t] = c + sum_i phi_i z[t-l_i] + sum_m psi_m (z[t-1] + ... + z[t-m]) / m
             + sum_k (a_k sin w_k t + b_k cos w_k t) + e[t],

is ARIMA(p,d,0)(P,D,0) with its lag polynomial freed from the product form, and,
since a sinusoid filtered by an autoregression keeps its frequency, also regression
with autoregressive errors. Given the first max(l) values its Gaussian likelihood is
a least-squares problem, solved here by the normal equations stacked over series:
one Gram matrix per group of specifications that share differencing and first row,
of which each specification takes its rows and columns. Rows whose target was not
observed weigh nothing.

Source: Box, Jenkins, Reinsel and Ljung, Time Series Analysis, section 7.1 (conditional
likelihood); equal to ``statsmodels.tsa.ar_model.AutoReg`` (tested to 1e-8).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

# Relative to a unit diagonal: keeps an exactly periodic series solvable and moves
# an ordinary solution by less than 1e-9.
RIDGE = 1e-12


@dataclass(frozen=True)
class SubsetAutoregression:
    """One member of the family.

    Attributes:
        lags: lags of z, ascending.
        means: K of regressors (z[t-1] + ... + z[t-K]) / K, ascending.
        difference: D in steps, 0 for none.
        harmonics: (period, count) pairs of Fourier terms.
        log: fitted to log(y + lift).
    """

    lags: tuple[int, ...]
    means: tuple[int, ...] = ()
    difference: int = 0
    harmonics: tuple[tuple[int, int], ...] = ()
    log: bool = False

    @property
    def name(self) -> str:
        text = f"ar({','.join(map(str, self.lags))})"
        if self.means:
            text += f" means({','.join(map(str, self.means))})"
        if self.difference:
            text += f" d{self.difference}"
        for period, count in self.harmonics:
            text += f" fourier({period}:{count})"
        return text + (" log" if self.log else "")

    @property
    def terms(self) -> tuple[Any, ...]:
        """Keys of the regressors in the order of the coefficients."""
        waves = [(period, k, part) for period, count in self.harmonics for k in range(1, count + 1) for part in (0, 1)]
        return ("one", *self.lags, *(("mean", width) for width in self.means), *waves)

    @property
    def samples_lost(self) -> int:
        """How many of the first samples serve as regressors only."""
        return self.difference + max(self.lags + self.means, default=0)


@dataclass(frozen=True)
class NormalEquations:
    """Gram matrix (S, k, k) and moment vector (S, k) over the regressors named in ``terms``."""

    terms: tuple[Any, ...]
    gram: Any
    moment: Any


def difference(values: Any, span: int) -> Any:
    """z (S, n) with z[:, :span] = 0, never used as rows."""
    if not span:
        return values
    z = np.zeros_like(values)
    z[:, span:] = values[:, span:] - values[:, :-span]
    return z


def normal_equations(z: Any, observed: Any, terms: Iterable[Any], first_row: int, last_row: int) -> NormalEquations:
    """Gram matrix and moments of the rows ``first_row <= t < last_row``.

    Args:
        z: (S, n) differenced series.
        observed: (S, n) bool; rows with an unobserved target are left out.
        terms: ``"one"``, integer lags, ("mean", width), and (period, k, part) waves.
        first_row: at least the difference plus the largest lag.
        last_row: one past the last target.
    """
    terms = tuple(terms)
    S, rows = z.shape[0], last_row - first_row
    X = np.empty((S, len(terms) + 1, rows))
    when = np.arange(first_row, last_row)
    total = cumulative(z)
    for column, term in enumerate(terms):
        if isinstance(term, int):
            X[:, column] = z[:, first_row - term : last_row - term]
        elif term[0] == "mean":
            width = term[1]
            X[:, column] = (total[:, first_row:last_row] - total[:, first_row - width : last_row - width]) / width
        else:
            X[:, column] = deterministic(term, when)
    X[:, -1] = z[:, first_row:last_row]
    weights = observed[:, first_row:last_row]
    if not weights.all():
        X *= weights[:, None, :]
    G = X @ X.transpose(0, 2, 1)
    return NormalEquations(terms, G[:, :-1, :-1], G[:, :-1, -1])


def cumulative(z: Any) -> Any:
    """(S, n+1) with the sum of z[:, :t] at t, always in double precision: differences of it are used."""
    total = np.zeros((z.shape[0], z.shape[1] + 1))
    np.cumsum(z, axis=1, out=total[:, 1:])
    return total


def deterministic(term: Any, when: Any) -> Any:
    """The constant or one wave at the steps ``when``."""
    if term == "one":
        return np.ones(when.shape)
    period, k, part = term
    angle = (2.0 * np.pi * k / period) * (when % period)
    return np.cos(angle) if part else np.sin(angle)


def solve(equations: NormalEquations, specification: SubsetAutoregression) -> Any:
    """Coefficients (S, k) in the order of ``specification.terms``."""
    at = [equations.terms.index(term) for term in specification.terms]
    gram = equations.gram[:, at][:, :, at]
    moment = equations.moment[:, at]
    diagonal = np.sqrt(np.einsum("skk->sk", gram))
    diagonal = np.where(diagonal > 0.0, diagonal, 1.0)
    unit = gram / (diagonal[:, :, None] * diagonal[:, None, :])
    empty = np.einsum("skk->sk", unit) == 0.0
    unit = unit + np.eye(len(at)) * (RIDGE + empty[:, None, :])
    return np.linalg.solve(unit, (moment / diagonal)[..., None])[..., 0] / diagonal


def predict(specification: SubsetAutoregression, coefficients: Any, values: Any, origins: Any, horizon: int) -> Any:
    """Forecasts (S, O, horizon) of y from every origin by the recursion, with the coefficients as they are.

    Args:
        coefficients: (S, k) from :func:`solve`.
        values: (S, n) the undifferenced series; the forecasts have its precision.
        origins: (O,) first step to forecast from each; samples before it are used.
        horizon: steps ahead.
    """
    z = difference(values, specification.difference)
    coefficients = coefficients.astype(values.dtype)
    path = _known_part(specification, coefficients, z, origins, horizon)
    with np.errstate(over="ignore", invalid="ignore"):
        _recur(path, specification, coefficients)
        if specification.difference:
            _integrate(path, values, origins, specification.difference)
    return path.transpose(1, 2, 0)


def _known_part(specification: SubsetAutoregression, coefficients: Any, z: Any, origins: Any, horizon: int) -> Any:
    """(horizon, S, O) of what the past before each origin and the deterministic terms give to each lead."""
    path = np.zeros((horizon, z.shape[0], len(origins)), dtype=z.dtype)
    ahead = np.arange(horizon)[:, None]
    total: Any = cumulative(z) if specification.means else None
    for column, term in enumerate(specification.terms):
        share = coefficients[:, column, None]
        if isinstance(term, int):
            at = origins + ahead[:term] - term
            path[:term] += z[:, at].transpose(1, 0, 2) * share
        elif term[0] == "mean":
            width = term[1]
            at = origins + ahead[:width] - width
            path[:width] += (total[:, origins] - total[:, at].transpose(1, 0, 2)) * (share / width)
        else:
            path += deterministic(term, origins + ahead).astype(z.dtype)[:, None, :] * share
    return path


def _recur(path: Any, specification: SubsetAutoregression, coefficients: Any) -> None:
    """Add to each lead, in place, what the leads before it give."""
    horizon = path.shape[0]
    first = 1  # the constant comes before the lags
    lags = [(lag, coefficients[:, first + i, None]) for i, lag in enumerate(specification.lags) if lag < horizon]
    first += len(specification.lags)
    means = [(width, coefficients[:, first + i, None] / width) for i, width in enumerate(specification.means)]
    sums = np.zeros((horizon + 1, *path.shape[1:]), dtype=path.dtype) if means else None
    for step in range(horizon):
        for lag, share in lags:
            if lag <= step:
                path[step] += share * path[step - lag]
        if sums is not None:
            for width, share in means:
                path[step] += share * (sums[step] - sums[max(0, step - width)])
            sums[step + 1] = sums[step] + path[step]


def _integrate(path: Any, values: Any, origins: Any, span: int) -> None:
    """Turn forecasts of z into forecasts of y in place: y[j] = z[j] + y[j-span]."""
    horizon = path.shape[0]
    for start in range(0, horizon, span):
        stop = min(start + span, horizon)
        if start == 0:
            at = origins[None, :] + np.arange(stop)[:, None] - span
            path[:stop] += values[:, at].transpose(1, 0, 2)
        else:
            path[start:stop] += path[start - span : stop - span]
