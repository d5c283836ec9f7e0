# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A Hugging Face ``config.json`` read as an :class:`Architecture`.

Families differ in what they leave unsaid: whether embeddings are tied, which layers have
a window, how many normalisations a layer has. :data:`FAMILIES` holds what differs from a
llama; it was checked against the parameter counts that the publishers state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import (
    Architecture,
    Experts,
    Latent,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.precision import (
    named_precision,
    quantised_precision,
)

# Older families' names of the same fields.
_NAMES: dict[str, tuple[str, ...]] = {
    "hidden_size": ("n_embd", "d_model"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": ("n_head_kv", "num_kv_heads", "multi_query_group_num"),
    "intermediate_size": ("n_inner", "ffn_hidden_size", "ffn_dim"),
    "max_position_embeddings": ("n_positions", "seq_length", "max_sequence_length", "n_ctx"),
    "vocab_size": ("padded_vocab_size",),
    "head_dim": ("kv_channels",),
}
_REQUIRED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")

_PLAIN = {"gated": False, "norms": 4, "final_norm": 2, "feed_forward_bias": True, "output_bias": True, "qkv_bias": True}
# What a family does otherwise than a llama; ``positions``: learned ones, ``pattern``: every how many layers one is global.
FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {**_PLAIN, "tied": True, "positions": True},
    "gpt_bigcode": {**_PLAIN, "tied": True, "positions": True},
    "gpt_neox": dict(_PLAIN),
    "starcoder2": {**_PLAIN, "tied": True},
    "phi": {**_PLAIN, "norms": 2, "head_bias": True},
    "phi-msft": {**_PLAIN, "norms": 2, "head_bias": True},
    "stablelm": {"norms": 4, "final_norm": 2},
    "falcon": {"gated": False, "norms": 2, "final_norm": 2, "tied": True},
    "qwen": {"qkv_bias": True, "halved": True},
    "qwen2": {"qkv_bias": True},
    "qwen2_moe": {"qkv_bias": True, "gated_shared": True},
    "qwen3": {"head_norms": 2},
    "qwen3_moe": {"head_norms": 2},
    "gemma": {"tied": True},
    "gemma2": {"tied": True, "norms": 4, "pattern": 2},
    "gemma3_text": {"tied": True, "norms": 4, "head_norms": 2, "pattern": 6},
    "gpt_oss": {
        "qkv_bias": True,
        "output_bias": True,
        "sinks": True,
        "pattern": 2,
        "router_bias": True,
        "biased": True,
    },
    "deepseek_v3": {"router_bias": True},
    "chatglm": {"qkv_bias": True},
    "cohere": {"tied": True, "norms": 1},
    "cohere2": {"tied": True, "norms": 1, "pattern": 4},
}
# Families that keep a state of fixed size instead of keys and values, in some layers or in all.
_RECURRENT = ("mamba", "mamba2", "rwkv", "rwkv5", "rwkv6", "rwkv7", "jamba", "falcon_mamba", "recurrent_gemma")
_WINDOWED = ("sliding_attention", "chunked_attention")


def read_config(document: Any, *, where: str) -> Architecture:
    """The architecture that a ``config.json`` describes.

    Raises:
        InputError: a field is missing or out of range, or the family is not a transformer.
    """
    outer = expect_mapping(document, what="model configuration", where=where)
    inner = outer.get("text_config") or outer.get("llm_config") or outer
    config = {**expect_mapping(inner, what="text_config", where=where)}
    for name, others in _NAMES.items():
        if config.get(name) is None:
            config[name] = next((config[other] for other in others if config.get(other) is not None), None)
    kind = str(config.get("model_type") or outer.get("model_type") or "")
    if kind in _RECURRENT or "linear_attention" in (config.get("layer_types") or ()):
        raise InputError(
            f"models of type {kind} keep a recurrent state, which is not estimated",
            where=where,
            remedy="Measure the model once, with the playbook profile, and set its resources by hand",
        )
    missing = [name for name in _REQUIRED if config.get(name) is None]
    if missing:
        raise InputError(
            f"the configuration has no {', '.join(missing)}",
            where=where,
            remedy="Give the config.json of the whole model, not that of an adapter or a tokenizer, or declare the architecture",
        )
    family = FAMILIES.get(kind, {})
    return _architecture(config, outer, kind, family, where)


def _architecture(
    config: Mapping[str, Any], outer: Mapping[str, Any], kind: str, family: Mapping[str, Any], where: str
) -> Architecture:
    def count(name: str, default: Any = None, minimum: int = 0) -> int:
        value = config.get(name)
        return int(expect_number(default if value is None else value, what=name, where=where, minimum=minimum))

    width, heads = count("hidden_size", minimum=1), count("num_attention_heads", minimum=1)
    layers, context = count("num_hidden_layers", minimum=1), count("max_position_embeddings", 0)
    latent = _latent(config, count) if config.get("kv_lora_rank") else None
    head_width = latent.plain_width + latent.rope_width if latent else count("head_dim", width // heads, 1)
    multi_query = bool(config.get("multi_query")) and config.get("num_key_value_heads") is None
    quantisation = config.get("quantization_config") or outer.get("quantization_config")
    window, windowed = _windows(config, family, layers, where)
    tied = config.get("tie_word_embeddings", outer.get("tie_word_embeddings"))
    feed_forward = count("intermediate_size", 4 * width)
    warnings = []
    if config is not outer and any(name in outer for name in ("vision_config", "audio_config")):
        warnings.append(
            f"{where}: the towers for pictures and sound are not in the estimate unless the weights are given"
        )
    if kind not in FAMILIES and kind not in ("llama", "mistral", "mixtral", "phi3", "deepseek_v2", "ministral3"):
        warnings.append(
            f"{where}: models of type {kind or 'unknown'} are read as a llama; check the number of parameters"
        )
    return Architecture(
        name=kind,
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=1 if multi_query else count("num_key_value_heads", heads, 1),
        head_width=head_width,
        feed_forward=feed_forward // 2 if family.get("halved") else feed_forward,
        vocabulary=count("vocab_size", minimum=1),
        context=context,
        tied=bool(family.get("tied", False) if tied is None else tied),
        gated=bool(family.get("gated", True)),
        precision=_stored(config, outer, where),
        quantised=quantised_precision(quantisation, where=where) if quantisation else "",
        window=window,
        windowed_layers=windowed,
        experts=_experts(config, family, layers, count),
        latent=latent,
        norms=int(family.get("norms", 2)),
        final_norm=int(family.get("final_norm", 1)),
        head_norms=int(family.get("head_norms", 0)),
        sinks=bool(family.get("sinks", False)),
        qkv_bias=_said(config, ("attention_bias", "use_qkv_bias", "add_qkv_bias"), family.get("qkv_bias", False)),
        output_bias=bool(family.get("output_bias", bool(config.get("attention_bias")) and kind == "llama")),
        feed_forward_bias=bool(family.get("feed_forward_bias", config.get("mlp_bias", False))),
        head_bias=bool(family.get("head_bias", False)),
        positions=context if family.get("positions") else 0,
        warnings=tuple(warnings),
    )


def _said(config: Mapping[str, Any], names: tuple[str, ...], default: Any) -> bool:
    return bool(next((config[name] for name in names if config.get(name) is not None), default))


def _stored(config: Mapping[str, Any], outer: Mapping[str, Any], where: str) -> str:
    value = next(
        (one[name] for one in (config, outer) for name in ("dtype", "torch_dtype") if one.get(name)), "bfloat16"
    )
    return named_precision(value, what="torch_dtype", where=where)


def _latent(config: Mapping[str, Any], count: Any) -> Latent:
    return Latent(
        rank=count("kv_lora_rank", minimum=1),
        rope_width=count("qk_rope_head_dim"),
        plain_width=count("qk_nope_head_dim"),
        value_width=count("v_head_dim"),
        query_rank=count("q_lora_rank", 0),
    )


def _experts(config: Mapping[str, Any], family: Mapping[str, Any], layers: int, count: Any) -> Experts | None:
    name = next((n for n in ("n_routed_experts", "num_experts", "num_local_experts") if config.get(n)), "")
    if not name or count(name) < 2:
        return None
    width = count("moe_intermediate_size", count("intermediate_size"))
    step = max(1, count("decoder_sparse_step", config.get("moe_layer_freq") or 1))
    dense = set(config.get("mlp_only_layers") or ()) | set(range(count("first_k_dense_replace", 0)))
    # Qwen counts its sparse layers from one, DeepSeek from zero.
    offset = 1 if config.get("decoder_sparse_step") else 0
    sparse = [layer for layer in range(layers) if layer not in dense and (layer + offset) % step == 0]
    shared = count("shared_expert_intermediate_size", 0) or count("n_shared_experts", 0) * width
    return Experts(
        count=count(name),
        active=count("num_experts_per_tok", 2, 1),
        width=width,
        layers=len(sparse),
        shared_width=shared,
        router_bias=bool(family.get("router_bias", False)),
        biased=bool(family.get("biased", False)),
        gated_shared=bool(family.get("gated_shared", False)) and shared > 0,
    )


def _windows(config: Mapping[str, Any], family: Mapping[str, Any], layers: int, where: str) -> tuple[int, int]:
    """The window in tokens and how many layers have one."""
    window = config.get("sliding_window") or config.get("attention_chunk_size")
    if not window or config.get("use_sliding_window") is False:
        return 0, 0
    tokens = int(expect_number(window, what="sliding_window", where=where, minimum=1))
    kinds = config.get("layer_types")
    if kinds:
        return tokens, sum(kind in _WINDOWED for kind in kinds[:layers])
    pattern = int(config.get("sliding_window_pattern") or family.get("pattern") or 0)
    if pattern > 1:
        return tokens, layers - layers // pattern
    if config.get("use_sliding_window") and config.get("max_window_layers") is not None:
        return tokens, max(0, layers - int(config["max_window_layers"]))
    return tokens, layers
