# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vLLM holds of models that it loads on CPU. Usage: vllm_load.py ARGUMENTS (JSON) FOLDER...; a line of JSON each.

Runs in vLLM's environment, engine and worker in one process, since vLLM logs weights rounded to 10 MiB, on CPU not
at all; one process a model, forked from one that has imported vLLM. Weights are counted before they are packed for the
CPU's kernels, which keeps the head twice. The memory is the process's, at its peak over one step, less
what it was before the engine was made.
"""

import importlib
import json
import os
import sys
from pathlib import Path

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
os.environ |= {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0", "VLLM_LOGGING_LEVEL": "WARNING"}

import torch
from vllm import LLM, SamplingParams
from vllm.model_executor.model_loader import base_loader
from vllm.model_executor.models import registry

for late in ("vllm.v1.engine.core", "vllm.v1.worker.cpu_worker"):
    importlib.import_module(late)


def held(what: str) -> int:
    """Bytes of VmRSS or VmHWM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def loaded(folder: str, arguments: dict) -> dict:
    weights = []
    pack = base_loader.process_weights_after_loading

    def counted(model: torch.nn.Module, *others: object) -> None:
        storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in model.parameters()}
        weights.append(sum(storages.values()))
        pack(model, *others)

    base_loader.process_weights_after_loading = counted
    before = held("VmRSS")
    llm = LLM(model=folder, enforce_eager=True, disable_log_stats=True, **arguments)
    after = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    config = llm.llm_engine.vllm_config
    runner = llm.llm_engine.engine_core.engine_core.model_executor.driver_worker.worker.model_runner
    step = config.scheduler_config.max_num_batched_tokens
    wide = {"prompt_token_ids": [2 + place % 200 for place in range(min(step, 32))]}
    llm.generate([wide], SamplingParams(max_tokens=2, temperature=0, ignore_eos=True), use_tqdm=False)
    return {
        "weights_bytes": weights[0],
        "cache_bytes": {one.size for one in runner.kv_cache_config.kv_cache_tensors}.pop(),
        "cache_tokens": config.cache_config.kv_cache_size_tokens,
        "cache_concurrency": config.cache_config.kv_cache_max_concurrency,
        "block_tokens": config.cache_config.block_size,
        "blocks": runner.kv_cache_config.num_blocks,
        "step_tokens": step,
        "sequences": config.scheduler_config.max_num_seqs,
        "loaded_bytes": after - before,
        "peak_bytes": held("VmHWM") - before,
    }


if __name__ == "__main__":
    # Classes of models are looked at in a process of their own, which would import everything once more.
    registry._run_in_subprocess = lambda look: look()
    for folder in sys.argv[2:]:
        if os.fork() == 0:
            try:
                print(json.dumps({"folder": folder, **loaded(folder, json.loads(sys.argv[1]))}), flush=True)
            except Exception as error:  # told in the answer, beside the others
                print(json.dumps({"folder": folder, "failed": f"{type(error).__name__}: {error}"[:500]}), flush=True)
            os._exit(0)
        os.wait()
