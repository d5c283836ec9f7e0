#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_server_info
short_description: Ask a model server whether it really answers, and what it measures
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Finds out whether a model server is healthy and ready. Ready means that it serves the wanted model and has
    answered a one-token completion; an open port or a good C(/health) alone is not readiness. A Triton server is
    ready when it says so of itself and of the model.
  - Brings the metrics of vLLM, SGLang, TGI, Triton and the llama.cpp server under one set of names.
  - A server that is down is a finding, not a failure, unless O(fail_if_not_ready) is set.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.attributes.info_module
options:
  url:
    description: Base address of the server, for example V(http://127.0.0.1:8100).
    type: str
    required: true
  engine:
    description: The serving engine. V(command) is any server with an OpenAI-compatible completion.
    type: str
    choices: [vllm, sglang, tgi, triton, llama_cpp, command]
    default: command
  model:
    description:
      - The served name that is expected. Without it, whatever is served will do.
      - TGI serves under the model's own path, so its name is not compared.
    type: str
  probe:
    description:
      - V(completion) is ready after an answered one-token completion.
      - V(health) is ready when the health address answers 200.
      - V(none) is ready when the server answers anything at all.
    type: str
    choices: [completion, health, none]
    default: completion
  health_path:
    description: Path of the health address, when it is not the engine's usual one.
    type: path
  wait_seconds:
    description: How many seconds to wait for readiness. With V(0) the server is looked at once.
    type: float
    default: 0
  poll_seconds:
    description: Seconds between two looks while waiting.
    type: float
    default: 2
  request_timeout_seconds:
    description: Seconds that one request may take.
    type: float
    default: 10
  api_key_file:
    description: File on this host whose first line is the server's API key.
    type: path
  pid:
    description:
      - Process ID of the server. Give it right after a start, so that RV(startup_seconds) measures that start.
    type: int
  metrics:
    description: Whether to read the server's metrics.
    type: bool
    default: true
  metrics_url:
    description: Address of the metrics, when it is not C(/metrics) under O(url).
    type: str
  sample_seconds:
    description:
      - With more than V(0), the metrics are read twice, this many seconds apart; RV(throughput) and the latencies
        in RV(metrics) are then those of this time.
    type: float
    default: 0
  fail_if_not_ready:
    description: Whether to fail when the server is not ready after O(wait_seconds).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Wait up to 15 minutes until the model answers
  modelops.datacenter.model_server_info:
    url: http://127.0.0.1:8100
    engine: vllm
    model: chat-8b
    wait_seconds: 900
    pid: "{{ main_pid }}"
    fail_if_not_ready: true
  register: server

- name: See how busy it is, over ten seconds
  modelops.datacenter.model_server_info:
    url: http://127.0.0.1:8100
    engine: vllm
    sample_seconds: 10
"""

RETURN = r"""
healthy:
  description: Whether the health address answered 200.
  returned: always
  type: bool
ready:
  description: Whether the server is ready in the sense of O(probe).
  returned: always
  type: bool
reason:
  description: Why it is not ready, empty when it is.
  returned: always
  type: str
models:
  description: The served names.
  returned: always
  type: list
  elements: str
version:
  description: The engine's version, empty when it does not say.
  returned: always
  type: str
answer:
  description: The text of the completion, cut to 80 characters.
  returned: always
  type: str
first_answer_seconds:
  description: How many seconds the answered completion took.
  returned: always, null when there was none
  type: float
waited_seconds:
  description: Seconds from the first look to the last.
  returned: always
  type: float
startup_seconds:
  description:
    - Seconds from the start of the process to its first answered completion; at most O(poll_seconds) too long when
      RV(startup_observed) is true, else an upper bound, since it was ready at the first look.
  returned: always, null without O(pid) or when not ready
  type: float
startup_observed:
  description: Whether the server was seen not ready first.
  returned: always
  type: bool
metrics:
  description:
    - C(running) and C(waiting) requests, C(requests_total), C(prompt_tokens_total), C(generation_tokens_total),
      C(kv_cache_used_ratio) in [0, 1], and C({p50, p95, mean}) in seconds of C(time_to_first_token_seconds),
      C(inter_token_latency_seconds), C(e2e_latency_seconds) and C(queue_time_seconds). A value the engine does not
      measure is null.
    - Latencies are those since the server started, or of O(sample_seconds).
  returned: always, null when not asked for or not answered
  type: dict
throughput:
  description: C(requests_per_second), C(prompt_tokens_per_second) and C(generation_tokens_per_second).
  returned: always, null unless O(sample_seconds) is set
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import (
    InputError,
    SourceUnavailableError,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import process
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.credentials import read_key
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.measure import measure
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.readiness import (
    Readiness,
    Target,
    version_of,
    wait_until_ready,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "engine": {
        "type": "str",
        "choices": ["vllm", "sglang", "tgi", "triton", "llama_cpp", "command"],
        "default": "command",
    },
    "model": {"type": "str"},
    "probe": {"type": "str", "choices": ["completion", "health", "none"], "default": "completion"},
    "health_path": {"type": "path"},
    "wait_seconds": {"type": "float", "default": 0},
    "poll_seconds": {"type": "float", "default": 2},
    "request_timeout_seconds": {"type": "float", "default": 10},
    "api_key_file": {"type": "path", "no_log": False},
    "pid": {"type": "int"},
    "metrics": {"type": "bool", "default": True},
    "metrics_url": {"type": "str"},
    "sample_seconds": {"type": "float", "default": 0},
    "fail_if_not_ready": {"type": "bool", "default": False},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Look at the server; the same in check mode, since looking changes nothing."""
    url = params["url"].rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise InputError(f"url must begin with http:// or https://, not {params['url']!r}")
    for key in ("wait_seconds", "sample_seconds"):
        if params[key] < 0:
            raise InputError(f"{key} must not be negative")
    for key in ("poll_seconds", "request_timeout_seconds"):
        if params[key] <= 0:
            raise InputError(f"{key} must be above 0")
    target = Target(
        url=url,
        engine=params["engine"],
        model=params["model"] or "",
        probe=params["probe"],
        health_path=params["health_path"] or "",
        api_key=read_key(params["api_key_file"]),
        request_timeout_seconds=params["request_timeout_seconds"],
    )
    found = wait_until_ready(target, wait_seconds=params["wait_seconds"], poll_seconds=params["poll_seconds"])
    startup_seconds, reason = None, found.reason
    if params["pid"] is not None:
        age = process.age_seconds(params["pid"])
        if found.ready:
            startup_seconds = age
        elif age is None:
            reason = f"{reason}; process {params['pid']} is not running"
    if params["fail_if_not_ready"] and not found.ready:
        raise _not_ready(target, params, found, reason)
    metrics, rates, warnings = None, None, []
    if found.healthy and params["metrics"]:
        try:
            metrics, rates = measure(
                params["metrics_url"] or f"{url}/metrics",
                api_key=target.api_key,
                timeout_seconds=params["request_timeout_seconds"],
                sample_seconds=params["sample_seconds"],
            )
        except SourceUnavailableError as error:  # ready is what was asked; metrics come on top
            warnings = [error.message]
    return {
        "changed": False,
        "healthy": found.healthy,
        "ready": found.ready,
        "reason": reason,
        "models": list(found.models),
        "version": version_of(target) if found.healthy else "",
        "answer": found.answer,
        "first_answer_seconds": found.answer_seconds,
        "waited_seconds": found.waited_seconds,
        "startup_seconds": startup_seconds,
        "startup_observed": found.ready and found.looks > 1,
        "metrics": metrics,
        "throughput": rates,
        "warnings": warnings,
    }


def _not_ready(target: Target, params: Mapping[str, Any], found: Readiness, reason: str) -> SourceUnavailableError:
    what = params["model"] or "the model server"
    return SourceUnavailableError(
        f"{what} is not ready after {found.waited_seconds:.0f} s ({found.looks} looks): {reason}",
        where=target.url,
        remedy="Look at the service's log on the host (journalctl -u the unit, or the supervisor's log), at free"
        " accelerator memory, and at the model's path; raise wait_seconds if it is still loading",
    )


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
