# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The options of a decision, checked once and turned into what the decision reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, parse_hosts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.alerts import parse_alerts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import History
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import build_ladders
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import Policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.situation import (
    Look,
    Rollout,
    Server,
    Silence,
    Situation,
    Window,
)

PATTERN_LIMIT = 200


def situation_of(given: Mapping[str, Any], history: History, policy: Policy, *, now: float) -> Situation:
    """The options of the module, with the history of actions, as one situation.

    Raises:
        InputError: an option does not hold what it must.
    """
    hosts = {one.name: one for one in parse_hosts(given["hosts"])}
    gathered = given.get("gathered_at")
    return Situation(
        now=now,
        alerts=parse_alerts(given["alerts"], now=now),
        gathered_at=now if gathered in (None, "") else moment(_number(gathered), "gathered_at", "gathered_at"),
        hosts=hosts,
        servers=servers_of(given["replicas"], hosts, given["models"]),
        history=history,
        gateways=frozenset(given["gateways"]),
        models=frozenset(given["models"]),
        floors=floors_of(given["plan"]),
        looked=looks_of(given["looked"]),
        rollouts=rollouts_of(given["rollouts"]),
        windows=windows_of(given["maintenance"]),
        silences=silences_of(given["silences"]),
        set_aside=frozenset(history.set_aside(now, policy.move_seconds)),
        ladders=build_ladders(given["ladders"]),
        owner=given["owner"],
        alone=given["alone"],
        shadow=given["shadow"],
    )


def servers_of(
    replicas: Sequence[Mapping[str, Any]], hosts: Mapping[str, Host], models: Mapping[str, Any]
) -> dict[str, Server]:
    """The replicas that run, by HOST-SLOT, with what each can serve on its host's kind."""
    found = {}
    for position, entry in enumerate(replicas):
        where = f"replicas[{position}]"
        fields = expect_mapping(entry, what="replica", where=where)
        host, model = str(fields.get("host", "")), str(fields.get("model", ""))
        if host not in hosts:
            raise InputError(f"it runs on {host!r}, which is not in hosts", where=where)
        slot = int(expect_number(fields.get("slot"), what="slot", where=where, minimum=0))
        capacity = (models.get(model) or {}).get("capacity") or {}
        rate = (capacity.get(hosts[host].accelerator_type) or {}).get("requests_per_second", 0.0)
        name = f"{host}-{slot}"
        rate = expect_number(rate, what="requests_per_second", where=f"models.{model}", minimum=0)
        found[name] = Server(name, host, slot, model, hosts[host].zone, rate)
    return found


def floors_of(plan: Any) -> dict[str, float]:
    """Requests/s each model must go on serving, as the plan says; nothing where there is no plan."""
    if not plan:
        return {}
    fields = expect_mapping(plan, what="plan", where="plan")
    floors = (fields.get("rollout") or {}).get("floors_requests_per_second") or {}
    return {
        str(model): expect_number(value, what="floor", where=f"plan, {model}", minimum=0)
        for model, value in expect_mapping(floors, what="floors", where="plan").items()
    }


def looks_of(looked: Mapping[str, Any]) -> dict[str, Look]:
    found = {}
    for name, entry in looked.items():
        fields = expect_mapping(entry, what="look", where=f"looked.{name}")
        if not isinstance(fields.get("answers"), bool):
            raise InputError("answers must be true or false", where=f"looked.{name}")
        found[str(name)] = Look(fields["answers"], expect_number(fields.get("at"), what="at", where=f"looked.{name}"))
    return found


def rollouts_of(given: Sequence[Any]) -> list[Rollout]:
    """Changes of models, each with ``model``, ``began``, ``ended`` and ``what``; or the journals of upgrades."""
    found = []
    for position, entry in enumerate(given):
        where = f"rollouts[{position}]"
        fields = expect_mapping(entry, what="rollout", where=where)
        journal = fields.get("kind") == "upgrade"
        began = fields.get("began_at") if journal else fields.get("began")
        ended = (
            (fields.get("events") or [{}])[-1].get("at") if journal and fields.get("finished") else fields.get("ended")
        )
        what = f"{fields.get('model')} to {fields.get('version')}" if journal else str(fields.get("what") or "")
        found.append(
            Rollout(
                model=str(fields.get("model", "")),
                began=moment(began, "began", where),
                ended=None if ended in (None, "") else moment(ended, "ended", where),
                what=what,
            )
        )
    return found


def windows_of(given: Sequence[Any]) -> list[Window]:
    """Maintenance windows, each with ``from`` and ``until`` and at least one of host, model, zone or ``all: true``."""
    found = []
    for position, entry in enumerate(given):
        where = f"maintenance[{position}]"
        fields = expect_mapping(entry, what="maintenance window", where=where)
        names = {name: str(fields.get(name) or "") for name in ("host", "model", "zone")}
        if not any(names.values()) and fields.get("all") is not True:
            raise InputError("it names no host, model or zone", where=where, remedy="Say all: true if it is about all")
        found.append(
            Window(
                begins=moment(fields.get("from"), "from", where),
                ends=moment(fields.get("until"), "until", where),
                reason=str(fields.get("reason") or ""),
                **names,
            )
        )
    return found


def silences_of(given: Sequence[Any]) -> list[Silence]:
    """Silences as Alertmanager's API lists them; those that are no longer active are left out."""
    found = []
    for position, entry in enumerate(given):
        where = f"silences[{position}]"
        fields = expect_mapping(entry, what="silence", where=where)
        if (fields.get("status") or {}).get("state", "active") != "active":
            continue
        matchers = []
        for one in fields.get("matchers") or []:
            one = expect_mapping(one, what="matcher", where=where)
            value, pattern = str(one.get("value", "")), one.get("isRegex") is True
            if pattern:
                _check_pattern(value, where)
            matchers.append((str(one.get("name", "")), value, pattern, one.get("isEqual", True) is not False))
        found.append(
            Silence(
                begins=moment(fields.get("startsAt"), "startsAt", where),
                ends=moment(fields.get("endsAt"), "endsAt", where),
                matchers=tuple(matchers),
            )
        )
    return found


def moment(value: Any, what: str, where: str) -> float:
    """Epoch seconds out of a number or an ISO 8601 moment."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return parse_moment(re.sub(r"(\.\d{1,6})\d*", r"\1", str(value or "")), what=what, where=where)


def _number(value: Any) -> Any:
    """Templates write numbers as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _check_pattern(value: str, where: str) -> None:
    try:
        re.compile(value)
    except re.error as error:
        raise InputError(f"{value!r} is not a pattern ({error})", where=where) from error
    if len(value) > PATTERN_LIMIT:
        raise InputError(f"the pattern is longer than {PATTERN_LIMIT} characters", where=where)
