#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``resource_estimate``: what a model needs before it runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: resource_estimate
short_description: Estimate what a model needs before it runs
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - From a model's own files, without loading its weights, to the memory of its weights and of its cache a token, to the
    shapes that fit each accelerator type of the fleet and the most requests at once.
  - With O(training), also to the memory and the accelerator-hours of training or fine-tuning it.
  - Exactly one of O(path), O(config) and O(architecture) says what the model is.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  path:
    description:
      - A GGUF file, a C(config.json), or the folder of a model. Of safetensors and GGUF files only the headers are read.
    type: path
  config:
    description: The content of a Hugging Face C(config.json).
    type: dict
  architecture:
    description:
      - A declared architecture, with C(layers), C(width), C(heads), C(kv_heads), C(head_width), C(feed_forward),
        C(vocabulary) and C(context), and where they apply C(tied), C(gated), C(precision), C(window),
        C(windowed_layers), C(experts) (C(count), C(active), C(width), C(layers), C(shared_width)), C(latent) (C(rank),
        C(rope_width), C(plain_width), C(value_width), C(query_rank)) and C(extra) parameters.
    type: dict
  engine:
    description: What serves it.
    type: str
    choices: [vllm, sglang, tgi, triton, llama_cpp, command]
    default: vllm
  engine_version:
    description: Its version, for example V(0.11.0). Left out, the newest known.
    type: str
    default: ''
  precision:
    description:
      - What the weights are to be stored as, such as V(bfloat16), V(fp8), V(int4) or V(mxfp4). Left out, as they are.
    type: str
    default: ''
  cache_precision:
    description: What keys and values are to be stored as. Left out, what the engine does by itself.
    type: str
    default: ''
  context_tokens:
    description: Longest request with its answer. Left out, what the model was made for.
    type: int
  concurrency:
    description: Requests of that length to be held at once.
    type: int
    default: 1
  max_batched_tokens:
    description: Tokens a step of the engine. Left out, what the engine chooses for the accelerator.
    type: int
  max_sequences:
    description: Sequences at once that the engine is to allow. Left out, what the engine chooses for the accelerator.
    type: int
  memory_share:
    description: Share of the accelerator's memory that the engine may fill. Left out, the engine's own default.
    type: float
  hosts:
    description: The fleet, as a list of host records or the path of a file of them. Left out, nothing is fitted.
    type: raw
  accelerator_type:
    description: The accelerator type RV(resources) are for. Left out, the one that takes the fewest accelerators.
    type: str
    default: ''
  training:
    description:
      - C(method) (V(full), V(lora), V(qlora)), C(optimiser) (V(adamw), V(adamw_8bit), V(adamw_bf16), V(lion),
        V(sgd_momentum), V(sgd)), C(tokens) over all epochs, C(sequence_tokens), C(micro_batch), C(recompute) (V(none),
        V(selective), V(full)), C(data_parallel), C(tensor_parallel), C(zero_stage), C(lora_rank), C(utilisation) (of
        the peak, V(0.4)) and C(peak_tflops) where the data sheet of the type is not known.
    type: dict
  refuse_unfitting:
    description: Fail where the model fits no host of the fleet.
    type: bool
    default: true
  dest:
    description: Where to write the estimate.
    type: path
seealso:
  - module: modelops.datacenter.capacity_plan
  - plugin: modelops.datacenter.filled_resources
    plugin_type: filter
"""

EXAMPLES = r"""
- name: What does the new model need?
  modelops.datacenter.resource_estimate:
    path: /srv/models/chat-8b
    context_tokens: 8192
    concurrency: 32
    hosts: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
  register: chat

- name: Show it
  ansible.builtin.debug:
    msg: "{{ chat.lines }}"

- name: How long would a fine-tuning take?
  modelops.datacenter.resource_estimate:
    path: /srv/models/chat-8b
    hosts: fleet.json
    training: {method: lora, tokens: 2.0e8, sequence_tokens: 4096, recompute: full}
"""

RETURN = r"""
parameters:
  description: Numbers of parameters, C(total), C(active) (what one token is multiplied by) and by where they are.
  type: dict
  returned: success
weights:
  description: C(gib), C(precision) and C(from), which is V(headers) or V(configuration).
  type: dict
  returned: success
cache:
  description: C(bytes_per_token) over all layers, and C(sequence_gib) of one request of the longest length.
  type: dict
  returned: success
types:
  description:
    - By accelerator type, C(shapes) (numbers of accelerators with the GiB on each, C(room_gib), C(fits) and
      C(largest_concurrency)), C(smallest) number that fits and C(resources).
  type: dict
  returned: success
accelerator_type:
  description: The accelerator type that RV(resources) are for.
  type: str
  returned: success
resources:
  description: The same as C(resources) of a catalogue entry, null where nothing fits or no host was given.
  type: dict
  returned: success
  sample: {"accelerators": 1, "accelerator_memory_gib": 21.4}
training:
  description: GiB on each accelerator by kind, C(operations), C(accelerator_hours) by accelerator type, and the types it C(fits).
  type: dict
  returned: with O(training)
lines:
  description: The same in words.
  type: list
  elements: str
  returned: success
path:
  description: What was written.
  type: str
  returned: with O(dest)
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents, fleet
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.estimate import (
    Wish,
    estimate,
    estimate_lines,
    refuse_unfitting,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.source import describe
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.training import read_training
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_content
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path"},
    "config": {"type": "dict"},
    "architecture": {"type": "dict"},
    "engine": {"type": "str", "choices": [*fleet.ENGINES], "default": "vllm"},
    "engine_version": {"type": "str", "default": ""},
    "precision": {"type": "str", "default": ""},
    "cache_precision": {"type": "str", "default": ""},
    "context_tokens": {"type": "int", "no_log": False},
    "concurrency": {"type": "int", "default": 1},
    "max_batched_tokens": {"type": "int", "no_log": False},
    "max_sequences": {"type": "int"},
    "memory_share": {"type": "float"},
    "hosts": {"type": "raw"},
    "accelerator_type": {"type": "str", "default": ""},
    "training": {"type": "dict"},
    "refuse_unfitting": {"type": "bool", "default": True},
    "dest": {"type": "path"},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Describe the model, estimate, and keep the estimate where that is asked for."""
    model = describe(params["path"] or "", params["config"], params["architecture"])
    limits = {
        "context_tokens": (1, 1e9),
        "concurrency": (1, 1e6),
        "max_batched_tokens": (1, 1e7),
        "max_sequences": (1, 1e6),
    }
    for name, (low, high) in {**limits, "memory_share": (0.05, 1.0)}.items():
        if params[name] is not None:
            documents.expect_number(params[name], what=name, minimum=low, maximum=high)
    wish = Wish(
        engine=params["engine"],
        engine_version=params["engine_version"],
        precision=params["precision"],
        cache_precision=params["cache_precision"],
        context=params["context_tokens"] or 0,
        concurrency=params["concurrency"],
        step_tokens=params["max_batched_tokens"] or 0,
        sequences=params["max_sequences"] or 0,
        share=params["memory_share"] or 0.0,
        accelerator_type=params["accelerator_type"],
    )
    hosts = fleet.parse_hosts(documents.load(params["hosts"] or [], what="list of hosts"))
    training = None if params["training"] is None else read_training(params["training"])
    document = estimate(model, wish, hosts, training)
    if params["refuse_unfitting"] and training is None:
        refuse_unfitting(document)
    changed = False
    if params["dest"]:
        changed = store_content(params["dest"], documents.canonical_bytes(document), dry=check_mode)
    result = {name: value for name, value in document.items() if name not in ("schema_version", "kind")}
    place = {"path": params["dest"]} if params["dest"] else {}
    return {**result, **place, "changed": changed, "lines": estimate_lines(document), "warnings": list(model.warnings)}


def main() -> None:
    one = ("path", "config", "architecture")
    run_module(ARGUMENT_SPEC, execute, mutually_exclusive=[one], required_one_of=[one])


if __name__ == "__main__":
    main()
