# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for every forecast: sane numbers, and nothing that the demand did not say."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from forecast_samples import DATA, HOUR, MONDAY, daily_demand, load_reference, make_series
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
OPTIONS = parse_options({"horizon_steps": 24, "window_steps": 6, "quantiles": LEVELS})


def _numbers(fields):
    """Mean, quantiles (Q, horizon) and window maximum (Q,)."""
    keys = [str(level) for level in LEVELS]
    return (
        np.array(fields["mean"]),
        np.array([fields["quantiles"][key] for key in keys]),
        np.array([fields["window_maximum"][key] for key in keys]),
    )


def _sane(fields):
    mean, paths, tops = _numbers(fields)
    for part in (mean, paths, tops):
        assert np.isfinite(part).all()
        assert (part >= 0.0).all()
    assert (np.diff(paths, axis=0) >= 0.0).all()
    assert (np.diff(tops) >= 0.0).all()
    assert (tops >= paths[:, : OPTIONS.window_steps].max(axis=1)).all()
    json.dumps(fields, allow_nan=False)


def _forecast(values, options=OPTIONS):
    return forecast_series([make_series("a", values)], options)["series"]["a"]


@st.composite
def demand(draw):
    """Seasonal demand with what happens to it: silence, bursts, shifts, growth, gaps."""
    length = draw(st.integers(20, 420))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = daily_demand(draw(st.integers(0, 50)), length, noise=draw(st.sampled_from([0.0, 0.05, 0.5])))
    for change in draw(st.lists(st.sampled_from(["sparse", "bursts", "shift", "growth", "gaps", "whole", "off"]))):
        if change == "sparse":
            values = np.where(random.random(length) < 0.8, 0.0, values)
        elif change == "bursts":
            values = values * np.where(random.random(length) < 0.03, 10.0 ** random.uniform(0, 4), 1.0)
        elif change == "shift":
            values = values * np.where(
                np.arange(length) > random.integers(length), random.choice([0.01, 0.5, 3, 100]), 1
            )
        elif change == "growth":
            values = values * np.exp(np.arange(length) / random.uniform(20.0, 200.0))
        elif change == "gaps":
            begin = random.integers(length)
            values = np.where((np.arange(length) >= begin) & (np.arange(length) < begin + 40), np.nan, values)
        elif change == "whole":
            values = np.floor(values / 20.0)
        else:
            values = np.where(np.arange(length) >= length - random.integers(1, 30), 0.0, values)
    return values


@settings(max_examples=50, deadline=None)
@given(values=demand())
def test_numbers_are_finite_never_negative_and_monotone(values):
    _sane(_forecast(values))


@settings(max_examples=15, deadline=None)
@given(values=demand(), power=st.integers(-60, 60))
def test_demand_in_another_unit_gives_the_forecast_in_that_unit(values, power):
    """A power of two changes no bit but the exponent, so the same choices are made in any history."""
    one, other = _forecast(values), _forecast(np.ldexp(values, power))
    assert other["usable"] == one["usable"]
    for ours, scaled in zip(_numbers(one), _numbers(other)):
        np.testing.assert_allclose(
            np.ldexp(scaled, -power), ours, rtol=2e-5, atol=2e-5 * max(np.nan_to_num(values).mean(), 1e-300)
        )


@pytest.mark.parametrize("power", [-9, -3, -1, 1, 3, 9])
@pytest.mark.parametrize("samples", [30, 60, 200, 504])
def test_ten_times_the_demand_ten_times_the_forecast(power, samples):
    values = daily_demand(samples, samples)
    one, other = _forecast(values), _forecast(values * 10.0**power)
    for ours, scaled in zip(_numbers(one), _numbers(other)):
        np.testing.assert_allclose(scaled / 10.0**power, ours, rtol=1e-4, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(values=demand(), weeks=st.integers(-520, 520))
def test_the_same_demand_at_another_time_gives_the_same_forecast_then(values, weeks):
    """Whole weeks later; without a calendar the engine knows no date."""
    later = Series("a", MONDAY + weeks * 168 * HOUR, HOUR, values)
    one, other = _forecast(values), forecast_series([later], OPTIONS)["series"]["a"]
    assert parse_moment(other["start"]) - parse_moment(one["start"]) == weeks * 168 * HOUR
    for ours, then in zip(_numbers(one), _numbers(other)):
        np.testing.assert_array_equal(ours, then)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.0, 0.45), block=st.sampled_from([1, 6, 30]))
def test_any_mask_of_gaps_is_survived_and_costs_little(seed, share, block):
    random = np.random.default_rng(seed)
    values = daily_demand(seed % 7, 528, noise=0.05)
    history, truth = values[:504].copy(), values[504:]
    for begin in random.integers(0, 504, size=int(share * 504 / block)):
        history[begin : begin + block] = np.nan
    fields = _forecast(history)
    _sane(fields)
    if fields["usable"]:
        assert np.abs(np.array(fields["mean"]) - truth).mean() < 0.35 * truth.mean()


def _company():
    random = np.random.default_rng(2)
    rows = [daily_demand(seed, length) for seed, length in enumerate((400, 504, 504, 504, 700, 408))]
    rows[1][:100] = 0.0
    rows[2][-5:] = np.nan
    rows[3][250:] *= 4.0
    rows.append(np.where(random.random(504) < 0.8, 0.0, 5.0))
    rows.append(np.full(504, 3.0))
    return [make_series(f"m{index}", row) for index, row in enumerate(rows)]


def test_same_bytes_twice_and_in_any_order():
    series = _company()
    options = dataclasses.replace(OPTIONS, sample_paths=3)
    first = canonical_bytes(forecast_series(series, options))
    assert canonical_bytes(forecast_series(_company(), options)) == first
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(series))
        assert canonical_bytes(forecast_series([series[index] for index in order], options)) == first


def test_the_history_given_is_not_changed():
    series = _company()
    before = [one.values.tobytes() for one in series]
    forecast_series(series, OPTIONS)
    assert [one.values.tobytes() for one in series] == before


@pytest.mark.parametrize("index", range(8))
def test_no_series_hears_another(index):
    """The same entry alone, in company, and in the company of others in chunks of another size."""
    series = _company()
    wild = [make_series(f"z{seed}", 1e9 * np.random.default_rng(seed).random(504) ** 9) for seed in range(12)]
    alone = forecast_series([series[index]], OPTIONS)["series"]
    together = forecast_series([*series, *wild], OPTIONS)["series"]
    assert canonical_bytes(together[f"m{index}"]) == canonical_bytes(alone[f"m{index}"])


def test_adding_an_old_history_far_back_changes_nothing():
    values = daily_demand(3, 2048 + 24 * 30)
    ours = _forecast(values[-2048:])
    whole = _forecast(values)
    for one, other in zip(_numbers(ours), _numbers(whole)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["servegen_small_10min", "nab_tweets_5min", "elb_requests_5min"])
def test_real_demand_gets_sane_numbers(name):
    rows = load_reference(name)
    options = parse_options({"horizon_steps": 24, "window_steps": 6, "quantiles": LEVELS})
    series = [make_series(model, values[-1500:], step_seconds=600) for model, values in sorted(rows.items())[:8]]
    for fields in forecast_series(series, options)["series"].values():
        _sane(fields)
    assert DATA.exists()
