# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the benchmark: error against CPU time of each package, and how often capacity at P95 suffices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "forecast benchmark", "svg.fonttype": "none", "font.size": 9})
from matplotlib import pyplot  # noqa: E402

# Simple rules of thumb tell nothing about a package's cost.
LEFT_OUT = ("zero", "history_quantiles", "recent_quantiles", "seasonal_naive_conformal")
OURS = "#c0392b"


def draw(result: dict[str, Any], path: Path) -> None:
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 5.2), layout="constrained")
    _error_against_cost(left, result)
    _coverage(right, result)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _comparisons(result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, task in result["tasks"].items():
        for segment, part in task["segments"].items():
            for peer, entry in part["peers"].items():
                if "ratio" in entry and peer not in LEFT_OUT and segment != "sparse":
                    yield f"{name} {segment}".strip(), peer, entry


def _error_against_cost(axes: Any, result: dict[str, Any]) -> None:
    """A small dot for each task, a large one at the geometric mean over the tasks."""
    points: dict[str, list[tuple[float, float]]] = {}
    titles = {}
    for _task, peer, entry in _comparisons(result):
        if entry["ratio"].get("mase") and entry["ratio"].get("cpu_ms"):
            points.setdefault(peer, []).append((entry["ratio"]["cpu_ms"], entry["ratio"]["mase"]))
            titles[peer] = entry["title"]
    axes.axhline(1.0, color="0.8", linewidth=1, zorder=0)
    axes.axvline(1.0, color="0.8", linewidth=1, zorder=0)
    for index, (peer, pairs) in enumerate(points.items()):
        colour = f"C{index % 10}" if index % 10 != 3 else "k"
        cost, error = np.array(pairs).T
        axes.scatter(cost, error, s=9, color=colour, alpha=0.35, linewidths=0)
        centre = np.exp(np.log(cost).mean()), np.exp(np.log(error).mean())
        axes.scatter(*centre, s=55, color=colour, zorder=3, label=titles[peer])
    axes.scatter(1.0, 1.0, s=170, marker="*", color=OURS, zorder=4)
    axes.annotate("modelops.datacenter", (1.0, 1.0), xytext=(6, -13), textcoords="offset points", color=OURS)
    axes.set(xscale="log", yscale="log", xlabel="CPU time, times ours", ylabel="error (MASE), times ours")
    axes.set_yticks([0.8, 1, 1.25, 1.5, 2, 3, 4], ["0.8", "1", "1.25", "1.5", "2", "3", "4"], minor=False)
    axes.minorticks_off()
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncol=3, fontsize=8, frameon=False)
    axes.set_title("Error and cost (small dots: tasks; large: their geometric mean)", fontsize=9)


def _coverage(axes: Any, result: dict[str, Any]) -> None:
    """Share of actual values at or below the 0.95 quantile, each task a row."""
    rows: list[tuple[str, dict[str, Any]]] = []
    for name, task in result["tasks"].items():
        rows += [(f"{name} {segment}".strip(), part) for segment, part in task["segments"].items()]
    for height, (_title, part) in enumerate(reversed(rows)):
        shares = [
            entry["peer"]["below95"]
            for name, entry in part["peers"].items()
            if "peer" in entry and name not in LEFT_OUT
        ]
        axes.scatter(shares, [height] * len(shares), s=16, color="0.6", label="packages" if height == 0 else None)
        axes.scatter(
            part["ours"]["below95"], height, s=120, marker="*", color=OURS, zorder=3,
            label="modelops.datacenter" if height == 0 else None,
        )  # fmt: skip
    axes.axvline(0.95, color="0.3", linewidth=1)
    axes.axvspan(0.93, 0.97, color="0.93", zorder=0)
    axes.set_yticks(range(len(rows)), [title for title, _part in reversed(rows)])
    axes.set(xlabel="share of actual values at or below the 0.95 quantile")
    axes.set_title("Calibration (0.95 is right)", fontsize=9)
    axes.legend(loc="lower left", fontsize=8)
