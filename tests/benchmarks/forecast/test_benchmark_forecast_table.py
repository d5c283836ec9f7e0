# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published says who won, who failed, and how much was tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import table

FIGURES = {
    "mase": 0.8, "smape": 10.0, "owa": 0.4, "msis95": 6.0, "pinball0.95": 0.2, "below95": 0.95, "over95": 0.3,
    "cpu_ms": 5.0, "cases": 10, "scored": 10,
}  # fmt: skip


def _result() -> dict[str, Any]:
    def peer(title: str, **ratio: float | None) -> dict[str, Any]:
        both = {"peer": {**FIGURES, "cpu_ms": 2000.0}, "ours": FIGURES}
        return {"title": title, "asked": 10, "done": 10, "ratio": ratio, **both}

    tries = {
        "good": peer("Good", mase=0.9, cpu_ms=400.0),
        "bad": {**peer("Bad", mase=1.5, cpu_ms=3.0), "done": 9, "failed": {"cases": 1, "first": "ValueError: no"}},
        "zero": peer("always zero", mase=0.1, cpu_ms=0.01),
        "slow": {"title": "Slow", "asked": 10, "done": 0, "failed": {"cases": 1, "first": "more than 100 CPU s"}},
        "blank": peer("Blank", mase=None),
    }
    segments = {"sparse": {"ours": {**FIGURES, "owa": None}, "peers": tries}}
    return {
        "date": "2026-01-05", "python": "3.11.7", "processor": "P", "versions": {"made": "1.0"}, "limit_cpu_seconds": 100.0,
        "tasks": {"t": {"title": "Task", "horizon": 48, "seasons": [24], "segments": segments}},
    }  # fmt: skip


def test_verdict_names_each_package_that_is_better_and_no_yardstick() -> None:
    words = table.verdict(_result())
    assert words.startswith("Of 2 comparisons in MASE, the collection is at least as good in 1.")
    assert "Good on t sparse (0.90x)" in words
    assert "Bad" not in words
    assert "zero" not in words


def test_calibration_names_the_cheapest_package_whose_quantile_holds() -> None:
    result = _result()
    segment = result["tasks"]["t"]["segments"]["sparse"]
    segment["peers"]["good"]["ratio"]["over95"] = 1.2
    segment["peers"]["bad"]["ratio"]["over95"] = 1.1
    assert "t sparse 1.10x (Bad, 9 cases)" in table.calibration(result)
    segment["peers"]["bad"]["peer"] = {**FIGURES, "below95": 0.85}
    assert "t sparse 1.20x (Good, 10 cases)" in table.calibration(result)
    del segment["peers"]["good"]["ratio"]["over95"]
    assert "t sparse none" in table.calibration(result)


def test_page_has_a_row_for_each_package_also_one_that_failed() -> None:
    page = table.page(_result())
    rows = {
        row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]]
        for row in page.splitlines()
        if row.startswith("|")
    }
    assert rows["Slow"][:2] == ["0 of 10", "failed: more than 100 CPU s"]
    assert rows["Bad"][0] == "9 of 10"
    assert rows["Good"] == ["10", "0.800", "0.90", "-", "0.950", "0.950", "-", "2000", "400"]
    assert rows["Blank"][2] == "-"
    # Neither sMAPE nor OWA means anything for a sparse series.
    assert rows["Task, sparse series"][:4] == ["10", "0.800", "", ""]
    assert len({row.count("|") for row in page.split("### ")[1].splitlines() if row.startswith("|")}) == 1


def test_lines_while_the_run_goes_on_tell_the_ratio_or_the_failure() -> None:
    tries = _result()["tasks"]["t"]["segments"]["sparse"]["peers"]
    assert "failed: more than 100 CPU s" in table.peer_line("t", "sparse", tries["slow"])
    assert "mase 0.9x" in table.peer_line("t", "sparse", tries["good"])
    assert "1 failed: ValueError: no" in table.peer_line("t", "sparse", tries["bad"])


def test_plot_is_small_and_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    import plot

    for name in ("a.svg", "b.svg"):
        plot.draw(_result(), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"modelops.datacenter" in (tmp_path / "a.svg").read_bytes()
    assert (tmp_path / "a.svg").stat().st_size < 200_000
