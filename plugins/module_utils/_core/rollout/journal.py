# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The journal of an upgrade: what a rerun cannot read off the hosts.

Which release each replica runs is read from the hosts. The journal adds only what is known of it:
which replicas of the new release have been judged and passed, whether the upgrade goes forward or
back and why. It is written before each step, so that a run killed anywhere is followed by one that
goes on in the same direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

SCHEMA_VERSION = 1
EVENTS_KEPT = 500
FORWARD = "forward"
BACK = "back"


@dataclass
class Journal:
    """``target``, ``origin``: digests. ``judged``: servers (HOST-SLOT) of the target that passed. ``blamed``: whether
    the way back is the release's fault. ``undecided``: looks in a row that gave no verdict. ``finished``: how it ended.
    ``added``: servers that were started for the upgrade and go when it ends. ``restarted``: the server of the origin that was
    started again beside the canary. ``known``: servers seen to run the model; a host of theirs that is silent is missed."""

    model: str
    target: str
    origin: str
    version: str = ""
    origin_version: str = ""
    direction: str = FORWARD
    judged: list[str] = field(default_factory=list)
    blamed: bool = False
    reasons: list[str] = field(default_factory=list)
    undecided: int = 0
    finished: str = ""
    began_at: str = ""
    added: list[str] = field(default_factory=list)
    restarted: str = ""
    known: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def as_document(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, "kind": "upgrade", **asdict(self)}

    def note(self, what: str, now: float, **more: Any) -> None:
        """Add a line to what happened."""
        self.events = [*self.events, {"at": format_moment(now), "what": what, **more}][-EVENTS_KEPT:]

    def turn_back(self, reasons: Sequence[str], *, blamed: bool, now: float) -> None:
        """From here on the way leads back to the origin."""
        if self.direction == BACK:
            return
        self.direction, self.blamed, self.reasons, self.undecided = BACK, blamed, [*reasons], 0
        self.note("turned back", now, reasons=[*reasons], blamed=blamed)

    def take_verdict(
        self, verdict: str, reasons: Sequence[str], judged: Sequence[str], *, now: float, figures: Any = None
    ) -> None:
        """Enter what the judge said of ``judged``, with its figures for the report."""
        if verdict == "pass":
            self.judged = sorted({*self.judged, *judged})
            self.undecided = 0
            self.note("passed", now, servers=[*judged], reasons=[*reasons], figures=figures)
        elif verdict == "fail":
            self.note("failed", now, servers=[*judged], reasons=[*reasons], figures=figures)
            self.turn_back(reasons or ["the judge failed it"], blamed=True, now=now)
        elif verdict in ("inconclusive", "provider_error"):
            self.undecided += 1
            self.note(verdict.replace("_", " "), now, servers=[*judged], reasons=[*reasons], figures=figures)
        else:
            raise InputError(
                f"a verdict is pass, fail, inconclusive or provider_error, not {verdict!r}", where=self.model
            )


def parse_journal(document: Any, *, where: str) -> Journal:
    """The journal out of its file.

    Raises:
        InputError: not a journal of an upgrade.
    """
    fields = dict(documents.expect_mapping(document, what="journal of the upgrade", where=where))
    if fields.pop("kind", None) != "upgrade" or fields.pop("schema_version", None) != SCHEMA_VERSION:
        raise InputError(
            "this is not a journal of an upgrade",
            where=where,
            remedy="Remove the file; the next run looks at the hosts",
        )
    try:
        return Journal(**fields)
    except TypeError as error:
        raise InputError(f"the journal of the upgrade does not hold what it must ({error})", where=where) from error


def journal_for(
    found: Journal | None, *, model: str, target: Mapping[str, str], origin: Mapping[str, str], now: float
) -> Journal:
    """The journal to go on with: the one found when it is about the same upgrade, else a new one.

    One that has ended is not gone on with, nor is one that went another way: its replicas are judged again.
    """
    same = found is not None and (found.target, found.origin) == (target["digest"], origin["digest"])
    if found is not None and same and not found.finished:
        return found
    left = found if found is not None and not found.finished else None
    journal = Journal(
        model=model,
        target=target["digest"],
        origin=origin["digest"],
        version=target["version"],
        origin_version=origin["version"],
        began_at=format_moment(now),
        # What an upgrade that was given up has added is still to go.
        added=list(left.added) if left else [],
        known=list(left.known) if left else [],
    )
    journal.note("began", now, target=target["version"], origin=origin["version"])
    return journal
