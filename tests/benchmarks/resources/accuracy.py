# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far resource_estimate is from what publishers state and engines report.

    tests/benchmarks/resources/accuracy.py          # table on the screen, figures into accuracy.json

Five comparisons: parameters of published models, bytes of cache a token, memory that vLLM reported
on an H100 (published.json holds the figures and where they come from), and what a real llama.cpp and a real
vLLM on CPU hold here when they load models of random weights. Without what `make test-vllm` installs, the
last one is left as it was.
"""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources import engine_memory, kv_cache
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.estimate import chosen_precision
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.precision import bytes_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.source import Described, describe

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
GIB, MIB = engine_memory.GIB, engine_memory.MIB
LOAD = """
import os, sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], int(sys.argv[5])
params.n_ctx, params.n_parallel, params.n_ubatch, params.n_gpu_layers = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), 0
params.cpuparams.n_threads = 1
params.verbosity = 4
server = xllamacpp.Server(params)
time.sleep(0.3)
os._exit(0)
"""
# Width, feed-forward width, heads, key-value heads, layers of models of random weights.
SHAPES = {
    "tiny": (64, 176, 4, 2, 2),
    "small": (256, 1024, 8, 2, 6),
    "medium": (512, 2048, 8, 4, 8),
    "wide": (1024, 2816, 16, 4, 4),
}
VLLM = ROOT / ".cache/vllm/venv/bin/python"
# Fields of config.json where they differ from the small Llama of tests/vllm/random_model.py.
BROAD = {
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 6,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
}
VLLM_SHAPES: dict[str, dict[str, Any]] = {
    "grouped-query": BROAD,
    "multi-head": {**BROAD, "num_key_value_heads": 16},
    "biases": {**BROAD, "model_type": "qwen2", "num_key_value_heads": 2},
    "float16": {**BROAD, "dtype": "float16"},
    "float32": {**BROAD, "dtype": "float32"},
    "window in each layer": {**BROAD, "model_type": "mistral", "sliding_window": 512},
    "window in most layers": {**BROAD, "model_type": "gemma3_text", "head_dim": 64, "sliding_window": 512},
    "experts": {**BROAD, "model_type": "mixtral", "intermediate_size": 512, "num_local_experts": 8},
    "latent": {
        **BROAD,
        "model_type": "deepseek_v2",
        "num_key_value_heads": 16,
        "q_lora_rank": None,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "first_k_dense_replace": 6,
    },
}
# A step is narrow, since a CPU without AVX-512 takes minutes over a wide one in bfloat16.
VLLM_CONTEXT, VLLM_CACHE_MIB, VLLM_STEP = 2048, 512, 32
SITUATIONS = ((2048, 4, 512), (8192, 8, 512), (4096, 1, 128))


def relative(estimated: float, told: float) -> float:
    return round(estimated / told - 1, 5)


def parameters(models: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, model in models.items():
        if model.get("coarse"):
            continue
        count = describe(config=model["config"]).count
        row = {
            "model": name,
            "estimated": count.total,
            "published": int(model["published_parameters"]),
            "source": model["source"],
        }
        row["error"] = relative(count.total, model["published_parameters"])
        if "published_active" in model:
            row["active_error"] = relative(count.active, model["published_active"])
        if "checkpoint_gib" in model:
            row["checkpoint_error"] = relative(weights_gib(name, models, {}, engine=""), model["checkpoint_gib"])
        rows.append(row)
    return rows


def weights_gib(name: str, models: dict[str, Any], row: dict[str, Any], engine: str = "vllm") -> float:
    model: Described = describe(config=models[name]["config"])
    return model.weights(row.get("precision", ""), engine).on_each(row.get("tensor_parallel", 1)) / GIB


def activation_gib(model: Described, row: dict[str, Any]) -> float:
    peak = engine_memory.peak_activation(
        model.architecture,
        tokens=row["max_batched_tokens"],
        sequences=row["max_sequences"],
        parallel=row["tensor_parallel"],
        version=tuple(int(part) for part in row["version"].split(".")),
    )
    return peak / GIB


def vllm(models: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        model, name = describe(config=models[row["model"]]["config"]), row["model"]
        weights, activation = weights_gib(name, models, row), activation_gib(model, row)
        line = {"model": name, "tensor_parallel": row["tensor_parallel"], "vllm": row["version"]}
        line |= {"weights_gib": round(weights, 3), "weights_error": relative(weights, row["weights_gib"])}
        line |= {
            "activation_gib": round(activation, 3),
            "activation_error": relative(activation, row["activation_gib"]),
        }
        if "runtime_gib" in row:
            runtime = engine_memory.runtime_bytes("vllm", row["tensor_parallel"]) / GIB
            told = row["weights_gib"] + row["activation_gib"] + row["runtime_gib"]
            line["total_error"] = relative(weights + activation + runtime, told)
            room = row["share"] * row["memory_gib"] - weights - activation - runtime
            line["cache_room_gib"], line["cache_room_told_gib"] = round(room, 3), row["cache_gib"]
        else:
            line["total_error"] = relative(weights + activation, row["weights_gib"] + row["activation_gib"])
        found.append(line)
    return found


def activations(models: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        estimated = activation_gib(describe(config=models[row["model"]]["config"]), row)
        error = relative(estimated, row["activation_gib"])
        found.append(
            {"model": row["model"], "vllm": row["version"], "estimated_gib": round(estimated, 3), "error": error}
        )
    return found


def caches(models: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        arch = describe(config=models[row["model"]]["config"]).architecture
        one = kv_cache.bytes_per_token(arch, 2.0, row.get("tensor_parallel", 1))
        told = row["cache_gib"] * GIB / row["tokens"]
        line = {"model": row["model"], "what": row["what"], "bytes_per_token": one, "error": relative(one, told)}
        found.append(line)
    return found


def write_model(path: Path, shape: tuple[int, int, int, int, int]) -> None:
    sys.path.insert(0, str(ROOT / "inventories/demo"))
    import tiny_model

    names = ("WIDTH", "FEED_FORWARD", "HEADS", "KEY_VALUE_HEADS", "LAYERS")
    for name, value in zip(names, shape):
        setattr(tiny_model, name, value)
    tiny_model.HEAD_SIZE = shape[0] // shape[2]
    tiny_model.write(str(path), 3, 512)


def told_mib(log: str, what: str) -> float:
    return sum(float(value) for value in re.findall(rf"{what} size =\s+([\d.]+) MiB", log))


def llama_cpp(directory: Path) -> list[dict[str, Any]]:
    found = []
    for name, shape in SHAPES.items():
        path = directory / f"{name}.gguf"
        write_model(path, shape)
        model = describe(str(path))
        for context, slots, step in SITUATIONS:
            command = [sys.executable, "-c", LOAD, str(path), str(context), str(slots), str(step), "18998"]
            log = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            text = log.stdout + log.stderr
            told = {
                one: told_mib(text, words)
                for one, words in (("weights", "model buffer"), ("cache", "KV buffer"), ("buffer", "compute buffer"))
            }
            of_one = context // slots
            rules = kv_cache.CacheRules(256, step)
            cache = kv_cache.sequence_bytes(model.architecture, 2.0, of_one, rules) * slots / MIB
            buffer = engine_memory.llama_buffer(model.architecture, tokens=step, outputs=slots, cells=of_one) / MIB
            weights = model.weights("", "llama_cpp").total / MIB
            found.append(
                {
                    "model": name,
                    "situation": {"context_tokens": context, "slots": slots, "step_tokens": step},
                    "told_mib": told,
                    "weights_error": relative(weights, told["weights"]),
                    "cache_error": relative(cache, told["cache"]),
                    "total_error": relative(weights + cache + buffer, sum(told.values())),
                }
            )
    return found


def vllm_cpu(directory: Path) -> list[dict[str, Any]]:
    folders = {name: directory / name.replace(" ", "-") for name in VLLM_SHAPES}
    words = [word for name, folder in folders.items() for word in (str(folder), json.dumps(VLLM_SHAPES[name]))]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    writer = [str(VLLM), str(ROOT / "tests/vllm/random_model.py"), *words]
    subprocess.run(writer, check=True, capture_output=True, env=environment)
    arguments = {
        "max_model_len": VLLM_CONTEXT,
        "kv_cache_memory_bytes": int(VLLM_CACHE_MIB * MIB),
        "max_num_batched_tokens": VLLM_STEP,
        "max_num_seqs": 4,
    }
    loader = [str(VLLM), "-P", str(HERE / "vllm_load.py"), json.dumps(arguments), *map(str, folders.values())]
    said = subprocess.run(loader, check=True, capture_output=True, text=True, cwd=directory, env=environment).stdout
    told = [json.loads(line) for line in said.splitlines() if line.startswith('{"folder"')]
    found = []
    for (name, folder), one in zip(folders.items(), told):
        assert one.pop("folder") == str(folder)
        found.append({"model": name, **(one if "failed" in one else compared(describe(str(folder)), one))})
    return found


def vllm_processes(directory: Path) -> dict[str, Any]:
    """What the processes of a real server take beside a small model and its cache: shares of what they share added up."""
    folder, port = directory / "processes", 18997
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
    subprocess.run([str(VLLM), str(ROOT / "tests/vllm/random_model.py"), str(folder)], check=True, capture_output=True)
    words = [str(VLLM), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--port", str(port)]
    words += ["--enforce-eager", f"--kv-cache-memory-bytes={int(16 * MIB)}", "--host=127.0.0.1"]
    with (directory / "server.log").open("wb") as log:
        server = subprocess.Popen(words, env=environment, stdout=log, stderr=log, cwd=directory, start_new_session=True)
    try:
        body = json.dumps({"model": str(folder), "prompt": "Once", "max_tokens": 8}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions", body, {"Content-Type": "application/json"}
        )
        deadline = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(request, timeout=60).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        shares = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ProcessLookupError):
                if os.getsid(int(place.name)) == server.pid:
                    text = (place / "smaps_rollup").read_text()
                    shares.append(int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    held = describe(str(folder)).weights("", "vllm").total + 16 * MIB
    told, estimated = (sum(shares) - held) / GIB, engine_memory.runtime_bytes("vllm", 1, on_cpu=True) / GIB
    return {"processes": len(shares), "told_gib": round(told, 3), "error": relative(estimated, told)}


def compared(model: Described, told: dict[str, Any]) -> dict[str, Any]:
    """The cache is compared by what one sequence as long as the context takes, which knows windows."""
    arch = model.architecture
    precision = chosen_precision("vllm", arch)
    weights, value = model.weights(precision, "vllm").total, bytes_of(precision or arch.precision)
    rules = kv_cache.CacheRules(told["block_tokens"], told["step_tokens"], straddled=True)
    sequence = kv_cache.sequence_bytes(arch, value, VLLM_CONTEXT, rules)
    activation = engine_memory.peak_activation(arch, tokens=told["step_tokens"], sequences=told["sequences"])
    return {
        "told": told,
        "weights_error": relative(weights, told["weights_bytes"]),
        "cache_error": relative(sequence, told["cache_bytes"] / told["cache_concurrency"]),
        "total_error": relative(weights + told["cache_bytes"] + activation, told["peak_bytes"]),
    }


def worst(rows: list[dict[str, Any]], key: str) -> float:
    return max((abs(row[key]) for row in rows if key in row), default=0.0)


def main() -> int:
    told = json.loads((HERE / "published.json").read_text(encoding="utf-8"))
    stored = json.loads((HERE / "accuracy.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as directory:
        live = llama_cpp(Path(directory))
        on_cpu = vllm_cpu(Path(directory)) if VLLM.exists() else stored.get("vllm_cpu", [])
        processes = vllm_processes(Path(directory)) if VLLM.exists() else stored.get("vllm_cpu_processes", {})
    models = told["models"]
    result: dict[str, Any] = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "versions": {"python": platform.python_version(), "xllamacpp": metadata.version("xllamacpp")},
        "parameters": parameters(models),
        "cache": caches(models, told["cache"]),
        "vllm": vllm(models, told["vllm"]),
        "vllm_activation": activations(models, told["activation"]),
        "llama_cpp": live,
        "vllm_cpu": on_cpu,
        "vllm_cpu_processes": processes,
    }
    result["worst"] = {
        "parameters": worst(result["parameters"], "error"),
        "cache": worst(result["cache"], "error"),
        "vllm_weights": worst(result["vllm"], "weights_error"),
        "vllm_total": worst(result["vllm"], "total_error"),
        "vllm_activation": worst(result["vllm_activation"], "error"),
        "llama_cpp_weights": worst(live, "weights_error"),
        "llama_cpp_cache": worst(live, "cache_error"),
        "llama_cpp_total": worst(live, "total_error"),
        "vllm_cpu_weights": worst(on_cpu, "weights_error"),
        "vllm_cpu_cache": worst(on_cpu, "cache_error"),
        "vllm_cpu_total": worst(on_cpu, "total_error"),
    }
    for kind in ("parameters", "cache", "vllm", "vllm_activation", "llama_cpp", "vllm_cpu"):
        print(f"\n{kind}")
        for row in result[kind]:
            errors = "  ".join(
                f"{key.replace('_', ' ')} {value:+.2%}" for key, value in row.items() if key.endswith("error")
            )
            print(f"  {row['model']:24} {errors}  {row.get('what', row.get('situation', ''))}")
    print("\nworst", {key: f"{value:.2%}" for key, value in result["worst"].items()})
    (HERE / "accuracy.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
