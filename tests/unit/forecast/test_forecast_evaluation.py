# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backtest reported: by hand where it can be, and the same as the forecast says of itself."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from forecast_samples import MONDAY, ROOT, daily_demand, make_series
from jsonschema import Draft202012Validator

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import Layout, lay_out
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest_courses import (
    choose_courses,
    consecutive_origins,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest_document import (
    evaluate_series,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest_overall import (
    LeadTotals,
    figures,
    summarise,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.evaluation import (
    LeadErrors,
    candidate_quantiles,
    score_candidates,
    shares_below,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel_forecast import Backtest
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "backtest.schema.json").read_text(encoding="utf-8"))
LEVELS = (0.1, 0.5, 0.9)


def _options(**params):
    return parse_options({"horizon_steps": 12, "quantiles": [0.05, 0.5, 0.95], **params})


def _some_series():
    gaps = daily_demand(3, 400)
    gaps[np.arange(400) % 37 == 5] = np.nan
    ends_in_a_gap = daily_demand(4, 400)
    ends_in_a_gap[-5:] = np.nan
    shifted = np.concatenate([daily_demand(5, 330), 3.0 * daily_demand(6, 400)[330:]])
    sporadic = np.where(np.random.default_rng(7).random(400) < 0.8, 0.0, 3.0)
    return [
        make_series("a", daily_demand(1, 400)),
        make_series("b", daily_demand(2, 400, noise=0.6)),
        make_series("gaps", gaps),
        make_series("late", ends_in_a_gap),
        make_series("shifted", shifted),
        make_series("sporadic", sporadic),
        make_series("short", daily_demand(8, 9)),
        make_series("weekly", daily_demand(9, 700)),
    ]


@pytest.fixture(scope="module")
def evaluation():
    return evaluate_series(_some_series(), _options())


def _backtest(tried, actual, observed=None):
    tried, actual = np.asarray(tried, dtype=float), np.asarray(actual, dtype=float)
    mask = np.ones(actual.shape, dtype=bool) if observed is None else np.asarray(observed)
    return Backtest(tried, actual, mask, tried[0], None, None)


def test_scores_by_hand():
    # one series, two origins of two steps; the last sample was not observed
    actual = [[[2.0, 4.0], [6.0, 100.0]]]
    tried = [[[[2.0, 2.0], [9.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]]
    found = score_candidates(_backtest(tried, actual, [[[True, True], [True, False]]]), LEVELS)
    assert found.mae[:, 0] == pytest.approx([(0 + 2 + 3) / 3, (2 + 4 + 6) / 3])
    assert found.smape[:, 0] == pytest.approx([200 * (0 + 2 / 6 + 3 / 15) / 3, 200.0])
    assert found.pinball.shape == found.coverage.shape == (2, 1, 3)


def test_scores_of_quantiles_are_those_of_a_plain_loop():
    random = np.random.default_rng(0)
    actual = random.gamma(2.0, 1.0, (3, 6, 5))
    tried = actual + random.normal(0.0, 0.5, (4, 3, 6, 5))
    observed = random.random((3, 6, 5)) < 0.8
    found = score_candidates(_backtest(tried, actual, observed), LEVELS)
    for candidate in range(4):
        said = candidate_quantiles(tried[candidate], actual, observed, LEVELS)
        for series in range(3):
            for index, level in enumerate(LEVELS):
                losses, inside = [], []
                for origin in range(6):
                    for lead in range(5):
                        if observed[series, origin, lead]:
                            gap = actual[series, origin, lead] - said[series, origin, lead, index]
                            losses.append(level * gap if gap >= 0 else (level - 1) * gap)
                            inside.append(gap <= 0)
                assert found.pinball[candidate, series, index] == pytest.approx(np.mean(losses))
                assert found.coverage[candidate, series, index] == pytest.approx(np.mean(inside))


def test_a_half_learns_its_shape_from_the_other_half():
    random = np.random.default_rng(1)
    forecast = np.full((1, 8, 6), 10.0)
    actual = forecast + random.normal(0.0, 1.0, forecast.shape)
    observed = np.ones(forecast.shape, dtype=bool)
    skewed = actual.copy()
    skewed[:, :4] = forecast[:, :4] - (actual[:, :4] - forecast[:, :4])  # mirrored: the same spread
    before = candidate_quantiles(forecast, actual, observed, LEVELS)
    after = candidate_quantiles(forecast, skewed, observed, LEVELS)
    assert after[:, :4] == pytest.approx(before[:, :4])
    assert np.abs(after[:, 4:] - before[:, 4:]).max() > 0.05
    # the mirror of the errors is the mirror of the quantiles
    assert after[:, 4:, :, 0] == pytest.approx(20.0 - before[:, 4:, :, 2])


def test_quantiles_of_a_good_candidate_cover_what_they_say():
    random = np.random.default_rng(2)
    forecast = random.uniform(5.0, 20.0, (40, 16, 24))
    actual = forecast + np.sqrt(forecast) * random.normal(0.0, 0.5, forecast.shape)
    found = score_candidates(_backtest(forecast[None], actual), LEVELS)
    assert found.coverage[0].mean(axis=0) == pytest.approx(LEVELS, abs=0.01)
    # the pinball loss of a normal at its own quantile is sd * density; sd of step i is sqrt(f_i) / 2
    density = np.exp(-0.5 * np.array([1.2815516, 0.0, 1.2815516]) ** 2) / np.sqrt(2 * np.pi)
    assert found.pinball[0].mean(axis=0) == pytest.approx(0.5 * np.sqrt(forecast).mean() * density, rel=0.03)


def test_ties_lie_between_below_and_at_or_below():
    actual = np.array([[[0.0, 0.0, 0.0, 5.0]]])
    tested = _backtest(np.zeros((1, 1, 1, 4)), actual)
    assert shares_below(np.zeros((1, 1, 4, 2)), tested).tolist() == [[0.0, 0.0]]
    assert shares_below(np.full((1, 1, 4, 1), 1e-9), tested).tolist() == [[0.75]]


def test_figures_are_those_the_forecast_says_of_itself(evaluation):
    forecast = forecast_series(_some_series(), _options())
    assert set(evaluation.document["untested"]) == {"short"}
    assert len(evaluation.document["series"]) == 7
    for name, fields in evaluation.document["series"].items():
        said = forecast["series"][name]
        assert fields["backtest"] == said["backtest"]
        assert (fields["model"], fields["warnings"]) == (said["model"], said["warnings"])
        chosen = {(one["name"], one["weight"], one["mae"]) for one in fields["candidates"] if one["weight"] > 0.0}
        assert chosen == {(one["name"], one["weight"], one["mae"]) for one in said["candidates"]}
    reason = evaluation.document["untested"]["short"]["reason"]
    assert [reason] == forecast["series"]["short"]["warnings"]


def test_the_only_candidate_is_the_combination():
    document = evaluate_series(_some_series()[:3], _options(engine="seasonal_naive")).document
    for fields in document["series"].values():
        (candidate,) = fields["candidates"]
        assert candidate["weight"] == 1.0
        assert candidate["skill"] == fields["backtest"]["skill"] == 0.0
        assert candidate["mase"] == fields["backtest"]["mase"] == fields["backtest"]["mase_seasonal_naive"]
        assert candidate["smape"] == fields["backtest"]["smape"]
    by_lead = document["overall"]["by_lead"]
    assert by_lead["mase"] == by_lead["mase_seasonal_naive"]
    assert np.mean(by_lead["mase"]) == pytest.approx(document["overall"]["mase"], rel=0.02)


def test_the_schema_and_what_a_schema_cannot_say(evaluation):
    document = evaluation.document
    whole = {**document, "created_at": "2026-01-01T00:00:00Z", "inputs": {"history": "sha256:" + "0" * 64}}
    Draft202012Validator(SCHEMA).validate(json.loads(canonical_bytes(whole)))
    for fields in document["series"].values():
        candidates = fields["candidates"]
        assert [one["mae"] for one in candidates] == sorted(one["mae"] for one in candidates)
        assert sum(one["weight"] for one in candidates) == pytest.approx(1.0, abs=1e-4)
        assert all(fields["below"][level] <= share for level, share in fields["backtest"]["coverage"].items())
    overall = document["overall"]
    entries = list(document["series"].values())
    assert overall["mase"] == pytest.approx(np.mean([one["backtest"]["mase"] for one in entries]), abs=1e-6)
    count = np.array([one["tested_samples"] for one in entries])
    share = np.array([one["backtest"]["coverage"]["0.95"] for one in entries])
    assert overall["coverage"]["0.95"]["share"] == pytest.approx((count * share).sum() / count.sum(), abs=1e-6)
    assert overall["worst_series"] == max(document["series"], key=lambda n: document["series"][n]["backtest"]["mase"])
    assert len(overall["by_lead"]["mase"]) == 12


def test_order_does_not_matter_and_bytes_repeat(evaluation):
    again = evaluate_series(_some_series()[::-1], _options())
    assert canonical_bytes(again.document) == canonical_bytes(evaluation.document)
    assert [one.name for one in again.courses] == [one.name for one in evaluation.courses]


def test_courses_are_the_demand_itself(evaluation):
    history = {one.name: one for one in _some_series()}
    for course in evaluation.courses:
        one = history[course.name]
        first = round((course.start - one.start) / one.step_seconds)
        real = one.values[first : first + course.actual.size]
        assert np.array_equal(np.isnan(course.actual), np.isnan(real))
        if course.name != "shifted":  # older demand is brought to the new level
            assert course.actual == pytest.approx(real, nan_ok=True)
        (low, bottom), (high, top) = course.interval
        assert (low, high) == (0.05, 0.95)
        assert (bottom <= top).all()
        ahead = 17 if course.name == "late" else 12  # the gap of five samples at the end is forecast too
        assert (np.diff(course.origins) <= ahead * one.step_seconds).all()
        assert course.origins[0] == course.start >= MONDAY


@pytest.mark.parametrize(("length", "horizon"), [(400, 12), (400, 48), (60, 7), (49, 1), (2000, 700), (9000, 600)])
def test_pieces_follow_on_each_other_to_the_end(length, horizon):
    layout = lay_out(length, horizon, (24,) if horizon < 100 else ())
    origins = layout.origins[consecutive_origins(layout)]
    assert origins[-1] == length - horizon
    assert (np.diff(origins) <= horizon).all()
    assert (np.diff(origins) > 0).all()
    assert length - origins[0] <= max(1000, horizon)


def test_pieces_are_as_long_as_the_origins_allow():
    layout = Layout(np.array([10, 14, 18, 22, 26, 30]), 3, 9, np.array([0, 0, 1, 1, 2, 2]))
    assert layout.origins[consecutive_origins(layout)].tolist() == [14, 22, 30]


def test_chosen_among_the_chosen_are_the_chosen_among_all():
    random = np.random.default_rng(3)
    entries = {
        f"s{number:02}": {
            "backtest": {"mase": None if number % 9 == 0 else round(random.random(), 2)},
            "mean_demand": float(random.integers(1, 20)),
        }
        for number in range(60)
    }
    names = sorted(entries)
    parts = [{name: entries[name] for name in names[start : start + 20]} for start in (0, 20, 40)]
    kept = {name: entries[name] for part in parts for name in choose_courses(part)}
    chosen = choose_courses(entries)
    assert choose_courses(kept) == chosen
    assert 4 <= len(chosen) <= 12
    worst = max(names, key=lambda name: (entries[name]["backtest"]["mase"] or 0.0, -int(name[1:])))
    assert chosen[worst][0] == "worst"


def test_leads_never_observed_are_null():
    totals = LeadTotals(2)
    totals.add(LeadErrors(np.array([[1.0, np.nan], [3.0, np.nan]]), np.array([[2.0, 4.0], [2.0, np.nan]])))
    assert totals.means() == [[2.0, None], [2.0, 4.0]]


def test_the_summary_is_one_sentence(evaluation):
    text = summarise(evaluation.document)
    overall = evaluation.document["overall"]
    assert text.startswith(f"7 series tested on 16 origins 12 steps ahead: MASE {overall['mase']:.2f} against ")
    assert f"{100 * overall['coverage']['0.95']['share']:.3g} % of actuals below P95 (target 95 %)" in text
    assert text.endswith("; 1 too short to be tested")
    weights = figures(evaluation.document)["a"]["weights"]
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-4)


def test_nothing_long_enough_is_said_not_raised():
    document = evaluate_series([make_series("new", [1.0, 2.0, 3.0])], _options()).document
    assert summarise(document) == "no series could be tested 12 steps ahead; 1 too short to be tested"
    assert document["overall"]["mase"] is None
    assert document["overall"]["coverage"] == {}
    whole = {**document, "created_at": "2026-01-01T00:00:00Z", "inputs": {"history": "sha256:" + "0" * 64}}
    Draft202012Validator(SCHEMA).validate(whole)


@pytest.mark.parametrize("values", [np.zeros(300), np.full(300, 7.5), np.full(300, 1e-12), 1e12 * daily_demand(1, 300)])
def test_odd_histories_give_finite_figures(values):
    found = evaluate_series([make_series("odd", values), make_series("even", daily_demand(2, 300))], _options())
    whole = {**found.document, "created_at": "2026-01-01T00:00:00Z", "inputs": {"history": "sha256:" + "0" * 64}}
    Draft202012Validator(SCHEMA).validate(json.loads(canonical_bytes(whole)))
    assert {course.name for course in found.courses} <= {"odd", "even"}


def test_quantiles_on_one_side_of_the_median_draw_no_interval():
    found = evaluate_series(_some_series()[:1], _options(quantiles=[0.5, 0.9]))
    assert found.courses[0].interval is None


def test_bad_demand_is_named():
    bad = dataclasses.replace(make_series("bad", [1.0, -2.0, 3.0]))
    with pytest.raises(InputError, match="series bad"):
        evaluate_series([bad], _options())
