# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report page in a real Chromium: it draws, it fits, it asks for nothing, it complains about nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "report"))

import report_samples
from report_browser import Browser, find_chromium

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.gantt import gantt
from ansible_collections.modelops.datacenter.plugins.modules import job_schedule
from ansible_collections.modelops.datacenter.plugins.modules.capacity_report import execute

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="there is no chromium on this machine"),
]

SCREENS = [(390, 844), (768, 1024), (1440, 900)]
AT = "2026-11-23T{:02d}:00:00Z"
HOSTILE = "</script><script>document.title='owned'</script><img src=https://example.invalid/x onerror=alert(1)>"


def _write(directory, sample, **options):
    params = {**sample.write(directory), "dest": str(directory / "report.html"), "history_days": 7.0, **options}
    execute(params, False, False)
    return params["dest"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("report"), report_samples.build(5))


@pytest.fixture(scope="module")
def chromium():
    with Browser() as started:
        yield started


@pytest.fixture
def browser(chromium):
    yield chromium
    chromium.reset()


def _show(browser, selector):
    """Scroll there and wait until what is in view is drawn."""
    browser.evaluate(f"document.querySelector({selector!r}).scrollIntoView()")
    browser.wait_for(f"document.querySelector({selector!r}).querySelector('svg.main-svg')")


def _quiet(browser, path):
    assert browser.problems == []
    assert {address.split("#")[0] for address in browser.requests} == {f"file://{path}"}


@pytest.mark.parametrize(("width", "height"), SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_draws_and_fits(browser, page, width, height, scheme):
    browser.resize(width, height)
    browser.prefer(scheme)
    browser.open(page)
    for number in range(1, 6):
        _show(browser, f"#model-{number}")
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.dataset.overflow") == "0"
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.documentElement.dataset.drawn") == "5"
    # every trace of the first figure is on the paper: two of the history, three of the forecast, three of capacity
    lines = "[...document.querySelector('.plot').querySelectorAll('.scatterlayer .trace path.js-line')]"
    assert browser.evaluate(f"{lines}.filter(line => line.getAttribute('d').length > 8).length") >= 6
    widest = "Math.max(...[...document.querySelectorAll('svg.main-svg')].map(s => s.getBoundingClientRect().right))"
    assert browser.evaluate(widest) <= width
    _quiet(browser, page)


def test_the_theme_follows_the_system_and_the_button(browser, page):
    line = "getComputedStyle(document.querySelector('.plot .js-line')).stroke"
    ground = "getComputedStyle(document.body).backgroundColor"
    browser.prefer("dark")
    browser.open(page)
    _show(browser, "#model-1")
    dark = browser.evaluate(line), browser.evaluate(ground)
    browser.evaluate("document.getElementById('theme').click()")  # auto, then light
    assert browser.evaluate("document.documentElement.dataset.theme") == "light"
    light = browser.evaluate(line), browser.evaluate(ground)
    assert light[0] != dark[0] and light[1] != dark[1]
    browser.evaluate("document.getElementById('theme').click()")
    assert (browser.evaluate(line), browser.evaluate(ground)) == dark
    browser.evaluate("localStorage.clear()")
    browser.reset()
    browser.prefer("dark")
    browser.open(page, fragment="#theme=light")
    assert browser.evaluate(ground) == light[1]
    _quiet(browser, page)


def test_figures_are_drawn_only_when_they_come_into_view(browser, tmp_path):
    path = _write(tmp_path, report_samples.build(60, days=2.0))
    browser.open(path)
    assert browser.evaluate("document.querySelectorAll('svg.main-svg').length") == 0
    _show(browser, "#model-30")
    assert 1 <= int(browser.evaluate("document.documentElement.dataset.drawn")) < 12
    _quiet(browser, path)


def test_search_sorting_highlight_range_and_table(browser, page):
    browser.open(page)
    search = "var search = document.getElementById('find'); "
    browser.evaluate(search + "search.value = 'RERANK'; search.dispatchEvent(new Event('input'))")
    assert browser.evaluate("document.querySelectorAll('.model:not([hidden])').length") == 1
    browser.evaluate(search + "search.value = ''; search.dispatchEvent(new Event('input'))")

    column = "[...document.querySelectorAll('#models tbody tr')].map(row => row.children[4].textContent)"
    browser.evaluate("document.querySelectorAll('#models thead button')[4].click()")
    rising = [float(text) for text in browser.evaluate(column)]
    assert rising == sorted(rising) and len(rising) == 5
    browser.evaluate("document.querySelectorAll('#models thead button')[4].click()")
    assert [float(text) for text in browser.evaluate(column)] == rising[::-1]

    browser.evaluate("document.querySelector('.legend button').click()")
    picked = "[...document.querySelectorAll('.lanes .picked')].map(block => block.dataset.model)"
    assert set(browser.evaluate(picked)) == {"1"}

    _show(browser, "#model-1")
    low = "document.querySelector('#model-1 .plot').layout.xaxis.range[0].slice(0, 10)"
    assert browser.evaluate(low) == "2026-11-22"
    browser.evaluate("document.querySelector('[data-range=whole]').click()")
    assert browser.evaluate(low) == "2026-11-16"

    browser.evaluate("document.querySelector('#model-1 details').open = true")
    browser.wait_for("document.querySelector('#model-1 details table')")
    assert browser.evaluate("document.querySelectorAll('#model-1 details tbody tr').length") > 1000
    assert browser.evaluate("document.querySelector('#model-1 details tbody').textContent.includes('gap')")
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    _quiet(browser, page)


def test_names_that_are_markup_stay_names(browser, tmp_path):
    path = _write(tmp_path, report_samples.build(2, names=["chat-8b", HOSTILE]), title=HOSTILE)
    browser.open(path)
    _show(browser, "#model-1")
    assert browser.evaluate("document.title") == HOSTILE
    assert browser.evaluate("document.images.length") == 0
    assert browser.evaluate("document.documentElement.dataset.overflow") == "0"
    _quiet(browser, path)


def _jobs(names):
    """A real schedule: the last job of three cannot be on time."""
    capacity = [{"start": AT.format(18), "end": AT.format(23), "accelerator_type": "l40s-48gb", "accelerators": 4}]
    capacity += [{**capacity[0], "accelerator_type": "h100-80gb", "accelerators": 2}]
    jobs = [
        {"name": names[0], "work_accelerator_hours": 8, "accelerators": 4, "deadline": AT.format(21), "weight": 9},
        {"name": names[1], "work_accelerator_hours": 4, "accelerators": 2, "accelerator_types": ["h100-80gb"]},
        {"name": names[2], "work_accelerator_hours": 12, "accelerators": 4, "deadline": AT.format(20)},
    ]
    params = {**dict.fromkeys(("hosts", "plan", "start", "periods")), "period_seconds": 3600, "policy": "lp"}
    params |= {"completion_tolerance": 0.01, "feasibility": True, "time_limit_seconds": 30, "dest": None}
    return job_schedule.execute({**params, "jobs": jobs, "capacity": capacity}, False, False)["schedule"]


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_the_picture_of_the_jobs_draws_every_run_and_fits(browser, tmp_path, width, height):
    names = ["train-" + "x" * 60, HOSTILE, "late"]
    schedule = {**_jobs(names), "created_at": AT.format(18)}
    (tmp_path / "schedule.json").write_text(json.dumps(schedule), encoding="utf-8")
    path = _write(tmp_path, report_samples.build(2, days=2.0), schedule=str(tmp_path / "schedule.json"))
    browser.resize(width, height)
    browser.open(path)
    _show(browser, "#jobs")
    bars = "document.querySelectorAll('#jobs .gantt .barlayer .point').length"
    wanted = sum(len(trace["y"]) for trace in gantt(schedule)["data"] if trace["type"] == "bar")
    assert browser.evaluate(bars) == wanted >= sum(len(fields["runs"]) for fields in schedule["jobs"].values())
    ticks = browser.evaluate("[...document.querySelectorAll('#jobs .ytick text')].map(text => text.textContent)")
    assert ticks[0] == "late" and len(ticks) == 3
    assert all(len(tick) <= (34 if width >= 640 else 14) for tick in ticks)
    assert any(tick.startswith("</script><scr") for tick in ticks)
    assert browser.evaluate("document.title") == "Capacity plan" and browser.evaluate("document.images.length") == 0
    assert browser.evaluate("document.documentElement.dataset.overflow") == "0"
    _quiet(browser, path)


def test_the_policy_refuses_every_request(browser, page):
    browser.open(page)
    tried = "fetch('file://' + location.pathname).then(() => 'fetched', () => 'refused')"
    assert browser.evaluate(tried) == "refused"
    browser.evaluate("document.head.appendChild(document.createElement('script')).textContent = 'window.ran = 1'")
    assert browser.evaluate("window.ran === undefined")
    assert all("Content Security Policy" in problem for problem in browser.problems) and browser.problems


def test_print_draws_every_figure_in_light_and_goes_back(browser, page, tmp_path):
    browser.prefer("dark")
    browser.open(page)
    printed = browser.pdf(str(tmp_path / "report.pdf"))
    with open(printed, "rb") as stream:
        assert stream.read(5) == b"%PDF-"
    assert browser.evaluate("document.documentElement.dataset.drawn") == "5"
    assert browser.evaluate("document.documentElement.dataset.theme === undefined")
    _show(browser, "#model-2")
    browser.wait_for("document.querySelector('#model-2 svg.main-svg').getBoundingClientRect().width > 900")
    _quiet(browser, page)
