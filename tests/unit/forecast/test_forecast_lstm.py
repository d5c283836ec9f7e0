# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine lstm: one network over all series, judged like every other candidate."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import (
    InputError,
    MissingLibraryError,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import lstm_network, lstm_training
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import lay_out, targets
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.baselines import (
    SeasonalMean,
    predict_seasonal_mean,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.lstm import (
    LstmForecaster,
    TrainingPanel,
    train,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import make_panel

torch = pytest.importorskip("torch", reason="the engine lstm needs torch, which is optional")

DAY, WEEK, HORIZON = 8, 56, 8
LENGTH = 320
LEVELS = (0.05, 0.5, 0.9)
AMPLE_SECONDS = 600.0


def _waves(series: int, length: int = LENGTH, *, seed: int = 1) -> list[np.ndarray]:
    """Days of their own phase and height, with 10 % noise."""
    random = np.random.default_rng(seed)
    when = np.arange(length)
    rows = []
    for number in range(series):
        wave = 1.0 + 0.7 * np.sin(2 * np.pi * (when / DAY + number / series))
        rows.append(10.0 ** (number % 4) * wave * (1.0 + 0.1 * random.standard_normal(length)))
    return [np.maximum(row, 0.0) for row in rows]


def _panel(rows):
    return make_panel(rows, (DAY, WEEK))


def _layout(panel):
    return lay_out(panel.length, HORIZON, panel.periods)


@pytest.fixture(scope="module")
def panel():
    return _panel(_waves(6))


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(lstm_training, "MOST_STEPS", 10)
    monkeypatch.setattr(lstm_training, "STEPS_BETWEEN_CHECKS", 5)


@pytest.fixture(scope="module")
def trained(panel):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lstm_training, "MOST_STEPS", 100)
        return _train(panel)


def _train(panel, *, seed: int = 1, budget_seconds: float = AMPLE_SECONDS):
    one = TrainingPanel(panel, _layout(panel).head)
    return train([one], HORIZON, LEVELS, budget_seconds=budget_seconds, seed=seed, device="cpu")


def _next(trained, panel):
    """Forecast (S, horizon) of what follows the panel."""
    return LstmForecaster(trained, LEVELS).forecast(panel, panel.length, np.array([panel.length]), HORIZON)[0, :, 0]


def test_a_day_under_noise_is_learnt_better_than_by_its_last_occurrence(panel, trained):
    layout = _layout(panel)
    paths = LstmForecaster(trained, LEVELS).forecast(panel, layout.head, layout.origins, HORIZON)
    assert paths.shape == (1, 6, len(layout.origins), HORIZON)
    actual = targets(panel.values, layout)
    error = np.abs(paths[0] - actual).mean()
    assert error < 0.25 * np.abs(1.0 - actual).mean()
    naive = predict_seasonal_mean(SeasonalMean(DAY), panel.values, layout.origins, HORIZON)
    # the noise alone costs naive sqrt(2) of it
    assert error < 0.85 * np.abs(naive - actual).mean()


def test_the_forecast_of_the_future_uses_what_came_after_the_head(panel, trained):
    assert trained.stopped_by == "early stopping"
    assert trained.steps <= 100
    assert any(
        not np.array_equal(trained.head_weights[name], trained.final_weights[name]) for name in trained.head_weights
    )
    wave = np.stack(_waves(6, LENGTH + HORIZON))[:, LENGTH:] / panel.scale[:, None]
    assert np.abs(_next(trained, panel) - wave).mean() < 0.2 * np.abs(1.0 - wave).mean() + 0.1


def test_quantiles_ascend_cover_and_are_never_negative(panel, trained):
    layout = _layout(panel)
    found = LstmForecaster(trained, LEVELS).quantiles(panel, layout.head, layout.origins, HORIZON)
    assert found.shape == (6, len(layout.origins), HORIZON, len(LEVELS))
    assert (np.diff(found, axis=-1) >= 0.0).all()
    assert (found >= 0.0).all()
    actual = targets(panel.values, layout)
    assert 0.75 <= (actual <= found[..., 2]).mean() <= 0.99
    assert 0.005 <= (actual <= found[..., 0]).mean() <= 0.2


def test_a_thousandfold_demand_has_a_thousandfold_forecast(panel, trained):
    big = replace(panel, values=panel.values * 1000.0, ceiling=panel.ceiling * 1000.0)
    np.testing.assert_allclose(_next(trained, big), 1000.0 * _next(trained, panel), rtol=1e-9)


def test_forecasts_stay_within_zero_and_the_ceiling(panel, trained):
    low = replace(panel, ceiling=np.full(6, 0.5))
    assert _next(trained, low).max() == 0.5
    assert _next(trained, low).min() >= 0.0


def test_same_panels_and_seed_give_the_same_bytes(panel, few_steps):
    first, again, other = _train(panel), _train(panel), _train(panel, seed=2)
    assert pickle.dumps(first) == pickle.dumps(again)
    assert pickle.dumps(first) != pickle.dumps(other)


def test_training_leaves_the_settings_of_torch_alone(panel, few_steps):
    torch.manual_seed(5)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.rand(1).item()
    torch.manual_seed(5)
    _train(panel)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.rand(1).item()) == before


def test_what_came_after_the_head_is_unknown_to_the_backtest(panel, few_steps):
    head = _layout(panel).head
    later = panel.values.copy()
    later[:, head:] = 3.0 * later[:, head:][:, ::-1]
    changed = replace(panel, values=later)
    honest, other = _train(panel), _train(changed)
    for name, weights in honest.head_weights.items():
        np.testing.assert_array_equal(weights, other.head_weights[name])
    assert any(
        not np.array_equal(honest.final_weights[name], other.final_weights[name]) for name in honest.final_weights
    )
    paths = [
        LstmForecaster(trained, LEVELS).quantiles(one, head, [head], HORIZON)
        for trained, one in ((honest, panel), (other, changed))
    ]
    np.testing.assert_array_equal(*paths)


def test_nothing_at_or_after_an_origin_is_read(panel, trained):
    later = panel.values.copy()
    later[:, 300:] = 9.0
    changed = replace(panel, values=later)
    paths = [LstmForecaster(trained, LEVELS).quantiles(one, 200, [300], HORIZON) for one in (panel, changed)]
    np.testing.assert_array_equal(*paths)


def test_filled_gaps_weigh_nothing_in_the_loss():
    forecast = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    levels = torch.tensor([0.5, 0.9])
    observed = torch.tensor([[1.0, 0.0]])
    losses = [
        float(lstm_network.pinball_loss(torch, forecast, torch.tensor([[2.0, filled]]), observed, levels))
        for filled in (0.0, 1e6)
    ]
    # 0.5 * (2 - 0) and 0.9 * (2 - 1), averaged
    assert losses == pytest.approx([0.95, 0.95])


def test_gaps_hardly_change_the_forecast(panel, trained):
    rows = _waves(6)
    for number, row in enumerate(rows):
        row[200 + number : 216 + number] = np.nan
        row[300 - number : 306 - number] = np.nan
    patchy = _panel(rows)
    known = _next(trained, panel) * panel.scale[:, None]
    without = _next(trained, patchy) * patchy.scale[:, None]
    assert (np.abs(without - known).mean(axis=1) < 0.1 * panel.scale).all()


def test_a_pickled_network_forecasts_alike_whatever_series_share_the_call(panel, trained):
    copied = pickle.loads(pickle.dumps(trained))
    assert all(isinstance(array, np.ndarray) for array in copied.final_weights.values())
    np.testing.assert_allclose(_next(copied, _panel(_waves(6)[2:4])), _next(trained, panel)[2:4], rtol=1e-12)


def test_a_history_shorter_than_a_context_window_gets_seasonal_naive_and_says_so(trained):
    short = _panel([row[:30] for row in _waves(2)])
    forecaster = LstmForecaster(trained, LEVELS)
    paths = forecaster.forecast(short, 12, np.array([12, 20]), HORIZON)
    naive = predict_seasonal_mean(SeasonalMean(DAY), short.values, np.array([12, 20]), HORIZON)
    np.testing.assert_array_equal(paths[0], np.minimum(naive, short.ceiling[:, None, None]))
    assert sorted(forecaster.failures) == [0, 1]
    assert "at least 16 samples and only 12" in forecaster.failures[0]
    found = forecaster.quantiles(short, 12, np.array([12, 20]), HORIZON)
    assert (np.diff(found, axis=-1) >= 0.0).all()
    assert (found >= 0.0).all()


def test_nothing_to_train_on_leaves_seasonal_naive():
    short = _panel([row[:26] for row in _waves(2)])
    trained = _train(short)
    assert (trained.stopped_by, trained.steps, trained.final_weights) == ("too little history", 0, None)
    forecaster = LstmForecaster(trained, LEVELS)
    paths = forecaster.forecast(short, short.length, np.array([short.length]), HORIZON)
    np.testing.assert_array_equal(paths[0, :, 0], short.values[:, -DAY:])
    assert "long enough to train on" in forecaster.failures[1]


@pytest.mark.parametrize(("series", "origins", "most"), [(3, 6, 100), (207, 6, 1024), (5000, 6, 1024), (40, 4, 100)])
def test_validation_windows_are_even_over_series_and_origins(series, origins, most):
    rows, at = lstm_training.spread_windows(series, origins, most)
    assert len(rows) == len(set(zip(rows.tolist(), at.tolist()))) == min(series * origins, most)
    for found, count in ((rows, series), (at, origins)):
        times = np.bincount(found, minlength=count)
        assert times.max() - times.min() <= 1


def test_a_budget_that_ends_first_is_said(panel):
    trained = _train(panel, budget_seconds=0.02)
    assert trained.stopped_by == "budget"
    assert 1 <= trained.steps < 10
    assert np.isfinite(_next(trained, panel)).all()


def test_panels_without_season_and_long_horizons_train_too(panel, few_steps, monkeypatch):
    monkeypatch.setattr(lstm_training, "LEADS", 5)
    random = np.random.default_rng(3)
    flat = make_panel([50.0 + random.standard_normal(90) for _number in range(3)], ())
    panels = [TrainingPanel(panel, _layout(panel).head), TrainingPanel(flat, 60)]
    trained = train(panels, HORIZON, LEVELS, budget_seconds=AMPLE_SECONDS, seed=1)
    forecaster = LstmForecaster(trained, LEVELS)
    paths = forecaster.forecast(flat, flat.length, np.array([flat.length]), HORIZON)
    assert forecaster.failures == {}
    np.testing.assert_allclose(paths, 1.0, atol=0.1)


def test_bad_requests_say_what_is_wrong(panel, trained):
    one = [TrainingPanel(panel, 200)]
    with pytest.raises(InputError, match="budget must be more than 0"):
        train(one, HORIZON, LEVELS, budget_seconds=0.0, seed=1)
    with pytest.raises(InputError, match="cannot use the device 'abacus'"):
        train(one, HORIZON, LEVELS, budget_seconds=1.0, seed=1, device="abacus")
    with pytest.raises(InputError, match=r"trained for the quantiles 0.05, 0.5, 0.9, not 0.99"):
        LstmForecaster(trained, (0.5, 0.99))


def test_a_missing_torch_is_named(panel, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingLibraryError, match=r"The engine lstm needs the Python library torch >= 2.2"):
        _train(panel)
