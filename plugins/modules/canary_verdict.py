#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_verdict
short_description: Judge a canary from its requests, against a baseline beside it
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Compares the requests that canary replicas answered with those that baseline replicas answered at the same time, and
    says whether to promote, to roll back, to hold or to freeze.
  - Bad events are judged at every look, by a test whose false alarms stay below C(alpha) however often one looks.
    Latency is judged at the final look, against a margin, since hosts differ by some percent with the same software.
  - It never promotes because time ran out. With too few requests the verdict is V(inconclusive) and says how many are
    missing.
  - The baseline should be of the same hardware, model and age as the canary, and asked at the same time.
requirements:
  - numpy >= 1.26
  - scipy >= 1.11
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.attributes.info_module
options:
  events:
    description:
      - One entry a request, as columns (a mapping of lists of equal length), or the path of a JSON file that holds them.
      - Required are C(at) (epoch seconds of acceptance), C(server), C(status) and C(term) (HAProxy's termination state).
      - Read where given, C(response_ms) (to the response's headers), C(total_ms), C(ttft_ms) (to the first token, instead
        of C(response_ms)), C(inter_token_ms), C(bytes), C(request_bytes), C(prompt_tokens), C(output_tokens) and
        C(synthetic). Other columns are left alone, as are requests of servers of neither arm.
    type: raw
    required: true
  canary:
    description: Server names of the canary, as C(HOST-SLOT).
    type: list
    elements: str
    required: true
  baseline:
    description: Server names of the baseline.
    type: list
    elements: str
    required: true
  slo:
    description:
      - Limits C(ttft_ms), C(inter_token_ms) and C(total_ms), above which an answer is slow. All optional.
    type: dict
    default: {}
  hard_failures:
    description: What ends the canary at once, in words, such as a crash, a wrong digest or a golden prompt answered otherwise.
    type: list
    elements: str
    default: []
  provider_errors:
    description:
      - Why the events cannot be relied on, in words, such as a gap in the log or clocks apart. The verdict is then
        V(provider_error).
    type: list
    elements: str
    default: []
  earlier_provider_errors:
    description: How many looks in a row before this one could not see. The fourth in a row is V(inconclusive).
    type: int
    default: 0
  final:
    description: Whether this is the final look. Only then is latency tested, and only then can a canary pass.
    type: bool
    default: false
  aa_ratios:
    description:
      - Latency ratios of earlier A/A runs (RV(figures.latency) of canaries that ran the same version as their baseline), at
        least 20. The margin is then the larger of 1.15 and their 99 % quantile, instead of C(latency_margin).
    type: list
    elements: float
  settings:
    description: What the judge goes by.
    type: dict
    default: {}
    suboptions:
      alpha:
        description: Chance of a false alarm, of each of the two tests.
        type: float
        default: 0.01
      latency_margin:
        description: Ratio of canary's to baseline's latency that is still no fault.
        type: float
        default: 1.25
      slow_margin:
        description: Ratio of the rates of slow or refused answers that is still no fault.
        type: float
        default: 1.5
      minimum_requests:
        description:
          - Requests that each arm must have answered after warm-up, or half as many real and as many synthetic ones.
        type: int
        default: 100
      budget:
        description:
          - Ratio that the canary's upper bound must not exceed, of failed requests and of failed or slow ones. Where twice the
            baseline's own ratio of the same is more, that holds instead.
          - Without a bad request 100 requests reach 2.95 %, 300 reach 1 %.
        type: float
        default: 0.03
      confidence:
        description: Of the upper bound.
        type: float
        default: 0.95
      soak_seconds:
        description: Seconds from the canary's first request to its last before it can pass.
        type: float
        default: 600
      warmup_seconds:
        description: Warm-up of a server ends this long after its first request, or after O(settings.warmup_requests).
        type: float
        default: 120
      warmup_requests:
        description: Warm-up of a server ends after this many requests, or after O(settings.warmup_seconds).
        type: int
        default: 20
      latency_looks:
        description: At how many final looks latency may be tested; each then has its part of alpha.
        type: int
        default: 1
      host_spread:
        description:
          - Standard deviation of log latency between hosts with the same software, 0.1 for 10 %. A slower canary fails only
            beyond what this explains, a ratio of 1.45 with one host on each arm and 1.36 with three in the baseline.
        type: float
        default: 0.1
      provider_error_limit:
        description: Looks in a row without sight that make the verdict V(inconclusive).
        type: int
        default: 4
      spare_requests_per_second:
        description: Headroom of the model; a tenth of it may be synthetic requests.
        type: float
        default: 0
seealso:
  - module: modelops.datacenter.model_server_info
"""

EXAMPLES = r"""
- name: Judge the canary
  modelops.datacenter.canary_verdict:
    events: /var/lib/modelops/canary-events.json
    canary: [host1-0]
    baseline: [host2-0, host3-0]
    slo: {ttft_ms: 2000}
    final: true
  register: canary

- name: Roll back what failed
  ansible.builtin.fail:
    msg: "{{ canary.reasons | join('; ') }}"
  when: canary.verdict == 'fail'

- name: More than a tenth of the fleet is promoted on more evidence
  modelops.datacenter.canary_verdict:
    events: /var/lib/modelops/canary-events.json
    canary: [host1-0]
    baseline: [host2-0]
    final: true
    settings: {minimum_requests: 300, budget: 0.01}
"""

RETURN = r"""
verdict:
  description:
    - V(pass) promotes, V(fail) rolls back, V(inconclusive) holds, V(provider_error) freezes.
  returned: success
  type: str
  sample: inconclusive
reasons:
  description: Why, in sentences.
  returned: success
  type: list
  elements: str
  sample: [the canary lacks 37 requests]
figures:
  description: What the verdict stands on.
  returned: success
  type: dict
  contains:
    counts:
      description: Requests of each arm, and how many failed, were slow, refused, left out or part of the warm-up.
      type: dict
    bad_ratio:
      description: Of failed or slow requests, of canary and baseline, the canary's upper bound and what is allowed.
      type: dict
    failed_ratio:
      description: The same of failed requests alone.
      type: dict
    e_value:
      description: The evidence against the canary, its course and the limit at which it fails.
      type: dict
    latency:
      description: Per measure the ratio canary to baseline (Hodges-Lehmann), its 98 % interval and the p-value of the test.
      type: dict
    missing:
      description: Requests and seconds that are missing, per arm, and how long synthetic requests within the headroom would take.
      type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

TEXTS: dict[str, Any] = {"type": "list", "elements": "str"}
NUMBERS = {
    "alpha": 0.01,
    "latency_margin": 1.25,
    "slow_margin": 1.5,
    "budget": 0.03,
    "confidence": 0.95,
    "soak_seconds": 600,
    "warmup_seconds": 120,
    "host_spread": 0.1,
    "spare_requests_per_second": 0,
}
COUNTS = {"minimum_requests": 100, "warmup_requests": 20, "latency_looks": 1, "provider_error_limit": 4}
ARGUMENT_SPEC: dict[str, Any] = {
    "events": {"type": "raw", "required": True},
    "canary": {**TEXTS, "required": True},
    "baseline": {**TEXTS, "required": True},
    "slo": {"type": "dict", "default": {}},
    "hard_failures": {**TEXTS, "default": []},
    "provider_errors": {**TEXTS, "default": []},
    "earlier_provider_errors": {"type": "int", "default": 0},
    "final": {"type": "bool", "default": False},
    "aa_ratios": {"type": "list", "elements": "float"},
    "settings": {
        "type": "dict",
        "default": {},
        "options": {
            **{name: {"type": "float", "default": value} for name, value in NUMBERS.items()},
            **{name: {"type": "int", "default": value} for name, value in COUNTS.items()},
        },
    },
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Read the events, judge, say what and why."""
    require("numpy", purpose="Judging a canary")
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.events import parse_events
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.judge import Case, judge
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.settings import (
        calibrated_margin,
        parse_settings,
        parse_slo,
    )

    settings = dict(params.get("settings") or {})
    if params.get("aa_ratios") is not None:
        settings["latency_margin"] = calibrated_margin(params["aa_ratios"])
    case = Case(
        events=parse_events(params["events"]),
        canary=tuple(params["canary"]),
        baseline=tuple(params["baseline"]),
        slo=parse_slo(params.get("slo")),
        hard_failures=tuple(params.get("hard_failures") or ()),
        provider_errors=tuple(params.get("provider_errors") or ()),
        earlier_provider_errors=params.get("earlier_provider_errors") or 0,
        final=bool(params.get("final")),
    )
    found = judge(case, parse_settings(settings))
    return {"changed": False, "verdict": found.verdict, "reasons": list(found.reasons), "figures": found.figures}


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
