# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Small helpers that write HTML: everything that enters the page is escaped here.

By convention a parameter called ``content`` or ``cells`` is markup already; any
other text goes through :func:`escape`.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

VOID_ELEMENTS = frozenset({"meta", "input", "br", "hr"})


class Column(NamedTuple):
    """One column of a table; numbers are set flush right, and prose is kept wide enough to be read on a narrow screen."""

    title: str
    numeric: bool = False
    prose: bool = False

    @property
    def style(self) -> str | None:
        return "n" if self.numeric else "prose" if self.prose else None


class Cell(NamedTuple):
    """Markup, and what the column is sorted by when that is not its text."""

    content: str
    sort: float | None = None


def escape(value: object) -> str:
    return html.escape(str(value), quote=True)


def element(name: str, content: str = "", **attributes: object) -> str:
    """``<name ...>content</name>``.

    Args:
        name: the element.
        content: markup inside it.
        attributes: escaped here; ``class_`` is ``class``, other underscores are
            hyphens; False and None leave an attribute out, True writes it bare.
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        written.append(f" {attribute}" if value is True else f' {attribute}="{escape(value)}"')
    start = f"<{name}{''.join(written)}>"
    return start if name in VOID_ELEMENTS else f"{start}{content}</{name}>"


def paragraphs(texts: Iterable[str], **attributes: object) -> str:
    return "".join(element("p", escape(text), **attributes) for text in texts)


def bullets(texts: Iterable[str], **attributes: object) -> str:
    return element("ul", "".join(element("li", escape(text)) for text in texts), **attributes)


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[tuple[str, Sequence[Cell | str]]],
    *,
    note: str = "",
    sortable: bool = False,
) -> str:
    """A captioned table in a box that scrolls sideways when the screen is narrow.

    Args:
        caption: what the table holds; also the name of the scrolling region.
        columns: titles from left to right; the first column heads its rows.
        rows: the row's attributes as written markup (may be empty) and its cells.
        note: a sentence under the caption.
        sortable: the titles become buttons that sort.
    """
    head = "".join(
        element(
            "th",
            element("button", escape(column.title), type="button") if sortable else escape(column.title),
            scope="col",
            class_=column.style,
        )
        for column in columns
    )
    body = "".join(f"<tr{attributes}>{_cells(columns, cells)}</tr>" for attributes, cells in rows)
    said = escape(caption) + (element("small", escape(note)) if note else "")
    content = element("caption", said) + element("thead", element("tr", head)) + element("tbody", body)
    whole = element("table", content, class_="sortable" if sortable else None)
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _cells(columns: Sequence[Column], cells: Sequence[Cell | str]) -> str:
    written = []
    for position, (column, cell) in enumerate(zip(columns, cells)):
        content, sort = cell if isinstance(cell, Cell) else (cell, None)
        attributes: dict[str, object] = {"class_": column.style, "data_sort": sort}
        if position == 0:
            written.append(element("th", content, scope="row", **attributes))
        else:
            written.append(element("td", content, **attributes))
    return "".join(written)


def embedded_json(document: Any) -> str:
    """JSON that is safe inside a script element: no ``<``, ``>`` or ``&`` is left in it."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return (
        text.replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )
