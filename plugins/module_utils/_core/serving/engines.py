# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What is particular about each serving engine: its command, its flags, its manners.

One :class:`Profile` an engine. Facts about flags, exit codes and drains were taken
from the engines' help, sources and from measured runs of vLLM 0.32, SGLang 0.5.23,
TGI 3.3.7, Triton 2.6x (25.x) and llama.cpp of autumn 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.flags import (
    POSITIONAL,
    FlagStyle,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.launch import Launch, Profile

METRICS_PORT_OFFSET = 1000
GRPC_PORT_OFFSET = 2000
VLLM_MEMORY_SHARE = 0.92
SGLANG_MEMORY_SHARE = 0.88


def _whole_accelerators(launch: Launch) -> int | None:
    return len(launch.accelerators) if len(launch.accelerators) > 1 else None


def _worker_shared_memory(launch: Launch) -> float:
    return 8.0 + len(launch.accelerators) if len(launch.accelerators) > 1 else 1.0


def _share_of(default: float, launch: Launch) -> float | None:
    """Left to the engine for a whole card; engines that share one must add up below 1."""
    return round(default * launch.memory_share, 3) if launch.memory_share < 1 else None


def _vllm_flags(launch: Launch, executable: Sequence[str]) -> dict[str, Any]:
    # The module form takes the model by flag, the console script as the first word after "serve".
    last = executable[-1]
    model_flag = "--model" if last.endswith("api_server") else POSITIONAL if last == "serve" else "serve"
    return {
        model_flag: launch.require_model(),
        "--served-model-name": launch.alias,
        "--host": launch.host,
        "--port": launch.port,
        "--tensor-parallel-size": _whole_accelerators(launch),
        "--gpu-memory-utilization": _share_of(VLLM_MEMORY_SHARE, launch),
        # 0, its default, aborts running work and still waits for the clients to hang up.
        "--shutdown-timeout": max(1, round(launch.drain_seconds)),
    }


def _vllm_environment(launch: Launch) -> dict[str, str]:
    environment = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_PORT": str(launch.worker_port)}
    if launch.cache_dir:
        environment["VLLM_CACHE_ROOT"] = f"{launch.cache_dir}/vllm"
    return environment


def _sglang_flags(launch: Launch, _executable: Sequence[str]) -> dict[str, Any]:
    return {
        "--model-path": launch.require_model(),
        "--served-model-name": launch.alias,
        "--host": launch.host,
        "--port": launch.port,
        "--nccl-port": launch.worker_port,
        "--tp-size": _whole_accelerators(launch),
        "--mem-fraction-static": _share_of(SGLANG_MEMORY_SHARE, launch),
        "--enable-metrics": True,
    }


def _sglang_environment(launch: Launch) -> dict[str, str]:
    # A long prefill makes its own health probe time out; 20 s, its default, is too short.
    environment = {"HF_HUB_OFFLINE": "1", "SGLANG_HEALTH_CHECK_TIMEOUT": "60"}
    if launch.cache_dir:
        environment["SGLANG_CACHE_DIR"] = f"{launch.cache_dir}/sglang"
    return environment


def _sglang_secrets(launch: Launch) -> dict[str, str]:
    args = launch.engine_args
    names = {str(arg).lstrip("-").split("=", 1)[0] for arg in args or ()}
    if launch.api_key_file and "config" not in names:
        raise InputError(
            "SGLang takes its key from argv or its configuration file only, and argv is readable by every user",
            where=launch.where,
            remedy="Write 'api-key: ...' into a YAML file on the host and set engine_args: {config: /that/file.yaml}",
        )
    return {}


def _tgi_flags(launch: Launch, _executable: Sequence[str]) -> dict[str, Any]:
    return {
        "--model-id": launch.require_model(),
        "--hostname": launch.host,
        "--port": launch.port,
        "--prometheus-port": launch.port + METRICS_PORT_OFFSET,
        "--master-port": launch.worker_port,
        "--shard-uds-path": f"/tmp/{launch.name}",
        "--num-shard": _whole_accelerators(launch),
        "--cuda-memory-fraction": _share_of(1.0, launch),
        "--graceful-termination-timeout": max(1, round(launch.drain_seconds)),
        "--json-output": True,
    }


def _triton_flags(launch: Launch, _executable: Sequence[str]) -> dict[str, Any]:
    return {
        "--model-repository": launch.require_model(),
        "--http-address": launch.host,
        "--http-port": launch.port,
        "--grpc-address": launch.host,
        "--grpc-port": launch.port + GRPC_PORT_OFFSET,
        "--metrics-address": launch.host,
        "--metrics-port": launch.port + METRICS_PORT_OFFSET,
        "--exit-timeout-secs": max(1, round(launch.drain_seconds)),
    }


def _triton_secrets(launch: Launch) -> dict[str, str]:
    if launch.api_key_file:
        raise InputError(
            "Triton knows no API key", where=launch.where, remedy="Remove api_key_file and guard it at the gateway"
        )
    return {}


def _llama_flags(launch: Launch, _executable: Sequence[str]) -> dict[str, Any]:
    on_cpu = not launch.accelerators and launch.cpu_cores >= 1
    return {
        "--model": launch.require_model(),
        "--alias": launch.alias,
        "--host": launch.host,
        "--port": launch.port,
        "--threads": int(launch.cpu_cores) if on_cpu else None,
        "--metrics": True,
    }


def _llama_environment(launch: Launch) -> dict[str, str]:
    return {"LLAMA_ARG_API_KEY_FILE": launch.api_key_file} if launch.api_key_file else {}


PROFILES: Mapping[str, Profile] = {
    "vllm": Profile(
        executable=("vllm",),
        flags=_vllm_flags,
        style=FlagStyle(
            aliases={
                "--tensor-parallel-size": ("-tp",),
                "--gpu-memory-utilization": ("--kv-cache-memory-bytes",),
            },
            repeats_lists=False,
            negative="--no-",
            switches=(
                "--aggregate-engine-logging",
                "--data-parallel-multi-port-external-lb",
                "--disable-log-stats",
                "--grpc",
                "--headless",
            ),
        ),
        environment=_vllm_environment,
        secrets=lambda launch: {"VLLM_API_KEY": launch.api_key_file} if launch.api_key_file else {},
        # SIGTERM while it loads ends it by the signal or with 128 + 15.
        success_exit_statuses=("143",),
        shared_memory_gib=_worker_shared_memory,
        notes=(
            "exits with 0 when its engine dies: the supervisor must restart it always, not only on failure",
            "/health stays 200 while it drains and while a worker hangs: judge it by a completion",
            "before 0.32 it refuses UUIDs in CUDA_VISIBLE_DEVICES: set pin_by to index there",
        ),
    ),
    "sglang": Profile(
        executable=("python3", "-m", "sglang.launch_server"),
        flags=_sglang_flags,
        style=FlagStyle(
            aliases={"--tp-size": ("--tp", "--tensor-parallel-size"), "--model-path": ("--model",)},
            repeats_lists=False,
        ),
        environment=_sglang_environment,
        secrets=_sglang_secrets,
        ready_path="/ready",
        # Older releases end a drain by killing themselves.
        success_exit_statuses=("137", "SIGKILL"),
        shared_memory_gib=_worker_shared_memory,
        notes=("its drain has no bound of its own: only the stop timeout ends it",),
    ),
    "tgi": Profile(
        executable=("text-generation-launcher",),
        flags=_tgi_flags,
        style=FlagStyle(aliases={}),
        environment=lambda _launch: {"HF_HUB_OFFLINE": "1", "USAGE_STATS": "off"},
        secrets=lambda launch: {"API_KEY": launch.api_key_file} if launch.api_key_file else {},
        shared_memory_gib=_worker_shared_memory,
        notes=("in maintenance mode: prefer vLLM or SGLang for new models",),
    ),
    "triton": Profile(
        executable=("tritonserver",),
        flags=_triton_flags,
        style=FlagStyle(aliases={"--model-repository": ("--model-store",)}, joined=True),
        secrets=_triton_secrets,
        health_path="/v2/health/live",
        ready_path="/v2/health/ready",
        metrics_port=lambda launch: launch.port + METRICS_PORT_OFFSET,
        shared_memory_gib=lambda _launch: 1.0,
    ),
    "llama_cpp": Profile(
        executable=("llama-server",),
        flags=_llama_flags,
        style=FlagStyle(
            aliases={
                "--model": ("-m",),
                "--alias": ("-a",),
                "--threads": ("-t",),
                "--ctx-size": ("-c",),
                "--parallel": ("-np",),
                "--n-gpu-layers": ("-ngl",),
            }
        ),
        environment=_llama_environment,
        drains=False,
        stop_margin_seconds=20.0,
        success_exit_statuses=("143",),
        notes=("cuts running work on SIGTERM: drain the gateway first",),
    ),
    "command": Profile(
        executable=(),
        flags=lambda _launch, _executable: {},
        style=FlagStyle(aliases={}),
        probe="health",
    ),
}
