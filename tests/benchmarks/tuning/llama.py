# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tuning a real llama.cpp server on loopback, by TPE and by random search with the same budget.

    tests/benchmarks/tuning/llama.py --budget 210 --method tpe

A model of random weights (width 256, six layers) is served on CPU. Two parameters are planted: a context that crashes the server, and a
size of the logical batch, which says nothing while prompts are short. Figures go into llama.json, one entry a method.
Needs Optuna for tpe.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests/integration"), str(ROOT / "inventories/demo")]

import gateway_bench  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.load import Target  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.measure_load import (  # noqa: E402
    Load,
    measure_load,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning import step as core  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.space import read_space  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.trials import read_goal  # noqa: E402

RESULT = Path(__file__).with_name("llama.json")
PARAMETERS = {
    "parallel": {"low": 1, "high": 16, "log": True, "default": 1},
    "threads": {"low": 1, "high": 4, "default": 1},
    "ubatch-size": {"low": 16, "high": 512, "log": True, "default": 512},
    "batch-size": {"low": 512, "high": 4096, "log": True, "default": 2048},
    "ctx-size": {"values": [8192, 99999999999], "default": 8192},
}
OBJECTIVE = {"metric": "requests_per_second", "limits": {"ttft_seconds": 1.5, "latency_seconds": 2.0}}


def write_model(path: Path) -> None:
    import tiny_model

    tiny_model.WIDTH, tiny_model.FEED_FORWARD, tiny_model.HEADS, tiny_model.HEAD_SIZE, tiny_model.LAYERS = (
        256,
        1024,
        8,
        32,
        6,
    )
    tiny_model.write(str(path), 3, 8192)


def measured(model: Path, params: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Start, measure, stop; a server that does not come up or breaks is an outcome."""
    server = gateway_bench.LlamaServer(model, gateway_bench.free_ports(1)[0])
    server.command = server.command[:8] + [f"--{name}={value}" for name, value in params.items()]
    began = time.monotonic()
    try:
        server.start()
    except (AssertionError, OSError):
        return {"failed": "the server does not start", "seconds": time.monotonic() - began}
    try:
        target = Target(f"http://127.0.0.1:{server.port}", "chat", output_tokens=24, prompt_words=24)
        return {"measurement": measure_load(target, Load(seconds, 8)), "seconds": time.monotonic() - began}
    except ModelOpsError as error:
        return {"failed": error.message, "seconds": time.monotonic() - began}
    finally:
        server.stop()


def tune(model: Path, options: argparse.Namespace) -> dict[str, Any]:
    space, goal, history = read_space(PARAMETERS), read_goal(OBJECTIVE), core.History([])
    rules = core.Rules(options.method, repeats=3, budget_seconds=options.budget, pairs=5, seed=options.seed)
    while True:
        step = core.next_step(history, space, goal, rules)
        if step["action"] == "finished":
            return {
                **core.document_of(history, space, goal, step),
                "method": options.method,
                "budget_seconds": options.budget,
            }
        outcome = {"trial": step["trial"], **measured(model, step["params"], options.seconds)}
        core.take_in(history, outcome, space, goal, rules)
        said = outcome.get("failed") or outcome["measurement"]["requests_per_second"]
        print(step["role"], step["params"], said, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=["tpe", "random"], required=True)
    parser.add_argument("--budget", type=float, default=210)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # A server that crashes while it loads is waited for no longer than a good one takes.
    gateway_bench.LlamaServer.start.__globals__["wait_until"] = waiting(gateway_bench.wait_until, 6.0)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.gguf"
        write_model(model)
        result = tune(model, options)
    versions = {
        name: metadata.version(name) for name in ("xllamacpp", *(("optuna",) if options.method == "tpe" else ()))
    }
    result |= {"date": datetime.now(timezone.utc).date().isoformat(), "versions": versions, "seed": options.seed}
    stored = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    stored[options.method] = result
    RESULT.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(result["step"], indent=1))
    return 0


def waiting(wait: Any, most: float) -> Any:
    return lambda condition, seconds, what: wait(condition, min(seconds, most), what)


if __name__ == "__main__":
    raise SystemExit(main())
