# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event filter ``alert_signal``: of what a webhook was sent, only what can be trusted, small and always the same shape.

Labels are text that anybody who reaches a metric can choose. What leaves here holds no request headers (the
token is one of them), no character that could begin a template, and a bounded number of alerts. It says that
something fires; what really fires is asked of Alertmanager by the playbook.

Self-contained, as event filters must be.
"""

from __future__ import annotations

import re
import time
from typing import Any

DOCUMENTATION = r"""
short_description: Reduce a webhook's message to a small, harmless signal
description:
  - Takes Alertmanager's webhook message, in C(payload) or at the top of the event.
  - Gives C(signal) with C(firing), the number of firing alerts, C(resolved), that of resolved ones, C(dropped), that of
    malformed ones, C(urgent), whether one of them is of O(urgent_severity), and C(alerts), at most O(max_alerts) of them,
    urgent ones first.
  - C(signal.first) is true for a firing one that came O(hold_seconds) or more after the last first one that was as urgent,
    and C(signal.more) for any other firing one. A rule for each answers the one at once and the others together. It is told
    here since an event that matches two rules with a throttle is given to one of them only (drools_jpy 0.4.1).
  - An event without any alert has C(signal.firing) 0, so no rule matches it.
options:
  max_alerts:
    description: How many alerts are kept.
    type: int
    default: 100
  urgent_severity:
    description: Value of the label C(severity) that is urgent.
    type: str
    default: page
  hold_seconds:
    description: For so long after a first signal, those that are as urgent are more of it.
    type: float
    default: 30
"""

EXAMPLES = r"""
- eda.builtin.webhook:
    port: 5010
  filters:
    - modelops.datacenter.alert_signal:
        max_alerts: 50
"""

LABELS = ("alertname", "host", "model", "slot", "zone", "severity", "accelerator", "device", "mountpoint", "path")
VALUE = re.compile(r"[A-Za-z0-9 _./:@+-]{0,200}\Z")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,100}\Z")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,18}(?:Z|[+-][0-9]{2}:[0-9]{2})\Z")
MAX_SEEN = 20_000
_firsts: dict[bool, float] = {}  # monotonic seconds of the last first signal, by whether it was urgent


def main(
    event: Any, max_alerts: int = 100, urgent_severity: str = "page", hold_seconds: float = 30.0
) -> dict[str, Any]:
    """See ``DOCUMENTATION``."""
    message = event.get("payload", event) if isinstance(event, dict) else {}
    given = message.get("alerts") if isinstance(message, dict) else None
    found, resolved, dropped = [], 0, 0
    for one in given[:MAX_SEEN] if isinstance(given, list) else []:
        alert = _alert(one)
        if alert is None:
            dropped += 1
        elif alert["status"] == "firing":
            found.append(alert)
        else:
            resolved += 1
    found.sort(key=lambda alert: alert["labels"].get("severity") != urgent_severity)
    urgent = bool(found) and found[0]["labels"].get("severity") == urgent_severity
    first = bool(found) and _is_first(urgent, float(hold_seconds))
    signal = {
        "firing": len(found),
        "resolved": resolved,
        "dropped": dropped,
        "urgent": urgent,
        "first": first,
        "more": bool(found) and not first,
        "alerts": found[: max(1, int(max_alerts))],
    }
    kept = event.get("meta") if isinstance(event, dict) else None
    return {"signal": signal, **({"meta": kept} if isinstance(kept, dict) else {})}


def _is_first(urgent: bool, hold_seconds: float) -> bool:
    now = time.monotonic()
    if urgent in _firsts and now - _firsts[urgent] < hold_seconds:
        return False
    _firsts[urgent] = now
    return True


def _alert(one: Any) -> dict[str, Any] | None:
    """The alert with known labels of harmless values; None when it is none."""
    labels = one.get("labels") if isinstance(one, dict) else None
    if not isinstance(labels, dict) or not NAME.match(str(labels.get("alertname", ""))):
        return None
    if one.get("status") not in ("firing", "resolved"):
        return None
    kept = {}
    for key in LABELS:
        value = labels.get(key)
        if value is None:
            continue
        if not isinstance(value, str) or not VALUE.match(value):
            return None
        kept[key] = value
    begun = str(one.get("startsAt") or "")
    return {"status": one["status"], "labels": kept, **({"startsAt": begun} if MOMENT.match(begun) else {})}
