# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From series to document: what must hold for every history, however odd."""

from __future__ import annotations

import json

import numpy as np
import pytest
from forecast_samples import ROOT, daily_demand, make_series
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import tasks
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "forecast.schema.json").read_text(encoding="utf-8"))


def _options(**params):
    return parse_options({"horizon_steps": 12, "window_steps": 4, "quantiles": [0.05, 0.5, 0.9, 0.95], **params})


def _check(document):
    """The schema, and what a schema cannot say."""
    whole = {**document, "created_at": "2026-01-01T00:00:00Z", "inputs": {"history": "sha256:" + "0" * 64}}
    Draft202012Validator(SCHEMA).validate(json.loads(canonical_bytes(whole)))
    for fields in document["series"].values():
        levels = [str(level) for level in document["quantile_levels"]]
        paths = np.array([fields["quantiles"][level] for level in levels])
        assert paths.shape == (len(levels), document["horizon_steps"]) == (len(levels), len(fields["mean"]))
        assert (np.diff(paths, axis=0) >= 0).all()
        tops = np.array([fields["window_maximum"][level] for level in levels])
        assert (np.diff(tops) >= 0).all()
        assert (tops >= paths[:, : document["window_steps"]].max(axis=1)).all()
        assert sum(candidate["weight"] for candidate in fields["candidates"]) == pytest.approx(
            1.0 if fields["usable"] else 0.0, abs=1e-4
        )


ODD = {
    "zero": np.zeros(300),
    "constant": np.full(300, 7.5),
    "one spike": np.where(np.arange(300) == 200, 1e6, 0.0),
    "mostly zero": np.where(np.random.default_rng(1).random(300) < 0.9, 0.0, 3.0),
    "started yesterday": np.concatenate([np.zeros(280), np.full(20, 4.0)]),
    "growing": np.exp(np.arange(300) / 30.0),
    "perfect wave": 2.0 + np.sin(2 * np.pi * np.arange(300) / 24),
    "tiny": 1e-12 * daily_demand(2, 300),
    "huge": 1e12 * daily_demand(3, 300),
    "half missing": np.where(np.arange(300) % 50 < 20, np.nan, daily_demand(4, 300)),
    "mostly missing": np.where(np.arange(300) % 10 < 9, np.nan, 5.0),
    "ends in a gap": np.where(np.arange(300) > 260, np.nan, daily_demand(5, 300)),
    "nothing known": np.full(300, np.nan),
    "three points": np.array([5.0, 6.0, 7.0]),
    "one point": np.array([5.0]),
    "two days": daily_demand(6, 48),
    "level shift": np.where(np.arange(300) < 200, 1.0, 9.0) * daily_demand(7, 300),
}


@pytest.mark.parametrize("engine", ["auto", "seasonal_naive"])
def test_odd_series_get_a_finite_flagged_forecast(engine):
    document = forecast_series([make_series(name, values) for name, values in ODD.items()], _options(engine=engine))
    _check(document)
    series = document["series"]
    for name in ("three points", "one point", "nothing known", "mostly missing"):
        assert not series[name]["usable"], name
        assert "plan from what is observed" in series[name]["warnings"][-1]
        assert series[name]["backtest"] is None
    assert series["mostly missing"]["warnings"][-1].startswith("only 29 of the last 288 samples are known")
    assert series["three points"]["warnings"][-1].startswith("3 samples is too short a history")
    assert series["nothing known"]["last_observed"] is None
    assert series["zero"]["warnings"] == ["the history holds no demand at all"]
    assert max(series["zero"]["window_maximum"].values()) == 0.0
    assert "never changes" in series["constant"]["warnings"][0]
    assert series["constant"]["mean"] == [7.5] * 12
    assert any("sporadic" in text for text in series["mostly zero"]["warnings"])
    assert any("missing" in text for text in series["half missing"]["warnings"])
    assert any("last 39 samples" in text for text in series["ends in a gap"]["warnings"])
    np.testing.assert_allclose(
        series["perfect wave"]["mean"], 2.0 + np.sin(2 * np.pi * np.arange(300, 312) / 24), atol=1e-3
    )


def test_three_points_give_an_interval_that_is_wide_and_not_usable():
    fields = forecast_series([make_series("new", [5.0, 6.0, 7.0])], _options())["series"]["new"]
    assert not fields["usable"]
    assert 0.0 <= fields["quantiles"]["0.05"][0] < 5.0
    assert fields["quantiles"]["0.95"][0] > 7.0
    assert fields["window_maximum"]["0.95"] >= fields["quantiles"]["0.95"][0]


samples = st.lists(
    st.one_of(st.floats(0.0, 1e9, allow_nan=False), st.just(0.0), st.just(float("nan"))), min_size=1, max_size=120
)


@settings(max_examples=60, deadline=None)
@example(values=[5.241730268626992e-22], horizon=1, engine="auto")
@given(values=samples, horizon=st.integers(1, 30), engine=st.sampled_from(["auto", "seasonal_naive"]))
def test_any_history_gives_a_valid_document(values, horizon, engine):
    options = _options(horizon_steps=horizon, window_steps=max(1, horizon // 3), engine=engine)
    _check(forecast_series([make_series("any", values)], options))


@settings(max_examples=10, deadline=None)
@given(exponent=st.integers(-20, 20), seed=st.integers(0, 10))
def test_the_forecast_scales_with_the_demand(exponent, seed):
    values = daily_demand(seed, 400)
    one = forecast_series([make_series("a", values)], _options())["series"]["a"]
    other = forecast_series([make_series("a", values * 2.0**exponent)], _options())["series"]["a"]
    assert other["model"] == one["model"]
    np.testing.assert_allclose(other["mean"], np.array(one["mean"]) * 2.0**exponent, rtol=2e-5)
    np.testing.assert_allclose(
        list(other["window_maximum"].values()),
        np.array(list(one["window_maximum"].values())) * 2.0**exponent,
        rtol=2e-5,
    )


def test_same_bytes_whatever_the_order_and_the_company():
    series = [make_series(f"model-{seed}", daily_demand(seed, 400 if seed % 2 else 504)) for seed in range(6)]
    document = forecast_series(series, _options())
    assert canonical_bytes(document) == canonical_bytes(forecast_series(series, _options()))
    assert canonical_bytes(document) == canonical_bytes(forecast_series(series[::-1], _options()))
    alone = forecast_series([series[3]], _options())
    assert alone["series"]["model-3"] == document["series"]["model-3"]


def test_the_size_of_a_chunk_changes_nothing(monkeypatch):
    series = [make_series(f"model-{seed}", daily_demand(seed, 400 + seed)) for seed in range(12)]
    one = forecast_series(series, _options())
    monkeypatch.setattr(tasks, "CHUNK_BYTES", 1)
    assert canonical_bytes(one) == canonical_bytes(forecast_series(series, _options()))


def test_filled_gaps_are_neither_scored_nor_calibrated():
    values = daily_demand(11, 504)
    holes = values.copy()
    holes[400:424] = np.nan
    fields = forecast_series([make_series("a", holes)], _options())["series"]["a"]
    whole = forecast_series([make_series("a", values)], _options())["series"]["a"]
    assert fields["backtest"]["mase"] == pytest.approx(whole["backtest"]["mase"], rel=0.25)
    np.testing.assert_allclose(fields["quantiles"]["0.95"], whole["quantiles"]["0.95"], rtol=0.25)


def test_a_series_twice_or_a_negative_sample_is_refused():
    with pytest.raises(InputError, match="given twice"):
        forecast_series([make_series("a", [1.0]), make_series("a", [2.0])], _options())
    with pytest.raises(InputError, match=r"series a: sample 2 is -3; demand is finite .* and never negative"):
        forecast_series([make_series("a", [1.0, -3.0])], _options())
    for much in (np.inf, 1.7e308):
        with pytest.raises(InputError, match=r"series a: sample 2 is .*; demand is finite \(at most 1e\+300\)"):
            forecast_series([make_series("a", [1.0, much])], _options())
    with pytest.raises(InputError, match="no series"):
        forecast_series([], _options())


def test_a_random_walk_earns_no_praise_and_a_wave_does():
    random = np.random.default_rng(4)
    wave = make_series("wave", daily_demand(1, 700))
    noise = make_series("noise", random.lognormal(0.0, 1.0, 700))
    series = forecast_series([wave, noise], _options())["series"]
    assert series["wave"]["beats_seasonal_naive"]
    assert series["wave"]["backtest"]["skill"] > 0.2
    document = forecast_series([wave], _options(engine="seasonal_naive"))["series"]["wave"]
    assert not document["beats_seasonal_naive"]
    assert document["backtest"]["skill"] == 0.0
