#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: demand_forecast
short_description: Forecast the demand of many models at once, with quantiles and a backtest
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Forecasts every series of a demand history some steps ahead and says how far to trust each forecast.
  - The built-in engine combines seasonal subset ARIMA models, fitted by least squares on the raw and the logarithmic
    scale, with seasonal naive forecasts, and with means, medians and levelled shapes of recent seasons; on short and
    monthly histories also with exponential smoothing and Theta. It tests all of them on the end of the history at the
    true horizon, keeps the best and weights them by their errors.
  - The quantiles come from the same backtest, from the errors of the forecast and from what demand was before, level by
    level whichever did best, so that the 0.95 quantile is one that about 95 % of the demand stays below. The quantiles
    of the maximum over a window are calibrated on window maxima, since the maximum of quantiles is something else.
  - A level that changed and stays is followed at once when it rises, and after two days when it falls. Single spikes do
    not bend the forecast, gaps are filled with the usual shape and never scored.
  - A series too short to be tested borrows the shape of the day from the other series and gets a wide interval,
    C(usable=false) and a warning, never a failure.
requirements:
  - numpy >= 1.26
  - statsmodels >= 0.14.2 (O(engine=arima) and O(engine=sarimax), also in O(candidates))
  - torch >= 2.2 (O(engine=lstm), also in O(candidates))
  - joblib >= 1.3 (O(n_jobs) other than V(1))
  - distributed >= 2024.8 (O(parallel.backend=dask))
  - holidays >= 0.50 (O(holidays))
  - tzdata (O(timezone), where the system has no time zone data)
  - pyarrow >= 16 (Parquet in O(src))
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
attributes:
  check_mode:
    support: full
    details:
      - The forecast is computed and returned, but O(dest) is not written.
  diff_mode:
    support: none
    details:
      - A forecast is new in every number.
  idempotent:
    support: full
    details:
      - The same history and options give the same file; only the moment of creation would differ, and it is left as it
        was.
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
    description: The series to forecast. Without it, all of them.
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
    description: How many steps ahead to forecast.
    type: int
    required: true
  quantiles:
    description: The levels to forecast, each between 0 and 1.
    type: list
    elements: float
    default: [0.05, 0.5, 0.9, 0.95]
  window_steps:
    description:
      - Also forecast the quantiles of the maximum over the first this many steps. For planning capacity, lead time
        plus planning interval. Without it, the whole horizon.
    type: int
  seasonal_periods:
    description:
      - Lengths of the seasons in steps, for example V([24, 168]), or V(auto) for the day and the week where the step
        allows. A season is used when the history covers it twice.
    type: raw
    default: auto
  engine:
    description:
      - V(auto) is the combination described above. V(arima) and V(sarimax) fit one order with statsmodels.
        V(lstm) trains one network over all series. V(seasonal_naive) repeats the last season.
      - All of them are tested the same way, and get their intervals from that test.
    type: str
    choices: [auto, arima, sarimax, seasonal_naive, lstm]
    default: auto
  candidates:
    description:
      - For O(engine=auto), candidates beside the built-in V(menu). V(arima), V(sarimax) and V(lstm) are judged in the
        same backtest and used only where they are among the best. They cost a hundred times the rest.
    type: list
    elements: str
    choices: [menu, arima, sarimax, lstm]
    default: [menu]
  order:
    description:
      - Orders C(p), C(d) and C(q) for V(arima) and V(sarimax), as a list. The default is V([2, 0, 1]); V(auto)
        searches the order of each series by its corrected information criterion.
      - V(arima) regresses on Fourier terms of the seasons first.
    type: raw
  seasonal_order:
    description:
      - Orders C(P), C(D) and C(Q) and the period C(m) in steps for V(sarimax). The default is V([0, 1, 1, m]) with
        the shortest season, if that is at most 48 steps, and Fourier terms otherwise. With O(order=auto) only the
        period is taken from it.
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
  previous:
    description:
      - The forecast made before this one (JSON), often the same path as O(dest). What came since is compared with its
        quantiles, and levels that were passed too often or too rarely are corrected (adaptive conformal inference).
        A path that does not exist yet means that there is none.
    type: path
  sample_paths:
    description: How many possible courses of demand to draw for each series, with the quantiles of the forecast.
    type: int
    default: 0
  seed:
    description: Seed of O(sample_paths) and of V(lstm).
    type: int
    default: 0
  timezone:
    description:
      - The time zone the users live in, an IANA name such as V(Europe/Berlin). The shape of the day then stays
        where it is when clocks change, and the days of O(holidays) are local ones. Without it, UTC.
      - Clock changes are followed where they are a whole number of steps. The forecast itself stays in UTC.
    type: str
  holidays:
    description:
      - Countries, with a part of the country behind a hyphen, whose public holidays count, for example
        V([DE-BY, US]). A holiday lasts from four in the morning to four in the next, local time.
      - Past holidays are kept out of the usual shape; coming ones are scaled by what past ones did, with a
        wider interval. The step must divide a day.
    type: list
    elements: str
  events:
    description: Windows, past or coming, in which demand is known to differ.
    type: list
    elements: dict
    suboptions:
      name:
        description: What the warnings call it.
        type: str
        required: true
      start:
        description: The first moment of the window (ISO 8601, UTC unless it has an offset).
        type: str
        required: true
      end:
        description: The first moment after the window (ISO 8601, UTC unless it has an offset).
        type: str
        required: true
      multiplier:
        description: What demand is multiplied by, above 0. Give either this or O(events[].floor).
        type: float
      floor:
        description: The least demand to expect, in the unit of the history, 0 or more.
        type: float
      series:
        description: The series or models concerned. Without it, all of them.
        type: list
        elements: str
  n_jobs:
    description: Processes to use; V(-1) is one for each core. Worthwhile from a few thousand series.
    type: int
    default: 1
  parallel:
    description: On what the processes of O(n_jobs) run. The forecast is the same on any.
    type: dict
    suboptions:
      backend:
        description: V(loky) is this machine; V(dask) is an existing scheduler, and all of its workers are used.
        type: str
        choices: [loky, dask]
        default: loky
      address:
        description: Where the scheduler of V(dask) listens, for example V(tcp://10.0.0.5:8786).
        type: str
  dest:
    description: Where to write the forecast (JSON). Without it, only the summary is returned.
    type: path
seealso:
  - module: modelops.datacenter.demand_history_info
"""

EXAMPLES = r"""
- name: Forecast eight hours of every model
  modelops.datacenter.demand_forecast:
    src: history.csv.gz
    horizon_steps: 48
    quantiles: [0.05, 0.5, 0.9, 0.95]
    window_steps: 6
    dest: forecast.json
  register: forecast

- name: Say what was found
  ansible.builtin.debug:
    msg: "{{ forecast.summary }}"

- name: Forecast one model as of a moment in the past
  modelops.datacenter.demand_forecast:
    src: history.parquet
    names: [chat-8b]
    until: "2026-11-23T18:00:00Z"
    horizon_steps: 24
    step_seconds: 3600
"""

RETURN = r"""
dest:
  description: The file that holds the forecast.
  returned: when O(dest) is given
  type: str
  sample: /var/lib/modelops/forecast.json
summary:
  description: What was forecast and how well it did in the backtest, in one line.
  returned: success
  type: str
  sample: 5 series forecast 48 steps ahead (8 hours); 4 of 5 usable ones beat seasonal naive in their backtest
series:
  description: The main figures of each series; the whole forecast is in RV(dest).
  returned: success
  type: dict
  contains:
    model:
      description: What was chosen, in words.
      type: str
    skill:
      description:
        - Share by which the mean absolute error in the backtest is below that of seasonal naive; not positive means
          that the forecast earned no trust. Null without a backtest.
      type: float
    mase:
      description: Mean absolute scaled error in the backtest; null without a backtest.
      type: float
    usable:
      description: False when the history is too short or broken; plan from what is observed instead.
      type: bool
    warnings:
      description: What to know about this forecast.
      type: list
      elements: str
    window_maximum:
      description: Quantile level to that quantile of the maximum over the window, in the unit of the history.
      type: dict
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
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
    "window_steps": {"type": "int"},
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
    "previous": {"type": "path"},
    "sample_paths": {"type": "int", "default": 0},
    "seed": {"type": "int", "default": 0},
    "timezone": {"type": "str"},
    "holidays": {"type": "list", "elements": "str"},
    "events": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "start": {"type": "str", "required": True},
            "end": {"type": "str", "required": True},
            "multiplier": {"type": "float"},
            "floor": {"type": "float"},
            "series": {"type": "list", "elements": "str"},
        },
    },
    "n_jobs": {"type": "int", "default": 1},
    "parallel": {
        "type": "dict",
        "options": {
            "backend": {"type": "str", "choices": ["loky", "dask"], "default": "loky"},
            "address": {"type": "str"},
        },
    },
    "dest": {"type": "path"},
    **ENCRYPTION,
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Read the history, forecast it, write the document."""
    # One thread: the matrices are small, and the same input then gives the same bytes everywhere.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    require("numpy", purpose="Forecasting")
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.files import (
        figures,
        summarise,
    )
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.request import forecast_request
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_dated

    document = forecast_request(params)
    result: dict[str, Any] = {
        "changed": False,
        "summary": summarise(document),
        "series": figures(document),
        "warnings": document["warnings"],
    }
    if params.get("dest"):
        result["dest"] = params["dest"]
        result["changed"] = store_dated(params["dest"], document, now=clock.now(), dry=check_mode)
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, sealed=("src", "previous", "dest"))


if __name__ == "__main__":
    main()
