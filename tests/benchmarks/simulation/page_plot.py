# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture: requests inside the SLO against accelerator-hours, as searched and as judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "policies", "svg.fonttype": "none", "font.size": 9})
from matplotlib import pyplot  # noqa: E402
from page_answers import curve  # noqa: E402

OURS = "#c0392b"
LEAST_SLO = 0.93


def draw(result: Mapping[str, Any], path: Path) -> None:
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 5.2), layout="constrained", sharey=True)
    for number, name in enumerate(result["tuning"]):
        colour = OURS if name == "modelops" else "k" if number % 10 == 3 else f"C{number % 10}"
        tried = sorted((one["hours"], one["slo"]) for one in result["tuning"][name])
        frontier = [point for at, point in enumerate(tried) if point[1] >= max(slo for _h, slo in tried[: at + 1])]
        hours, slo = zip(*frontier)
        left.plot(hours, slo, marker="o", markersize=4, linewidth=1, color=colour, label=name)
    for number, row in enumerate(result["policies"]):
        name = row["policy"]
        colour = OURS if name == "modelops" else "k" if number % 10 == 3 else f"C{number % 10}"
        right.errorbar(
            row["accelerator_hours"][0], row["slo_share"][0], xerr=row["accelerator_hours"][1],
            yerr=row["slo_share"][1], marker="*" if name == "modelops" else "o", markersize=11 if name == "modelops" else 6,
            color=colour, capsize=2,
        )  # fmt: skip
    for name, style in (("modelops", "-"), ("perfect foresight", ":")):
        points = curve(result, name)
        right.plot(
            [hours for _slo, hours, _s in points], [slo for slo, _h, _s in points], style, color=OURS, linewidth=1
        )
    for axes, title in (
        (left, "Days of the search: the frontier of what was tried"),
        (right, "Days judged; ours and foresight as curves"),
    ):
        axes.axhline(result["slo"]["tuned_for"], color="0.8", linewidth=1, zorder=0)
        axes.set(xlabel="accelerator-hours", ylim=(LEAST_SLO, 1.0))
        axes.set_title(title, fontsize=9)
    left.set_ylabel("requests inside the SLO")
    figure.legend(loc="outside lower center", ncol=5, fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
