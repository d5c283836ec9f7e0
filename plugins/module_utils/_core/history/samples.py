# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a file says before it is put on a grid, and what was noticed on the way."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import numpy.typing as npt

COLUMNS = ("series", "timestamp", "value")
INVALID_VALUES = ("refuse", "gap")
ABSENT_SERIES = ("refuse", "skip")
LEFT_OUT = "the history has no series of that name, or no number in it; left out"
INVALID_REMEDY = "Leave the value empty for a gap, or set invalid_values to gap"
SERIES_IN_MESSAGE = 8


@dataclass
class Samples:
    """The rows of a long table as columns of equal length.

    Args:
        names: name of each series; a code is an index into it.
        codes: shape (rows,), the series of each row.
        moments: shape (rows,), epoch seconds.
        values: shape (rows,), NaN is a gap.
    """

    names: list[str]
    codes: npt.NDArray[np.int64]
    moments: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]


def join(names: list[str], parts: Sequence[Samples]) -> Samples:
    """Parts read one after another as one; their codes index ``names``."""
    empty = np.empty(0)
    return Samples(
        names=names,
        codes=np.concatenate([empty.astype(np.int64), *(part.codes for part in parts)]),
        moments=np.concatenate([empty, *(part.moments for part in parts)]),
        values=np.concatenate([empty, *(part.values for part in parts)]),
    )


@dataclass
class Notes:
    """Things worth a warning, one line a kind however many series show it."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        """Remember that series ``name`` shows ``kind``, a sentence that reads after its name."""
        self.found.setdefault(kind, []).append(name)

    def lines(self) -> list[str]:
        """The warnings, in the order the kinds were first seen."""
        return [f"{_listed(sorted(set(names)))}: {kind}" for kind, names in self.found.items()]


def check_absent(choice: str) -> str:
    """``choice``.

    Raises:
        InputError: not one of :data:`ABSENT_SERIES`.
    """
    if choice not in ABSENT_SERIES:
        raise InputError(f"absent_series must be one of {', '.join(ABSENT_SERIES)}, not {choice!r}")
    return choice


def check_invalid_values(choice: str) -> bool:
    """Whether invalid values are taken as gaps.

    Raises:
        InputError: not one of :data:`INVALID_VALUES`.
    """
    if choice not in INVALID_VALUES:
        raise InputError(f"invalid_values must be one of {', '.join(INVALID_VALUES)}, not {choice!r}")
    return choice == "gap"


def check_columns(found: Sequence[str], *, where: str) -> list[int]:
    """Positions of :data:`COLUMNS` among the columns found.

    Raises:
        InputError: one is missing.
    """
    missing = [column for column in COLUMNS if column not in found]
    if missing:
        raise InputError(
            f"there is no column {' and no column '.join(missing)}; the columns found are {', '.join(found) or 'none'}",
            where=where,
            remedy=f"A history has the columns {', '.join(COLUMNS)}, named in its first row",
        )
    return [list(found).index(column) for column in COLUMNS]


def check_names(
    wanted: Iterable[str], present: Iterable[str], *, where: str, absent: str = "refuse", notes: Notes | None = None
) -> None:
    """Every wanted series is there.

    Args:
        wanted: names asked for.
        present: names the source has.
        where: the source.
        absent: one of :data:`ABSENT_SERIES`; with ``skip`` it is enough that one of them is there.
        notes: takes what was skipped.

    Raises:
        InputError: one is not; names the nearest that are.
    """
    known = sorted(set(present))
    asked = sorted(set(wanted))
    skips = absent == "skip" and notes is not None and any(name in known for name in asked)
    for name in asked:
        if name not in known:
            if skips and notes is not None:
                notes.add(LEFT_OUT, name)
                continue
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"The nearest are {', '.join(near)}" if near else f"The file holds {_listed(known, 'nothing')}"
            raise InputError(f"there is no series {name}", where=where, remedy=hint)


def _listed(names: Sequence[str], none: str = "") -> str:
    shown = ", ".join(names[:SERIES_IN_MESSAGE])
    rest = len(names) - SERIES_IN_MESSAGE
    return (f"{shown} and {rest} more" if rest > 0 else shown) or none
