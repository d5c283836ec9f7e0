# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backtest page as text: valid, safe, complete, and the same for the same input."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest_courses import Course
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.backtest_figures import (
    chosen_figure,
    lead_figure,
    shortened,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.backtest_page import render
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.backtest_tables import (
    level_words,
    weights_in_words,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import VOID_ELEMENTS

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(2)>&\"'\u2028"
MONDAY = 1767571200.0
LONG_NAME = "ar(1,2,144,145,288,1008,1009) means(18,144,1008) fourier(144:4) log"


class Page(HTMLParser):
    """Elements, scripts and texts; raises on an element that is not closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.stack, self.elements, self.scripts, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID_ELEMENTS:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            self.scripts.append((self.elements[-1][1].get("type"), data))
        elif self.stack and self.stack[-1] != "style":
            self.words.append(data)


def _fields(mase, skill, weights, warnings=()):
    return {
        "model": "combination",
        "beats_seasonal_naive": skill > 0,
        "history_end": "2026-01-18T23:50:00Z",
        "step_seconds": 600,
        "tested_from": "2026-01-16T08:00:00Z",
        "windows": 8,
        "tested_samples": 768,
        "mean_demand": 20.0,
        "seasonal_periods": [144],
        "backtest": {
            "origins": 16,
            "lead_steps": 4,
            "mase": mase,
            "mase_seasonal_naive": 1.25,
            "smape": 12.0,
            "skill": skill,
            "pinball": {"0.05": 0.1, "0.95": 0.2},
            "coverage": {"0.05": 0.06, "0.95": 0.941},
        },
        "below": {"0.05": 0.04, "0.95": 0.94},
        "candidates": [{"name": name, "weight": weight} for name, weight in weights],
        "warnings": list(warnings),
    }


def _document(names=("chat-8b", "code-7b"), untested=("new-1b",)):
    weights = [("seasonal naive(144)", 0.62), (LONG_NAME, 0.38), ("zero", 0.0)]
    series = {
        name: _fields(0.5 + number, 0.2 - 0.4 * number, weights, ["a warning of its own"] if number else ())
        for number, name in enumerate(names)
    }
    return {
        "schema_version": 1,
        "kind": "backtest",
        "generator": "modelops.datacenter 0.1.0",
        "engine": "auto",
        "horizon_steps": 4,
        "quantile_levels": [0.05, 0.95],
        "inputs": {"history": "sha256:" + "0" * 64},
        "overall": {
            "series_tested": len(series),
            "beating_seasonal_naive": 1,
            "fewest_origins": 16,
            "most_origins": 16,
            "mase": 1.0,
            "mase_seasonal_naive": 1.25,
            "smape": 12.0,
            "skill": 0.1,
            "coverage": {
                "0.05": {"share": 0.06, "below": 0.04, "p10": 0.02, "p90": 0.08},
                "0.95": {"share": 0.941, "below": 0.94, "p10": 0.9, "p90": 0.99},
            },
            "worst_series": names[-1] if names else None,
            "by_lead": {"mase": [0.5, 0.6, None, 0.8], "mase_seasonal_naive": [1.0, 1.0, None, 1.1]},
            "candidates": [
                {"name": "seasonal naive(144)", "tried": 2, "chosen": 2, "mean_weight": 0.62},
                {"name": LONG_NAME, "tried": 2, "chosen": 1, "mean_weight": 0.38},
                {"name": "zero", "tried": 2, "chosen": 0, "mean_weight": 0.0},
            ],
        },
        "series": series,
        "untested": {name: {"samples": 3, "reason": f"3 samples of {name} are too few"} for name in untested},
        "warnings": [],
    }


def _course(name, interval=True):
    actual = [10.0 + step % 5 for step in range(40)]
    actual[7] = float("nan")
    return Course(
        name=name,
        start=MONDAY,
        step_seconds=600,
        actual=actual,
        combined=[12.0] * 40,
        interval=((0.05, [9.0] * 40), (0.95, [15.5] * 40)) if interval else None,
        origins=(MONDAY, MONDAY + 20 * 600),
    )


def _render(document=None, courses=None, **fields):
    document = document or _document()
    courses = [_course(name) for name in document["series"]] if courses is None else courses
    reasons = {course.name: ["worst", "busiest"] for course in courses}
    options = {"title": "Forecast backtest", "summary": "2 series tested", "plotly_js": "/* plotly */", **fields}
    return render(document, courses, reasons, **options)


@pytest.fixture(scope="module")
def page():
    return Page(_render())


def test_every_section_and_the_links_to_them(page):
    ids = {fields["id"] for _tag, fields in page.elements if "id" in fields}
    wanted = {"calibration", "lead", "candidates", "series", "courses", "untested", "method", "main"}
    assert wanted <= ids
    assert {fields["href"][1:] for tag, fields in page.elements if tag == "a"} <= ids
    assert len(ids) == sum(1 for _tag, fields in page.elements if "id" in fields)


def test_the_figures_are_in_words_too(page):
    text = " ".join(page.words)
    assert "2 series tested." in text
    assert "Below P95 (target 95 %)" in text and "94.1 %" in text
    assert "Inside 5\u201395 % (target 90 %)" in text and "90.1 %" in text
    assert "62 % seasonal naive(144), 38 % ar(1,2,144" in text
    assert "did not beat seasonal naive" in text
    assert "3 samples of new-1b are too few" in text
    assert "a warning of its own" in text
    assert "\u221220 %" in text
    assert "sha256:" + "0" * 64 in text
    assert text.index("Series, the largest error first") < text.index("code-7b") < text.index("chat-8b")


def test_four_kinds_of_figures_are_embedded(page):
    figures = [json.loads(data) for kind, data in page.scripts if kind == "application/json"]
    assert [one["kind"] for one in figures] == ["coverage", "lead", "chosen", "course", "course"]
    coverage, lead, chosen, course = figures[:4]
    assert coverage["share"] == [0.06, 0.941] and coverage["levels"] == [0.05, 0.95]
    assert lead["combination"] == [0.5, 0.6, None, 0.8] and lead["steps"] == [1, 2, 3, 4]
    assert chosen["names"] == ["seasonal naive(144)", LONG_NAME] and chosen["share"] == [1.0, 0.5]
    assert [trace["meta"] for trace in course["data"]] == ["interval_low", "interval_high", "observed", "median"]
    assert course["data"][2]["y"][7] is None and course["data"][2]["dx"] == 600_000
    assert course["starts"] == ["2026-01-05T00:00:00", "2026-01-05T03:20:00"]


def test_only_its_own_scripts_may_run_and_nothing_is_fetched(page):
    policy = next(fields["content"] for _tag, fields in page.elements if "http-equiv" in fields)
    run = [data for kind, data in page.scripts if kind is None]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(data.encode()).digest()).decode()}'" for data in run]
    assert len(run) == 3 and f"script-src {' '.join(hashes)};" in policy
    assert "default-src 'none'" in policy
    assert not [fields for _tag, fields in page.elements if "src" in fields or str(fields.get("href", "#"))[0] != "#"]


def test_a_hostile_name_stays_text():
    text = _render(_document((HOSTILE, "b"), (HOSTILE + "2",)), title=HOSTILE, summary=HOSTILE)
    page = Page(text)
    assert len([1 for tag, _fields in page.elements if tag == "img"]) == 0
    assert len([1 for kind, _data in page.scripts if kind is None]) == 3
    assert any(HOSTILE in data for data in page.words)
    assert not re.search(r"<script>document", text)


def test_the_same_input_gives_the_same_bytes_and_the_clock_is_not_asked():
    dated = {**_document(), "created_at": "2031-01-01T00:00:00Z"}
    assert _render(dated) == _render()
    assert "2031" not in _render(dated)


def test_a_page_without_any_test_says_why():
    document = _document((), ("new-1b",))
    document["overall"].update(
        series_tested=0, mase=None, mase_seasonal_naive=None, coverage={}, candidates=[], worst_series=None
    )
    document["overall"]["by_lead"] = {"mase": [None], "mase_seasonal_naive": [None]}
    text = " ".join(Page(_render(document, [])).words)
    assert "3 samples of new-1b are too few" in text
    assert "Courses" not in text


def test_without_an_interval_none_is_drawn():
    page = Page(_render(courses=[_course("chat-8b", interval=False)]))
    course = json.loads([data for kind, data in page.scripts if kind == "application/json"][-1])
    assert [trace["meta"] for trace in course["data"]] == ["observed", "median"]
    assert "% of demand" not in " ".join(page.words)


def test_long_horizons_are_averaged():
    overall = _document()["overall"]
    overall["by_lead"] = {"mase": [float(step) for step in range(1000)], "mase_seasonal_naive": [None] * 1000}
    figure = lead_figure(overall)
    assert figure["bucket"] == 3 and len(figure["steps"]) == 334
    assert figure["steps"][:2] == [2, 5] and figure["combination"][:2] == [1.0, 4.0]
    assert figure["naive"][0] is None


def test_words():
    assert level_words("0.95") == "P95" and level_words("0.999") == "P99.9"
    many = [{"name": f"c{number}", "weight": 0.2} for number in range(5)]
    assert weights_in_words(many) == "20 % c0, 20 % c1, 20 % c2 and 2 others"
    assert shortened(LONG_NAME, 20) == "ar(1,2,14\u2026144:4) log" and len(shortened(LONG_NAME, 20)) == 20
    assert shortened("zero", 20) == "zero"
    crowd = [{"name": f"c{n:02}", "tried": 40, "chosen": 40 - n, "mean_weight": 0.1} for n in range(40)]
    assert len(chosen_figure({"series_tested": 40, "candidates": crowd})["names"]) == 15
