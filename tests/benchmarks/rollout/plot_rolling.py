# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the rolling upgrades: which version answered over time, and how fast."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, HEIGHT, GAP = 900, 60, 16, 50, 150, 50
COLOURS = {"1": "#4a90c2", "2": "#e39a3b"}
OTHER, P50, P99 = "#888888", "#2c3e50", "#c0392b"


def draw_rolling(result: dict[str, Any], path: Path) -> None:
    """Answers by version, stacked, above P50 and P99 of short requests on a logarithmic scale."""
    rows = result["timeline"]
    last = rows[-1]["second"] + 10
    lower = TOP + HEIGHT + GAP
    latencies = [row[key] for row in rows for key in ("latency_p50", "latency_p99") if row[key]]
    parts = [
        _text(LEFT, 20, _headline(result), weight="bold"),
        _text(LEFT, 38, "Answers a second by version (blue: 1, orange: 2); grey bars: an upgrade runs"),
        *_upgrades(result["upgrades"], last, TOP, 2 * HEIGHT + GAP),
        *_answers(rows, last),
        _text(LEFT, lower - 8, "Seconds from the moment a short request was due: P50 (dark), P99 (red)"),
        *_lines(rows, last, lower, min(latencies), max(latencies)),
        *_axis(last, lower + HEIGHT),
    ]
    body = "\n".join(parts)
    height = lower + HEIGHT + 30
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def _headline(result: dict[str, Any]) -> str:
    during = result["during"]
    return (
        f"{result['upgrades_done']} upgrades of six replicas under load: {during['requests']:,} requests, "
        f"{during['stream']['count']:,} of them streams; {during['failed']} failed, {during['cut']} cut"
    )


def _x(second: float, last: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * second / last


def _upgrades(runs: list[dict[str, Any]], last: float, top: float, height: float) -> list[str]:
    return [
        f'<rect x="{_x(run["began"], last):.1f}" y="{top}" width="{_x(run["seconds"], last) - LEFT:.1f}" '
        f'height="{height}" fill="#eeeeee"/>'
        for run in runs
    ]


def _answers(rows: list[dict[str, Any]], last: float) -> list[str]:
    most = max(sum(row["versions"].values()) for row in rows) or 1
    bars = [_text(LEFT - 6, TOP + 10, f"{most / 10:.0f}/s", anchor="end")]
    for row in rows:
        y = float(TOP + HEIGHT)
        x, width = _x(row["second"], last), _x(10, last) - LEFT
        for version, count in row["versions"].items():
            high = HEIGHT * count / most
            y -= high
            colour = COLOURS.get(version, OTHER)
            bars.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.2f}" height="{high:.1f}" fill="{colour}"/>')
    return bars


def _lines(rows: list[dict[str, Any]], last: float, top: float, low: float, high: float) -> list[str]:
    floor, ceiling = math.floor(math.log10(low)), math.ceil(math.log10(high))

    def y(value: float) -> float:
        return top + HEIGHT * (1 - (math.log10(value) - floor) / (ceiling - floor))

    parts = [
        f'<path d="M{LEFT} {y(10.0**power):.1f}H{WIDTH - RIGHT}" stroke="#cccccc"/>'
        + _text(LEFT - 6, y(10.0**power) + 4, f"{10.0**power:g} s", anchor="end")
        for power in range(floor, ceiling + 1)
    ]
    for key, colour in (("latency_p99", P99), ("latency_p50", P50)):
        points = " ".join(f"{_x(row['second'] + 5, last):.1f},{y(row[key]):.1f}" for row in rows if row[key])
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
    return parts


def _axis(last: float, y: float) -> list[str]:
    step = 300 if last > 900 else 60
    return [
        _text(_x(second, last), y + 18, f"{second // 60} min", anchor="middle") for second in range(0, int(last), step)
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
