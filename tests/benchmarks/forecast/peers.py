# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages an operator could install instead: one function each, series in, mean and quantiles out.

Every function takes a case with a history without gaps (filled by straight lines, since
most packages take none), the horizon and the seasons that fit twice into the history,
and returns the mean (horizon,) and the quantiles (len(LEVELS), horizon) as the package
gives them. A package gives central intervals: of level 80, 90 and 95 per cent, whose ends
are the quantiles 0.9, 0.05 and 0.95, and 0.025 and 0.975; its mean stands for the median.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scores import LEVELS
from tasks import MONTH_SECONDS, Case, Values

Quantified = tuple[Values, Values]
Forecaster = Callable[[Case, int, tuple[int, ...]], Quantified]
# What NVIDIA Dynamo's planner keeps by default (load_prediction_window_size).
PLANNER_WINDOW = 50
LONG, VERY_LONG = 400, 2100
CENTRAL = [80, 90, 95]
FOR_LEVEL = {0.025: "lo-95", 0.05: "lo-90", 0.5: "mean", 0.9: "hi-80", 0.95: "hi-90", 0.975: "hi-95"}


@dataclass(frozen=True)
class Peer:
    """One competitor.

    Attributes:
        name: as on the command line.
        title: as in the table.
        package: distribution whose version is recorded; numpy where it needs no other.
        forecast: the function.
        sample: cases of each segment in the official run, for histories of up to LONG and VERY_LONG samples, and
            longer ones; it follows the CPU a case takes.
        thorough: cases of the tasks by name where a larger sample is affordable and a goal hangs on it.
    """

    name: str
    title: str
    package: str
    forecast: Forecaster
    sample: tuple[int, int, int]
    thorough: Mapping[str, int] = field(default_factory=dict)

    def cases(self, task: str, longest: int) -> int:
        """How many cases of the task, whose longest history has so many samples."""
        return self.thorough.get(task, self.sample[(longest > LONG) + (longest > VERY_LONG)])


def _statsforecast(model: Any, case: Case, horizon: int) -> Quantified:
    result = model.forecast(y=case.history, h=horizon, level=CENTRAL)
    return result["mean"], np.array([result[FOR_LEVEL[level]] for level in LEVELS])


def seasonal_naive(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    from statsforecast.models import SeasonalNaive

    return _statsforecast(SeasonalNaive(season_length=seasons[0]), case, horizon)


def seasonal_naive_conformal(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    from statsforecast.models import SeasonalNaive
    from statsforecast.utils import ConformalIntervals

    windows = max(2, min(10, (case.history.size - seasons[0]) // horizon - 1))
    intervals = ConformalIntervals(n_windows=windows, h=horizon)
    return _statsforecast(SeasonalNaive(season_length=seasons[0], prediction_intervals=intervals), case, horizon)


def auto_arima(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    from statsforecast.models import AutoARIMA

    return _statsforecast(AutoARIMA(season_length=seasons[0]), case, horizon)


def auto_arima_planner(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    """Without season, on a short recent window."""
    from dataclasses import replace

    from statsforecast.models import AutoARIMA

    recent = replace(case, history=case.history[-PLANNER_WINDOW:])
    return _statsforecast(AutoARIMA(season_length=1), recent, horizon)


def mstl_arima(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    from statsforecast.models import MSTL, AutoARIMA

    return _statsforecast(MSTL(season_length=list(seasons), trend_forecaster=AutoARIMA()), case, horizon)


def mstl_ets(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    from statsforecast.models import MSTL, AutoETS

    return _statsforecast(MSTL(season_length=list(seasons), trend_forecaster=AutoETS(model="ZZN")), case, horizon)


def auto_ets(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    from statsforecast.models import AutoETS

    return _statsforecast(AutoETS(season_length=seasons[0]), case, horizon)


def auto_theta(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    from statsforecast.models import AutoTheta

    return _statsforecast(AutoTheta(season_length=seasons[0]), case, horizon)


def sarimax(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    """(1,0,1)(0,1,1)m: fitted on differences with the scale concentrated out, then filtered once on the series."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    orders: dict[str, Any] = {"order": (1, 0, 1), "seasonal_order": (0, 1, 1, seasons[0]), "concentrate_scale": True}
    fitted = SARIMAX(case.history, simple_differencing=True, **orders).fit(disp=0, cov_type="none")
    return _gaussian(SARIMAX(case.history, **orders).filter(fitted.params, cov_type="none").get_forecast(horizon))


def stl_arima(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    from statsmodels.tsa.arima.model import ARIMA
    from statsmodels.tsa.forecasting.stl import STLForecast

    fitted = STLForecast(case.history, ARIMA, model_kwargs={"order": (1, 1, 1)}, period=seasons[0]).fit()
    size = case.history.size
    return _gaussian(fitted.get_prediction(size, size + horizon - 1))


def _gaussian(prediction: Any) -> Quantified:
    from scipy.stats import norm

    mean = np.asarray(prediction.predicted_mean, dtype=float)
    spread = np.sqrt(np.asarray(prediction.var_pred_mean, dtype=float))
    return mean, mean + np.outer(norm.ppf(LEVELS), spread)


def prophet(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    import pandas as pd
    from prophet import Prophet

    steps = case.history.size + horizon
    begin = pd.Timestamp(case.start, unit="s")
    monthly = case.step_seconds == MONTH_SECONDS
    moments = pd.date_range(begin, periods=steps, freq="MS" if monthly else pd.Timedelta(seconds=case.step_seconds))
    model = Prophet()
    model.fit(pd.DataFrame({"ds": moments[: case.history.size], "y": case.history}), seed=1)
    future = pd.DataFrame({"ds": moments[case.history.size :]})
    np.random.seed(1)  # the package draws from the global generator
    samples = model.predictive_samples(future)["yhat"]
    return model.predict(future)["yhat"].to_numpy(), np.quantile(samples, LEVELS, axis=1)


def history_quantiles(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    """What was seen so far, as it lies: the plain choice for demand that is mostly zero."""
    flat = np.ones(horizon)
    return case.history.mean() * flat, np.quantile(case.history, LEVELS)[:, None] * flat


def recent_quantiles(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    """The same over the last two of the shortest seasons."""
    recent = case.history[-2 * seasons[0] :]
    flat = np.ones(horizon)
    return recent.mean() * flat, np.quantile(recent, LEVELS)[:, None] * flat


def zero(case: Case, horizon: int, seasons: tuple[int, ...]) -> Quantified:
    return np.zeros(horizon), np.zeros((len(LEVELS), horizon))


PEERS = {
    peer.name: peer
    for peer in (
        Peer("seasonal_naive", "SeasonalNaive", "statsforecast", seasonal_naive, (2000, 2000, 2000)),
        Peer(
            "seasonal_naive_conformal",
            "SeasonalNaive, conformal",
            "statsforecast",
            seasonal_naive_conformal,
            (300, 300, 300),
        ),
        Peer("auto_ets", "AutoETS", "statsforecast", auto_ets, (200, 10, 10)),
        Peer("auto_theta", "AutoTheta", "statsforecast", auto_theta, (300, 10, 10)),
        Peer("mstl_arima", "MSTL + AutoARIMA", "statsforecast", mstl_arima, (60, 40, 8), {"m4": 207}),
        Peer("mstl_ets", "MSTL + AutoETS", "statsforecast", mstl_ets, (300, 120, 15)),
        Peer("auto_arima", "AutoARIMA, seasonal", "statsforecast", auto_arima, (15, 2, 2)),
        Peer("auto_arima_planner", "AutoARIMA, last 50 samples", "statsforecast", auto_arima_planner, (60, 25, 25)),
        Peer("sarimax", "SARIMAX (1,0,1)(0,1,1)m", "statsmodels", sarimax, (15, 4, 4), {"m4": 207}),
        Peer("stl_arima", "STLForecast + ARIMA (1,1,1)", "statsmodels", stl_arima, (100, 25, 25)),
        Peer("prophet", "Prophet", "prophet", prophet, (100, 120, 20)),
        Peer("history_quantiles", "history quantiles", "numpy", history_quantiles, (2000, 2000, 2000)),
        Peer("recent_quantiles", "quantiles of two seasons", "numpy", recent_quantiles, (2000, 2000, 2000)),
        Peer("zero", "always zero", "numpy", zero, (2000, 2000, 2000)),
    )
}
# Simple enough to be anyone's first answer for demand that is mostly zero.
SIMPLE = ("seasonal_naive", "seasonal_naive_conformal", "history_quantiles", "recent_quantiles", "zero")
