# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tuning a real vLLM on CPU, by TPE and by random search with the same budget each.

    tests/benchmarks/tuning/vllm.py --budget 900

A Llama of random weights (width 256, four layers) is served with the command line that the collection deploys; values
in use are vLLM's own defaults. Each measurement starts a server, forked from a process that has imported vLLM
(vllm_forks.py); run it pinned to one core.
Planted are a context that the model does not have, with which vLLM refuses to start, and a seed, which says nothing
as long as nobody samples. Figures go into vllm.json. Needs what `make test-vllm` installs, and Optuna.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests/integration")]

import gateway_bench  # noqa: E402
import search  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.load import Target  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.measure_load import (  # noqa: E402
    Load,
    measure_load,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.service import (  # noqa: E402
    build_service,
)

VLLM = ROOT / ".cache/vllm/venv/bin/python"
SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
MIB = 1 << 20
PARAMETERS = {
    "max-num-seqs": {"low": 1, "high": 128, "log": True, "default": 128},
    "max-num-batched-tokens": {"low": 128, "high": 4096, "log": True, "default": 2048},
    "enable-prefix-caching": {"values": [True, False], "default": True},
    # Switched off, vLLM refuses steps of fewer tokens than the context: a crash that is not planted.
    "enable-chunked-prefill": {"values": [True, False], "default": True},
    "kv-cache-memory-bytes": {"values": [4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB], "default": 256 * MIB},
    "dtype": {"values": ["bfloat16", "float32"], "default": "bfloat16"},
    "max-model-len": {"values": [512, 1024, 8192], "default": 1024},
    "seed": {"low": 0, "high": 1000, "default": 0},
}
PLANTED = search.Planted(crash=("max-model-len", 8192), idle="seed")
OBJECTIVE = {"metric": "output_tokens_per_second", "limits": {"ttft_seconds": 5.0, "inter_token_seconds": 0.3}}
CLIENTS, OUTPUT_TOKENS = 8, 16
READY_SECONDS = 180.0


def prompts(count: int = 400) -> list[str]:
    """About 230 tokens that all share and 50 to 170 of each one's own; the tokenizer's tokens are letters."""
    source = random.Random(7)

    def words(number: int) -> str:
        return " ".join("".join(source.choice("aeinorst") for _letter in range(5)) for _word in range(number))

    shared = words(38)
    return [f"{shared} {words(source.randint(8, 28))}" for _prompt in range(count)]


class Forks:
    """The process that servers are forked from."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "server.log"
        # Were what it imports not kept compiled, it would take a minute more.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        # -P: this folder, where this file has vLLM's own name, is none to import from.
        words = [str(VLLM), "-P", str(Path(__file__).with_name("vllm_forks.py"))]
        with (folder / "forks.log").open("wb") as errors:
            self.process = subprocess.Popen(
                words,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                text=True,
            )
        while self._answer() != "ready":
            pass

    def _answer(self) -> str:
        assert self.process.stdout is not None
        if not (line := self.process.stdout.readline()):
            raise RuntimeError((self.folder / "forks.log").read_text(encoding="utf-8")[-2000:])
        return line.strip()

    def start(self, arguments: list[str], environment: Mapping[str, str]) -> int:
        """The process id of a new server."""
        assert self.process.stdin is not None
        said = {"arguments": arguments, "environment": dict(environment), "log": str(self.log)}
        self.process.stdin.write(json.dumps(said) + "\n")
        self.process.stdin.flush()
        return int(self._answer())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def server(forks: Forks, model: Path, params: Mapping[str, Any]) -> Iterator[str]:
    """The address of a server that answers.

    Raises:
        ModelOpsError: it ended while it started, with what it said last, or was not ready in time.
    """
    entry = {"engine": "vllm", "engine_args": {"enforce-eager": True, **params}, "drain_seconds": 1}
    entry["executable"] = [str(VLLM), "-m", "vllm.entrypoints.openai.api_server"]
    port = gateway_bench.free_ports(1)[0]
    placement = {"model": "chat", "slot": 0, "port": port, "version": "1", "accelerators": []}
    service = build_service(placement, entry, paths={"model_path": str(model)}, accelerator_type="cpu")
    pid = forks.start(list(service.argv[3:]), {**service.environment, "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"})

    def ready() -> bool:
        if not Path(f"/proc/{pid}").exists():
            raise ModelOpsError(f"the server ended: {last_error(forks.log)}")
        return bool(gateway_bench.get(port, "/health")[0] == 200)

    try:
        gateway_bench.wait_until(ready, READY_SECONDS, "vLLM")
        yield f"http://127.0.0.1:{port}"
    except AssertionError as error:
        raise ModelOpsError(f"{error}: {last_error(forks.log)}") from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def last_error(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.split("] ", 1)[-1].strip() for line in lines if re.search("[Ee]rror[:,] ", line)]
    return errors[-1][:200] if errors else "no word of an error"


def measured(forks: Forks, model: Path, seconds: float, params: Mapping[str, Any]) -> Mapping[str, float]:
    """Start, measure, stop. What the start took is told beside the rest."""
    began = time.monotonic()
    with server(forks, model, params) as url:
        start = time.monotonic() - began
        target = Target(url, "chat", output_tokens=OUTPUT_TOKENS, prompts=prompts())
        return {**measure_load(target, Load(seconds, CLIENTS)), "start_seconds": round(start, 2)}


def main() -> int:
    options = search.parser_for(__doc__, budget=900, seconds=10).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        words = [str(VLLM), str(ROOT / "tests/vllm/random_model.py"), str(model), json.dumps(SHAPE)]
        subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
        forks = Forks(Path(folder))
        try:
            measure = partial(measured, forks, model, options.seconds)
            result = search.run(options, PARAMETERS, OBJECTIVE, PLANTED, measure)
        finally:
            forks.close()
    said = subprocess.run(
        [str(VLLM), "-c", "from importlib.metadata import version as v; print(v('vllm-cpu'), v('torch'))"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    result["versions"] = {**dict(zip(("vllm", "torch"), said.stdout.split())), "optuna": metadata.version("optuna")}
    result["load"] = {"clients": CLIENTS, "output_tokens": OUTPUT_TOKENS}
    search.write(options.result or Path(__file__).with_name("vllm.json"), {"engine": "vllm", **result})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
