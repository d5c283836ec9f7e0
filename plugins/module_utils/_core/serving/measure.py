# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Read a server's metrics once, or twice for rates."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.exposition import (
    Exposition,
    parse_exposition,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.http_client import ask
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.server_metrics import (
    normalise,
    throughput,
)


def measure(
    address: str, *, api_key: str, timeout_seconds: float, sample_seconds: float
) -> tuple[dict[str, Any], dict[str, float | None] | None]:
    """Normalised metrics, and rates when ``sample_seconds`` is above 0; latencies are then of that time.

    Raises:
        SourceUnavailableError: no answer, or one that is no Prometheus text.
    """

    def read() -> Exposition:
        answer = ask(address, timeout_seconds=timeout_seconds, api_key=api_key)
        if not answer.good:
            raise SourceUnavailableError(f"the metrics cannot be read: {answer.says()}")
        return parse_exposition(answer.body, where=address)

    first = read()
    if sample_seconds <= 0:
        return normalise(first), None
    began = time.monotonic()
    time.sleep(sample_seconds)
    second = read()
    elapsed = time.monotonic() - began
    return normalise(second, first), throughput(normalise(first), normalise(second), elapsed)
