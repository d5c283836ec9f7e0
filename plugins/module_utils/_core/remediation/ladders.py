# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What is done about each alert: a ladder of steps, or why a person must look.

This table is the whole of it. A step that did not help is followed by the next; behind the last stands a person.
Sources: RELIABILITY of the field (restart, then move, then quarantine; disk by cleaning; overload by capacity).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

RESTART = "restart"
RESTART_AFTER_DRAIN = "restart_after_drain"
CLEAR_DISK = "clear_disk"
RESTART_EXPORTER = "restart_exporter"
MOVE = "move"
SCALE_OUT = "scale_out"
REPLAN = "replan"
QUARANTINE = "quarantine"
ESCALATE = "escalate"
STEPS = (RESTART, RESTART_AFTER_DRAIN, CLEAR_DISK, RESTART_EXPORTER, MOVE, SCALE_OUT, REPLAN, QUARANTINE)
# Alerts that say no fault: the heartbeat always fires, and what remediation told itself must not come back to it.
NO_FAULT = frozenset({"MonitoringHeartbeat", "RemediationEscalation"})
# Steps that take something away from users, were it only for a moment.
DISRUPTIVE = frozenset({RESTART, RESTART_AFTER_DRAIN, MOVE, QUARANTINE})
# Steps that change the plan of the whole fleet: one at a time is enough.
PLANNING = frozenset({MOVE, SCALE_OUT, REPLAN, QUARANTINE})

REPLICA, HOST, MODEL, GATEWAY, FLEET = "replica", "host", "model", "gateway", "fleet"
SCOPES = (REPLICA, HOST, MODEL, GATEWAY, FLEET)


@dataclass(frozen=True)
class Ladder:
    """What an alert is about and what is done.

    Attributes:
        scope: what the alert's labels must name for anything to be done.
        steps: in this order.
        person: why a person must look, where there are no steps.
        harm: 0 to 100; the most harmful is handled first.
        silent: the fault is that a server gives no answer; one that answers when looked at again is left alone.
        stale: the alert says that what is measured cannot be trusted; nothing else is done meanwhile.
        symptom: of several replicas at once after a change, the change is blamed.
        patience_seconds: a person is told only when it has fired that long, and that long after the last action on the model:
            what a fault cost that is being mended is out of the alert's window by then.
    """

    scope: str
    steps: tuple[str, ...] = ()
    person: str = ""
    harm: int = 50
    silent: bool = False
    stale: bool = False
    symptom: bool = False
    patience_seconds: float = 0.0


LADDERS: Mapping[str, Ladder] = {
    # A replica.
    "ModelServerDown": Ladder(REPLICA, (RESTART, MOVE), harm=90, silent=True, symptom=True),
    "ModelServerNotReady": Ladder(REPLICA, (RESTART, MOVE), harm=85, silent=True, symptom=True),
    "ModelServerStalled": Ladder(REPLICA, (RESTART, MOVE), harm=88, silent=True, symptom=True),
    "ModelServerErrors": Ladder(REPLICA, (RESTART_AFTER_DRAIN, MOVE), harm=80, symptom=True),
    "ModelServerFlapping": Ladder(REPLICA, (MOVE,), harm=60, symptom=True),
    "AcceleratorMemoryHigh": Ladder(REPLICA, (RESTART_AFTER_DRAIN, MOVE), harm=55),
    # A host.
    "HostDown": Ladder(HOST, (REPLAN,), harm=95),
    "HostDiskFull": Ladder(HOST, (CLEAR_DISK, MOVE), harm=75),
    "HostDiskWillFill": Ladder(HOST, (CLEAR_DISK,), harm=40),
    "HostMemoryHigh": Ladder(HOST, (MOVE,), harm=70),
    "HostCpuHigh": Ladder(HOST, (SCALE_OUT, MOVE), harm=45),
    "HostNetworkErrors": Ladder(HOST, (MOVE,), harm=55),
    "HostNetworkSaturated": Ladder(HOST, (MOVE,), harm=50),
    "AcceleratorHot": Ladder(HOST, (MOVE,), harm=55),
    "AcceleratorThrottled": Ladder(HOST, (MOVE,), harm=45),
    "AcceleratorEccErrors": Ladder(HOST, (QUARANTINE,), harm=65),
    # The replicas may be well: the exporter alone is started anew.
    "AcceleratorExporterSilent": Ladder(HOST, (RESTART_EXPORTER,), harm=20),
    # A gateway.
    "GatewayDown": Ladder(GATEWAY, (RESTART,), harm=100, silent=True),
    # A model.
    "GatewayBackendEmpty": Ladder(MODEL, (REPLAN,), harm=98),
    "QueueGrowing": Ladder(MODEL, (SCALE_OUT,), harm=65),
    "ModelTtftBurn": Ladder(MODEL, (SCALE_OUT,), harm=60),
    "ModelInterTokenBurn": Ladder(MODEL, (SCALE_OUT,), harm=58),
    "DemandAboveForecast": Ladder(MODEL, (REPLAN,), harm=50),
    "CapacityShortfallAhead": Ladder(MODEL, (REPLAN,), harm=45),
    "ModelErrorRateHigh": Ladder(
        MODEL, person="Errors that no single server explains: look at the release, the requests and the gateway", harm=85,
        patience_seconds=120.0,
    ),
    "ModelAvailabilityBurn": Ladder(
        MODEL, person="The budget of failed requests burns; its causes have alerts of their own, if these are silent look",
        harm=80, patience_seconds=420.0,
    ),
    "StreamsTruncated": Ladder(
        MODEL, person="Streams end before they should: look at time limits of the gateway and at stops without draining",
        harm=70, patience_seconds=420.0,
    ),
    # The fleet.
    "PlanStale": Ladder(FLEET, (REPLAN,), harm=30),
    "ForecastQualityLow": Ladder(
        FLEET, person="Demand changed its ways; what is observed carries the plan meanwhile. Look at the backtest", harm=15
    ),
    "JobLate": Ladder(
        FLEET, person="More accelerators, a later deadline or a lower weight of others is not remediation's to choose", harm=12
    ),
    "JobStalled": Ladder(
        FLEET, person="A job may be silent and well; only its owner can tell whether to cancel it and what that loses", harm=14
    ),
    "JobTurnMissing": Ladder(FLEET, person="Whoever takes the turns of run_jobs has stopped, or they fail: look at its last run", harm=25),
    "CertificateExpiresSoon": Ladder(FLEET, person="Renew the certificate and put it in place", harm=35),
    "MonitoringSilent": Ladder(FLEET, person="Nobody watches the fleet: bring the monitoring back", harm=60, stale=True),
    "PrometheusDown": Ladder(FLEET, person="Nothing is measured: its service should have come back by itself", harm=60, stale=True),
    "AlertmanagerDown": Ladder(FLEET, person="Alerts reach nobody: its service should have come back by itself", harm=55, stale=True),
}  # fmt: skip


def build_ladders(changes: Mapping[str, Any]) -> dict[str, Ladder]:
    """The table with the operator's changes: alert name to keys of :class:`Ladder` that replace the built-in's.

    Raises:
        InputError: an unknown key, scope or step, or an alert with neither steps nor a reason for a person.
    """
    table = dict(LADDERS)
    known = {item.name for item in fields(Ladder)}
    for name, change in changes.items():
        where = f"ladders.{name}"
        entry = dict(expect_mapping(change, what="ladder", where=where))
        unknown = sorted(set(entry) - known)
        if unknown:
            raise InputError(
                f"unknown keys {', '.join(unknown)}", where=where, remedy=f"Use {', '.join(sorted(known))}"
            )
        if "steps" in entry:
            steps = entry["steps"]
            if not isinstance(steps, (list, tuple)) or any(step not in STEPS for step in steps):
                raise InputError(f"steps must be a list of {', '.join(STEPS)}, not {steps!r}", where=where)
            entry["steps"] = tuple(steps)
        if "harm" in entry:
            entry["harm"] = int(expect_number(entry["harm"], what="harm", where=where, minimum=0, maximum=100))
        if "patience_seconds" in entry:
            entry["patience_seconds"] = expect_number(
                entry["patience_seconds"], what="patience_seconds", where=where, minimum=0
            )
        if name not in table and "scope" not in entry:
            raise InputError("scope is missing", where=where, remedy=f"Use one of {', '.join(SCOPES)}")
        ladder = replace(table[name], **entry) if name in table else Ladder(**entry)
        if ladder.scope not in SCOPES:
            raise InputError(f"scope must be one of {', '.join(SCOPES)}, not {ladder.scope!r}", where=where)
        if not ladder.steps and not ladder.person:
            raise InputError("there are neither steps nor a reason for a person to look", where=where)
        table[name] = ladder
    return table
