#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: forecast_backtest_info
short_description: Show how well each candidate would have forecast the demand so far
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs the backtest that M(modelops.datacenter.demand_forecast) rests on and reports all of it, for every series and
    every candidate, also those that were not chosen. With the same history and options the figures of the combination
    are those that forecast says of itself.
  - Candidates are fitted to what lies before the first origin and asked from up to 16 origins for the whole horizon, over
    up to 8 windows at the end of the history. The combination is weighted at each origin by the errors of the other
    windows, so that it is not tested on what chose it.
  - MASE is the mean absolute error over that of repeating the last season in the whole history. Skill is the share by
    which the error is below that of repeating the last season in the test. Coverage is the share of demand at or below a
    quantile, which should be the level of that quantile.
  - A candidate is a point forecast. Its pinball loss and coverage are of the quantiles its own errors give (split
    conformal prediction with errors that grow with the root of the forecast, learned for each half of the origins from
    the other half, without the allowance for few windows). The quantiles of the combination are those of the forecast.
  - Where a level changed, the older history is brought to the level of today before the test, as in the forecast.
requirements:
  - numpy >= 1.26
  - plotly >= 6.0 (O(page_dest))
  - statsmodels >= 0.14.2 (O(engine=arima) and O(engine=sarimax), also in O(candidates))
  - torch >= 2.2 (O(engine=lstm), also in O(candidates))
  - pyarrow >= 16 (Parquet in O(src))
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
  - modelops.datacenter.attributes.info_module
attributes:
  check_mode:
    details:
      - In check mode O(dest) and O(page_dest) are not written.
  idempotent:
    details:
      - The same history and options give the same files; only the moment of creation in O(dest) would differ, and it is
        left as it was.
options:
  src:
    description:
      - A demand history as M(modelops.datacenter.demand_history_info) writes it, with the columns C(series),
        C(timestamp) (ISO 8601, UTC) and C(value) (usually requests/s), as CSV, gzipped CSV or Parquet.
      - Either this or O(series) is required.
    type: path
  series:
    description:
      - The history itself as a mapping of name to C(start) (ISO 8601), C(step_seconds) and C(values), where C(null) is a
        gap; or the path of a JSON file that holds it.
    type: raw
  names:
    description: The series to test. Without it, all of them.
    type: list
    elements: str
  until:
    description:
      - Use the history up to and including this moment (ISO 8601, UTC unless it has an offset), as if it were now.
    type: str
  step_seconds:
    description: Aggregate the history to this step, in seconds, first. Without it, the step of the history.
    type: int
  aggregation:
    description: How samples are aggregated to O(step_seconds). Rates want V(mean), counts V(sum).
    type: str
    choices: [mean, sum, max, last]
    default: mean
  invalid_values:
    description: Whether negative, infinite and NaN values are an error, or are taken as gaps.
    type: str
    choices: [refuse, gap]
    default: refuse
  horizon_steps:
    description: How many steps ahead to test.
    type: int
    required: true
  quantiles:
    description: The levels to test, each between 0 and 1.
    type: list
    elements: float
    default: [0.05, 0.5, 0.9, 0.95]
  seasonal_periods:
    description:
      - Lengths of the seasons in steps, for example V([24, 168]), or V(auto) for the day and the week where the step
        allows. A season is used when the history covers it twice.
    type: raw
    default: auto
  engine:
    description:
      - The engine to test, as in M(modelops.datacenter.demand_forecast). Of V(auto) every candidate is reported.
    type: str
    choices: [auto, arima, sarimax, seasonal_naive, lstm]
    default: auto
  candidates:
    description: For O(engine=auto), candidates beside the built-in V(menu).
    type: list
    elements: str
    choices: [menu, arima, sarimax, lstm]
    default: [menu]
  order:
    description:
      - Orders C(p), C(d) and C(q) for V(arima) and V(sarimax), as a list. The default is V([2, 0, 1]); V(auto)
        searches the order of each series by its corrected information criterion.
    type: raw
  seasonal_order:
    description:
      - Orders C(P), C(D) and C(Q) and the period C(m) in steps for V(sarimax). The default is V([0, 1, 1, m]) with
        the shortest season, if that is at most 48 steps, and Fourier terms otherwise.
    type: list
    elements: int
  search_budget_seconds:
    description: CPU seconds that the search of one order may take; the best so far is kept, and that is said.
    type: float
    default: 2.0
  training_budget_seconds:
    description:
      - CPU seconds (seconds, on an accelerator) that the training of V(lstm) may take. It usually stops before, when it
        stops getting better; only then is a second run the same.
    type: float
    default: 300.0
  seed:
    description: Seed of V(lstm).
    type: int
    default: 0
  dest:
    description: Where to write the whole backtest (JSON). The directory must exist. The file gets mode 0640.
    type: path
  page_dest:
    description:
      - Where to write a page (HTML) with the tables and figures of the backtest. It needs no network, neither to be
        written nor to be read, and it runs only its own scripts. The directory must exist. The file gets mode 0640.
    type: path
  title:
    description: The title of the page.
    type: str
    default: Forecast backtest
seealso:
  - module: modelops.datacenter.demand_forecast
  - module: modelops.datacenter.demand_history_info
  - module: modelops.datacenter.capacity_report
"""

EXAMPLES = r"""
- name: See how far the forecast of eight hours can be trusted
  modelops.datacenter.forecast_backtest_info:
    src: history.csv.gz
    horizon_steps: 48
    dest: backtest.json
    page_dest: backtest.html
  register: backtest

- name: Say what was found
  ansible.builtin.debug:
    msg: "{{ backtest.summary }}"

- name: Stop where the forecast of a model is worse than repeating yesterday
  ansible.builtin.assert:
    that: backtest.series['chat-8b'].skill > 0

- name: Is an ARIMA model worth its time for one model
  modelops.datacenter.forecast_backtest_info:
    src: history.csv.gz
    names: [chat-8b]
    horizon_steps: 48
    candidates: [menu, arima]
    order: auto
    page_dest: arima.html
"""

RETURN = r"""
dest:
  description: The file that holds the backtest.
  returned: when O(dest) is given
  type: str
  sample: /var/lib/modelops/backtest.json
page_dest:
  description: The page.
  returned: when O(page_dest) is given
  type: str
  sample: /var/lib/modelops/backtest.html
summary:
  description: How well the forecast did, in one line.
  returned: success
  type: str
  sample: >-
    103 series tested on 16 origins 48 steps ahead: MASE 0.71 against 1.15 of seasonal naive, 94 % of actuals below P95
    (target 95 %), worst series chat-8b (MASE 1.62)
overall:
  description:
    - The figures over all series. C(mase), C(mase_seasonal_naive), C(smape) (percent) and C(skill) are means over series;
      C(coverage) holds for each level the share of demand at or below it (C(share)) and strictly below it (C(below)), and
      the tenth and ninetieth percentile of the series' own shares; C(candidates) how often each was tried and chosen.
  returned: success
  type: dict
series:
  description: The main figures of each series; what each candidate did is in RV(dest).
  returned: success
  type: dict
  contains:
    model:
      description: What was chosen, in words.
      type: str
    mase:
      description: Mean absolute scaled error; null where the history never changes from season to season.
      type: float
    mase_seasonal_naive:
      description: The same of repeating the last season.
      type: float
    smape:
      description: Symmetric mean absolute percentage error, 0 to 200 percent.
      type: float
    skill:
      description: Share by which the mean absolute error is below that of seasonal naive.
      type: float
    pinball:
      description: Quantile level to mean pinball loss, in the unit of the history.
      type: dict
    coverage:
      description: Quantile level to the share of demand at or below that quantile.
      type: dict
    weights:
      description: Candidate to its weight in the forecast.
      type: dict
    warnings:
      description: What to know about this forecast.
      type: list
      elements: str
untested:
  description: Series too short to be tested, with C(samples) and the C(reason).
  returned: success
  type: dict
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.backtest_page import render
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.source import plotly_js
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_content, store_dated
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import ENCRYPTION
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "src": {"type": "path"},
    "series": {"type": "raw"},
    "names": {"type": "list", "elements": "str"},
    "until": {"type": "str"},
    "step_seconds": {"type": "int"},
    "aggregation": {"type": "str", "choices": ["mean", "sum", "max", "last"], "default": "mean"},
    "invalid_values": {"type": "str", "choices": ["refuse", "gap"], "default": "refuse"},
    "horizon_steps": {"type": "int", "required": True},
    "quantiles": {"type": "list", "elements": "float", "default": [0.05, 0.5, 0.9, 0.95]},
    "seasonal_periods": {"type": "raw", "default": "auto"},
    "engine": {"type": "str", "choices": ["auto", "arima", "sarimax", "seasonal_naive", "lstm"], "default": "auto"},
    "candidates": {
        "type": "list",
        "elements": "str",
        "choices": ["menu", "arima", "sarimax", "lstm"],
        "default": ["menu"],
    },
    "order": {"type": "raw"},
    "seasonal_order": {"type": "list", "elements": "int"},
    "search_budget_seconds": {"type": "float", "default": 2.0},
    "training_budget_seconds": {"type": "float", "default": 300.0},
    "seed": {"type": "int", "default": 0},
    "dest": {"type": "path"},
    "page_dest": {"type": "path"},
    "title": {"type": "str", "default": "Forecast backtest"},
    **ENCRYPTION,
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Read the history, test every candidate on it, write the document and the page."""
    # One thread: the matrices are small, and the same input then gives the same bytes everywhere.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    require("numpy", purpose="The backtest")
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest_document import (
        evaluate_request,
    )
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest_overall import (
        figures,
        summarise,
    )

    script = plotly_js() if params.get("page_dest") else ""
    found = evaluate_request(params)
    document, summary = found.document, summarise(found.document)
    result: dict[str, Any] = {
        "changed": False,
        "summary": summary,
        "overall": {key: value for key, value in document["overall"].items() if key != "by_lead"},
        "series": figures(document),
        "untested": document["untested"],
        "warnings": document["warnings"],
    }
    if params.get("dest"):
        result["dest"] = params["dest"]
        store_dated(params["dest"], document, now=clock.now(), dry=check_mode)
    if params.get("page_dest"):
        page = render(document, found.courses, found.reasons, title=params["title"], summary=summary, plotly_js=script)
        store_content(params["page_dest"], page.encode("utf-8"), dry=check_mode)
        result["page_dest"] = params["page_dest"]
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, sealed=("dest", "page_dest"))


if __name__ == "__main__":
    main()
