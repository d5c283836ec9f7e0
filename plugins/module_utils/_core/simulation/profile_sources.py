# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Where a profile comes from: a named rate, the catalogue's measured facts, or a table of measurements.

The table has one row a measurement and these columns, the ones of the table that SageServe
(github.com/shashwatj07/SageServe, MIT) publishes; others are ignored:

============== ====================================================================
model          whose profile
hardware       accelerator type
tensor_parallel accelerators a replica takes
prompt_size    tokens in, of each request
batch_size     requests in the batch
prompt_time    ms to prefill the whole batch
token_time     ms of one decode step of the batch
============== ====================================================================

The seconds of a decode step are, by batch size, the median over the measurements with the
prompt size that was measured at most batch sizes, straight lines between them, and never
less for a larger batch. Beyond the largest batch measured nothing is said: it is the limit.
The prefill is the straight line base + slope x (prompt size x batch size) through its
measurements, with the least relative squares, neither of the two negative.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Capacity, Model
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import Profile

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

MILLISECONDS = 1000.0
COLUMNS = ("model", "hardware", "tensor_parallel", "prompt_size", "batch_size", "prompt_time", "token_time")


def constant_rate(
    requests_per_second: float,
    service_seconds: float,
    *,
    output_tokens: float,
    startup_seconds: float = 0.0,
    accelerators: float = 1.0,
) -> Profile:
    """A replica that completes that many requests/s, each in ``service_seconds`` whatever else runs.

    It works on round(rate x service) requests at once, at least one, and its service time is that number over the
    rate, so the rate is kept exactly. There is no prefill: the first token comes when the request is admitted.

    Args:
        output_tokens: mean of the trace, above 1: what a service time stands for.
    """
    if requests_per_second <= 0 or service_seconds <= 0 or output_tokens <= 1:
        raise InputError(
            "a constant rate needs requests/s and seconds above 0, and more than one token out",
            remedy="Give the trace its output lengths, or 2 for each",
        )
    places = max(1, round(requests_per_second * service_seconds))
    step = places / requests_per_second / (output_tokens - 1.0)
    return Profile((step,) * places, startup_seconds=startup_seconds, accelerators=accelerators)


def from_catalogue(model: Model, accelerator_type: str, *, output_tokens: float) -> Profile:
    """The constant rate that the catalogue, or a fact that was measured into it, gives the model on that type."""
    capacity: Capacity | None = model.capacity.get(accelerator_type)
    if capacity is None:
        raise InputError(
            f"the catalogue has no capacity of it on {accelerator_type}",
            where=f"model {model.name}",
            remedy=f"Types with a capacity: {', '.join(sorted(model.capacity)) or 'none'}",
        )
    return constant_rate(
        capacity.requests_per_second,
        capacity.service_time_seconds,
        output_tokens=output_tokens,
        startup_seconds=model.startup_seconds,
        accelerators=model.accelerators or 1.0,
    )


def read_table(content: bytes, *, where: str) -> list[dict[str, str]]:
    """The rows of a table of measurements, CSV or gzipped CSV.

    Raises:
        InputError: not a table, or a column is missing.
    """
    try:
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"this is not a CSV file ({error})", where=where) from error
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}", where=where)
    return list(reader)


def from_table(
    rows: Iterable[Mapping[str, str]],
    *,
    model: str,
    hardware: str,
    tensor_parallel: int,
    kv_tokens: float = float("inf"),
    startup_seconds: float = 0.0,
) -> Profile:
    """The profile of one model on one kind of accelerator.

    Raises:
        InputError: no row of them, or a value that is no positive number.
    """
    where = f"profile of {model} on {hardware}, {tensor_parallel} accelerators"
    chosen = []
    known = set()
    for number, row in enumerate(rows):
        known.add((row["model"], row["hardware"], row["tensor_parallel"]))
        if (row["model"], row["hardware"], row["tensor_parallel"]) == (model, hardware, str(tensor_parallel)):
            chosen.append(_measurement(row, f"row {number + 2}"))
    if not chosen:
        shown = ", ".join("/".join(one) for one in sorted(known))
        raise InputError("the table has no measurement of it", where=where, remedy=f"It has {shown or 'no row'}")
    table = np.asarray(chosen, dtype=np.float64)
    base, slope = _prefill(table[:, 0] * table[:, 1], table[:, 2])
    return Profile(
        step_seconds=_steps(table),
        prefill_base_seconds=base,
        prefill_seconds_per_token=slope,
        kv_tokens=kv_tokens,
        startup_seconds=startup_seconds,
        accelerators=float(tensor_parallel),
    )


def _measurement(row: Mapping[str, str], where: str) -> list[float]:
    """Tokens in, requests, seconds to prefill, seconds of a step."""
    names = ("prompt_size", "batch_size", "prompt_time", "token_time")
    try:
        values = [float(row[name]) for name in names]
    except (TypeError, ValueError) as error:
        raise InputError(f"a value of the table is not a number ({error})", where=where) from error
    if not all(0 < value < float("inf") for value in values):
        raise InputError(f"{', '.join(names)} must be above 0", where=where)
    return [values[0], values[1], values[2] / MILLISECONDS, values[3] / MILLISECONDS]


def _steps(table: Any) -> tuple[float, ...]:
    prompts = sorted(set(table[:, 0]))
    prompt = max(prompts, key=lambda size: len(set(table[table[:, 0] == size, 1])))
    rows = table[table[:, 0] == prompt]
    batches = np.unique(rows[:, 1])
    medians = np.array([np.median(rows[rows[:, 1] == batch, 3]) for batch in batches])
    sizes = np.arange(1, int(batches[-1]) + 1)
    return tuple(float(one) for one in np.maximum.accumulate(np.interp(sizes, batches, medians)))


def _prefill(tokens: Any, seconds: Any) -> tuple[float, float]:
    """Base and slope that minimise the sum of ((base + slope x - y) / y)^2."""
    design = np.column_stack([np.ones_like(tokens), tokens]) / seconds[:, None]
    base, slope = np.linalg.lstsq(design, np.ones_like(seconds), rcond=None)[0]
    if base < 0:
        base, slope = 0.0, float((tokens / seconds).sum() / ((tokens / seconds) ** 2).sum())
    elif slope < 0:
        base, slope = float((1 / seconds).sum() / ((1 / seconds) ** 2).sum()), 0.0
    return float(base), float(slope)
