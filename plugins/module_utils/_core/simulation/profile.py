# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How fast one replica serves: prefill, decode by batch size, room for the cache.

A replica decodes all of its running requests together, one token each a step. A step
with b requests takes ``step_seconds[b - 1]``. A prefill takes
``prefill_base_seconds + prefill_seconds_per_token * input tokens``, one at a time, and the
decoding of the others waits meanwhile.

With b requests running, mean prefill p and mean d tokens to decode, a request stays

    T(b) = d step(b) + b p

seconds: its own decode steps, and one prefill for each of the b requests that are admitted
in that time (Little's law). So a replica completes b / T(b) requests/s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


@dataclass(frozen=True)
class Profile:
    """One replica of one model on one kind of accelerator.

    ``step_seconds``: seconds of a decode step with 1, 2, ... requests; its length is the largest batch.
    ``kv_tokens``: tokens, of input and output, that the cache holds.
    ``accelerators``: how many one replica takes.
    """

    step_seconds: tuple[float, ...]
    prefill_base_seconds: float = 0.0
    prefill_seconds_per_token: float = 0.0
    kv_tokens: float = math.inf
    startup_seconds: float = 0.0
    accelerators: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.prefill_base_seconds, self.prefill_seconds_per_token, self.startup_seconds, self.accelerators)
        if not self.step_seconds or min(self.step_seconds) <= 0 or not all(map(math.isfinite, self.step_seconds)):
            raise InputError(
                "a profile needs the positive seconds of a decode step for each batch size from 1 on",
                remedy="Measure them, or name a constant rate",
            )
        if min(numbers) < 0 or not all(map(math.isfinite, numbers)) or not self.kv_tokens > 0:
            raise InputError("the seconds, tokens and accelerators of a profile are finite and never negative")

    @property
    def max_batch(self) -> int:
        return len(self.step_seconds)

    def prefill_seconds(self, input_tokens: Array) -> Array:
        return self.prefill_base_seconds + self.prefill_seconds_per_token * input_tokens

    def batch_limit(self, input_tokens: float, output_tokens: float) -> int:
        """The largest batch of requests of this mean size: by the engine, or by the cache."""
        size = input_tokens + output_tokens
        by_cache = self.max_batch if size <= 0 or math.isinf(self.kv_tokens) else int(self.kv_tokens // size)
        return max(1, min(self.max_batch, by_cache))

    def stay_seconds(self, batch: Array, input_tokens: float, output_tokens: float) -> Array:
        """T(b): seconds in the replica with ``batch`` requests running, which may be a fraction of one on."""
        sizes = np.arange(1, self.max_batch + 1, dtype=np.float64)
        held = np.maximum(np.asarray(batch, dtype=np.float64), 1.0)
        step = np.interp(held, sizes, np.asarray(self.step_seconds))
        return max(output_tokens - 1.0, 0.0) * step + held * self.prefill_seconds(input_tokens)

    def requests_per_second(self, input_tokens: float, output_tokens: float) -> float:
        """What one replica completes at most, over all batch sizes it can have."""
        batches = np.arange(1, self.batch_limit(input_tokens, output_tokens) + 1, dtype=np.float64)
        return float(np.max(batches / self.stay_seconds(batches, input_tokens, output_tokens)))


def departures_per_second(profile: Profile, replicas: int, input_tokens: float, output_tokens: float) -> Array:
    """m(k) of ``replicas`` alike that share k = 1, 2, ... requests evenly; up to all of them full. Never falls."""
    limit = profile.batch_limit(input_tokens, output_tokens)
    requests = np.arange(1, replicas * limit + 1, dtype=np.float64)
    rates = requests / profile.stay_seconds(requests / replicas, input_tokens, output_tokens)
    return np.maximum.accumulate(rates)
