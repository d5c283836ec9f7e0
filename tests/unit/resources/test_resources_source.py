# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What describes a model: files, configurations, declarations; and each way they can be wrong."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.catalogue import filled_resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.precision import quantised_precision
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.source import describe

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 176,
    "vocab_size": 512,
    "max_position_embeddings": 512,
    "torch_dtype": "bfloat16",
}
PARAMETERS = 158_016


def safetensors(path: Path, values: int, kind: str = "BF16", size: int = 2, short: int = 0) -> None:
    header = json.dumps({"w": {"dtype": kind, "shape": [values], "data_offsets": [0, values * size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * (values * size - short))


def folder(path: Path, config: dict[str, Any] | None = None) -> Path:
    (path / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    return path


def write_gguf(path: Path, kind: gguf.GGMLQuantizationType | None = None) -> None:
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(2)
    writer.add_embedding_length(256)
    writer.add_feed_forward_length(512)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_context_length(512)
    writer.add_token_list([b"a"] * 5000)
    if kind is None:
        writer.add_tensor("token_embd.weight", np.zeros((5000, 256), np.float16))
    else:
        data = gguf.quants.quantize(np.ones((5000, 256), np.float32), kind)
        writer.add_tensor("token_embd.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_headers_count_more_than_the_configuration(tmp_path: Path) -> None:
    """A tower for pictures is in the weights, not in the text part of the configuration."""
    safetensors(folder(tmp_path) / "model.safetensors", PARAMETERS + 1000)
    found = describe(str(tmp_path))
    assert found.count.total == PARAMETERS + 1000
    assert found.weights("", "vllm").total == 2 * (PARAMETERS + 1000)
    assert found.weights("float32", "vllm").total == 4 * (PARAMETERS + 1000)


def test_several_files_are_counted_together_and_none_may_be_missing(tmp_path: Path) -> None:
    folder(tmp_path)
    safetensors(tmp_path / "a.safetensors", PARAMETERS - 500)
    safetensors(tmp_path / "b.safetensors", 500)
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert describe(str(tmp_path)).stored_bytes == 2 * PARAMETERS
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(InputError, match=r"1 files of the weights are missing, b\.safetensors first"):
        describe(str(tmp_path))


def test_weights_that_are_not_those_of_the_configuration_are_pointed_out(tmp_path: Path) -> None:
    safetensors(folder(tmp_path) / "model.safetensors", PARAMETERS // 2)
    assert "the files hold 79,008 parameters, the configuration says 158,016" in describe(str(tmp_path)).warnings[0]


@pytest.mark.parametrize(
    ("kind", "bytes_a_value"),
    [(None, 2.0), (gguf.GGMLQuantizationType.Q8_0, 34 / 32), (gguf.GGMLQuantizationType.Q4_0, 18 / 32)],
)
def test_gguf_types_take_what_the_package_writes(tmp_path: Path, kind: Any, bytes_a_value: float) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(path, kind)
    found = describe(str(path))
    assert found.stored_bytes == 5000 * 256 * bytes_a_value
    assert found.architecture.vocabulary == 5000
    assert found.architecture.tied


@pytest.mark.parametrize("share", [0.0001, 0.05, 0.5, 0.999])
def test_a_gguf_file_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(5, int(len(whole) * share))])
    with pytest.raises(InputError, match="cut off"):
        describe(str(path))


def test_any_damage_to_a_gguf_header_gives_a_clear_message_or_none(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_gguf(path)
    whole = path.read_bytes()
    random = np.random.default_rng(5)
    for _trial in range(200):
        damaged = bytearray(whole)
        for position in random.integers(4, 400, 3):
            damaged[position] = int(random.integers(0, 256))
        path.write_bytes(bytes(damaged))
        try:
            describe(str(path))
        except InputError as error:
            assert str(path) in error.message


@pytest.mark.parametrize("missing", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
def test_a_configuration_without_a_needed_field_is_refused(missing: str) -> None:
    config = {name: value for name, value in CONFIG.items() if name != missing}
    with pytest.raises(InputError, match=f"the configuration has no {missing}"):
        describe(config=config)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hidden_size": "wide"}, "hidden_size must be a number"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be at least 1"),
        ({"torch_dtype": "float7"}, "torch_dtype 'float7' is not known"),
        ({"model_type": "mamba2"}, "recurrent state"),
        ({"layer_types": ["linear_attention"]}, "recurrent state"),
        ({"quantization_config": {"quant_method": "vptq"}}, "the quantisation 'vptq' is not known"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        describe(config={**CONFIG, **change})


def test_files_that_are_no_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither config\.json nor a \.gguf file"):
        describe(str(tmp_path))
    with pytest.raises(InputError, match="there is no such file"):
        describe(str(tmp_path / "absent"))
    (tmp_path / "x.gguf").write_bytes(b"PK\3\4" + b"\0" * 100)
    with pytest.raises(InputError, match="no GGUF file"):
        describe(str(tmp_path / "x.gguf"))
    folder(tmp_path)
    safetensors(tmp_path / "model.safetensors", PARAMETERS, short=10)
    with pytest.raises(InputError, match="10 bytes of its weights are missing"):
        describe(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(InputError, match="cut off, or no safetensors file"):
        describe(str(tmp_path))


def test_a_declared_architecture() -> None:
    given = {
        "layers": 2,
        "width": 64,
        "heads": 4,
        "kv_heads": 2,
        "feed_forward": 176,
        "vocabulary": 512,
        "context": 512,
    }
    assert describe(declared=given).count.total == PARAMETERS
    experts = {"count": 4, "active": 2, "width": 88, "layers": 2}
    assert describe(declared={**given, "experts": experts}).count.experts == 2 * (4 * 3 * 64 * 88 + 64 * 4)
    with pytest.raises(InputError, match="colour is not known"):
        describe(declared={**given, "colour": 1})
    with pytest.raises(InputError, match="vocabulary is missing"):
        describe(declared={name: value for name, value in given.items() if name != "vocabulary"})


@pytest.mark.parametrize(
    ("record", "precision"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "int4"),
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "nf4"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"g": {"weights": {"num_bits": 8, "type": "float"}}},
            },
            "fp8",
        ),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 8, "type": "int"}}}},
            "int8",
        ),
    ],
)
def test_quantised_checkpoints(record: dict[str, Any], precision: str) -> None:
    assert quantised_precision(record, where="") == precision


def test_the_catalogue_is_filled_where_it_says_nothing() -> None:
    catalogue = {"a": {"engine": "vllm"}, "b": {"resources": {"accelerators": 2}}, "c": {}}
    estimate = {"resources": {"accelerators": 1, "accelerator_memory_gib": 17.5}}
    filled = filled_resources(catalogue, {"a": estimate, "b": estimate})
    assert filled["a"]["resources"] == estimate["resources"]
    assert filled["b"]["resources"] == {"accelerators": 2, "accelerator_memory_gib": 17.5}
    assert filled["c"] == {}
    with pytest.raises(InputError, match="no entry in the catalogue"):
        filled_resources(catalogue, {"d": estimate})
    with pytest.raises(InputError, match="names no resources"):
        filled_resources(catalogue, {"a": {"resources": None}})
