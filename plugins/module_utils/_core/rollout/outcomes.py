# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What one request says about the server that answered it.

HAProxy's termination state names who ended the session (first letter) and in which phase
(second letter). Whose doing each is:

- the server's: ``S`` (it refused or aborted), ``s`` (it stayed silent until ``timeout server``),
  ``D`` (cut because health checks found it down), ``PH`` and ``PD`` (its response was not valid
  HTTP). In phase ``D`` or ``L`` a stream was cut, though its status is 200.
- the client's: ``C`` (it went away, as in ``CD``) and ``c`` (it stayed silent). Counted neither
  good nor bad, but for one case: a client that gave up before the first byte after more than
  the SLO for it (``CH``, ``CC``, ``CQ``) saw a slow answer.
- the gateway's or its operator's: ``R``, ``I``, ``L``, ``K``, ``U`` and other ``P``. Left out.

A request then is one of:

- ``failed``: 5xx, cut stream, timeout, no status, empty answer.
- ``slow``: time to first token or time between tokens above the SLO.
- ``refused``: 4xx. Clients cause these on both sides alike; a canary that does not know the
  model causes more.
- ``good``, or ``left out``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.events import Events

FAILED = "failed"
SLOW = "slow"
REFUSED = "refused"
GOOD = "good"
LEFT_OUT = "left out"

SERVER_ENDED = ("S", "s", "D")
SERVER_INVALID = ("PH", "PD")
CLIENT_ENDED = ("C", "c")
GATEWAY_ENDED = ("R", "I", "L", "K", "U", "P")
BEFORE_FIRST_BYTE = ("H", "C", "Q")


@dataclass(frozen=True)
class Slo:
    """Limits in milliseconds; infinite where there is none."""

    ttft_ms: float = math.inf
    inter_token_ms: float = math.inf
    total_ms: float = math.inf


def first_token_ms(events: Events, row: int) -> float:
    """Time to first token of a request; the time to the response's headers where no token was seen; NaN when unknown."""
    seen = _measure(events, "ttft_ms", row)
    return seen if math.isfinite(seen) else _measure(events, "response_ms", row)


def outcome(events: Events, row: int, slo: Slo) -> str:
    """What the request in ``row`` says: failed, slow, refused, good or left out."""
    term, status = events.term[row], events.status[row]
    ended, phase = term[:1], term[1:2]
    if ended in SERVER_ENDED or term[:2] in SERVER_INVALID:
        return FAILED
    if ended in CLIENT_ENDED:
        waited = _measure(events, "total_ms", row)
        gave_up = phase in BEFORE_FIRST_BYTE and ended == "C" and waited > slo.ttft_ms
        return SLOW if gave_up else LEFT_OUT
    if ended in GATEWAY_ENDED:
        return LEFT_OUT
    if status < 100 or status >= 500 or _is_empty(events, row):
        return FAILED
    if status >= 400:
        return REFUSED
    measured: Mapping[str, float] = {
        "ttft_ms": first_token_ms(events, row),
        "inter_token_ms": _measure(events, "inter_token_ms", row),
        "total_ms": _measure(events, "total_ms", row),
    }
    return SLOW if any(value > getattr(slo, name) for name, value in measured.items()) else GOOD


def _is_empty(events: Events, row: int) -> bool:
    """An answer without a byte, or without a token where tokens are counted."""
    return _measure(events, "bytes", row) == 0 or _measure(events, "output_tokens", row) == 0


def _measure(events: Events, name: str, row: int) -> float:
    column = events.measures.get(name)
    return column[row] if column is not None else math.nan
