# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Recording rules that give every engine's metrics one set of names.

Made from the same tables as ``model_server_info`` reads a server with, so that both say the same.
A name that an engine has dropped stands behind its successor. What a server does not measure has no
series; nothing is invented.

    modelops:running, modelops:queue                requests in work, requests waiting
    modelops:requests_total, modelops:errors_total  counters
    modelops:prompt_tokens_total, modelops:tokens_total
    modelops:kv_cache_use                           [0, 1]
    modelops:ttft_seconds_bucket, _sum, _count      time to first token
    modelops:inter_token_seconds_bucket, ...        time between tokens
    modelops:request_seconds_bucket, ...            the whole request
    modelops:inter_token_seconds:mean1m             also where an engine has no histogram
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.names import ENGINE, REPLICA
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rule import Group, Recording
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.server_metrics import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    KV_CACHE,
    MEANS,
    Source,
)

GAUGE_NAMES = {"running": "modelops:running", "waiting": "modelops:queue"}
COUNTER_NAMES = {
    "requests_total": "modelops:requests_total",
    "prompt_tokens_total": "modelops:prompt_tokens_total",
    "generation_tokens_total": "modelops:tokens_total",
}
HISTOGRAM_NAMES = {
    "time_to_first_token_seconds": "modelops:ttft_seconds",
    "inter_token_latency_seconds": "modelops:inter_token_seconds",
    "e2e_latency_seconds": "modelops:request_seconds",
    "queue_time_seconds": "modelops:queue_seconds",
}
# What the server itself counts as its failure; llama.cpp counts none.
ERRORS = (
    Source("vllm:request_success_total", label=("finished_reason", "error")),
    Source("sglang:num_aborted_requests_total"),
    Source("tgi_request_failure", label=("err", "generation|incomplete|dropped|overloaded")),
    Source("nv_inference_request_failure"),
)
TGI_KV_CACHE = ("tgi_batch_current_max_tokens", "tgi_batch_max_total_tokens")


def engine_rules() -> Group:
    """The group ``modelops-engines``."""
    rules = [Recording(GAUGE_NAMES[key], _first(sources)) for key, sources in GAUGES.items()]
    rules += [Recording(COUNTER_NAMES[key], _first(sources)) for key, sources in COUNTERS.items()]
    rules.append(Recording("modelops:errors_total", _first(ERRORS)))
    rules.append(Recording("modelops:kv_cache_use", _kv_cache()))
    for key, sources in HISTOGRAMS.items():
        rules += _histogram(HISTOGRAM_NAMES[key], sources)
    rules += [
        Recording("modelops:inter_token_seconds:mean1m", _mean("inter_token_latency_seconds")),
        Recording("modelops:request_seconds:mean1m", _mean("e2e_latency_seconds")),
    ]
    return Group("modelops-engines", rules)


def _selector(source: Source, suffix: str = "") -> str:
    label = f', {source.label[0]}=~"{source.label[1]}"' if source.label else ""
    return f'{source.name}{suffix}{{job="{ENGINE}"{label}}}'


def _summed(source: Source, suffix: str = "", *, by: str = REPLICA) -> str:
    scaled = f" * {source.scale:g}" if source.scale != 1 and not suffix.endswith(("_bucket", "_count")) else ""
    return f"sum by ({by}) ({_selector(source, suffix)}){scaled}"


def _first(sources: Sequence[Source]) -> str:
    """The first that a server has: series of a later one count only where no earlier one exists."""
    return "\nor ".join(_summed(source) for source in sources)


def _kv_cache() -> str:
    fullest = [f"max by ({REPLICA}) ({_selector(source)})" for source in KV_CACHE]
    used, limit = (f'sum by ({REPLICA}) ({name}{{job="{ENGINE}"}})' for name in TGI_KV_CACHE)
    return "\nor ".join([*fullest, f"{used} / {limit}"])


def _histogram(name: str, sources: Sequence[Source]) -> list[Recording]:
    """Buckets, sum and count. Bounds are written one way ("1", not "1.0"), so that rules can name them."""
    in_seconds = [source for source in sources if source.scale == 1]
    buckets = "\nor ".join(_summed(source, "_bucket", by=f"{REPLICA}, le") for source in in_seconds)
    return [
        Recording(f"{name}_bucket", f'label_replace(\n{buckets}\n, "le", "$1", "le", "([0-9]+)[.]0")'),
        *(
            Recording(f"{name}_{part}", "\nor ".join(_summed(source, f"_{part}") for source in sources))
            for part in ("sum", "count")
        ),
    ]


def _mean(key: str) -> str:
    """Over one minute: from the histogram, or from sums where an engine has those alone."""
    name = HISTOGRAM_NAMES[key]
    parts = [f"rate({name}_sum[1m]) / (rate({name}_count[1m]) > 0)"]
    for total, count in MEANS[key]:
        scaled = f" * {total.scale:g}" if total.scale != 1 else ""
        sums = [f"sum by ({REPLICA}) (rate({_selector(source)}[1m]))" for source in (total, count)]
        parts.append(f"{sums[0]}{scaled} / ({sums[1]} > 0)")
    return "\nor ".join(parts)
