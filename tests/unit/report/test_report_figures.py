# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures: thinning keeps every extreme, lines stand where they belong."""

from __future__ import annotations

import math

import pytest
import report_samples
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.figures import (
    figure,
    interval_levels,
    point_limit,
    thinned,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.inputs import ReportInputs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.view import view_of

SAMPLES = st.lists(st.one_of(st.just(math.nan), st.integers(0, 999).map(float)), min_size=1, max_size=300)


@given(values=SAMPLES, limit=st.integers(2, 60))
def test_thinning_keeps_extremes_gaps_and_the_limit(values, limit):
    thin, stride, lead = thinned(values, limit)
    present = [value for value in values if not math.isnan(value)]
    kept = [value for value in thin if value is not None]
    assert len(thin) <= limit + 2
    assert bool(kept) == bool(present)
    if present:
        assert (max(kept), min(kept)) == (max(present), min(present))
    if stride == 1:
        assert lead == 0 and len(thin) == len(values)
        return
    assert (len(values) + lead) % (2 * stride) == 0 and 0 <= lead < 2 * stride
    for pair in range(len(thin) // 2):
        bucket = values[max(0, 2 * stride * pair - lead) : 2 * stride * (pair + 1) - lead]
        inside = [value for value in bucket if not math.isnan(value)]
        two = thin[2 * pair : 2 * pair + 2]
        assert two == [None, None] if not inside else sorted(two) == [min(inside), max(inside)]


def test_thinned_extremes_come_in_the_order_they_came():
    assert thinned([5.0, 1.0, 1.0, 9.0, 9.0, 2.0, 1.0, 3.0], 4)[0] == [1.0, 9.0, 9.0, 1.0]


def _figure(sample, name="chat-8b", **changes):
    model = next(model for model in view_of(ReportInputs(sample.plan, sample.forecast)).models if model.name == name)
    options = {"as_of": report_samples.AS_OF, "history_days": 7.0, "with_capacity": True, "points": 1200, **changes}
    return figure(model, sample.forecast["series"].get(name), sample.history.get(name), **options), model


def _trace(drawn, role):
    return next(trace for trace in drawn["data"] if trace["meta"] == role)


def test_history_ends_where_it_ended_and_starts_history_days_before():
    sample = report_samples.build(1)
    for days in (0.5, 2.0, 7.0):
        drawn, _unused = _figure(sample, history_days=days)
        observed = [trace for trace in drawn["data"] if trace["meta"] == "observed"]
        last = parse_moment(observed[-1]["x0"]) + (len(observed[-1]["y"]) - 1) * observed[-1]["dx"] / 1000
        assert last == report_samples.AS_OF - report_samples.STEP_SECONDS
        assert parse_moment(observed[0]["x0"]) == report_samples.AS_OF - days * 86400
        assert observed[-1]["y"][-1] == pytest.approx(sample.history["chat-8b"].values[-1], rel=1e-3)


def test_a_thinned_history_is_one_line_without_a_break():
    sample = report_samples.build(1)
    drawn, _unused = _figure(sample, points=240)
    old, new = (trace for trace in drawn["data"] if trace["meta"] == "observed")
    end = parse_moment(old["x0"]) + (len(old["y"]) - 1) * old["dx"] / 1000
    values = sample.history["chat-8b"].values
    position = round((end - sample.history["chat-8b"].start) / report_samples.STEP_SECONDS)
    assert old["dx"] > new["dx"]
    assert end == pytest.approx(report_samples.AS_OF - 86400, abs=report_samples.STEP_SECONDS)
    assert old["y"][-1] == pytest.approx(values[position], rel=1e-3)
    assert abs(parse_moment(new["x0"]) - end) < 2 * new["dx"] / 1000


def test_forecast_lines_are_the_file():
    sample = report_samples.build(1)
    drawn, _unused = _figure(sample)
    record = sample.forecast["series"]["chat-8b"]
    for role, level in (("median", "0.5"), ("interval_low", "0.05"), ("interval_high", "0.95")):
        trace = _trace(drawn, role)
        assert trace["x0"] + "Z" == record["start"] and trace["dx"] == 600_000
        assert trace["y"] == pytest.approx(record["quantiles"][level], rel=1e-3)


def test_planned_capacity_steps_up_after_the_lead_time():
    drawn, model = _figure(report_samples.build(1))
    planned, running, level = (_trace(drawn, role) for role in ("planned", "running", "level"))
    assert [parse_moment(time) - report_samples.AS_OF for time in planned["x"][:2]] == [0, model.lead_time_seconds]
    assert planned["y"] == [model.running, model.planned, model.planned]
    assert running["y"] == [model.running] * 2
    assert level["y"] == pytest.approx([model.target] * 2, rel=1e-3)


def test_a_region_of_several_has_no_capacity_lines():
    drawn, _unused = _figure(report_samples.build(1), with_capacity=False)
    assert {trace["meta"] for trace in drawn["data"]} == {"observed", "interval_low", "interval_high", "median"}


def test_nothing_to_draw_is_no_figure():
    sample = report_samples.build(1)
    sample.history.clear()
    sample.forecast["series"].clear()
    assert _figure(sample)[0] is None


def test_interval_is_the_widest_around_the_median():
    assert interval_levels({"quantiles": {"0.95": [], "0.5": [], "0.1": [], "0.05": []}}) == ("0.05", "0.95")
    assert interval_levels({"quantiles": {"0.5": [], "0.9": []}}) is None


def test_points_shrink_with_the_number_of_figures():
    assert point_limit(1) == 1200
    assert point_limit(200) == 800
    assert point_limit(100_000) == 240
