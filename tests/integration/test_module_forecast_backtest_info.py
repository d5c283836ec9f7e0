# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""forecast_backtest_info as Ansible runs it, beside demand_forecast on the same history, and on bad input."""

from __future__ import annotations

import json
import math
import stat
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import module_command
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "report"))

from report_browser import Browser, find_chromium

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/schemas/backtest.schema.json").read_text(encoding="utf-8"))
START = datetime(2026, 1, 5, tzinfo=timezone.utc)
HOURS = 400
HOSTILE = "</script><script>document.title='owned'</script><img src=https://example.invalid/x onerror=alert(1)>"


def _moment(hour: int) -> str:
    return (START + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _value(hour: int, phase: int) -> float:
    return round(20.0 + 10.0 * math.sin(2 * math.pi * (hour + phase) / 24) + (hour * 7919 % 13) / 4.0, 3)


@pytest.fixture
def history(tmp_path: Path) -> str:
    rows = ["series,timestamp,value"]
    rows += [f"chat-8b,{_moment(hour)},{_value(hour, 0)}" for hour in range(HOURS)]
    rows += [f"code-7b,{_moment(hour)},{_value(hour, 6) if hour % 97 else ''}" for hour in range(HOURS)]
    rows += [f"new-1b,{_moment(hour)},{_value(hour, 3)}" for hour in range(HOURS - 3, HOURS)]
    path = tmp_path / "history.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def _run(**arguments: Any) -> dict[str, Any]:
    return module_command.run_alone("forecast_backtest_info", arguments)


def test_check_mode_writes_nothing_and_what_is_written_is_the_same_twice(history: str, tmp_path: Path) -> None:
    dest, page = tmp_path / "backtest.json", tmp_path / "backtest.html"
    arguments = {"src": history, "horizon_steps": 24, "dest": str(dest), "page_dest": str(page), "title": "Site north"}

    looked = module_command.run_module("forecast_backtest_info", arguments, "--check")
    assert looked["failed"] is False and looked["changed"] is False
    assert not dest.exists() and not page.exists()

    first = module_command.run_module("forecast_backtest_info", arguments)
    assert first["changed"] is False  # it only looks: its files are what it found
    assert first["series"] == looked["series"]
    assert first["summary"].startswith("2 series tested on 16 origins 24 steps ahead: MASE 0.")
    assert list(first["untested"]) == ["new-1b"]
    document = json.loads(dest.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    text = page.read_text(encoding="utf-8")
    assert (
        "<title>Site north</title>" in text and "new-1b" in text and first["summary"].replace(" %", "\u00a0%") in text
    )
    assert {stat.S_IMODE(path.stat().st_mode) for path in (dest, page)} == {0o640}

    written = dest.read_bytes(), page.read_bytes()
    _run(**arguments)
    assert (dest.read_bytes(), page.read_bytes()) == written


def test_it_is_the_backtest_of_the_forecast(history: str, tmp_path: Path) -> None:
    forecast, backtest = tmp_path / "forecast.json", tmp_path / "backtest.json"
    common = {"src": history, "horizon_steps": 12, "quantiles": [0.1, 0.5, 0.9], "until": _moment(380)}
    module_command.run_alone("demand_forecast", {**common, "dest": str(forecast)})
    _run(**common, dest=str(backtest))
    said = json.loads(forecast.read_text(encoding="utf-8"))
    found = json.loads(backtest.read_text(encoding="utf-8"))
    assert found["inputs"] == said["inputs"]
    for name in ("chat-8b", "code-7b"):
        assert found["series"][name]["backtest"] == said["series"][name]["backtest"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"horizon_steps": 0}, "horizon_steps must be"),
        ({"quantiles": [1.5]}, "quantile"),
        ({"names": ["b"]}, "b"),
        ({"series": {"a": {"values": [1]}}}, "either src or series"),
        ({"engine": "arima", "candidates": ["lstm"]}, "candidates are for engine auto"),
        ({"dest": "/nowhere/at/all/backtest.json"}, "/nowhere/at/all"),
        ({"page_dest": "/nowhere/at/all/backtest.html"}, "/nowhere/at/all"),
    ],
)
def test_bad_input_is_one_clear_message(history: str, arguments: dict[str, Any], words: str) -> None:
    result = _run(**{"src": history, "horizon_steps": 4, "engine": "seasonal_naive", "candidates": [], **arguments})
    assert result.get("failed") is True
    assert words in result["msg"]
    assert "\n" not in result["msg"]


def test_nothing_long_enough_is_a_sentence_and_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    series = {"new": {"start": _moment(0), "step_seconds": 3600, "values": [1.0, 2.0, 3.0]}}
    result = _run(series=series, horizon_steps=48, page_dest=str(page))
    assert result["summary"] == "no series could be tested 48 steps ahead; 1 too short to be tested"
    assert "3 samples is too short a history" in page.read_text(encoding="utf-8")


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="there is no chromium on this machine")
def test_a_browser_draws_the_page_quietly_at_every_width(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    names = [HOSTILE, *(f"model-{number}" for number in range(5))]
    series = {
        name: {"start": _moment(0), "step_seconds": 3600, "values": [_value(hour, row) for hour in range(HOURS)]}
        for row, name in enumerate(names)
    }
    _run(series=series, horizon_steps=24, page_dest=str(path))
    with Browser() as browser:
        for width, scheme in ((1200, "light"), (400, "dark")):
            browser.resize(width, 900)
            browser.prefer(scheme)
            browser.open(str(path))
            for section in ("calibration", "lead", "candidates", "courses"):
                chart = f"document.querySelector('#{section} .chart')"
                browser.evaluate(f"{chart}.scrollIntoView()")
                browser.wait_for(f"{chart}.querySelector('svg.main-svg')")
            browser.evaluate("document.getElementById('theme').click()")
            assert browser.evaluate("document.documentElement.dataset.overflow") == "0"
            assert browser.evaluate("document.title") == "Forecast backtest"
        browser.evaluate(
            "(function () { var search = document.getElementById('find'); search.value = 'model-3';"
            " search.dispatchEvent(new Event('input')); })()"
        )
        assert browser.evaluate("document.getElementById('found').textContent") == "1 found"
        assert browser.problems == []
        assert {address.split("#")[0] for address in browser.requests} == {f"file://{path}"}
