# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of canaries by simulation, beside other gates on the same rollouts.

    .venv/bin/python tests/benchmarks/rollout/judge.py [RUNS]

RUNS (500) is the number of A/A canaries of each scenario; of worse canaries as many of the first kind, a fifth of the others.
Writes judge.json beside it and docs/docsite/rst/images/judge.svg. False fails are of canaries that run the baseline's version
(A/A), power is of canaries that are worse; intervals are Clopper and Pearson's at 95 %.
"""

from __future__ import annotations

import json
import multiprocessing
import platform
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from gates import GATES, LOOKS, SIGMA, SPREAD, Run, Scenario, draw, ours
from plot import draw_svg
from scipy import stats

ROOT = Path(__file__).resolve().parents[3]
OURS = "modelops.datacenter"
SEED = 20261126
NULLS = {
    "A/A, share 50 %, 1000 canary requests": Scenario(1000, 0.5),
    "A/A, share 10 %, 200 canary requests": Scenario(200, 0.1),
}
WORSE = {
    "failures 0.1 % to 5 %, share 10 %, 134 canary requests": Scenario(134, 0.1, bad=(0.001, 0.05)),
    "failures 0.1 % to 20 %, share 10 %, 36 canary requests": Scenario(36, 0.1, bad=(0.001, 0.2)),
    "latency x 2, share 50 %, 400 canary requests": Scenario(400, 0.5, slower=2.0),
    "latency x 1.5, share 50 %, 400 canary requests": Scenario(400, 0.5, slower=1.5),
}
BISECTED = Scenario(300, 0.1, bad=(0.001, 0.05))


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with multiprocessing.Pool(2) as pool:
        rows = pool.map(_measure, list_tasks(runs), chunksize=1)
    rng = np.random.default_rng(SEED)
    needed = sorted(_requests_to_fail(draw(BISECTED, rng)) for _unused in range(max(10, runs // 10)))
    result = {
        "date": datetime.now(tz=timezone.utc).strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "scipy")}},
        "assumptions": {
            "sigma": SIGMA,
            "host_spread": SPREAD,
            "looks_of_peeked_gates": LOOKS,
            "failures": 0.001,
            "slow": 0.05,
        },
        "rows": rows,
        "canary_requests_to_fail": {
            "scenario": "failures 0.1 % to 5 %, share 10 %",
            "runs": len(needed),
            "p50": needed[len(needed) // 2],
            "p90": needed[int(len(needed) * 0.9)],
        },
    }
    print(json.dumps(result["canary_requests_to_fail"]))
    (Path(__file__).parent / "judge.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw_svg(result, ROOT / "docs/docsite/rst/images/judge.svg")


def list_tasks(runs: int) -> list[tuple[str, str, Scenario, int, int]]:
    """What is measured: kind of figure, name, scenario, number of rollouts, and its place, which seeds it."""
    listed = [("false fails", runs, *one) for one in NULLS.items()]
    listed += [("caught", runs if number == 0 else runs // 5, *one) for number, one in enumerate(WORSE.items())]
    return [(kind, name, scenario, count, place) for place, (kind, count, name, scenario) in enumerate(listed)]


def _measure(task: tuple[str, str, Scenario, int, int]) -> dict[str, Any]:
    """Failed canaries of each gate, over the same rollouts."""
    kind, title, scenario, runs, seed = task
    rng = np.random.default_rng(SEED + 1 + seed)
    failed = dict.fromkeys([OURS, *GATES], 0)
    passed = 0
    for _unused in range(runs):
        run = draw(scenario, rng)
        verdict = ours(run)
        failed[OURS] += verdict == "fail"
        passed += verdict == "pass"
        for name, gate in GATES.items():
            failed[name] += gate(run)
    found = {name: _share(count, runs) for name, count in failed.items()}
    found[OURS]["passed"] = passed / runs
    row = {"figure": kind, "scenario": title, "runs": runs, "gates": found}
    print(json.dumps(row), flush=True)
    return row


def _share(count: int, runs: int) -> dict[str, Any]:
    interval = stats.binomtest(count, runs).proportion_ci(0.95, method="exact")
    return {"share": count / runs, "low": round(float(interval.low), 5), "high": round(float(interval.high), 5)}


def _requests_to_fail(run: Run) -> int:
    """Canary requests until the judge fails it, looking after every window; more than there are when it never does."""
    low, high = 0, int(run.canary.sum()) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if ours(run.until(middle), final=False) == "fail":
            high = middle
        else:
            low = middle
    return high


if __name__ == "__main__":
    main()
