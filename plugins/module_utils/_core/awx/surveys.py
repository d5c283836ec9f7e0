# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a survey of AWX asks: AWX takes a template with a wrong question half-way, so that it is looked at before."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

TEXTS = ("text", "textarea", "password")
CHOICES = ("multiplechoice", "multiselect")
NUMBERS = ("integer", "float")
TYPES = TEXTS + CHOICES + NUMBERS
FIELDS = frozenset(
    {"question_name", "question_description", "required", "type", "variable", "choices", "min", "max", "default"}
)
# Who may answer a survey may not by it change how, where or as whom Ansible acts.
_RESERVED = re.compile(r"(ansible|awx|tower)_.*")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def faults_of_survey(questions: object) -> Iterator[str]:
    """What is wrong with a list of questions, each fault naming its question."""
    if not isinstance(questions, list):
        yield "its survey must be a list of questions"
        return
    seen: set[str] = set()
    for position, question in enumerate(questions, start=1):
        if not isinstance(question, Mapping):
            yield f"question {position} of its survey must be a mapping"
            continue
        name = str(question.get("variable") or f"number {position}")
        for fault in _faults_of_question(question):
            yield f"the survey's question {name} {fault}"
        if name in seen:
            yield f"the survey asks for {name} twice"
        seen.add(name)


def _faults_of_question(question: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(map(str, question.keys() - FIELDS)):
        yield f"has the unknown field {name!r}"
    variable, kind = question.get("variable"), question.get("type")
    if not isinstance(variable, str) or not _IDENTIFIER.fullmatch(variable):
        yield "needs a variable of letters, digits and underscores"
    elif _RESERVED.fullmatch(variable):
        yield "sets a variable of Ansible or AWX itself"
    if not question.get("question_name"):
        yield "has no question_name"
    if not isinstance(question.get("required"), bool):
        yield "must say whether it is required (true or false)"
    if kind not in TYPES:
        yield f"has the type {kind!r}, not one of {', '.join(TYPES)}"
        return
    if kind in CHOICES:
        yield from _faults_of_choices(question)
    else:
        yield from _faults_of_bounds(question)
    if kind == "password" and question.get("default"):
        yield "has a password in the data as its default"


def _faults_of_choices(question: Mapping[str, Any]) -> Iterator[str]:
    choices = question.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(one, str) and one for one in choices):
        yield "needs choices, a list of texts"
        return
    if len(set(choices)) != len(choices):
        yield "has a choice twice"
    default = question.get("default")
    wanted = [] if default in (None, "") else default if isinstance(default, list) else str(default).split("\n")
    for one in wanted:
        if one not in choices:
            yield f"has the default {one!r}, which is not among its choices"


def _faults_of_bounds(question: Mapping[str, Any]) -> Iterator[str]:
    least, most = _number(question.get("min")), _number(question.get("max"))
    if least is None or most is None:
        yield f"needs {'min' if least is None else 'max'}, since AWX checks answers by nothing else"
        return
    if least > most:
        yield f"has min {least} above max {most}"
    default = question.get("default")
    if default in (None, ""):
        return
    size = _number(default) if question["type"] in NUMBERS else len(str(default))
    if size is None or (question["type"] == "integer" and size != int(size)):
        yield f"has the default {default!r}, which is not of its type {question['type']}"
    elif not least <= size <= most:
        yield f"has a default outside min {least} and max {most}"


def _number(value: object) -> int | float | None:
    """The value where it is a finite number, which a truth is not."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return value
    return None
