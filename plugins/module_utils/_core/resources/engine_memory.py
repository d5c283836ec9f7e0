# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What an engine takes beside weights and cache, and how much of an accelerator it may take.

vLLM measures its peak by a dry run before it gives the rest to the cache. What that peak is made
of was fitted to published logs (tests/benchmarks/resources): S sequences of vocabulary V pass the
sampler, T tokens of width h pass the layers, E·k experts of width f need a workspace:

    peak = max(c·S·V, 2·3·T·f/p) + 2.4·T·h + 2·T·k·(max(2·f_e/p, h) + f_e/p)     bytes

with c = 15 bytes a logit. Up to vLLM 0.11 it was 38 (all logits sorted in 32 bits with 64-bit places),
and the experts' workspace was freed before the sampler ran. llama.cpp reserves one buffer for the
widest moment of its graph (measured with build 11549): u tokens a step in 32 bits, o outputs, n
cells of attention mask in 16 bits:

    buffer = max(u·(12·f + 4·h + min(16·h, 4096)), 24·u·h, 4·(o·V + u·h)) + 2·u·n     bytes

SGLang, TGI and Triton are taken to need what vLLM needs; that has not been measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import Architecture

GIB = float(1 << 30)
MIB = float(1 << 20)
# Bytes alive per logit at the peak of the sampler, and the release of vLLM from which it is the smaller one.
_SORTED_LOGIT_BYTES, _LOGIT_BYTES, _LEANER_FROM = 38.0, 15.0, (0, 12)
_HIDDEN_BYTES = 2.4
# What NCCL, cuBLAS and the driver take beside PyTorch, on one accelerator and on several.
_RUNTIME_BYTES, _PARALLEL_RUNTIME_BYTES = 0.13 * GIB, 0.55 * GIB
# Interpreters and libraries of vLLM's three processes on a host without accelerators, measured with 0.32.
_PROCESSES_BYTES = 1.35 * GIB
_LLAMA_MOST_SPARE = 4096.0


@dataclass(frozen=True)
class EngineRules:
    """``share`` of the accelerator's memory that the engine may fill, ``reserve`` bytes it always leaves.

    ``splits_heads``: several accelerators share each layer (tensor parallel); else each has some layers.
    """

    share: float
    reserve: float
    splits_heads: bool
    block: int


ENGINE_RULES: dict[str, EngineRules] = {
    "vllm": EngineRules(0.92, 0.0, splits_heads=True, block=16),
    "sglang": EngineRules(0.88, 0.0, splits_heads=True, block=1),
    "tgi": EngineRules(1.0, 0.5 * GIB, splits_heads=True, block=1),
    "triton": EngineRules(0.90, 0.0, splits_heads=True, block=64),
    "llama_cpp": EngineRules(1.0, 1.0 * GIB, splits_heads=False, block=256),
    "command": EngineRules(0.90, 0.0, splits_heads=True, block=16),
}


def default_step(engine: str, memory_bytes: float, *, on_cpu: bool = False) -> tuple[int, int]:
    """Tokens a step and sequences at once that the engine chooses on an accelerator of this size, or without one."""
    if engine == "llama_cpp":
        return 512, 0
    if engine == "vllm" and on_cpu:
        return 2048, 128
    if engine == "sglang":
        tokens = next((t for limit, t in ((20, 2048), (60, 4096), (160, 8192)) if memory_bytes < limit * GIB), 16384)
        return tokens, 256
    if memory_bytes >= 70 * GIB:
        return (16384 if memory_bytes >= 160 * GIB else 8192), 1024
    return 2048, 256


def peak_activation(
    arch: Architecture, *, tokens: int, sequences: int, parallel: int = 1, version: tuple[int, ...] = ()
) -> float:
    """Bytes at the peak of a step in vLLM, on each of ``parallel`` accelerators."""
    older = bool(version) and version < _LEANER_FROM
    sampler = (_SORTED_LOGIT_BYTES if older else _LOGIT_BYTES) * sequences * arch.vocabulary
    every_layer_has_experts = arch.experts is not None and arch.experts.layers == arch.layers
    layer = 0.0 if every_layer_has_experts else 6.0 * tokens * arch.feed_forward / parallel
    workspace = 0.0
    if arch.experts:
        width = arch.experts.width / parallel
        workspace = 2.0 * tokens * arch.experts.active * (max(2 * width, arch.width) + width)
    hidden = _HIDDEN_BYTES * tokens * arch.width
    return max(sampler, layer, workspace) + hidden if older else max(sampler, layer) + hidden + workspace


def llama_buffer(arch: Architecture, *, tokens: int, outputs: int, cells: int) -> float:
    """Bytes of llama.cpp's compute buffer; ``cells`` is the context of one sequence."""
    width = max(arch.feed_forward, (arch.experts.width * arch.experts.active) if arch.experts else 0)
    layer = tokens * (12.0 * width + 4.0 * arch.width + min(16.0 * arch.width, _LLAMA_MOST_SPARE))
    attention = 24.0 * tokens * arch.width
    output = 4.0 * (outputs * arch.vocabulary + tokens * arch.width)
    return max(layer, attention, output) + 2.0 * tokens * cells


def runtime_bytes(engine: str, parallel: int, *, on_cpu: bool = False) -> float:
    """What libraries and driver take on each accelerator; without one, what the engine's processes take."""
    if engine == "llama_cpp":
        return 0.0
    if engine == "vllm" and on_cpu:
        return _PROCESSES_BYTES
    return _PARALLEL_RUNTIME_BYTES if parallel > 1 else _RUNTIME_BYTES
