# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The result as a document, and in one line."""

from __future__ import annotations

import math
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    GENERATOR,
    digest,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.problem import Instance
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.share import Shares

SCHEMA_VERSION = 1
MISSING = 1e-9
NAMED = 3


def as_document(shares: Shares) -> dict[str, Any]:
    """share.json: canonical content, with nothing in it that changes from run to run."""
    instance, division = shares.instance, shares.division
    prices = [_plain(price) for price in division.prices.tolist()]
    resources = {
        name: {"amount": amount, "used": used, "price": price, "cost": cost}
        for name, amount, used, price, cost in zip(
            instance.resources, instance.amounts.tolist(), shares.used.tolist(), prices, instance.prices.tolist()
        )
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "share",
        "generator": GENERATOR,
        "inputs": {"problem": digest(_problem(instance))},
        "strategy": instance.strategy,
        "resource_use": instance.use,
        "objective": _plain(shares.objective),
        "capacity_price": prices[0] if len(prices) == 1 else None,
        "resources": resources,
        "shares": _records(shares),
        "shortages": _shortages(shares),
        "solver": {"method": division.method, "residual": _plain(division.residual)},
    }


def summarise(document: dict[str, Any]) -> str:
    """One line for a tired person."""
    count, objective = len(document["shares"]), document["objective"]
    resources = document["resources"]
    full = " and ".join(
        f"{entry['used']:.6g} of {entry['amount']:.6g} {name if name != 'capacity' else 'units'}"
        for name, entry in list(resources.items())[:NAMED]
    )
    text = f"{count} task{'' if count == 1 else 's'} share{'s' if count == 1 else ''} {full}"
    text += "; " + _said(document["strategy"], objective)
    price = document["capacity_price"]
    if price:
        text += f"; one more unit {_GAINS[document['strategy']].format(price)}"
    shortages = document["shortages"]
    if not shortages:
        return text + "; nothing is short"
    worst = sorted(shortages, key=lambda entry: (-(entry["missing"] or math.inf), entry["task"]))
    named = ", ".join(
        f"{entry['task']} by {entry['missing']:.6g}"
        if entry["missing"] is not None
        else f"{entry['task']} has no share"
        for entry in worst[:NAMED]
    )
    more = f" and {len(worst) - NAMED} more" if len(worst) > NAMED else ""
    return f"{text}; short: {named}{more}"


_GAINS = {
    "least_response_time": "would save {:.4g} weighted seconds",
    "max_utilization": "would add {:.4g} to the use",
    "max_min_fairness": "would raise the level by {:.4g}",
    "least_cost": "would save {:.4g}",
}


def _said(strategy: str, objective: float | None) -> str:
    if strategy == "least_response_time":
        return "a task never answers" if objective is None else f"weighted response time {objective:.6g} s"
    if strategy == "max_min_fairness":
        return "every task is at its ceiling" if objective is None else f"the lowest level is {objective:.6g}"
    return f"weighted use {objective:.6g}" if strategy == "max_utilization" else f"cost {objective:.6g}"


def _problem(instance: Instance) -> dict[str, Any]:
    arrays = ("amounts", "prices", "demand", "weight", "floor", "ceiling", "cost", "value", "needs")
    return {
        "strategy": instance.strategy,
        "use": instance.use,
        "resources": list(instance.resources),
        "names": list(instance.names),
        **{name: repr(getattr(instance, name).tolist()) for name in arrays},
    }


def _records(shares: Shares) -> list[dict[str, Any]]:
    instance, division = shares.instance, shares.division
    timed = instance.strategy == "least_response_time"
    columns = zip(
        instance.names,
        division.shares.tolist(),
        instance.demand.tolist(),
        shares.binding,
        shares.marginal.tolist(),
    )
    records = []
    for name, share, demand, binding, marginal in columns:
        records.append(
            {
                "name": name,
                "share": share,
                "served_fraction": None if timed else _fraction(share, demand),
                "response_time_seconds": _response(share, demand) if timed else None,
                "binding": binding,
                "marginal_value": _plain(marginal),
            }
        )
    if division.parts is not None:
        for record, row in zip(records, division.parts.tolist()):
            record["pools"] = {pool: part for pool, part in zip(instance.resources, row) if part > 0}
    return records


def _fraction(share: float, demand: float) -> float | None:
    if math.isnan(demand):
        return None
    return min(1.0, share / demand) if demand > 0 else 1.0


def _response(share: float, demand: float) -> float | None:
    if demand == 0:
        return 0.0
    return demand / share if share > 0 else None


def _shortages(shares: Shares) -> list[dict[str, Any]]:
    instance = shares.instance
    timed = instance.strategy == "least_response_time"
    rows = zip(
        instance.names,
        shares.division.shares.tolist(),
        instance.floor.tolist(),
        shares.must.tolist(),
        instance.demand.tolist(),
        shares.upper.tolist(),
    )
    found = []
    for name, share, floor, must, demand, upper in rows:
        if share < must * (1.0 - MISSING):
            kind = "floor" if share < floor * (1.0 - MISSING) else "demand"
            what = "floors" if kind == "floor" else "floors and demands"
            reason = f"the {what} together are more than there is; it was cut to {share:.6g} of {must:.6g} by weight"
            found.append(_shortage(name, kind, must, share, must - share, reason))
        elif timed and share <= 0 < demand:
            reason = "its ceiling is 0" if upper <= 0 else "nothing is left beside the floors of the others"
            found.append(_shortage(name, "no_share", None, share, None, f"it never answers: {reason}"))
    return found


def _shortage(
    task: str, kind: str, wanted: float | None, granted: float, missing: float | None, reason: str
) -> dict[str, Any]:
    return {"task": task, "kind": kind, "wanted": wanted, "granted": granted, "missing": missing, "reason": reason}


def _plain(number: float) -> float | None:
    """What JSON can say; None for infinite and for what has no value."""
    return number if math.isfinite(number) else None
