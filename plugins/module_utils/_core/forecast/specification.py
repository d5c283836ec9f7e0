# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What can be asked of the forecast, checked once.

Everything behind this file takes :class:`ForecastOptions` for granted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

ENGINES = ("auto", "arima", "sarimax", "seasonal_naive", "lstm")
# What engine auto can be given beside the built-in candidates.
EXTRA_CANDIDATES = ("arima", "sarimax", "lstm")
DEFAULT_QUANTILES = (0.05, 0.5, 0.9, 0.95)
MAX_HORIZON_STEPS = 100_000
MAX_SAMPLE_PATHS = 10_000
DAY_SECONDS = 86_400
WEEK_SECONDS = 7 * DAY_SECONDS


@dataclass(frozen=True)
class ForecastOptions:
    """What to forecast.

    Attributes:
        horizon_steps: how many steps ahead.
        quantiles: levels in (0, 1), ascending.
        window_steps: the quantiles of the maximum are over the first this many steps.
        seasonal_periods: lengths in steps, ascending; None reads them off the step.
        engine: one of :data:`ENGINES`.
        candidates: further candidates of ``auto``, of :data:`EXTRA_CANDIDATES`.
        order: (p, d, q) for ``arima`` and ``sarimax``; None searches for each series.
        seasonal_order: (P, D, Q, m) for ``sarimax``; None takes the engine's default.
        search_budget_seconds: CPU seconds for one search of an order.
        training_budget_seconds: CPU seconds (on an accelerator, seconds) to train ``lstm``.
        sample_paths: how many paths to draw for each series.
        seed: of the sample paths and of ``lstm``.
        skipped_steps: leads before the first one wanted; the history ends in a gap of that many.
    """

    horizon_steps: int
    quantiles: tuple[float, ...] = DEFAULT_QUANTILES
    window_steps: int = 1
    seasonal_periods: tuple[int, ...] | None = None
    engine: str = "auto"
    candidates: tuple[str, ...] = ()
    order: tuple[int, int, int] | None = (2, 0, 1)
    seasonal_order: tuple[int, int, int, int] | None = None
    search_budget_seconds: float = 2.0
    training_budget_seconds: float = 300.0
    sample_paths: int = 0
    seed: int = 0
    skipped_steps: int = 0

    @property
    def uses_lstm(self) -> bool:
        return self.engine == "lstm" or "lstm" in self.candidates

    @property
    def fits_each_series(self) -> bool:
        """Whether statsmodels fits one series after the other, which takes a second or so each."""
        return bool({self.engine, *self.candidates} & {"arima", "sarimax"})


def parse_options(params: Mapping[str, Any]) -> ForecastOptions:
    """Options from the plain values an operator gives.

    Raises:
        InputError: a value out of range; the message names the option.
    """
    engine = str(params.get("engine") or "auto")
    if engine not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    horizon = _steps(params.get("horizon_steps"), "horizon_steps")
    window = params.get("window_steps")
    window_steps = horizon if window is None else _steps(window, "window_steps")
    if window_steps > horizon:
        raise InputError(
            f"window_steps ({window_steps}) is beyond horizon_steps ({horizon})",
            remedy="Forecast at least as far ahead as the window reaches",
        )
    order = params.get("order")
    seasonal_order = params.get("seasonal_order")
    return ForecastOptions(
        horizon_steps=horizon,
        quantiles=_levels(params.get("quantiles") or DEFAULT_QUANTILES),
        window_steps=window_steps,
        seasonal_periods=_periods(params.get("seasonal_periods")),
        engine=engine,
        candidates=_candidates(params.get("candidates"), engine),
        order=_searched_or_named(order),
        seasonal_order=None if not seasonal_order else _order(seasonal_order, "seasonal_order", 4),  # type: ignore[arg-type]
        search_budget_seconds=_seconds(params, "search_budget_seconds", 2.0),
        training_budget_seconds=_seconds(params, "training_budget_seconds", 300.0),
        sample_paths=int(
            expect_number(params.get("sample_paths") or 0, what="sample_paths", minimum=0, maximum=MAX_SAMPLE_PATHS)
        ),
        seed=int(expect_number(params.get("seed") or 0, what="seed", minimum=0, maximum=2**32 - 1)),
    )


def periods_for(options: ForecastOptions, step_seconds: int, length: int) -> tuple[int, ...]:
    """Seasonal periods in steps for series of this step and length, ascending.

    ``auto`` takes the day and the week (the week alone for a step of a day or more)
    where they are whole numbers of steps. A period must fit twice into the history.
    """
    if options.seasonal_periods is None:
        seconds = (DAY_SECONDS, WEEK_SECONDS)
        wanted = tuple(span // step_seconds for span in seconds if span % step_seconds == 0)
    else:
        wanted = options.seasonal_periods
    return tuple(period for period in wanted if period >= 2 and 2 * period <= length)


def _steps(value: Any, name: str) -> int:
    number = expect_number(value, what=name, minimum=1, maximum=MAX_HORIZON_STEPS)
    if number != int(number):
        raise InputError(f"{name} must be a whole number of steps, not {number:g}")
    return int(number)


def _levels(values: Sequence[Any]) -> tuple[float, ...]:
    levels = sorted({expect_number(value, what="a quantile", minimum=0, maximum=1) for value in values})
    if levels[0] <= 0.0 or levels[-1] >= 1.0:
        raise InputError(
            "quantiles must lie strictly between 0 and 1",
            remedy="Write 0.95 for what demand stays below 95 % of the time",
        )
    return tuple(levels)


def _periods(value: Any) -> tuple[int, ...] | None:
    if value is None or value == "auto" or value == ["auto"]:
        return None
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)):
        values = [values]
    return tuple(sorted({_steps(period, "a seasonal period") for period in values}))


def _candidates(value: Any, engine: str) -> tuple[str, ...]:
    wanted = [value] if isinstance(value, str) else list(value or ())
    unknown = sorted(set(wanted) - {"menu", *EXTRA_CANDIDATES})
    if unknown:
        raise InputError(
            f"there is no candidate {', '.join(unknown)}",
            where="candidates",
            remedy=f"Beside the built-in menu there are {', '.join(EXTRA_CANDIDATES)}",
        )
    if set(wanted) - {"menu"} and engine != "auto":
        raise InputError(f"candidates are for engine auto, not for {engine}", remedy="Leave one of them out")
    return tuple(name for name in EXTRA_CANDIDATES if name in wanted)


def _searched_or_named(order: Any) -> tuple[int, int, int] | None:
    if order == "auto" or order == ["auto"]:
        return None
    return (2, 0, 1) if not order else _order(order, "order", 3)  # type: ignore[return-value]


def _seconds(params: Mapping[str, Any], name: str, default: float) -> float:
    value = params.get(name)
    return default if value is None else expect_number(value, what=name, minimum=0.01)


def _order(value: Any, name: str, length: int) -> tuple[int, ...]:
    value = value.split(",") if isinstance(value, str) else value
    if not isinstance(value, (list, tuple)) or len(value) != length:
        raise InputError(f"{name} must be a list of {length} whole numbers, not {value!r}")
    return tuple(int(expect_number(part, what=f"a part of {name}", minimum=0, maximum=10_000)) for part in value)
