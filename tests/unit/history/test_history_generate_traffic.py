# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator of the demonstration's traffic: the same bytes for a seed, and two moments worth planning at."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.table import read_history

SCRIPT = Path(__file__).resolve().parents[3] / "inventories/demo/generate_traffic.py"
HOURS = 6  # samples of ten minutes


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


def generate(path: Path, *arguments: str) -> dict[str, object]:
    done = run("--dest", str(path), *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one.csv.gz", "two.csv.gz", "other.csv.gz"))
    generate(one, "--seed", "7")
    generate(two, "--seed", "7")
    generate(other, "--seed", "8")
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes() != other.read_bytes()


def test_it_is_a_regular_history_of_three_models(tmp_path: Path) -> None:
    path = tmp_path / "traffic.csv.gz"
    report = generate(path, "--days", "14", "--step-seconds", "600", "--end", "2026-11-23T18:00:00Z")
    series, warnings = read_history(str(path))
    assert warnings == []
    assert {one.name: len(one) for one in series} == {"chat-8b": 2016, "code-7b": 2016, "embed-small": 2016}
    assert {(one.end, one.step_seconds, bool(one.present.all())) for one in series} == {
        (parse_moment("2026-11-23T18:00:00Z"), 600, True)
    }
    assert report["history_end"] == "2026-11-23T18:00:00Z"
    for one, mean in zip(series, (6, 2.5, 4)):
        assert one.values.mean() == pytest.approx(mean, rel=0.02)
    assert 0.1 < (series[2].values == 0).mean() < 0.5  # nights almost empty
    assert (series[0].values == 0).mean() < 0.01


def test_it_looks_like_people(tmp_path: Path) -> None:
    path = tmp_path / "traffic.csv"
    generate(path, "--days", "28")
    chat, code, _unused = read_history(str(path))[0]
    for one in (chat, code):
        hour = (one.moments // 3600 % 24).astype(int)
        weekday = np.array([datetime.fromtimestamp(moment, timezone.utc).weekday() for moment in one.moments])
        assert one.values[(hour >= 13) & (hour < 16)].mean() > 3 * one.values[(hour >= 2) & (hour < 5)].mean()
        assert one.values[weekday < 5].mean() > 1.15 * one.values[weekday >= 5].mean()
    half = len(chat) // 2
    assert chat.values[-half // 2 :].mean() > 1.15 * chat.values[: half // 2].mean()  # the level shift
    lagged = np.corrcoef(chat.values[:-1008], chat.values[1008:])[0, 1]
    assert 0.7 < lagged < 0.995  # a week repeats, with noise


@pytest.mark.parametrize("end", ["2026-11-22T05:30:00Z", "2026-11-23T18:00:00Z", "2026-11-19T00:00:00Z"])
@pytest.mark.parametrize("seed", ["1", "7"])
def test_the_two_moments(tmp_path: Path, end: str, seed: str) -> None:
    path = tmp_path / "traffic.csv.gz"
    report = generate(path, "--end", end, "--seed", seed)
    series, _unused = read_history(str(path))
    total = np.sum([one.values for one in series], axis=0)
    moments = series[0].moments
    trough, peak = (int(np.flatnonzero(moments == parse_moment(str(report[key])))[0]) for key in ("trough", "peak"))
    first = len(total) - 2 * 24 * HOURS
    following = [total[at + 1 : at + 1 + 2 * HOURS].sum() for at in range(first, len(total) - 2 * HOURS)]
    assert trough == first + int(np.argmin(following))
    assert peak >= first
    assert total[peak + HOURS] == total[first + HOURS : len(total) - HOURS].max()
    planned = [total[at + 1 : at + 1 + 2 * HOURS].max() for at in (trough, peak)]
    assert planned[1] > 2.5 * planned[0]
    assert [report["trough_requests_per_second"], report["peak_requests_per_second"]] == pytest.approx(planned)


def test_it_says_that_it_is_generated(tmp_path: Path) -> None:
    path = tmp_path / "traffic.csv"
    report = generate(path, "--models", "chat-8b:2", "mine:1")
    assert {one.name for one in read_history(str(path))[0]} == {"chat-8b", "mine"}
    notice = (tmp_path / "traffic.csv.README").read_text()
    assert notice.startswith("GENERATED TRAFFIC.")
    assert "--models chat-8b:2 mine:1" in notice
    assert str(report["notice"]).startswith("GENERATED TRAFFIC.")
    assert "GENERATED TRAFFIC." in run("--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--end", "soon"],
        ["--models", "chat-8b"],
        ["--models", "chat-8b:-1"],
        ["--days", "1"],
        ["--step-seconds", "0"],
        ["--dest", "/no/such/directory/t.csv"],
    ],
)
def test_bad_options(tmp_path: Path, arguments: list[str]) -> None:
    done = run("--dest", str(tmp_path / "t.csv"), *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
