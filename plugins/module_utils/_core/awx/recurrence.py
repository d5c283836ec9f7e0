# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""When a schedule of AWX runs: iCalendar rules (RFC 5545) within what AWX takes.

AWX 24.6.1 wants a DTSTART with a zone and an INTERVAL in each rule, and takes neither seconds, numbered weekdays, days of
the year, week numbers, several months or month days, more than 999 runs, nor COUNT and UNTIL together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

FREQUENCIES = ("MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
WEEKDAYS = frozenset({"MO", "TU", "WE", "TH", "FR", "SA", "SU"})
REFUSED_PARTS = ("BYYEARDAY", "BYWEEKNO", "BYEASTER")
PARTS = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYHOUR", "BYMINUTE", "BYSETPOS", "WKST"}
)
MAX_COUNT = 999
_START = re.compile(
    r"DTSTART(?:;TZID=(?P<zone>[A-Za-z_+\-0-9]+(?:/[A-Za-z_+\-0-9]+)*))?:(?P<moment>\d{8}T\d{6})(?P<utc>Z?)"
)
_RANGES = {"BYMONTH": (1, 12), "BYMONTHDAY": (-31, 31), "BYHOUR": (0, 23), "BYMINUTE": (0, 59)}


def faults_of_rule(text: object) -> Iterator[str]:
    """What AWX would refuse in ``DTSTART:... RRULE:...``; nothing when it takes it."""
    if not isinstance(text, str) or not text.strip():
        yield "has no rrule"
        return
    words = text.split()
    starts = [word for word in words if word.startswith("DTSTART")]
    rules = [word[len("RRULE:") :] for word in words if word.startswith("RRULE:")]
    for word in words:
        if not word.startswith(("DTSTART", "RRULE:", "EXRULE:")):
            yield f"its rrule has {word!r}, which is neither DTSTART, RRULE nor EXRULE"
    yield from _faults_of_start(starts)
    if not rules:
        yield "its rrule has no RRULE"
    for rule in rules:
        yield from _faults_of_parts(rule)


def _faults_of_start(starts: list[str]) -> Iterator[str]:
    if len(starts) != 1:
        yield f"its rrule must have one DTSTART, not {len(starts)}, like DTSTART:20270101T060000Z"
        return
    match = _START.fullmatch(starts[0])
    if match is None:
        yield f"its {starts[0]!r} is not like DTSTART:20270101T060000Z or DTSTART;TZID=Europe/Berlin:20270101T060000"
        return
    if bool(match["zone"]) == bool(match["utc"]):
        yield "its DTSTART must have either a Z or a TZID"
    try:
        datetime.strptime(match["moment"], "%Y%m%dT%H%M%S")
    except ValueError:
        yield f"its DTSTART {match['moment']} is no moment of the calendar"


def _faults_of_parts(rule: str) -> Iterator[str]:
    parts = dict(part.partition("=")[::2] for part in rule.split(";") if part)
    if parts.get("FREQ") not in FREQUENCIES:
        yield f"its FREQ must be one of {', '.join(FREQUENCIES)}, not {parts.get('FREQ', '')!r}"
    if not parts.get("INTERVAL", "").isdigit() or int(parts["INTERVAL"]) < 1:
        yield "its RRULE must have an INTERVAL of 1 or more"
    if "COUNT" in parts and "UNTIL" in parts:
        yield "its RRULE has both COUNT and UNTIL"
    if "COUNT" in parts and not (parts["COUNT"].isdigit() and 1 <= int(parts["COUNT"]) <= MAX_COUNT):
        yield f"its COUNT must be between 1 and {MAX_COUNT}, not {parts['COUNT']!r}"
    for day in parts.get("BYDAY", "").split(",") if "BYDAY" in parts else ():
        if day not in WEEKDAYS:
            yield f"its BYDAY has {day!r}, which is not a plain weekday (MO to SU)"
    for name in sorted(parts):
        if name in REFUSED_PARTS:
            yield f"AWX does not take {name}"
        elif name not in PARTS:
            yield f"its RRULE has the unknown part {name!r}"
    for name, (least, most) in _RANGES.items():
        values = parts[name].split(",") if name in parts else []
        if name in ("BYMONTH", "BYMONTHDAY") and len(values) > 1:
            yield f"AWX does not take several values in {name}"
        for value in values:
            if (
                not re.fullmatch(r"-?\d{1,3}", value)
                or not least <= int(value) <= most
                or (least < 0 and int(value) == 0)
            ):
                yield f"its {name} has {value!r}, which is not between {least} and {most}"
