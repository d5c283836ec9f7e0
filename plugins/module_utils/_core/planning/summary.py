# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A plan in a few lines for a person: what was decided, why, what changes, what is short, what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.reservations import reserved_lines

MAX_MODELS = 20
MAX_LINES = 5
MAX_DIPS = 3

Record = Mapping[str, Any]


def summary_lines(plan: Record) -> list[str]:
    """The plan in short, most important first.

    Raises:
        InputError: not a plan.
    """
    document = expect_mapping(plan, what="plan")
    return [
        _headline(document),
        *_model_lines(document),
        _change_line(document),
        *_rollout_lines(document),
        *_limited([_note_line(wave) for wave in document.get("waves") or [] if wave.get("note")], "wave notes"),
        *_limited(reserved_lines(document.get("reserved") or {}), "hosts with reserved accelerators"),
        *_shortage_lines(document),
        *_limited([_violation_line(one) for one in document.get("violations") or []], "limits not kept"),
        *_limited([f"Note: {text}" for text in document.get("warnings") or []], "notes"),
    ]


def counted(number: int, noun: str) -> str:
    """``1 start``, ``2 starts``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def change_text(starts: int, stops: int, moves: int, waves: int) -> str:
    """``2 starts and 1 stop (1 move) in 2 waves``."""
    if not starts and not stops:
        return "nothing, what runs is what is planned"
    parts = [counted(number, noun) for number, noun in ((starts, "start"), (stops, "stop")) if number]
    moving = f" ({counted(moves, 'move')})" if moves else ""
    return f"{' and '.join(parts)}{moving} in {counted(waves, 'wave')}"


def _headline(plan: Record) -> str:
    placements = plan.get("placements") or []
    hosts = len({one.get("host") for one in placements})
    models = len({one.get("model") for one in placements})
    what = f"{counted(len(placements), 'replica')} of {counted(models, 'model')} on {counted(hosts, 'host')}"
    cost = plan.get("cost_per_hour")
    return f"Plan of {plan.get('created_at')}: {what}" + ("" if cost is None else f", {cost:.2f} per hour")


def _model_lines(plan: Record) -> list[str]:
    """One line a model; models that change or are short come first when there are many."""
    planned = Counter(str(one.get("model")) for one in plan.get("placements") or [])
    now = Counter(str(one.get("model")) for one in plan.get("actions") or [] if one.get("action") in ("keep", "stop"))
    short = {str(one.get("model")) for one in plan.get("shortages") or []}
    names = sorted(
        {*planned, *now, *short, *(plan.get("demand") or {})},
        key=lambda name: (name not in short, planned[name] == now[name], name),
    )
    known = plan.get("models") or {}
    lines = [
        _model_line(name, planned[name], now[name], (plan.get("demand") or {}).get(name), name in known)
        for name in names
    ]
    if len(lines) > MAX_MODELS:
        lines[MAX_MODELS:] = [f"  and {len(lines) - MAX_MODELS} more models"]
    return lines


def _model_line(name: str, planned: int, now: int, demand: Record | None, known: bool) -> str:
    what = f"  {name}: {counted(planned, 'replica')} ({'as now' if planned == now else f'{now} now'})"
    if not known:
        return f"{what}: no longer in the catalogue"
    levels = (demand or {}).get("levels") or {}
    top = max(levels, key=float, default=None)
    rate = "" if top is None else f" for up to {levels[top]:.4g} requests/s"
    reason = (demand or {}).get("reason")
    return f"{what}{rate}" + (f": {reason}" if reason else "")


def _change_line(plan: Record) -> str:
    kinds = Counter(one.get("action") for one in plan.get("actions") or [])
    moves = len({one.get("move") for one in plan.get("actions") or [] if one.get("move")})
    return f"Changes: {change_text(kinds['start'], kinds['stop'], moves, len(plan.get('waves') or []))}"


def _rollout_lines(plan: Record) -> list[str]:
    """What is served while the plan is carried out: the deepest dips, or that there is none."""
    rollout = plan.get("rollout")
    if not isinstance(rollout, Mapping) or not plan.get("waves"):
        return []
    dips = sorted(rollout.get("dips") or [], key=lambda dip: (_share_left(dip), dip["first_wave"], dip["model"]))
    if not dips:
        return ["On the way: every model keeps what it needs"]
    lines = [_dip_line(dip) for dip in dips[:MAX_DIPS]]
    if len(dips) > MAX_DIPS:
        lines.append(f"On the way: {counted(len(dips) - MAX_DIPS, 'smaller dip')} more")
    return lines


def _share_left(dip: Record) -> float:
    return float(dip["lowest_requests_per_second"]) / float(dip["floor_requests_per_second"])


def _dip_line(dip: Record) -> str:
    first, last = dip["first_wave"], dip["last_wave"]
    waves = f"wave {first}" if first == last else f"waves {first} to {last}"
    return (
        f"On the way: {dip['model']} serves only {dip['lowest_requests_per_second']:.4g}"
        f" of {dip['floor_requests_per_second']:.4g} requests/s in {waves}"
    )


def _note_line(wave: Record) -> str:
    return f"Wave {wave.get('wave')}: {wave['note']}"


def _shortage_lines(plan: Record) -> list[str]:
    shortages = plan.get("shortages") or []
    if not shortages:
        return ["Short: nothing"]
    return _limited([_shortage_line(one) for one in shortages], "shortages")


def _shortage_line(one: Record) -> str:
    """A reason that begins with the model says all; another one is put behind the numbers."""
    name, reason = str(one.get("model")), str(one.get("reason") or "")
    cost = f", at {one['cost_per_hour']:.2f} per hour" if one.get("cost_per_hour") is not None else ""
    if reason.startswith(f"{name} "):
        return f"Short: {reason}{cost}"
    lacking = [f"{one['requests_per_second']:.4g} requests/s"] if one.get("requests_per_second") is not None else []
    if one.get("replicas"):
        lacking.append(counted(int(one["replicas"]), "replica"))
    return f"Short: {name} lacks {' and '.join(lacking) or 'capacity'}{cost}" + (f": {reason}" if reason else "")


def _violation_line(one: Record) -> str:
    reason = f": {one['reason']}" if one.get("reason") else ""
    return f"Limit not kept: {one.get('limit')} of {one.get('model')}{reason}"


def _limited(lines: Sequence[str], what: str) -> list[str]:
    if len(lines) <= MAX_LINES:
        return list(lines)
    return [*lines[:MAX_LINES], f"and {len(lines) - MAX_LINES} more {what}"]
