# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""demand_forecast as Ansible runs it, on a small history and on bad input."""

from __future__ import annotations

import json
import math
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import jsonschema
import module_command
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/schemas/forecast.schema.json").read_text(encoding="utf-8"))
START = datetime(2026, 1, 5, tzinfo=timezone.utc)
HOURS = 400


def run_ansible(arguments: dict[str, Any], *flags: str) -> dict[str, Any]:
    """The module's result through ansible itself, with everything that ansible ships along."""
    return module_command.run_module("demand_forecast", arguments, *flags)


def run_module(**arguments: Any) -> dict[str, Any]:
    """The module's result, run alone: the same code, two seconds faster."""
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.modelops.datacenter.plugins.modules.demand_forecast"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip().startswith("{"), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return json.loads(done.stdout)


def run_measured(folder: Path, **arguments: Any) -> tuple[dict[str, Any], resource.struct_rusage]:
    """The same, with what it took: of this process alone, whatever else ran before it."""
    given, said = folder / "given.json", folder / "said.json"
    given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), encoding="utf-8")
    command = [sys.executable, "-m", "ansible_collections.modelops.datacenter.plugins.modules.demand_forecast"]
    with given.open() as stdin, said.open("w") as stdout, subprocess.Popen(command, stdin=stdin, stdout=stdout) as done:
        _pid, status, used = os.wait4(done.pid, 0)
        done.returncode = os.waitstatus_to_exitcode(status)
    return json.loads(said.read_text(encoding="utf-8")), used


def _value(hour: int, phase: int) -> float:
    return round(20.0 + 10.0 * math.sin(2 * math.pi * (hour + phase) / 24) + (hour * 7919 % 13) / 4.0, 3)


def _moment(hour: int) -> str:
    return (START + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, rows: list[str], head: str = "series,timestamp,value") -> str:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def history(tmp_path: Path) -> str:
    rows = [f"chat-8b,{_moment(hour)},{_value(hour, 0)}" for hour in range(HOURS)]
    rows += [f"code-7b,{_moment(hour)},{_value(hour, 6) if hour % 97 else ''}" for hour in range(HOURS)]
    rows += [f"new-1b,{_moment(hour)},{_value(hour, 3)}" for hour in range(HOURS - 3, HOURS)]
    return _write(tmp_path / "history.csv", rows)


def test_the_ladder_check_mode_write_same_again_changed(history: str, tmp_path: Path) -> None:
    dest = tmp_path / "forecast.json"
    arguments = {"src": history, "horizon_steps": 24, "window_steps": 6, "dest": str(dest)}

    looked = run_ansible(arguments, "--check")
    assert looked["changed"] is True
    assert not dest.exists()

    first = run_ansible(arguments)
    assert first["changed"] is True
    assert first["dest"] == str(dest)
    assert first["series"] == looked["series"]
    assert first["summary"].startswith(
        "3 series forecast 24 steps ahead (1 day); 2 of 2 usable ones beat seasonal naive"
    )
    assert stat.S_IMODE(dest.stat().st_mode) == 0o640
    document = json.loads(dest.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    chat = document["series"]["chat-8b"]
    assert chat["start"] == _moment(HOURS)
    assert chat["history_end"] == _moment(HOURS - 1)
    assert chat["last_observed"] == _value(HOURS - 1, 0)
    assert chat["recent_maximum"] == max(_value(hour, 0) for hour in range(HOURS - 6, HOURS))
    expected = [21.5 + 10.0 * math.sin(2 * math.pi * hour / 24) for hour in range(HOURS, HOURS + 24)]
    assert max(abs(a - b) for a, b in zip(chat["mean"], expected)) < 2.0
    assert first["series"]["new-1b"]["usable"] is False
    assert "3 samples is too short a history" in first["series"]["new-1b"]["warnings"][0]

    content = dest.read_bytes()
    assert run_module(**arguments)["changed"] is False
    assert dest.read_bytes() == content
    assert run_module(**{**arguments, "horizon_steps": 12})["changed"] is True
    assert len(json.loads(dest.read_text(encoding="utf-8"))["series"]["chat-8b"]["mean"]) == 12


def test_inline_file_and_names_say_the_same(history: str, tmp_path: Path) -> None:
    inline = {"chat-8b": {"start": _moment(0), "step_seconds": 3600, "values": [_value(h, 0) for h in range(HOURS)]}}
    path = tmp_path / "series.json"
    path.write_text(json.dumps(inline), encoding="utf-8")
    common = {"horizon_steps": 24, "names": ["chat-8b"]}
    results = [
        run_module(**common, **source)["series"]
        for source in ({"src": history}, {"series": inline}, {"series": str(path)})
    ]
    assert results[0] == results[1] == results[2]
    assert list(results[0]) == ["chat-8b"]


def test_until_is_a_step_back_in_time(history: str, tmp_path: Path) -> None:
    dest = tmp_path / "past.json"
    run_module(src=history, horizon_steps=12, names=["chat-8b"], until=_moment(299), dest=str(dest))
    fields = json.loads(dest.read_text(encoding="utf-8"))["series"]["chat-8b"]
    assert fields["history_end"] == _moment(299)
    assert fields["start"] == _moment(300)
    assert fields["last_observed"] == _value(299, 0)


def test_processes_give_the_same_forecast(history: str) -> None:
    arguments = {"src": history, "horizon_steps": 24}
    assert run_ansible({**arguments, "n_jobs": 2})["series"] == run_module(**arguments)["series"]


@pytest.mark.parametrize(
    ("rows", "head", "arguments", "words"),
    [
        (["a,2026-01-05T00:00:00Z"], "series,timestamp", {}, "value"),
        (["a,2026-01-05T00:00:00Z,-3"], None, {}, "-3"),
        (["a,2026-01-05T00:00:00Z,NaN"], None, {}, "NaN"),
        (["a,yesterday,3"], None, {}, "yesterday"),
        ([], None, {}, "no sample"),
        (["a,2026-01-05T00:00:00Z,3"], None, {"engine": "prophet"}, "auto, arima, sarimax, seasonal_naive"),
        (["a,2026-01-05T00:00:00Z,3"], None, {"names": ["b"]}, "b"),
        (["a,2026-01-05T00:00:00Z,3"], None, {"until": "soon"}, "until"),
        (["a,2026-01-05T00:00:00Z,3"], None, {"horizon_steps": 0}, "horizon_steps must be"),
        (["a,2026-01-05T00:00:00Z,3"], None, {"quantiles": [1.5]}, "quantile"),
        (["a,2026-01-05T00:00:00Z,3"], None, {"window_steps": 99}, "window_steps (99) is beyond horizon_steps (4)"),
        (["a,2026-01-05T00:00:00Z,3"], None, {"series": {"a": {"values": [1]}}}, "either src or series"),
    ],
)
def test_bad_input_is_one_clear_message(
    tmp_path: Path, rows: list[str], head: str | None, arguments: dict[str, Any], words: str
) -> None:
    src = _write(tmp_path / "bad.csv", rows, head or "series,timestamp,value")
    result = run_module(**{"src": src, "horizon_steps": 4, **arguments})
    assert result.get("failed") is True
    assert words in result["msg"]
    assert "\n" not in result["msg"]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"start": "2026-01-05T00:00:00Z", "values": [1, 2]}, "series a: it has no step_seconds"),
        (
            {"start": "2026-01-05T00:00:00Z", "step_seconds": 60, "values": [1, -2]},
            "series a: value 2 must be at least 0",
        ),
        ({"start": "2026-01-05T00:00:00Z", "step_seconds": 60, "values": "1,2"}, "values must be a list"),
        ({"start": "noon", "step_seconds": 60, "values": [1]}, "is not an ISO 8601 moment"),
    ],
)
def test_bad_inline_series_are_one_clear_message(record: dict[str, Any], words: str) -> None:
    result = run_module(series={"a": record}, horizon_steps=4)
    assert result.get("failed") is True
    assert words in result["msg"]


def test_three_points_are_forecast_with_a_warning_not_refused(tmp_path: Path) -> None:
    src = _write(tmp_path / "three.csv", [f"new,{_moment(hour)},{hour + 5}" for hour in range(3)])
    result = run_module(src=src, horizon_steps=48, window_steps=6)
    fields = result["series"]["new"]
    assert fields["usable"] is False
    assert fields["skill"] is None
    assert fields["window_maximum"]["0.95"] > 7.0


def test_a_directory_that_is_missing_is_named(history: str) -> None:
    result = run_module(src=history, horizon_steps=4, dest="/nowhere/at/all/forecast.json")
    assert result.get("failed") is True
    assert "/nowhere/at/all" in result["msg"]


def _hour(hour: float, offset: str = "Z", shift: float = 0.0) -> str:
    """The moment ``hour`` hours after the start, written in a zone ``shift`` hours ahead."""
    return (START + timedelta(hours=hour + shift)).strftime("%Y-%m-%dT%H:%M:%S") + offset


def _rows(values: Callable[[int], Any], hours: Iterable[int] = range(300)) -> list[str]:
    return [f"a,{_hour(hour)},{values(hour)}" for hour in hours]


PLAIN = _rows(lambda hour: _value(hour, 0))


def _forecast_of(rows: list[str], directory: Path, **arguments: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The module's result and the entry of series a: the document valid, every number finite and not negative."""
    src, dest = _write(directory / "odd.csv", rows), directory / "odd.json"
    result = run_module(src=src, horizon_steps=12, window_steps=4, dest=str(dest), **arguments)
    assert not result.get("failed"), result
    document = json.loads(dest.read_text(encoding="utf-8"), parse_constant=_refuse)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    fields: dict[str, Any] = document["series"]["a"]
    numbers = [*fields["mean"], *fields["window_maximum"].values()]
    for path in fields["quantiles"].values():
        numbers += path
        assert len(path) == 12
    assert min(numbers) >= 0.0
    assert max(numbers) < math.inf
    return result, fields


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} in the document")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("backwards", PLAIN[::-1]),
        ("interleaved", [*PLAIN[::2], *PLAIN[1::2]]),
        ("some rows twice", [*PLAIN, *PLAIN[40:90]]),
        ("India's time", [f"a,{_hour(hour, '+05:30', 5.5)},{_value(hour, 0)}" for hour in range(300)]),
        ("two zones", [f"a,{_hour(h, *(('Z', 0) if h % 2 else ('-03:00', -3)))},{_value(h, 0)}" for h in range(300)]),
        ("no zone", [f"a,{_hour(hour, '')},{_value(hour, 0)}" for hour in range(300)]),
    ],
)
def test_the_same_demand_written_otherwise_is_the_same_forecast(tmp_path: Path, name: str, rows: list[str]) -> None:
    (tmp_path / "plain").mkdir()
    _result, plain = _forecast_of(PLAIN, tmp_path / "plain")
    _result, other = _forecast_of(rows, tmp_path)
    assert other == plain, name


def test_a_moment_given_twice_with_two_values_is_said(tmp_path: Path) -> None:
    result, fields = _forecast_of([*PLAIN, f"a,{_hour(250)},900"], tmp_path)
    assert fields["usable"]
    assert "given more than once, with different values" in json.dumps(result["warnings"])


def test_half_an_hour_of_every_step_missing_is_flagged(tmp_path: Path) -> None:
    """Hourly samples, then one every ten minutes: the hours become gaps of the finer grid, and that is said."""
    fine = [f"a,{_hour(150 + minute / 6)},{_value(150, 0)}" for minute in range(600)]
    _result, fields = _forecast_of([*PLAIN[:150], *fine], tmp_path)
    assert fields["step_seconds"] == 600
    assert "of the history is missing" in fields["warnings"][0]


@pytest.mark.parametrize(
    ("name", "values", "usable", "words"),
    [
        ("constant", lambda hour: 7.5, True, "never changes"),
        ("zeros", lambda hour: 0, True, "no demand at all"),
        ("nothing", lambda hour: "", False, "0 samples"),
        (
            "gaps",
            lambda hour: _value(hour, 0) if hour * 7919 % 101 < 45 else "",
            False,
            "of the last 300 samples are known",
        ),
        ("few gaps", lambda hour: _value(hour, 0) if hour * 7919 % 101 < 60 else "", True, "is missing and was filled"),
        ("smallest", lambda hour: 5e-324, True, "never changes"),
        ("tiny", lambda hour: 1e-300 * _value(hour, 0), True, ""),
        ("huge", lambda hour: 1e299 * _value(hour, 0) / 40.0, True, ""),
        ("a slip of the pen", lambda hour: 1e15 if hour == 299 else _value(hour, 0), True, ""),
        ("minus zero", lambda hour: -0.0 if hour == 50 else _value(hour, 0), True, ""),
    ],
)
def test_odd_demand_is_forecast_and_flagged(
    tmp_path: Path, name: str, values: Callable[[int], Any], usable: bool, words: str
) -> None:
    _result, fields = _forecast_of(_rows(values), tmp_path)
    assert fields["usable"] is usable, name
    assert words in " ".join(fields["warnings"])
    if name == "constant":
        assert fields["mean"] == [7.5] * 12
    if name in ("zeros", "nothing"):
        assert max(fields["window_maximum"].values()) == 0.0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([*PLAIN[:50], f"a,{_hour(50)},inf", *PLAIN[51:]], "row 52, series a: the value 'inf' is not a finite number"),
        ([*PLAIN[:50], f"a,{_hour(50)},1e999", *PLAIN[51:]], "'1e999' is not a finite number"),
        (_rows(lambda hour: 1.7e308), "series a: sample 1 is 1.7e+308; demand is finite (at most 1e+300)"),
        (PLAIN[:1], "the step cannot be told. Set step_seconds"),
        ([f"a,{1767571200 + 3600 * hour},3" for hour in range(9)], "is not an ISO 8601 moment"),
        ([*PLAIN[:2], f"a,{_hour(0, shift=1 / 60)},3", "a,2300-01-05T00:00:00Z,3"], "Correct the stray timestamp"),
        ([f",{_hour(hour)},3" for hour in range(9)], "row 2: the row names no series"),
        ([f"a,{_hour(3)}"], "row 2: the row has 2 columns"),
    ],
)
def test_input_that_cannot_be_forecast_is_one_clear_message(tmp_path: Path, rows: list[str], words: str) -> None:
    result = run_module(src=_write(tmp_path / "bad.csv", rows), horizon_steps=12)
    assert result.get("failed") is True
    assert words in result["msg"]
    assert "\n" not in result["msg"]


def test_one_point_with_a_step_is_forecast_and_not_usable(tmp_path: Path) -> None:
    _result, fields = _forecast_of(PLAIN[:1], tmp_path, step_seconds=3600)
    assert fields["usable"] is False
    assert "1 sample is too short a history" in fields["warnings"][0]


def test_a_gap_for_an_infinite_value_when_asked(tmp_path: Path) -> None:
    rows = [*PLAIN[:50], f"a,{_hour(50)},inf", *PLAIN[51:]]
    _result, gap = _forecast_of(rows, tmp_path, invalid_values="gap")
    _result, empty = _forecast_of([*PLAIN[:50], f"a,{_hour(50)},", *PLAIN[51:]], tmp_path)
    assert gap == empty


def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    """600 series of 1,000 steps: 600,000 rows, 25 MB."""
    moments = [_hour(hour) for hour in range(1000)]
    path = tmp_path / "large.csv"
    with path.open("w", encoding="utf-8") as stream:
        stream.write("series,timestamp,value\n")
        for model in range(600):
            stream.writelines(f"model-{model:04d},{moments[hour]},{_value(hour, model)}\n" for hour in range(1000))
    assert path.stat().st_size > 20e6
    wanted = [f"model-{model:04d}" for model in range(0, 600, 60)]
    result, used = run_measured(tmp_path, src=str(path), horizon_steps=12, names=wanted)
    assert sorted(result["series"]) == wanted
    assert all(fields["usable"] for fields in result["series"].values())
    assert used.ru_utime < 20.0
    assert used.ru_maxrss < 700 * 1024  # KiB


def test_the_lstm_trains_inside_a_real_module_run() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    values = [100.0 + 50.0 * ((hour % 24) in range(8, 20)) + hour % 7 for hour in range(400)]
    result = run_ansible(
        {
            "series": {"a": {"start": "2026-01-05T00:00:00Z", "step_seconds": 3600, "values": values}},
            "horizon_steps": 12,
            "engine": "lstm",
            "training_budget_seconds": 20,
        }
    )
    assert result["series"]["a"]["model"] == "lstm"
    assert result["series"]["a"]["usable"]
