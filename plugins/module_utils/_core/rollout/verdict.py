# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the judge of a canary says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PASS = "pass"
FAIL = "fail"
INCONCLUSIVE = "inconclusive"
PROVIDER_ERROR = "provider_error"


@dataclass(frozen=True)
class Verdict:
    """``verdict``: pass (promote), fail (roll back), inconclusive (hold; never promote on a timeout) or
    provider_error (freeze: the judge cannot see); ``reasons``: sentences; ``figures``: what a report needs."""

    verdict: str
    reasons: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)
