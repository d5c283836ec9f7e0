# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the benchmark: how often each gate fails good and bad canaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, LINE = 820, 270, 60, 17
OURS_COLOUR, COLOUR = "#c0392b", "#7f8c8d"


def draw_svg(result: dict[str, Any], path: Path) -> None:
    """A bar for each gate and scenario, with its 95 % interval."""
    parts: list[str] = []
    y = 24
    for row in result["rows"]:
        parts.append(_text(10, y, f"{row['figure']}: {row['scenario']} ({row['runs']} runs)", weight="bold"))
        y += 6
        for name, gate in row["gates"].items():
            parts.append(_bar(y, name, gate))
            y += LINE
        y += 26
    body = "\n".join(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{y}" fill="white"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def _bar(y: int, name: str, gate: dict[str, Any]) -> str:
    scale = WIDTH - LEFT - RIGHT
    colour = OURS_COLOUR if name == "modelops.datacenter" else COLOUR
    ends = [LEFT + scale * gate[key] for key in ("share", "low", "high")]
    middle = y + LINE / 2
    return "\n".join(
        [
            _text(LEFT - 8, y + 12, name, anchor="end"),
            f'<rect x="{LEFT}" y="{y + 3}" width="{ends[0] - LEFT:.1f}" height="{LINE - 6}" fill="{colour}"/>',
            f'<path d="M{ends[1]:.1f} {middle}H{ends[2]:.1f}" stroke="black"/>',
            _text(round(ends[2]) + 5, y + 12, f"{gate['share']:.1%}"),
        ]
    )


def _text(x: int, y: int, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
