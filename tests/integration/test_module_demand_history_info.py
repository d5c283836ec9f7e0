# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""demand_history_info as Ansible runs it, on files and against a real Prometheus."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import module_command
import pytest
from ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
MODULE = "demand_history_info"
SCHEMA = json.loads((ROOT / "docs/schemas/history.schema.json").read_text(encoding="utf-8"))
HEAD = "series,timestamp,value\n"
STEP = 600
START = 1_794_999_600  # 2026-11-18T11:00:00Z, a whole multiple of the step
STEPS = 12_000  # more than one query may give
PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")


def run_ansible(arguments: dict[str, Any], *extra: str) -> dict[str, Any]:
    return module_command.run_module(MODULE, arguments, *extra)


def run_module(**arguments: Any) -> dict[str, Any]:
    return module_command.run_alone(MODULE, arguments)


def succeeded(result: dict[str, Any]) -> dict[str, Any]:
    assert not result.get("failed"), result
    jsonschema.validate({key: value for key, value in result.items() if key != "invocation"}, SCHEMA)
    return result


def failed(result: dict[str, Any], *words: str) -> str:
    assert result.get("failed"), result
    message = str(result["msg"])
    for word in words:
        assert word in message
    assert "\n" not in message
    return message


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture
def history(tmp_path: Path) -> str:
    rows = "".join(
        f"{name},2026-01-05T{minute // 60:02d}:{minute % 60:02d}:00Z,{'' if minute == 30 else minute * factor}\n"
        for name, factor in (("gateway_chat", 1), ("gateway_code", 0.5))
        for minute in range(0, 180, 10)
    )
    return written(tmp_path / "raw.csv", HEAD + rows)


def test_a_file_through_ansible(history: str, tmp_path: Path) -> None:
    dest = tmp_path / "history.csv.gz"
    arguments = {"src": history, "series": {"chat-8b": "gateway_chat"}, "step_seconds": 3600, "dest": str(dest)}
    dry = succeeded(run_ansible(arguments, "--check"))
    assert not dest.exists()
    assert dry["dest"] == str(dest)
    wet = succeeded(run_ansible(arguments))
    assert wet["changed"] is False
    assert wet["history_start"] == "2026-01-05T00:00:00Z"
    assert wet["history_end"] == "2026-01-05T02:00:00Z"
    assert wet["series"]["chat-8b"] == {
        "start": "2026-01-05T00:00:00Z",
        "end": "2026-01-05T02:00:00Z",
        "step_seconds": 3600,
        "samples": 3,
        "gaps": 0,
        "mean": pytest.approx((24 + 85 + 145) / 3),  # the first hour: (0 + 10 + 20 + 40 + 50) / 5
        "maximum": 145.0,
        "last": 145.0,
    }
    assert stat.S_IMODE(dest.stat().st_mode) == 0o640
    assert gzip.decompress(dest.read_bytes()).decode() == HEAD + "".join(
        f"chat-8b,2026-01-05T0{hour}:00:00Z,{value}\n" for hour, value in enumerate((24, 85, 145))
    )
    assert succeeded(run_ansible({"src": str(dest)}))["values"]["chat-8b"]["values"] == [24, 85, 145]


def test_small_results_come_inline_with_null_for_gaps(history: str) -> None:
    result = succeeded(run_module(src=history, until="2026-01-05T00:40:00Z", lookback_seconds=1800))
    assert result["values"]["gateway_code"] == {
        "start": "2026-01-05T00:20:00Z",
        "step_seconds": 600,
        "values": [10, None, 20],
    }
    assert result["summary"] == (
        "2 series from 2026-01-05T00:20:00Z to 2026-01-05T00:40:00Z, one sample every 600 s; 2 of 6 samples are gaps"
    )
    started = succeeded(run_module(src=history, start="2026-01-05T02:30:00Z"))
    assert [len(one["values"]) for one in started["values"].values()] == [3, 3]


def test_large_results_do_not_come_inline(tmp_path: Path) -> None:
    rows = "".join(
        f"a,2026-01-{day:02d}T{m // 60:02d}:{m % 60:02d}:00Z,1\n" for day in range(1, 9) for m in range(1440)
    )
    assert "values" not in succeeded(run_module(src=written(tmp_path / "h.csv", HEAD + rows)))


def test_a_stale_series_is_said(tmp_path: Path) -> None:
    rows = "".join(f"{n},2026-01-05T0{h}:00:00Z,{h}\n" for n in "ab" for h in range(10) if n == "a" or h < 5)
    result = succeeded(run_module(src=written(tmp_path / "h.csv", HEAD + rows)))
    assert any("b: no value lately" in warning for warning in result["warnings"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["history file is empty"]),
        (HEAD, ["holds no sample"]),
        ("when,value\n2026-01-05,1\n", ["no column series and no column timestamp", "found are when, value"]),
        (HEAD + "a,2026-01-05T00:00:00Z,nan\n", ["row 2, series a", "set invalid_values to gap"]),
        (HEAD + "a,2026-01-05T00:00:00Z,1\na,2026-01-05T00:10:00Z,-1\n", ["row 3, series a", "negative"]),
        (HEAD + "a,05/01/2026,1\n", ["row 2, series a", "not an ISO 8601 moment"]),
        (HEAD + 'a,2026-01-05T00:00:00Z,"1,5"\n', ["row 2, series a", "'1,5' is not a number"]),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, words: list[str]) -> None:
    path = written(tmp_path / "bad.csv", text)
    assert failed(run_module(src=path), *words).startswith(path)


def test_options_that_cannot_be_used(history: str, tmp_path: Path) -> None:
    failed(run_module(), "one of the following is required: src, prometheus")
    failed(run_module(src=history, start="2026-01-05", lookback_seconds=5), "mutually exclusive")
    failed(run_module(src=str(tmp_path / "no.csv")), "does not exist")
    failed(run_module(src=history, series={"chat-8b": "gateway_chta"}), "no series gateway_chta", "gateway_chat")
    failed(
        run_module(src=history, series={"chat-8b": {"query": "up"}}), "series chat-8b", "name of a series in the file"
    )
    failed(run_module(src=history, until="noon"), "the until 'noon' is not an ISO 8601 moment")
    failed(run_module(src=history, until="2020-01-01"), "no sample is at or before 2020-01-01")
    failed(run_module(src=history, start="2030-01-01"), "no sample is at or after 2030-01-01")
    failed(run_module(src=history, start="2026-01-06", until="2026-01-05"), "is after until")
    failed(run_module(src=history, step_seconds=60), "600 s apart")
    failed(run_module(src=history, step_seconds=0), "step_seconds must be at least 1")
    failed(run_module(src=history, dest=str(tmp_path / "h.json")), "End dest in .csv")
    failed(run_module(src=history, dest=str(tmp_path / "no" / "h.csv")), "directory to write to does not exist")
    failed(run_module(prometheus={"url": "http://127.0.0.1:9"}), "prometheus needs series")
    failed(
        run_module(prometheus={"url": "http://127.0.0.1:9"}, series={"a": {"query": "up", "type": "x"}}),
        "no field type",
    )
    failed(run_module(prometheus={"url": "http://127.0.0.1:9"}, series={"a": {"query": ""}}), "has no query")
    failed(
        run_module(prometheus={"url": "http://127.0.0.1:9"}, series={"a": {"query": "up", "kind": "x"}}), "kind must be"
    )


def test_a_dead_server_through_ansible() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        result = run_ansible({"prometheus": {"url": url, "retries": 1}, "series": {"chat-8b": "up"}})
    failed(result, f"{url}, series chat-8b", "cannot be reached", "(2 attempts)", "Check that it runs")
    assert result["error_kind"] == "SourceUnavailableError"


def gauge(step: int) -> float | None:
    """What the recorded gauge shows at a step; None where nothing was scraped."""
    return None if 100 <= step < 110 else 5 + step % 7


def counter(step: int, replica: int) -> float | None:
    """A counter that grows by 300 (replica 0) or 600 (replica 1) a step and begins again each 1000 steps."""
    since_restart = (step + 500 * replica) % 1000
    return None if step % 50 == 7 else 300 * (replica + 1) * since_restart


def expected_rate(step: int, replica: int) -> float | None:
    """Of :func:`counter`: at a restart the count is 0, so is the increase; behind a lost sample two steps count."""
    if counter(step, replica) is None:
        return None
    return 0.0 if (step + 500 * replica) % 1000 == 0 else (replica + 1) / 2


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that holds the samples above."""
    if not PROMETHEUS or not PROMTOOL:
        pytest.skip("the programs prometheus and promtool are not installed (apt install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    shown = {step: gauge(step) for step in range(STEPS)}
    lines = ["# TYPE queue gauge"]
    lines += [f"queue {value} {START + step * STEP}" for step, value in shown.items() if value is not None]
    lines.append(f"queue NaN {START + STEPS * STEP}")
    lines.append("# TYPE requests counter")
    for replica in (0, 1):
        labels = f'{{instance="r{replica}",job="vllm"}}'
        shown = {step: counter(step, replica) for step in range(STEPS)}
        lines += [f"requests_total{labels} {v} {START + step * STEP}" for step, v in shown.items() if v is not None]
    (folder / "samples").write_text("\n".join([*lines, "# EOF", ""]))
    subprocess.run(
        [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=720h", "samples", "data"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "prometheus.yml").write_text("{}\n")
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [
                PROMETHEUS,
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address={address}",
            ],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        for _unused in range(600):
            try:
                with urllib.request.urlopen(f"http://{address}/-/ready", timeout=1):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        else:
            pytest.fail(f"prometheus did not start: {(folder / 'log').read_text()[-2000:]}")
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def moment(step: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + step * STEP))


def ask(url: str, source: Any, first: int, last: int, **options: Any) -> dict[str, Any]:
    return run_module(
        prometheus={"url": url}, series={"chat-8b": source}, start=moment(first), until=moment(last), **options
    )


def test_prometheus_gauge_with_gaps(prometheus: str) -> None:
    result = succeeded(ask(prometheus, "queue", 90, 120))
    assert result["values"]["chat-8b"]["values"] == [gauge(step) for step in range(90, 121)]
    assert result["series"]["chat-8b"]["gaps"] == 10
    assert (result["history_start"], result["history_end"]) == (moment(90), moment(120))


def test_prometheus_nan_is_a_gap(prometheus: str) -> None:
    values = succeeded(ask(prometheus, "queue", STEPS - 3, STEPS))["values"]["chat-8b"]["values"]
    assert values == [*(gauge(step) for step in range(STEPS - 3, STEPS)), None]


def test_prometheus_counters_with_restarts_over_several_queries(prometheus: str, tmp_path: Path) -> None:
    dest = tmp_path / "history.csv"
    source = {"query": 'requests_total{job="vllm"}', "kind": "counter", "combine": "sum"}
    result = succeeded(ask(prometheus, source, 1, STEPS - 1, dest=str(dest)))
    assert result["series"]["chat-8b"]["samples"] + result["series"]["chat-8b"]["gaps"] == STEPS - 1
    values = [line.rsplit(",", 1)[1] for line in dest.read_text().splitlines()[1:]]
    rates = [[expected_rate(step, replica) for replica in (0, 1)] for step in range(1, STEPS)]
    assert [float(value) if value else None for value in values] == [
        None if None in pair else pytest.approx(sum(pair)) for pair in rates
    ]


def test_prometheus_agrees_with_its_own_rate(prometheus: str) -> None:
    """Between restarts and losses, rates taken here equal the server's own increase over the step."""
    counted = succeeded(ask(prometheus, {"query": 'requests_total{instance="r1"}', "kind": "counter"}, 60, 90))
    own = succeeded(ask(prometheus, f'rate(requests_total{{instance="r1"}}[{2 * STEP}s:{STEP}s])', 60, 90))
    assert counted["values"]["chat-8b"]["values"] == pytest.approx(own["values"]["chat-8b"]["values"], abs=1e-9)
    assert set(counted["values"]["chat-8b"]["values"]) == {1.0}


def test_prometheus_through_ansible(prometheus: str) -> None:
    arguments = {
        "prometheus": {"url": prometheus + "/"},
        "series": {"chat-8b": {"query": "queue"}, "code-7b": "sum(requests_total) / 1000"},
        "until": moment(2000),
        "lookback_seconds": 6 * STEP,
    }
    result = succeeded(run_ansible(arguments))
    assert result["values"]["chat-8b"]["values"] == [gauge(step) for step in range(1995, 2001)]
    assert result["step_seconds"] == STEP
    assert set(result["series"]) == {"chat-8b", "code-7b"}


def test_prometheus_refuses_in_its_own_words(prometheus: str) -> None:
    failed(ask(prometheus, "sum(", 1, 5), prometheus, "HTTP 400", "parse error", "Correct the query")
    failed(ask(prometheus, "no_such_metric", 1, 5), "gave no number", "no_such_metric", "expression browser")
    failed(ask(prometheus, "requests_total", 1, 5), 'leaves 2 series, {instance="r0"}, {instance="r1"}', "combine")
    failed(ask(prometheus + "/api/v1", "queue", 1, 5), "HTTP 404", "without /api/v1")
    failed(ask(prometheus, "queue * -1", 1, 5), "which no demand can be")
