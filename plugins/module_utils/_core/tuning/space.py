# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What may be tuned: parameters with their ranges, and the values in use now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.host_settings import pattern_of


@dataclass(frozen=True)
class Parameter:
    """``values`` are the choices of one that is no number; ``log``: values are tried evenly by their ratio.

    ``setting`` names the host's own that it is; empty for one of the engine.
    """

    name: str
    kind: str
    default: Any
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    log: bool = False
    values: tuple[Any, ...] = ()
    setting: str = ""

    def accepts(self, value: Any) -> bool:
        if self.kind == "choice":
            return value in self.values
        return not isinstance(value, (str, bool)) and self.low <= value <= self.high


def read_space(record: Any) -> list[Parameter]:
    """Parameters, sorted by name.

    Raises:
        InputError: none, a range that is empty, or a default outside of it.
    """
    given = expect_mapping(record or {}, what="parameters", where="parameters")
    if not given:
        raise InputError(
            "there is nothing to tune", where="parameters", remedy="Name at least one parameter with its range"
        )
    space = [_parameter(str(name), given[name]) for name in sorted(given, key=str)]
    settings = [one.setting for one in space if one.setting]
    twice = sorted({one for one in settings if settings.count(one) > 1})
    if twice:
        raise InputError(f"{', '.join(twice)} is tuned by two parameters", where="parameters")
    return space


def _parameter(name: str, record: Any) -> Parameter:
    where = f"parameter {name}"
    fields = expect_mapping(record, what="parameter", where=where)
    unknown = sorted(set(fields) - {"kind", "setting", "low", "high", "step", "log", "values", "default"})
    if unknown:
        raise InputError(
            f"{', '.join(unknown)} is not known",
            where=where,
            remedy="Known are kind, setting, low, high, step, log, values and default",
        )
    kind, setting = fields.get("kind", "engine"), str(fields.get("setting") or "")
    if kind not in ("engine", "host") or (kind == "host") != bool(setting):
        raise InputError("kind must be engine, or host with a setting", where=where)
    if setting:
        pattern_of(setting, where=where)
    if "default" not in fields:
        raise InputError("has no default", where=where, remedy="Say what is in use now: it is what a winner must beat")
    default = fields["default"]
    if fields.get("values") is not None:
        values = tuple(fields["values"])
        if len(values) < 2 or default not in values:
            raise InputError("values must be two or more, the default among them", where=where)
        return Parameter(name, "choice", default, values=values, setting=setting)
    low = expect_number(fields.get("low"), what="low", where=where)
    high = expect_number(fields.get("high"), what="high", where=where, minimum=low)
    number = expect_number(default, what="default", where=where, minimum=low, maximum=high)
    whole = all(float(one).is_integer() for one in (low, high, number, fields.get("step") or 1))
    log = bool(fields.get("log"))
    if low == high or (log and low <= 0):
        raise InputError("the range is empty" if low == high else "log needs a range above 0", where=where)
    step = float(fields.get("step") or (1 if whole else 0))
    number = int(number) if whole else number
    return Parameter(name, "int" if whole else "float", number, low, high, step, log, setting=setting)


def defaults(space: list[Parameter]) -> dict[str, Any]:
    """What is in use now."""
    return {one.name: one.default for one in space}


def fingerprint_part(space: list[Parameter]) -> list[dict[str, Any]]:
    """What a history was made for, as plain values."""
    return [
        {name: value for name, value in {**vars(one), "values": list(one.values)}.items() if name != "setting" or value}
        for one in space
    ]


def engine_params(space: list[Parameter], params: Mapping[str, Any]) -> dict[str, Any]:
    """Of these values those of the engine."""
    return {one.name: params[one.name] for one in space if not one.setting and one.name in params}


def host_settings(space: list[Parameter], params: Mapping[str, Any]) -> dict[str, Any]:
    """Of these values those of the host, by setting."""
    return {one.setting: params[one.name] for one in space if one.setting and one.name in params}


def check_values(space: list[Parameter], params: Mapping[str, Any], where: str) -> None:
    """Refuses values of parameters that are not in the space.

    Raises:
        InputError: a name or a value that the space does not have.
    """
    known = {one.name: one for one in space}
    for name, value in params.items():
        if name not in known or not known[name].accepts(value):
            raise InputError(f"{name} = {value!r} is not in the space", where=where)
