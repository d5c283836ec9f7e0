# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The tables of the backtest page: series, coverage by level, candidates, and what was not tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report import words
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    Cell,
    Column,
    element,
    escape,
    table,
)

Document = Mapping[str, Any]

COVERAGE = (
    Column("Quantile"),
    Column("Target", numeric=True),
    Column("At or below", numeric=True),
    Column("Below", numeric=True),
    Column("Middle 80 % of the series, at or below", numeric=True),
)
CANDIDATES = (
    Column("Candidate"),
    Column("Tried on, series", numeric=True),
    Column("Chosen for, series", numeric=True),
    Column("Mean weight where tried", numeric=True),
)
UNTESTED = (Column("Series"), Column("Samples", numeric=True), Column("Why"))
# So many candidates of a combination are named in a row of the table.
NAMED = 3


def level_words(level: str) -> str:
    """``P95`` for ``0.95``."""
    return f"P{100 * float(level):g}"


def series_table(document: Document, numbers: Mapping[str, int]) -> str:
    """Every series, the largest error first; names lead to the course where there is one.

    Args:
        document: the backtest.
        numbers: of the courses, by series.
    """
    levels = sorted(document["overall"]["coverage"], key=float)
    pair = (levels[0], levels[-1]) if float(levels[0]) < 0.5 < float(levels[-1]) else None
    columns = [
        Column("Series"),
        Column("MASE", numeric=True),
        Column("MASE of seasonal naive", numeric=True),
        Column("Skill", numeric=True),
    ]
    if pair:
        target = f"{100 * (float(pair[1]) - float(pair[0])):.4g}"
        inside = f"{100 * float(pair[0]):g}{words.DASH}{100 * float(pair[1]):g}"
        columns.append(Column(f"Inside {inside} % (target {target} %)", numeric=True))
    columns.append(Column(f"Below {level_words(levels[-1])} (target {100 * float(levels[-1]):g} %)", numeric=True))
    columns.append(Column("Weights"))
    ordered = sorted(document["series"].items(), key=lambda item: (-(item[1]["backtest"]["mase"] or 0.0), item[0]))
    rows = (
        (f' class="model" data-name="{escape(name.lower())}"', _series_row(name, fields, levels[-1], pair, numbers))
        for name, fields in ordered
    )
    return table("Series, the largest error first", columns, rows, sortable=True)


def _series_row(
    name: str, fields: Mapping[str, Any], top: str, pair: tuple[str, str] | None, numbers: Mapping[str, int]
) -> list[Cell | str]:
    test = fields["backtest"]
    link = element("a", escape(name), href=f"#course-{numbers[name]}") if name in numbers else escape(name)
    weak = "" if fields["beats_seasonal_naive"] else element("span", "did not beat seasonal naive", class_="badge bad")
    skill = f"{round(100 * test['skill'])} %".replace("-", words.MINUS)
    cells: list[Cell | str] = [
        f"{link} {weak}",
        Cell(words.number(test["mase"]), test["mase"]),
        Cell(words.number(test["mase_seasonal_naive"]), test["mase_seasonal_naive"]),
        Cell(skill, test["skill"]),
    ]
    if pair:
        inside = test["coverage"][pair[1]] - fields["below"][pair[0]]
        cells.append(Cell(words.percent(inside), round(inside, 6)))
    cells.append(Cell(words.percent(test["coverage"][top]), test["coverage"][top]))
    cells.append(escape(weights_in_words(fields["candidates"])))
    return cells


def weights_in_words(candidates: Sequence[Mapping[str, Any]]) -> str:
    """The heaviest candidates with their weights: ``62 % naive, 38 % mean of last 12``."""
    chosen = sorted((one for one in candidates if one["weight"] > 0.0), key=lambda one: -one["weight"])
    named = [f"{100 * one['weight']:.0f} % {one['name']}" for one in chosen[:NAMED]]
    rest = len(chosen) - NAMED
    return ", ".join(named) + (f" and {words.plural(rest, 'other')}" if rest > 0 else "")


def coverage_table(document: Document) -> str:
    shares = document["overall"]["coverage"]
    rows = [
        (
            "",
            [
                level_words(level),
                f"{100 * float(level):g} %",
                words.percent(shares[level]["share"]),
                words.percent(shares[level]["below"]),
                f"{words.percent(shares[level]['p10'])} to {words.percent(shares[level]['p90'])}",
            ],
        )
        for level in sorted(shares, key=float)
    ]
    return table("Coverage over all samples tested", COVERAGE, rows)


def candidate_table(document: Document) -> str:
    """All candidates with their whole names, folded away."""
    rows: list[tuple[str, list[Cell | str]]] = [
        (
            "",
            [
                escape(one["name"]),
                Cell(f"{one['tried']:,}", one["tried"]),
                Cell(f"{one['chosen']:,}", one["chosen"]),
                Cell(words.percent(one["mean_weight"]), one["mean_weight"]),
            ],
        )
        for one in document["overall"]["candidates"]
    ]
    inner = table("Candidates, the most often chosen first", CANDIDATES, rows, sortable=True)
    return element("details", element("summary", "All candidates as a table") + inner)


def untested_table(document: Document) -> str:
    if not document["untested"]:
        return ""
    rows = [
        ("", [escape(name), f"{fields['samples']:,}", escape(fields["reason"])])
        for name, fields in sorted(document["untested"].items())
    ]
    return table("Series too short to be tested", UNTESTED, rows)
