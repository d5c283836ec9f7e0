# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The metadata of a GGUF file read as an :class:`Architecture`; keys as llama.cpp writes them."""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import (
    Architecture,
    Experts,
    Latent,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.gguf_header import GgufFile

# Every how many layers one attends to everything, where the file does not say: llama.cpp knows it by architecture.
_PATTERNS = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "cohere2": 4}
_RECURRENT = (
    "mamba",
    "mamba2",
    "rwkv6",
    "rwkv7",
    "jamba",
    "falcon-h1",
    "granitehybrid",
    "qwen3next",
    "qwen35",
    "qwen35moe",
)


def read_architecture(file: GgufFile, *, where: str) -> Architecture:
    """The architecture that the metadata describes.

    Raises:
        InputError: a key is missing or out of range, or the model keeps a recurrent state.
    """
    name = str(file.metadata.get("general.architecture") or "")
    if name in _RECURRENT:
        raise InputError(f"models of architecture {name} keep a recurrent state, which is not estimated", where=where)

    def count(key: str, default: int | None = None, minimum: int = 0) -> int:
        value = file.metadata.get(f"{name}.{key}")
        if isinstance(value, list):
            # One entry a layer: the total over the layers matters, so its mean.
            value = round(sum(value) / len(value)) if value else None
        if value is None and default is None:
            raise InputError(
                f"the file has no {name or '<architecture>'}.{key}",
                where=where,
                remedy="Give a model, not an adapter, a vocabulary or a projector, or declare the architecture",
            )
        return int(
            expect_number(default if value is None else value, what=f"{name}.{key}", where=where, minimum=minimum)
        )

    width, heads, layers = (
        count("embedding_length", minimum=1),
        count("attention.head_count", minimum=1),
        count("block_count"),
    )
    window = count("attention.sliding_window", 0)
    pattern = _PATTERNS.get(name, 0)
    tokens: Any = file.metadata.get("tokenizer.ggml.tokens")
    vocabulary = tokens["count"] if isinstance(tokens, dict) else len(tokens or ())
    return Architecture(
        name=name,
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=count("attention.head_count_kv", heads, 1),
        head_width=count("attention.key_length", width // heads, 1),
        feed_forward=count("feed_forward_length", 4 * width),
        vocabulary=vocabulary or count("vocab_size", 0),
        context=count("context_length", 0),
        tied="output.weight" not in file.names,
        precision=max(file.types, key=lambda one: file.types[one]) if file.types else "float16",
        window=window,
        windowed_layers=(layers - layers // pattern if pattern > 1 else layers) if window else 0,
        experts=_experts(count, layers),
        latent=_latent(count) if count("attention.kv_lora_rank", 0) else None,
    )


def _experts(count: Any, layers: int) -> Experts | None:
    if count("expert_count", 0) < 2:
        return None
    width = count("expert_feed_forward_length", count("feed_forward_length", 0))
    shared = count("expert_shared_feed_forward_length", 0) or width * count("expert_shared_count", 0)
    dense = count("leading_dense_block_count", 0)
    return Experts(count("expert_count"), count("expert_used_count", 2), width, layers - dense, shared)


def _latent(count: Any) -> Latent:
    rope = count("rope.dimension_count", 64)
    key = count("attention.key_length_mla", count("attention.key_length", 192))
    value = count("attention.value_length_mla", count("attention.value_length", 128))
    return Latent(count("attention.kv_lora_rank"), rope, max(0, key - rope), value, count("attention.q_lora_rank", 0))
