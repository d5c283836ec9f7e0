# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The page of an upgrade: versions over time, verdicts with their figures, what was drained and for how long.

One file without a script, out of the journal alone. Versions are drawn as steps, since nothing is known between
two of them; a step counts from the moment at which it was over, which is when the next one was worked out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    Column,
    element,
    escape,
    paragraphs,
    table,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.style import STYLE
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.journal import Journal

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 900, 220, 40, 30, 10
TARGET_COLOUR, ORIGIN_COLOUR, OTHER_COLOUR = "#d9822b", "#4a90c2", "#8a8a8a"
VERDICTS = ("passed", "failed", "inconclusive", "provider error")
ENDINGS = {
    "done": "Every replica is on the new release.",
    "rolled_back": "Every replica is on the good release again.",
    "": "It has not ended; a rerun of the playbook goes on with it.",
}


def render_upgrade(journal: Journal) -> str:
    """The whole page."""
    title = f"{journal.model}: {journal.origin_version} to {journal.version}"
    body = element("header", element("h1", escape(f"Upgrade of {title}")) + paragraphs(_headline(journal))) + element(
        "main",
        _section("Versions over time", _picture(journal))
        + _section("Verdicts", _verdicts(journal))
        + _section("Drained", _drained(journal))
        + _section("Steps", _steps(journal)),
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8")
        + element("meta", http_equiv="Content-Security-Policy", content_=policy)
        + element("meta", name_="viewport", content_="width=device-width, initial-scale=1")
        + element("meta", name_="color-scheme", content_="light dark")
        + element("title", escape(f"Upgrade of {title}"))
        + element("style", STYLE),
    )
    return "<!DOCTYPE html>\n" + element("html", head + element("body", body), lang="en") + "\n"


def _section(title: str, content: str) -> str:
    return element("section", element("h2", escape(title)) + content)


def _headline(journal: Journal) -> list[str]:
    lines = [f"Began {journal.began_at}. {ENDINGS[journal.finished]}"]
    if journal.reasons:
        whose = "the release is refused from now on" if journal.blamed else "not blamed on the release"
        lines.append(f"Turned back ({whose}): {'; '.join(journal.reasons)}")
    return lines


def _counted(journal: Journal) -> list[tuple[float, tuple[int, int, int]]]:
    """Seconds since the beginning, and replicas on the origin, on the target, and on anything else."""
    rows = [one for one in journal.events if "running" in one]
    if not rows:
        return []
    first, found = parse_moment(rows[0]["at"]), []
    for one in rows:
        origin = 0 if journal.origin == journal.target else int(one["on_origin"])
        target, running = int(one["on_target"]), int(one["running"])
        found.append((parse_moment(one["at"]) - first, (origin, target, max(0, running - origin - target))))
    return found


def _picture(journal: Journal) -> str:
    rows = _counted(journal)
    if len(rows) < 2:
        return paragraphs(["There are fewer than two steps to draw."])
    last = max(rows[-1][0], 1.0)
    most = max(sum(counts) for _second, counts in rows) or 1
    layers = ((OTHER_COLOUR, 3), (TARGET_COLOUR, 2), (ORIGIN_COLOUR, 1))
    areas = [f'<path d="{_steps_path(rows, below, last, most)}" fill="{colour}"/>' for colour, below in layers]
    ticks = [
        f'<text x="{LEFT - 6}" y="{_y(count, most) + 4:.0f}" text-anchor="end">{count}</text>'
        for count in sorted({0, most})
    ]
    minutes = [
        f'<text x="{_x(second, last):.0f}" y="{HEIGHT - 8}" text-anchor="middle">{second / 60:.3g} min</text>'
        for second in (0.0, last / 2, last)
    ]
    caption = (
        f"Replicas on {journal.origin_version} (blue), on {journal.version} (orange), on anything else (grey), of "
        f"{most} at most."
    )
    words = f"Replicas by version over {last / 60:.3g} minutes"
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(words)}" font-size="12" '
        f'fill="currentColor">{"".join([*areas, *ticks, *minutes])}</svg>'
    )
    return element("figure", svg + element("figcaption", escape(caption)))


def _steps_path(rows: Sequence[tuple[float, tuple[int, int, int]]], below: int, last: float, most: int) -> str:
    """The outline of the first ``below`` counts on top of each other."""
    points = [f"M{_x(0.0, last):.1f},{_y(0, most):.1f}"]
    for second, counts in rows:
        points += [f"H{_x(second, last):.1f}", f"V{_y(sum(counts[:below]), most):.1f}"]
    return "".join([*points, f"H{_x(last, last):.1f}", f"V{_y(0, most):.1f}", "Z"])


def _x(second: float, last: float) -> float:
    return LEFT + (WIDTH - LEFT - 30) * second / last


def _y(count: int, most: int) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - count / most)


def _verdicts(journal: Journal) -> str:
    rows = [one for one in journal.events if one["what"] in VERDICTS]
    if not rows:
        return paragraphs(["None was given."])
    columns = [
        Column("At"),
        Column("Verdict"),
        Column("Replicas"),
        Column("Requests, new", numeric=True),
        Column("old", numeric=True),
        Column("Bad, at most", numeric=True),
        Column("Latency ratio"),
        Column("Why"),
    ]
    return table("Verdicts", columns, [("", _verdict_cells(one)) for one in rows])


def _verdict_cells(event: Mapping[str, Any]) -> list[str]:
    figures = event.get("figures") or {}
    counts, latency = figures.get("counts") or {}, figures.get("latency") or {}
    upper = (figures.get("bad_ratio") or {}).get("canary_upper")
    ratios = [
        f"{name} {shift['ratio']:.2f} ({shift['lower']:.2f} to {shift['upper']:.2f})"
        for name, shift in sorted(latency.items())
        if None not in (shift.get("ratio"), shift.get("lower"), shift.get("upper"))
    ]
    cells = [
        event["at"],
        event["what"],
        ", ".join(event.get("servers") or ()),
        _requests(counts.get("canary")),
        _requests(counts.get("baseline")),
        "" if upper is None else f"{upper:.2%}",
        "; ".join(ratios),
        "; ".join(event.get("reasons") or ()),
    ]
    return [escape(cell) for cell in cells]


def _requests(arm: Mapping[str, Any] | None) -> str:
    if not arm:
        return ""
    synthetic = arm.get("synthetic") or 0
    return f"{arm.get('real', 0)}" + (f" + {synthetic} synthetic" if synthetic else "")


def _drained(journal: Journal) -> str:
    rows = [(event["at"], one) for event in journal.events if event["what"] == "drained" for one in event["replicas"]]
    if not rows:
        return paragraphs(["Nothing was drained."])
    longest = max(one["seconds"] for _at, one in rows)
    left = sum(one["left_in_flight"] for _at, one in rows)
    note = f"The longest took {longest:.3g} s; {left} requests were still in flight at the limit."
    columns = [Column("At"), Column("Replica"), Column("Seconds", numeric=True), Column("Left in flight", numeric=True)]
    cells = [
        (
            "",
            [escape(at), escape(f"{one['host']}-{one['slot']}"), f"{one['seconds']:.1f}", str(one["left_in_flight"])],
        )
        for at, one in rows
    ]
    return table("Drained", columns, cells, note=note)


def _steps(journal: Journal) -> str:
    columns = [Column("At"), Column("What"), Column("Replicas"), Column("Why")]
    rows = [
        (
            "",
            [
                escape(one["at"]),
                escape(one["what"].replace("_", " ")),
                escape(", ".join(one.get("servers") or ())),
                escape(one.get("reason") or "; ".join(one.get("reasons") or ())),
            ],
        )
        for one in journal.events
        if one["what"] not in (*VERDICTS, "drained")
    ]
    return table("Steps", columns, rows)
