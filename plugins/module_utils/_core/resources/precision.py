# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How many bytes a number of a model takes, by what it is stored as.

Sources: the safetensors and GGUF format descriptions for stored types (a GGUF type packs a
block of values into a fixed number of bytes); for quantised Hugging Face models the usual
group sizes: 4 bits with one 16-bit scale and one 4-bit zero point a group of 128 (GPTQ, Frantar
et al. 2023, arXiv:2210.17323; AWQ, Lin et al. 2023, arXiv:2306.00978), one 8-bit exponent a
block of 32 (OCP Microscaling 1.0, ``mxfp4``), one 8-bit scale a block of 16 (``nvfp4``), one
32-bit maximum a block of 64 (``nf4``, Dettmers et al. 2023, arXiv:2305.14314).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

# Bits of one stored number, scales of its group included.
BITS: dict[str, float] = {
    "float32": 32.0,
    "bfloat16": 16.0,
    "float16": 16.0,
    "fp8": 8.0,
    "int8": 8.0,
    "nvfp4": 4.5,
    "mxfp4": 4.25,
    "nf4": 4.5,
    "int4": 4.0 + 20.0 / 128.0,
    # GGUF types, as caches of llama.cpp name them.
    "q8_0": 8.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
}
# Precisions in which only the matrices of the layers are stored; embeddings, head and norms stay as they were.
LAYER_ONLY = ("fp8", "int8", "nvfp4", "mxfp4", "nf4", "int4")
_ALIASES = {
    "f32": "float32",
    "fp32": "float32",
    "float": "float32",
    "bf16": "bfloat16",
    "f16": "float16",
    "fp16": "float16",
    "half": "float16",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "float8_e4m3fn": "fp8",
    "awq": "int4",
    "gptq": "int4",
}

# safetensors type to bytes of one value.
SAFETENSORS_BYTES: dict[str, float] = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "BF16": 2,
    "F16": 2,
    "I16": 2,
    "U16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F4": 0.5,
}

# GGUF type number to its name, values a block and bytes a block.
GGUF_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("f32", 1, 4),
    1: ("f16", 1, 2),
    2: ("q4_0", 32, 18),
    3: ("q4_1", 32, 20),
    6: ("q5_0", 32, 22),
    7: ("q5_1", 32, 24),
    8: ("q8_0", 32, 34),
    9: ("q8_1", 32, 36),
    10: ("q2_K", 256, 84),
    11: ("q3_K", 256, 110),
    12: ("q4_K", 256, 144),
    13: ("q5_K", 256, 176),
    14: ("q6_K", 256, 210),
    15: ("q8_K", 256, 292),
    16: ("iq2_xxs", 256, 66),
    17: ("iq2_xs", 256, 74),
    18: ("iq3_xxs", 256, 98),
    19: ("iq1_s", 256, 50),
    20: ("iq4_nl", 32, 18),
    21: ("iq3_s", 256, 110),
    22: ("iq2_s", 256, 82),
    23: ("iq4_xs", 256, 136),
    24: ("i8", 1, 1),
    25: ("i16", 1, 2),
    26: ("i32", 1, 4),
    27: ("i64", 1, 8),
    28: ("f64", 1, 8),
    29: ("iq1_m", 256, 56),
    30: ("bf16", 1, 2),
    34: ("tq1_0", 256, 54),
    35: ("tq2_0", 256, 66),
    39: ("mxfp4", 32, 17),
    40: ("nvfp4", 64, 36),
}


def named_precision(value: Any, *, what: str, where: str = "") -> str:
    """``bf16``, ``torch.bfloat16`` and ``bfloat16`` are one precision.

    Raises:
        InputError: a name that is not known.
    """
    name = str(value).lower().rsplit("torch.", maxsplit=1)[-1].strip()
    name = _ALIASES.get(name, name)
    if name not in BITS:
        raise InputError(f"{what} {value!r} is not known", where=where, remedy=f"Use one of {', '.join(sorted(BITS))}")
    return name


def bytes_of(precision: str) -> float:
    """Bytes of one value stored as ``precision``, scales included."""
    return BITS[precision] / 8.0


def quantised_precision(record: Mapping[str, Any], *, where: str) -> str:
    """What ``quantization_config`` of a Hugging Face configuration stores the layers as.

    Raises:
        InputError: a method or a number of bits that is not known.
    """
    method = str(record.get("quant_method") or record.get("quant_type") or "").lower()
    bits = record.get("bits", record.get("w_bit"))
    if method in ("gptq", "awq", "auto-round", "auto_round", "compressed-tensors", "quark", "modelopt") or bits:
        text = str(record).lower()
        bits = bits or (8 if "'num_bits': 8" in text else 4 if "'num_bits': 4" in text else None)
        if "nvfp4" in text or "fp4" in text:
            return "nvfp4" if "mxfp4" not in text else "mxfp4"
        if bits in (4, 8):
            return "int4" if bits == 4 else "fp8" if "float" in text or "fp8" in text else "int8"
    if method in ("fp8", "fbgemm_fp8", "mxfp4"):
        return "fp8" if "fp8" in method else "mxfp4"
    if method in ("bitsandbytes", "bnb"):
        return "nf4" if record.get("load_in_4bit") else "int8"
    raise InputError(
        f"the quantisation {method or dict(record)!r} is not known",
        where=where,
        remedy=f"Say with precision what the layers are stored as: {', '.join(LAYER_ONLY)}",
    )
