#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: demand_history_info
short_description: Read the demand of served models as regular series
version_added: 0.1.0
description:
  - Reads the demand of each model from a file or from a Prometheus server and lays it on one regular grid,
    one value a step, ready for M(modelops.datacenter.demand_forecast).
  - A sample that is missing stays a gap. It is never taken as zero and never filled here.
  - Ask for offered load, which is arrivals with the queued and the rejected requests.
    A forecast made from completions shrinks an overloaded fleet.
author:
  - The modelops.datacenter founders (@modelops)
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
  - modelops.datacenter.attributes.info_module
attributes:
  check_mode:
    details:
      - In check mode O(dest) is not written.
requirements:
  - numpy >= 1.26
  - pyarrow >= 16, only for Parquet files
options:
  src:
    description:
      - A file with the columns C(series), C(timestamp) and C(value) in any order, one row a sample,
        as CSV, as CSV packed with gzip, or as Parquet.
      - Timestamps are ISO 8601, in UTC when they have no offset. An empty value is a gap.
      - Exactly one of O(src) and O(prometheus) is required.
    type: path
  prometheus:
    description:
      - A server with the HTTP API of Prometheus.
    type: dict
    suboptions:
      url:
        description: Base address, without C(/api/v1) and without credentials.
        type: str
        required: true
      token_file:
        description: File that holds a bearer token.
        type: path
      username:
        description: User name for basic authentication, with O(prometheus.password_file).
        type: str
      password_file:
        description: File that holds the password of O(prometheus.username).
        type: path
      ca_file:
        description: File with the certificates (PEM) to trust instead of those of the system.
        type: path
      validate_certs:
        description: Whether the certificate of the server is checked.
        type: bool
        default: true
      timeout_seconds:
        description: Longest time one request may take, in seconds.
        type: float
        default: 30
      retries:
        description:
          - Requests after the first, when it fails in a way that may pass.
            The pauses between them are 0.5, 1, 2, ... seconds.
        type: int
        default: 3
  series:
    description:
      - The models, each with the source of its demand.
      - With O(src), the name of a series in the file. Without O(series), all series of the file are read
        under their own names.
      - With O(prometheus), required; a query in PromQL, or a mapping with C(query), C(kind) and C(combine).
      - C(kind) is V(gauge) (default) when the value of the query is the demand, also for a query with C(rate(\)).
        It is V(counter) when the query gives a counter. Its rate per second is then taken here,
        a fall of the counter being its restart at zero.
      - C(combine) is V(none) (default) when the query must leave one series, or V(sum) to add up those it leaves,
        the rate of each counter taken before. A counter must not be summed in the query itself,
        since the restart of one replica would then look like a restart of all.
    type: dict
  step_seconds:
    description:
      - Seconds from one value to the next.
      - The default is the coarsest step found in O(src), or 600 with O(prometheus).
    type: int
  start:
    description:
      - First moment, ISO 8601.
    type: str
  lookback_seconds:
    description:
      - Length of the history, in seconds up to O(until).
      - The default is all of O(src), or 1209600 (14 days) with O(prometheus).
    type: int
  until:
    description:
      - Last moment, ISO 8601.
      - The default is the last sample of O(src), or now with O(prometheus).
    type: str
  aggregation:
    description:
      - How samples of O(src) that are finer than O(step_seconds) are gathered into a step.
        V(mean) suits rates, V(sum) counts.
      - A step with less than half of its samples is a gap.
    type: str
    choices: [mean, sum, max, last]
    default: mean
  absent_series:
    description:
      - What becomes of a model whose source has no series, or no number in the whole time, like one that was only just
        added to the catalogue.
      - V(refuse) fails. V(skip) warns and goes on without it, as long as another model has a series; the plan then holds
        that model at what runs, or at its least replicas.
    type: str
    choices: [refuse, skip]
    default: refuse
  invalid_values:
    description:
      - What becomes of values no demand can have, which are negative ones, infinity, and NaN written out in a file.
      - V(refuse) fails and names the first. V(gap) takes each as a gap and warns.
    type: str
    choices: [refuse, gap]
    default: refuse
  dest:
    description:
      - File to write the series to, as CSV, CSV packed with gzip or Parquet by its suffix
        (C(.csv), C(.csv.gz), C(.parquet)). Its mode is 0640. Equal series give equal bytes.
    type: path
"""

EXAMPLES = r"""
- name: Lay a file of ten-second samples on steps of ten minutes
  modelops.datacenter.demand_history_info:
    src: requests.csv.gz
    step_seconds: 600
    aggregation: mean
    dest: history.csv.gz

- name: Ask Prometheus for the arrivals of two models, over four weeks
  modelops.datacenter.demand_history_info:
    prometheus:
      url: https://prometheus.example:9090
      token_file: /etc/modelops/prometheus.token
    series:
      chat-8b:
        # what arrives = what was finished + what was rejected + what the queue and the batch grew by
        query: >-
          clamp_min(
          sum(rate(vllm:request_success_total{model_name="chat-8b"}[10m]))
          + (sum(rate(vllm:admission_rejections_total{model_name="chat-8b"}[10m])) or vector(0))
          + sum(deriv(vllm:num_requests_waiting{model_name="chat-8b"}[10m]))
          + sum(deriv(vllm:num_requests_running{model_name="chat-8b"}[10m])), 0)
      code-7b:
        query: gateway_requests_total{model="code-7b"}
        kind: counter
        combine: sum
    step_seconds: 600
    lookback_seconds: 2419200
    dest: history.csv.gz

- name: What was known on Monday morning, under the names of the catalogue
  modelops.datacenter.demand_history_info:
    src: history.parquet
    series:
      chat-8b: gateway_chat
    until: "2026-11-23T06:00:00Z"
  register: history
"""

RETURN = r"""
history_start:
  description: Moment of the first sample of all series, ISO 8601 UTC.
  type: str
  returned: success
  sample: "2026-11-09T18:10:00Z"
history_end:
  description: Moment of the last sample of all series, ISO 8601 UTC.
  type: str
  returned: success
  sample: "2026-11-23T18:00:00Z"
step_seconds:
  description: Seconds from one sample to the next, the same for all series.
  type: int
  returned: success
  sample: 600
series:
  description:
    - The series by name. C(samples) counts steps with a value and C(gaps) those without.
      C(mean), C(maximum) and C(last) (the newest value) leave gaps out and have the unit of the source.
  type: dict
  returned: success
  sample:
    chat-8b:
      start: "2026-11-09T18:10:00Z"
      end: "2026-11-23T18:00:00Z"
      step_seconds: 600
      samples: 2014
      gaps: 2
      mean: 41.7
      maximum: 118.2
      last: 63.0
observed:
  description:
    - The value now, by series, as the option O(modelops.datacenter.capacity_plan#module:observed) takes it.
      A series whose newest value is more than three steps older than RV(history_end) is left out.
  type: dict
  returned: success
  sample: {chat-8b: 63.0}
values:
  description:
    - The values of each series with their V(start) and V(step_seconds), null for a gap,
      as the option C(series) of M(modelops.datacenter.demand_forecast) takes them.
  type: dict
  returned: when O(dest) is not given and there are at most 10000 values in all
  sample:
    chat-8b:
      start: "2026-11-09T18:10:00Z"
      step_seconds: 600
      values: [40.1, 42.3, null, 41.0]
dest:
  description: The file written, or that would be written in check mode.
  type: str
  returned: when O(dest) is given
  sample: history.csv.gz
summary:
  description: The result in one sentence.
  type: str
  returned: success
  sample: "1 series from 2026-11-09T18:10:00Z to 2026-11-23T18:00:00Z, one sample every 600 s; 2 of 2016 samples are gaps"
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import ENCRYPTION
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "src": {"type": "path"},
    "prometheus": {
        "type": "dict",
        "options": {
            "url": {"type": "str", "required": True},
            "token_file": {"type": "path", "no_log": False},
            "username": {"type": "str"},
            "password_file": {"type": "path", "no_log": False},
            "ca_file": {"type": "path"},
            "validate_certs": {"type": "bool", "default": True},
            "timeout_seconds": {"type": "float", "default": 30},
            "retries": {"type": "int", "default": 3},
        },
    },
    "series": {"type": "dict"},
    "step_seconds": {"type": "int"},
    "start": {"type": "str"},
    "lookback_seconds": {"type": "int"},
    "until": {"type": "str"},
    "aggregation": {"type": "str", "choices": ["mean", "sum", "max", "last"], "default": "mean"},
    "absent_series": {"type": "str", "choices": ["refuse", "skip"], "default": "refuse"},
    "invalid_values": {"type": "str", "choices": ["refuse", "gap"], "default": "refuse"},
    "dest": {"type": "path"},
    **ENCRYPTION,
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Read the series, write them when asked to, and describe them."""
    require("numpy", purpose="reading the demand history")
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.history import collect, describe, table

    dest = params["dest"]
    if dest:
        collect.check_destination(dest)
    series, warnings = collect.collect(collect.request_of(params), now=clock.now())
    result = {**describe.describe(series), "changed": False, "warnings": warnings}
    if dest:
        result["dest"] = dest
        if not check_mode:
            table.write_history(dest, series)
        return result
    values = describe.inline_values(series)
    return result if values is None else {**result, "values": values}


def main() -> None:
    run_module(
        ARGUMENT_SPEC,
        execute,
        sealed=("dest",),
        required_one_of=[("src", "prometheus")],
        mutually_exclusive=[("src", "prometheus"), ("start", "lookback_seconds")],
    )


if __name__ == "__main__":
    main()
