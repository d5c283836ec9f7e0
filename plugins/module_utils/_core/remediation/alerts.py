# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Alerts as they come in, whatever the source: checked, and the same ones folded into one.

What an alert says is not trusted: names are taken only when they look like names, and a target is one only when
the inventory knows it. Nothing an alert says is ever evaluated or put into a command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z")
FIRING, RESOLVED = "firing", "resolved"
TEXT_LIMIT = 300


@dataclass(frozen=True)
class Alert:
    """One alert. A label that is no name is empty here. ``since``: epoch seconds. ``count``: how often it came."""

    name: str
    firing: bool
    host: str = ""
    slot: int | None = None
    model: str = ""
    zone: str = ""
    severity: str = ""
    since: float = 0.0
    ended: float = 0.0
    summary: str = ""
    count: int = 1

    @property
    def key(self) -> tuple[str, str, int, str]:
        return (self.name, self.host, -1 if self.slot is None else self.slot, self.model)


def parse_alerts(given: Any, *, now: float) -> list[Alert]:
    """A list of alerts, or Alertmanager's webhook document around one.

    Raises:
        InputError: neither, or an entry without labels or status.
    """
    if isinstance(given, Mapping):
        given = given.get("alerts")
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise InputError(
            "alerts must be a list, or a document with a list in alerts",
            where="alerts",
            remedy="Give what Alertmanager's webhook sends, or the list in it",
        )
    return [_parse(entry, f"alerts[{position}]", now) for position, entry in enumerate(given)]


def fold(alerts: Iterable[Alert]) -> list[Alert]:
    """One alert for each thing said of one target: the latest word counts, the earliest beginning is kept.

    An alert that was resolved after it began is gone, whatever the order in which the two came.
    """
    found: dict[tuple[str, str, int, str], list[Alert]] = {}
    for alert in alerts:
        found.setdefault(alert.key, []).append(alert)
    return [_folded(said) for _key, said in sorted(found.items())]


def _folded(said: list[Alert]) -> Alert:
    ended = max((one.ended for one in said if not one.firing), default=float("-inf"))
    still = [one for one in said if one.firing and one.since > ended]
    if not still:
        return replace(said[0], firing=False, count=len(said))
    first = min(still, key=lambda one: (one.since, one.summary, one.zone, one.severity))
    return replace(first, count=len(said))


def _parse(entry: Any, where: str, now: float) -> Alert:
    fields = expect_mapping(entry, what="alert", where=where)
    labels = expect_mapping(fields.get("labels"), what="labels", where=where)
    status = fields.get("status", FIRING)
    if isinstance(status, Mapping):  # as Alertmanager's API says it, which lists no resolved ones
        status = RESOLVED if status.get("state") == RESOLVED else FIRING
    if status not in (FIRING, RESOLVED):
        raise InputError(f"status must be firing or resolved, not {status!r}", where=where)
    annotations = fields.get("annotations")
    summary = annotations.get("summary", "") if isinstance(annotations, Mapping) else ""
    since = _moment(fields.get("startsAt"), now, where)
    ended = _moment(fields.get("endsAt"), now, where) if status == RESOLVED else 0.0
    slot = str(labels.get("slot", ""))
    return Alert(
        name=_name(labels.get("alertname")),
        firing=status == FIRING,
        host=_name(labels.get("host")),
        slot=int(slot) if slot.isascii() and slot.isdigit() and len(slot) < 6 else None,
        model=_name(labels.get("model")),
        zone=_name(labels.get("zone")),
        severity=_name(labels.get("severity")),
        since=since,
        ended=max(ended, since) if status == RESOLVED else 0.0,
        summary=plain(summary),
    )


def plain(text: Any) -> str:
    """Text of others that is shown to people: printable, short, and without the braces of templates."""
    kept = "".join(letter for letter in str(text) if letter.isprintable())
    return kept.replace("{", "(").replace("}", ")")[:TEXT_LIMIT]


def _name(value: Any) -> str:
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return text if NAME.match(text) else ""


def _moment(value: Any, now: float, where: str) -> float:
    """Epoch seconds; now where nothing is said, never later than now."""
    if value in (None, "") or str(value).startswith("0001-"):
        return now
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return min(float(value), now)
    # Python before 3.11 reads up to six digits of a second; Prometheus writes nine.
    text = re.sub(r"(\.\d{1,6})\d*", r"\1", str(value)[:64])
    return min(parse_moment(text, what="moment", where=where), now)
