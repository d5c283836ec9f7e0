# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as text: valid, safe, complete, and the same for the same inputs."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
import report_samples

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.inputs import ReportInputs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import VOID_ELEMENTS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.page import render
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.style import BLOCKS, DARK, LIGHT

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'\u2028"
NO_PLOTLY = "/* plotly */"


class Page(HTMLParser):
    """Elements, attributes and texts; raises on an element that is not closed in order."""

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

    def attributes(self, name):
        return [fields[name] for _tag, fields in self.elements if name in fields]


def _render(sample, **fields):
    return render(ReportInputs(sample.plan, sample.forecast, sample.history, **fields), plotly_js=NO_PLOTLY)


@pytest.fixture(scope="module")
def sample():
    return report_samples.build(9)


@pytest.fixture(scope="module")
def page(sample):
    return Page(_render(sample))


def test_ids_are_unique_and_every_link_leads_somewhere(page):
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.attributes("href")} <= set(ids)
    assert set(page.attributes("aria-labelledby")) <= set(ids)


def test_every_table_has_a_caption_and_every_figure_words(page):
    tags = [tag for tag, _fields in page.elements]
    assert tags.count("table") == tags.count("caption") > 4
    plots = [fields for _tag, fields in page.elements if fields.get("class") == "plot"]
    assert len(plots) == 9 and all(fields["role"] == "img" and fields["aria-label"] for fields in plots)
    assert tags.count("h1") == 1


def test_nothing_is_fetched(page):
    assert not page.attributes("src")
    assert all(link.startswith("#") for link in page.attributes("href"))
    assert not any(tag in ("link", "iframe", "img", "object", "base") for tag, _fields in page.elements)


def test_the_policy_names_exactly_the_scripts_that_run(page):
    policy = next(f["content"] for _t, f in page.elements if f.get("http-equiv") == "Content-Security-Policy")
    runnable = [text for kind, text in page.scripts if kind is None]
    wanted = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in runnable}
    assert set(re.search(r"script-src ([^;]*)", policy).group(1).split()) == wanted
    assert policy.startswith("default-src 'none';") and "unsafe-eval" not in policy and "http" not in policy


def test_figures_are_json_that_plotly_takes(page, sample):
    figures = [json.loads(text) for kind, text in page.scripts if kind == "application/json"]
    assert len(figures) == len(sample.plan["demand"])
    for figure in figures:
        assert {trace["meta"] for trace in figure["data"]} >= {"observed", "median", "planned", "running", "level"}
        assert figure["near"][0] >= figure["whole"][0] and figure["near"][1] == figure["whole"][1]


def test_the_page_says_what_was_decided(page):
    text = " ".join(page.words)
    for said in (
        "The forecast did not beat seasonal naive, the observed value was used.",
        "No host has the accelerators of one more replica free",
        "spread over zones",
        "gpu-a03 did not answer; its replicas are taken as lost",
        "30.4 % smaller error than repeating the last season",
        "As of 2026-11-23 18:00 UTC",
        "per hour",
        "unreachable",
        "draining",
        "maintenance",
    ):
        assert said in text


def test_hostile_names_are_text(sample):
    hostile = report_samples.build(4, names=["chat-8b", HOSTILE, "rerank", "x|y"])
    for record in hostile.plan["hosts"]:
        record["zone"] = record["state"] = record["accelerator_type"] = HOSTILE
    for action in hostile.plan["actions"]:
        action["reason"] = HOSTILE
    hostile.plan["reasons"] = hostile.plan["warnings"] = [HOSTILE]
    hostile.plan["shortages"][0]["reason"] = HOSTILE
    hostile.plan["solver"] = {HOSTILE: HOSTILE}
    hostile.forecast["series"][HOSTILE]["warnings"] = [HOSTILE]
    hostile.forecast["series"][HOSTILE]["model"] = HOSTILE
    text = _render(hostile, title=HOSTILE, warnings=[HOSTILE], digests={HOSTILE: HOSTILE})
    page = Page(text)
    assert "<script>alert" not in text and "<img" not in text
    assert len([kind for kind, _text in page.scripts if kind is None]) == 2
    assert not any(name.startswith("on") for _tag, fields in page.elements for name in fields)
    assert HOSTILE in page.words


def test_same_inputs_same_bytes(sample):
    shuffled = report_samples.Sample(
        dict(reversed(sample.plan.items())), sample.forecast, dict(reversed(sample.history.items()))
    )
    assert _render(sample) == _render(shuffled)


def test_a_plan_alone_is_enough():
    plan = {"created_at": "2026-11-23T18:00:00Z", "demand": {}, "placements": [], "actions": []}
    page = Page(render(ReportInputs(plan), plotly_js=NO_PLOTLY))
    text = " ".join(page.words)
    assert "Nothing is short and every limit is kept." in text
    assert "The plan names no host." in text


def test_regions_are_figures_of_their_own_model():
    sample = report_samples.build(1)
    record = sample.forecast["series"].pop("chat-8b")
    sample.forecast["series"] = {"chat-8b|eu": record, "chat-8b|us": record, "unknown": record}
    page = Page(_render(sample))
    text = " ".join(page.words)
    assert "Region eu" in text and "Region us" in text
    assert "1 forecast series without a model in the plan: unknown" in text


def _outlook(sample):
    name = sorted(sample.plan["demand"])[0]
    period = {"starts": 2, "stops": 0, "cost_per_hour": 9.5, "shortages": {name: 1.25}, "reasons": [f"{name}: up"]}
    periods = [
        {**period, "begins_after_seconds": 3600.0 * t, "replicas": {name: {"h100-80gb": 30, "h100-80gb like gpu-9": t}}}
        for t in (1, 2)
    ]
    return {**sample.plan, "outlook": {"period_seconds": 3600.0, "periods": periods}}, name


def test_what_is_expected_later_is_shown_by_period_by_model_and_as_a_line(sample):
    assert 'id="outlook"' not in _render(sample) and 'id="jobs"' not in _render(sample)
    plan, name = _outlook(sample)
    page = Page(render(ReportInputs(plan, sample.forecast, sample.history), plotly_js=NO_PLOTLY))
    text = " ".join(page.words)
    assert "until 2026-11-23 21:00 UTC, in periods of 1 h" in text and f"{name}: up" in text
    assert "#outlook" in page.attributes("href")
    figures = [json.loads(one) for kind, one in page.scripts if kind == "application/json"]
    lines = [trace for figure in figures for trace in figure["data"] if trace["meta"] == "expected"]
    rate = plan["models"][name]["capacity"]["h100-80gb"]["requests_per_second"]
    wanted = [plan["capacity"][name]["planned_requests_per_second"], 31 * rate, 32 * rate, 32 * rate]
    assert len(lines) == len(figures) and any(
        line["y"] == [pytest.approx(value, rel=1e-3) for value in wanted] for line in lines
    )


def _luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one, other):
    """Contrast ratio of WCAG 2.2, section 1.4.3."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_and_lines_are_readable_on_their_ground(theme):
    for name in ("ink", "soft", "accent", "good", "bad", "warn"):
        assert min(_contrast(theme[name], theme[ground]) for ground in ("page", "card")) >= 4.5, name
    for name in ("observed", "median", "planned", "running", "level"):
        assert _contrast(theme[name], theme["card"]) >= 3.0, name


def test_numbers_are_readable_on_every_block():
    assert min(_contrast("#10151b", colour) for colour in BLOCKS) >= 4.5
