# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The engine lstm: forecasts of one network trained over all series, as a candidate like any other.

The network itself: :mod:`lstm_network`; what it sees: :mod:`lstm_windows`; how it is
trained: :mod:`lstm_training`. Weights fitted to the head forecast the backtest, weights
fitted to everything the future. Forecasts are computed in double precision on one thread,
so that they do not depend on which series share a call.
"""

from __future__ import annotations

from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import lstm_network
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.baselines import (
    predict_seasonal_mean,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.empirical import masked_quantiles
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.lstm_training import (
    TrainedLstm,
    TrainingPanel,
    train,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.lstm_windows import (
    History,
    look_back,
    make_history,
    seasons,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.menu import seasonal_naive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.torch_session import (
    load_torch,
    reproducibly,
)

__all__ = ["LstmForecaster", "TrainedLstm", "TrainingPanel", "train"]

# Windows times leads decoded at once, for the memory of a small machine.
DECODED_AT_ONCE = 1 << 15


class LstmForecaster:
    """The trained network as a panel forecaster.

    Attributes:
        names: the single candidate's name.
        failures: row of the panel and the reason, for each series that got seasonal naive.
    """

    def __init__(self, trained: TrainedLstm, levels: tuple[float, ...]) -> None:
        """``levels`` (Q) are those of :meth:`quantiles`, each trained for.

        Raises:
            InputError: a level that the network was not trained for.
        """
        missing = [level for level in levels if level not in trained.levels]
        if missing:
            raise InputError(
                f"the network was trained for the quantiles {', '.join(map(str, trained.levels))}, not {missing[0]:g}",
                remedy="Train it for every quantile that is asked",
            )
        self._trained = trained
        self._levels = tuple(levels)
        self.names: tuple[str, ...] = ("lstm",)
        self.failures: dict[int, str] = {}

    def forecast(self, panel: Panel, fitted_to: int, origins: Any, horizon: int) -> Any:
        """Forecasts (1, S, O, horizon) on the panel's scale, within [0, ceiling]: the medians."""
        origins = np.asarray(origins, dtype=np.int64)
        medians = self._quantiles(panel, fitted_to, origins, horizon, (0.5,))[..., 0]
        bad = self._failing(panel, fitted_to, origins, medians)
        naive = predict_seasonal_mean(seasonal_naive(panel.periods), panel.values, origins, horizon)
        chosen = np.where(bad[:, None, None], naive, medians)
        return np.clip(chosen, 0.0, panel.ceiling[:, None, None])[None]

    def quantiles(self, panel: Panel, fitted_to: int, origins: Any, horizon: int) -> Any:
        """Quantiles (S, O, horizon, Q) on the panel's scale, ascending in Q and never negative.

        A series that got seasonal naive has its errors before ``fitted_to`` around it.
        """
        origins = np.asarray(origins, dtype=np.int64)
        found = self._quantiles(panel, fitted_to, origins, horizon, self._levels)
        bad = self._failing(panel, fitted_to, origins, found)
        if bad.any():
            found[bad] = _naive_quantiles(panel, fitted_to, origins, horizon, self._levels)[bad]
        return np.maximum(found, 0.0)

    def _failing(self, panel: Panel, fitted_to: int, origins: Any, found: Any) -> Any:
        """(S,) bool, where the network has no answer; the reasons are kept."""
        reason = self._no_answer(panel, fitted_to, origins)
        bad = np.ones(len(found), dtype=bool) if reason else ~np.isfinite(found).reshape(len(found), -1).all(axis=1)
        self.failures.update({int(row): reason or "the network explodes" for row in np.flatnonzero(bad)})
        return bad

    def _no_answer(self, panel: Panel, fitted_to: int, origins: Any) -> str:
        """Why no series of the panel can be forecast; empty when they can."""
        if self._weights(panel, fitted_to) is None:
            return "no history before the backtest was long enough to train on"
        least = seasons(panel.periods, fitted_to, self._trained.horizon).least_history
        if int(origins.min()) < least:
            return f"a context window is at least {least} samples and only {int(origins.min())} lie before the forecast"
        return ""

    def _weights(self, panel: Panel, fitted_to: int) -> dict[str, Any] | None:
        return self._trained.final_weights if fitted_to >= panel.length else self._trained.head_weights

    def _quantiles(self, panel: Panel, fitted_to: int, origins: Any, horizon: int, levels: tuple[float, ...]) -> Any:
        """What the network says (S, O, horizon, Q); NaN where it has no answer."""
        result = np.full((len(panel.values), origins.size, horizon, len(levels)), np.nan)
        weights = self._weights(panel, fitted_to)
        if weights is None or self._no_answer(panel, fitted_to, origins):
            return result
        torch = load_torch()
        chosen = [self._trained.levels.index(level) for level in levels]
        with reproducibly(torch), torch.no_grad():
            network = lstm_network.build(torch, self._trained.width, len(self._trained.levels)).double()
            lstm_network.load(torch, network, weights)
            known = seasons(panel.periods, fitted_to, self._trained.horizon)
            history = make_history(torch, panel, known, self._trained.width, "cpu", torch.float64)
            flat = result.reshape(-1, horizon, len(levels))
            rows, at = np.divmod(np.arange(len(flat)), origins.size)
            size = max(1, DECODED_AT_ONCE // horizon)
            for start in range(0, len(flat), size):
                part = slice(start, start + size)
                flat[part] = self._decode(torch, network, history, rows[part], origins[at[part]], horizon)[..., chosen]
        return result

    def _decode(self, torch: Any, network: Any, history: History, rows: Any, origins: Any, horizon: int) -> Any:
        """All trained quantiles (N, horizon, .) of N windows, on the panel's scale."""
        leads = torch.arange(horizon)
        at = torch.as_tensor(rows), torch.as_tensor(origins)
        window = look_back(torch, history, *at, leads, self._trained.horizon)
        found = lstm_network.quantiles(torch, network, window, self._trained.levels.index(0.5))
        return (window.level[..., None] + window.spread[..., None] * found).numpy()


def _naive_quantiles(panel: Panel, fitted_to: int, origins: Any, horizon: int, levels: tuple[float, ...]) -> Any:
    """(S, O, horizon, Q): seasonal naive and the quantiles of its errors one season ahead."""
    naive = seasonal_naive(panel.periods)
    values, observed = panel.values[:, :fitted_to], panel.observed[:, :fitted_to]
    errors = values[:, naive.period :] - values[:, : -naive.period]
    known = observed[:, naive.period :] & observed[:, : -naive.period]
    paths = predict_seasonal_mean(naive, panel.values, origins, horizon)
    return paths[..., None] + masked_quantiles(errors, known, levels)[:, None, None, :]
