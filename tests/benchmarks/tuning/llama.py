# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tuning a real llama.cpp server on loopback, by TPE and by random search with the same budget each.

    tests/benchmarks/tuning/llama.py --budget 240

A model of random weights (width 256, six layers) is served on CPU. Planted are a context that crashes the server, and a
size of the logical batch, which says nothing while prompts are short. Figures go into llama.json.
The limits are what the values in use reach on this machine, and a quarter more. Needs Optuna.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests/integration"), str(ROOT / "inventories/demo")]

import gateway_bench  # noqa: E402
import search  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.load import Target  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.measure_load import (  # noqa: E402
    Load,
    measure_load,
)

PARAMETERS = {
    "parallel": {"low": 1, "high": 16, "log": True, "default": 1},
    "threads": {"low": 1, "high": 4, "default": 1},
    "ubatch-size": {"low": 16, "high": 512, "log": True, "default": 512},
    "batch-size": {"low": 512, "high": 4096, "log": True, "default": 2048},
    "ctx-size": {"values": [8192, 99999999999], "default": 8192},
}
METRIC, LIMITED = "requests_per_second", ("ttft_seconds", "latency_seconds")
PLANTED = search.Planted(crash=("ctx-size", 99999999999), idle="batch-size")


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


class Server(gateway_bench.LlamaServer):
    """One that is known to have ended as soon as it has."""

    def _healthy(self) -> bool:
        assert self.process is not None
        if (code := self.process.poll()) is not None:
            raise ModelOpsError(f"the server ended with {code} while it started")
        return super()._healthy()


def measured(model: Path, seconds: float, params: Mapping[str, Any]) -> Mapping[str, float]:
    """Start, measure, stop."""
    server = Server(model, gateway_bench.free_ports(1)[0])
    server.command = server.command[:8] + [f"--{name}={value}" for name, value in params.items()]
    try:
        server.start()
        target = Target(f"http://127.0.0.1:{server.port}", "chat", output_tokens=24, prompt_words=24)
        return measure_load(target, Load(seconds, 8))
    except AssertionError as error:
        raise ModelOpsError(str(error)) from error
    finally:
        server.stop()


def main() -> int:
    options = search.parser_for(__doc__, budget=240, seconds=4).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.gguf"
        write_model(model)
        measure = partial(measured, model, options.seconds)
        in_use = {name: fields["default"] for name, fields in PARAMETERS.items()}
        objective = {"metric": METRIC, "limits": search.limits_near(measure, in_use, LIMITED)}
        result = search.run(options, PARAMETERS, objective, PLANTED, measure)
    result["versions"] = {name: metadata.version(name) for name in ("xllamacpp", "optuna")}
    search.write(options.result or Path(__file__).with_name("llama.json"), {"engine": "llama_cpp", **result})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
