# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Train one LSTM over all series: within a budget, stopped early, the same bytes twice.

Two sets of weights come out. The first is fitted to the samples before each panel's head,
and stopped where the loss on the last windows of the head was least; it makes the backtest
honest. The second starts from the first and is trained for as many steps on everything; it
makes the real forecast. Both are running averages over the steps of Adam, which need no
schedule of the learning rate, and so no foreknown number of steps (Polyak and Juditsky 1992,
SIAM J. Control Optim. 30, 838-855).

The budget is CPU time (wall time on an accelerator). It is looked at only to break off: a
training that stops early gives the same weights on any machine of the same instruction set.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import lstm_network
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.lstm_windows import (
    History,
    look_back,
    make_history,
    seasons,
    segment_width,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.torch_session import (
    choose_device,
    load_torch,
    reproducibly,
)

BATCH = 64
# Leads decoded of a training window; of a longer horizon as many at random.
LEADS = 64
LEARNING_RATE = 2e-3
LARGEST_GRADIENT = 1.0
AVERAGING = 0.98
STEPS_BETWEEN_CHECKS = 25
PATIENCE_CHECKS = 8
MOST_STEPS = 3000
# Validation windows: up to so many an origin apart within the last share of the head, thinned to so many in all.
VALIDATION_SHARE = 0.15
VALIDATION_ORIGINS = 6
MOST_VALIDATION_WINDOWS = 1024


@dataclass(frozen=True)
class TrainingPanel:
    """Series to learn from.

    Attributes:
        panel: S series.
        head: samples before the first backtest origin; the first weights see nothing later. Panels whose
            histories end together should have heads that lie equally far back, or a long panel's
            backtest would meet what a short panel's head already knew.
    """

    panel: Panel
    head: int


@dataclass(frozen=True)
class TrainedLstm:
    """Weights as plain numpy arrays, so that any process can load them.

    Attributes:
        horizon: leads they were trained for.
        levels: quantile levels they give, ascending, 1/2 among them.
        width: samples of a segment.
        head_weights: fitted to the samples before each head; None when no head was long enough.
        final_weights: fitted to everything; None likewise.
        steps: steps behind the first weights.
        stopped_by: "early stopping" (or the most steps there are); "budget" when it ended first, and another run may end elsewhere; or
            "too little history" when there was nothing to fit to.
        validation_loss: mean pinball loss at that step, in units of the windows' spread.
    """

    horizon: int
    levels: tuple[float, ...]
    width: int
    head_weights: dict[str, Any] | None
    final_weights: dict[str, Any] | None
    steps: int
    stopped_by: str
    validation_loss: float


@dataclass(frozen=True)
class _Pool:
    """One panel's windows: every origin in [first, last] of every series; targets end by ``last + horizon``."""

    history: History
    first: int
    last: int

    @property
    def series(self) -> int:
        return int(self.history.values.shape[0])


def train(
    panels: Sequence[TrainingPanel],
    horizon: int,
    levels: tuple[float, ...],
    *,
    budget_seconds: float,
    seed: int,
    device: str = "auto",
) -> TrainedLstm:
    """Train on all series of all panels.

    Args:
        panels: series, and how much of them the backtest leaves to fit to.
        horizon: steps ahead.
        levels: quantile levels in (0, 1).
        budget_seconds: CPU seconds, or wall seconds on an accelerator; half of it for the first weights.
        seed: same panels, options and seed, same weights (unless the budget ended first).
        device: "auto" takes an accelerator where torch finds one, else "cpu"; or a torch device's name.

    Raises:
        MissingLibraryError: torch is absent or too old.
        InputError: no positive budget, or a device that torch does not know here.
    """
    torch = load_torch()
    if not budget_seconds > 0.0:
        raise InputError(f"the training budget must be more than 0 seconds, not {budget_seconds:g}")
    with reproducibly(torch):
        run = _Run(torch, horizon, levels, seed, choose_device(torch, device), _common_width(panels))
        return run.train(panels, budget_seconds)


class _Run:
    """One training: the network, its optimiser's settings, and the stream of random windows."""

    def __init__(self, torch: Any, horizon: int, levels: tuple[float, ...], seed: int, device: str, width: int) -> None:
        self._torch, self._horizon, self._device, self._width = torch, horizon, device, width
        self._levels = tuple(sorted({*levels, 0.5}))
        self._median = self._levels.index(0.5)
        self._level_tensor = torch.tensor(self._levels, dtype=torch.float32, device=device)
        self._random = np.random.default_rng(seed)
        self._clock = time.process_time if device == "cpu" else time.perf_counter
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(seed)
            self._network = lstm_network.build(torch, width, len(self._levels)).to(device)

    def train(self, panels: Sequence[TrainingPanel], budget_seconds: float) -> TrainedLstm:
        started = self._clock()
        head_weights, steps, stopped_by, loss = None, 0, "too little history", float("nan")
        fitting, checking = self._head_pools(panels)
        if fitting:
            checks = [batch for pool in checking for batch in self._validation(pool, checking)]

            def over_budget() -> bool:
                return self._clock() - started >= budget_seconds / 2.0

            head_weights, steps, stopped_by, loss = self._stop_early(fitting, checks, over_budget)
        everything = self._final_pools(panels) if steps else []
        final_weights = None
        if everything:
            average = self._descend(everything, steps)
            final_weights = lstm_network.weights_of(average)
        return TrainedLstm(
            self._horizon, self._levels, self._width, head_weights, final_weights, steps, stopped_by, loss
        )

    def _head_pools(self, panels: Sequence[TrainingPanel]) -> tuple[list[_Pool], list[_Pool]]:
        """What to fit to, and the windows after it, at the end of the head, to stop by."""
        fitting, checking = [], []
        for one in panels:
            history = self._history(one.panel, one.head)
            held = max(self._horizon, int(VALIDATION_SHARE * one.head))
            first, last = history.seasons.least_history, one.head - held - self._horizon
            if last >= first:
                fitting.append(_Pool(history, first, last))
                checking.append(_Pool(history, one.head - held, one.head - self._horizon))
        return fitting, checking

    def _final_pools(self, panels: Sequence[TrainingPanel]) -> list[_Pool]:
        found = []
        for one in panels:
            history = self._history(one.panel, one.panel.length)
            first, last = history.seasons.least_history, one.panel.length - self._horizon
            if last >= first:
                found.append(_Pool(history, first, last))
        return found

    def _history(self, panel: Panel, fitted_to: int) -> History:
        known = seasons(panel.periods, fitted_to, self._horizon)
        return make_history(self._torch, panel, known, self._width, self._device, self._torch.float32)

    def _stop_early(
        self, pools: Sequence[_Pool], checks: Sequence[Any], over_budget: Callable[[], bool]
    ) -> tuple[dict[str, Any], int, str, float]:
        """Weights of the least validation loss, their step, why it ended, and that loss."""
        best: tuple[dict[str, Any], int, float] | None = None
        stopped_by = "early stopping"
        for step, average in enumerate(self._steps(pools), start=1):
            over = over_budget()
            if step % STEPS_BETWEEN_CHECKS and not over:
                continue
            loss = self._validate(average, checks)
            if best is None or loss < best[2]:
                best = (lstm_network.weights_of(average), step, loss)
            if over:
                stopped_by = "budget"
            if over or step >= MOST_STEPS or step - best[1] >= PATIENCE_CHECKS * STEPS_BETWEEN_CHECKS:
                break
        weights, step, loss = best  # type: ignore[misc]
        lstm_network.load(self._torch, self._network, weights)
        return weights, step, stopped_by, loss

    def _descend(self, pools: Sequence[_Pool], steps: int) -> Any:
        """The averaged network after that many steps from where it is."""
        descent = self._steps(pools)
        for _step in range(steps):
            average = next(descent)
        return average

    def _steps(self, pools: Sequence[_Pool]) -> Iterator[Any]:
        """Adam on random windows, without end; gives the averaged network after every step."""
        torch = self._torch
        average = copy.deepcopy(self._network)
        optimiser = torch.optim.Adam(self._network.parameters(), lr=LEARNING_RATE)
        chance = np.array([pool.series for pool in pools], dtype=np.float64)
        chance /= chance.sum()
        step = 0
        while True:
            pool = pools[int(self._random.choice(len(pools), p=chance))]
            optimiser.zero_grad()
            self._loss(self._network, *self._batch(pool)).backward()
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), LARGEST_GRADIENT)
            optimiser.step()
            step += 1
            # the first averages forget where they began
            keep = min(AVERAGING, step / (step + 10.0))
            with torch.no_grad():
                for mean, now in zip(average.parameters(), self._network.parameters()):
                    mean.lerp_(now, 1.0 - keep)
            yield average

    def _batch(self, pool: _Pool) -> tuple[History, Any, Any, Any]:
        rows = self._random.integers(0, pool.series, BATCH)
        origins = self._random.integers(pool.first, pool.last + 1, BATCH)
        leads = np.arange(self._horizon)
        if self._horizon > LEADS:
            leads = np.sort(self._random.choice(self._horizon, LEADS, replace=False))
        return pool.history, self._tensor(rows), self._tensor(origins), self._tensor(leads)

    def _validation(self, pool: _Pool, pools: Sequence[_Pool]) -> list[tuple[History, Any, Any, Any]]:
        """Batches of evenly spread windows; panels get shares by their number of series."""
        count = min(VALIDATION_ORIGINS, pool.last - pool.first + 1)
        origins = np.linspace(pool.first, pool.last, count).round().astype(np.int64)
        share = -(-MOST_VALIDATION_WINDOWS * pool.series // sum(one.series for one in pools))
        rows, at = spread_windows(pool.series, count, share)
        leads = np.unique(np.linspace(0, self._horizon - 1, min(self._horizon, LEADS)).round().astype(np.int64))
        parts = [slice(start, start + BATCH) for start in range(0, len(rows), BATCH)]
        return [
            (pool.history, self._tensor(rows[part]), self._tensor(origins[at[part]]), self._tensor(leads))
            for part in parts
        ]

    def _validate(self, network: Any, checks: Sequence[tuple[History, Any, Any, Any]]) -> float:
        with self._torch.no_grad():
            losses = [float(self._loss(network, *batch)) * len(batch[1]) for batch in checks]
        return sum(losses) / sum(len(batch[1]) for batch in checks)

    def _loss(self, network: Any, history: History, rows: Any, origins: Any, leads: Any) -> Any:
        window = look_back(self._torch, history, rows, origins, leads, self._horizon)
        forecast = lstm_network.quantiles(self._torch, network, window, self._median)
        at = origins[:, None] + leads
        target = (history.values[rows[:, None], at] - window.level) / window.spread
        observed = history.observed[rows[:, None], at]
        return lstm_network.pinball_loss(self._torch, forecast, target, observed, self._level_tensor)

    def _tensor(self, array: Any) -> Any:
        return self._torch.as_tensor(array, dtype=self._torch.int64, device=self._device)


def _common_width(panels: Sequence[TrainingPanel]) -> int:
    """The segment width that suits most series; ties to the narrower."""
    count: dict[int, int] = {}
    for one in panels:
        width = segment_width(seasons(one.panel.periods, one.head, 0).day)
        count[width] = count.get(width, 0) + int(one.panel.values.shape[0])
    return min(count, key=lambda width: (-count[width], width)) if count else 1


def spread_windows(series: int, origins: int, most: int) -> tuple[Any, Any]:
    """Rows and numbers of origins of at most ``most`` windows, even over both; all pairs where they are fewer."""
    if series * origins <= most:
        return np.divmod(np.arange(series * origins), origins)
    number = np.arange(most)
    return number * series // most, number % origins
