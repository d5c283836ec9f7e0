# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What every engine measures about itself, under one set of names.

Each quantity lists where it is found, in order: the first metric that the server has
is taken. The names are distinct between engines, so the engine need not be told, and
old names stand behind the new ones. Metrics that an engine does not have are ``None``.

All times in seconds, ratios in [0, 1]. Counters and histograms count from the start
of the server, or over a window when an earlier look is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.exposition import (
    Exposition,
    histogram_quantile,
)


@dataclass(frozen=True)
class Source:
    """One metric of one engine; ``scale`` brings it to our unit, ``label`` picks one of its series."""

    name: str
    scale: float = 1.0
    label: tuple[str, str] | None = None


def _sources(*names: str) -> tuple[Source, ...]:
    return tuple(Source(name) for name in names)


GAUGES = {
    "running": (
        *_sources("vllm:num_requests_running", "sglang:num_running_reqs", "tgi_batch_current_size"),
        *_sources("llamacpp:requests_processing"),
        Source("nv_trt_llm_request_metrics", label=("request_type", "scheduled")),
    ),
    "waiting": (
        *_sources("vllm:num_requests_waiting", "sglang:num_queue_reqs", "tgi_queue_size"),
        *_sources("llamacpp:requests_deferred"),
        Source("nv_trt_llm_request_metrics", label=("request_type", "waiting")),
        Source("nv_inference_pending_request_count"),
    ),
}
# A share of one engine's memory: the fullest of several engines is the one that matters.
KV_CACHE = (
    *_sources("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage"),
    *_sources("llamacpp:kv_cache_usage_ratio"),
    Source("nv_trt_llm_kv_cache_block_metrics", label=("kv_cache_block_type", "fraction")),
)
COUNTERS = {
    "requests_total": _sources(
        "vllm:request_success_total", "sglang:num_requests_total", "tgi_request_count", "nv_inference_request_success"
    ),
    "prompt_tokens_total": _sources(
        "vllm:prompt_tokens_total",
        "sglang:prompt_tokens_total",
        "tgi_request_input_length_sum",
        "llamacpp:prompt_tokens_total",
    ),
    "generation_tokens_total": _sources(
        "vllm:generation_tokens_total",
        "sglang:generation_tokens_total",
        "tgi_request_generated_tokens_sum",
        "llamacpp:tokens_predicted_total",
    ),
}
HISTOGRAMS = {
    "time_to_first_token_seconds": (
        *_sources("vllm:time_to_first_token_seconds", "sglang:time_to_first_token_seconds"),
        Source("nv_inference_first_response_histogram_ms", scale=1e-3),
    ),
    "inter_token_latency_seconds": _sources(
        "vllm:inter_token_latency_seconds",
        "vllm:time_per_output_token_seconds",
        "sglang:inter_token_latency_seconds",
        "sglang:time_per_output_token_seconds",
        "tgi_request_mean_time_per_token_duration",
    ),
    "e2e_latency_seconds": _sources(
        "vllm:e2e_request_latency_seconds", "sglang:e2e_request_latency_seconds", "tgi_request_duration"
    ),
    "queue_time_seconds": _sources(
        "vllm:request_queue_time_seconds", "sglang:queue_time_seconds", "tgi_request_queue_duration"
    ),
}
# Where an engine has no histogram but counts time and events: sum and count give the mean.
MEANS = {
    "inter_token_latency_seconds": (
        (Source("llamacpp:tokens_predicted_seconds_total"), Source("llamacpp:tokens_predicted_total")),
    ),
    "e2e_latency_seconds": (
        (Source("nv_inference_request_duration_us", scale=1e-6), Source("nv_inference_request_success")),
    ),
    "queue_time_seconds": (
        (Source("nv_inference_queue_duration_us", scale=1e-6), Source("nv_inference_request_success")),
    ),
}
THROUGHPUT = {
    "requests_per_second": "requests_total",
    "prompt_tokens_per_second": "prompt_tokens_total",
    "generation_tokens_per_second": "generation_tokens_total",
}


def normalise(exposition: Exposition, earlier: Exposition | None = None) -> dict[str, Any]:
    """One server's metrics under our names.

    Args:
        exposition: what ``/metrics`` says now.
        earlier: what it said before; latencies are then those of the time in between.

    Returns:
        ``running``, ``waiting``, ``requests_total``, ``prompt_tokens_total``,
        ``generation_tokens_total``, ``kv_cache_used_ratio``, and for each latency
        ``{p50, p95, mean}``.
    """
    result: dict[str, Any] = {}
    for key, sources in {**GAUGES, **COUNTERS}.items():
        result[key] = _first(exposition, sources)
    result["kv_cache_used_ratio"] = _kv_cache_used(exposition)
    for key, sources in HISTOGRAMS.items():
        result[key] = _latency(key, sources, exposition, earlier)
    return result


def throughput(before: dict[str, Any], after: dict[str, Any], seconds: float) -> dict[str, float | None]:
    """Rates between two results of :func:`normalise`; ``None`` where a counter is absent or was reset."""
    rates: dict[str, float | None] = {}
    for key, counter in THROUGHPUT.items():
        first, last = before.get(counter), after.get(counter)
        if first is None or last is None or last < first or seconds <= 0:
            rates[key] = None
        else:
            rates[key] = (last - first) / seconds
    return rates


def _first(exposition: Exposition, sources: tuple[Source, ...]) -> float | None:
    for source in sources:
        if source.name in exposition:
            labels = dict([source.label]) if source.label else {}
            total = exposition.total(source.name, **labels)
            return None if total is None else total * source.scale
    return None


def _kv_cache_used(exposition: Exposition) -> float | None:
    for source in KV_CACHE:
        labels = dict([source.label]) if source.label else {}
        values = [sample.value for sample in exposition.named(source.name, **labels) if sample.value == sample.value]
        if values:
            return max(values)
    used = exposition.total("tgi_batch_current_max_tokens")
    limit = exposition.total("tgi_batch_max_total_tokens")
    return used / limit if used is not None and limit else None


def _latency(
    key: str, sources: tuple[Source, ...], now: Exposition, earlier: Exposition | None
) -> dict[str, float | None]:
    for source in sources:
        if f"{source.name}_bucket" not in now and f"{source.name}_sum" not in now:
            continue
        before = dict(earlier.buckets(source.name)) if earlier else {}
        buckets = [(bound, count - before.get(bound, 0.0)) for bound, count in now.buckets(source.name)]
        return {
            "p50": _scaled(histogram_quantile(0.5, buckets), source.scale),
            "p95": _scaled(histogram_quantile(0.95, buckets), source.scale),
            "mean": _mean(Source(f"{source.name}_sum", source.scale), Source(f"{source.name}_count"), now, earlier),
        }
    for total, count in MEANS.get(key, ()):
        if total.name in now:
            return {"p50": None, "p95": None, "mean": _mean(total, count, now, earlier)}
    return {"p50": None, "p95": None, "mean": None}


def _mean(total: Source, count: Source, now: Exposition, earlier: Exposition | None) -> float | None:
    amounts = []
    for source in (total, count):
        amount = now.total(source.name)
        before = (earlier.total(source.name) or 0.0) if earlier else 0.0
        if amount is None:
            return None
        amounts.append((amount - before) * source.scale)
    return amounts[0] / amounts[1] if amounts[1] > 0 and amounts[0] >= 0 else None


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale
