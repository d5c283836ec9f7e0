# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Accelerator types: one name for one product, and whose product it is.

A type is the product in lower case and its memory, ``h100-80gb`` or ``mi300x-192gb``.
Vendors' tools say the same thing in many ways ("NVIDIA H100 80GB HBM3", "NVIDIA
A100-SXM4-80GB"); a catalogue can only name capacities by type if there is one way.
"""

from __future__ import annotations

import math
import re

CPU_TYPE = "cpu"
VENDORS = ("none", "nvidia", "amd", "intel", "ascend")

# How types of each vendor begin; the first vendor that fits is taken.
_PRODUCTS: tuple[tuple[str, str], ...] = (
    ("amd", r"mi\d{2,3}|radeon|rx-?\d|w\d{4}|v620|amd"),
    ("ascend", r"ascend|910|310|atlas"),
    ("intel", r"arc|bmg|b580|b60|flex|max-?1[15]|pvc|intel"),
    (
        "nvidia",
        r"nvidia|[hb]\d{2,3}|g[hb]\d{3}|a\d{1,3}\b|l\d{1,2}s?\b|t4g?\b|p\d{1,3}\b|v100s?|k80"
        r"|rtx|gtx|quadro|tesla|titan|orin",
    ),
)

# Words that say how a card is built or sold, not what it is.
_NOISE = re.compile(
    r"\b(nvidia|amd|intel|huawei|instinct|tesla|geforce|graphics|sxm\d?|pcie?|hbm\d?e?|nvl|oam|o|generation|gpu|accelerator)\b",
    re.IGNORECASE,
)
_MEMORY = re.compile(r"\b(\d+) ?gi?b\b", re.IGNORECASE)
_SOLD_SIZES_GB = (
    *(2, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 72, 80, 94, 96, 120, 128, 141, 144, 180, 192, 256, 288),
)
# Error correction and the driver keep up to this share of the memory for themselves.
_RESERVED_SHARE = 0.10


def normalise_type(product_name: str, memory_gib: float) -> str:
    """``NVIDIA H100 80GB HBM3`` with 79.6 GiB becomes ``h100-80gb``.

    The size in the vendor's own name counts when it fits what was measured (some
    names give the host's memory); else the size such memory is sold in does.

    Args:
        product_name: what the vendor's tool calls the card.
        memory_gib: its memory as measured, 0 when unknown.
    """
    said = _MEMORY.search(product_name)
    spaced = re.sub(r"[-_/()]", " ", product_name)
    words = re.findall(r"[a-z0-9.]+", _NOISE.sub(" ", _MEMORY.sub(" ", spaced)).lower())
    product = "-".join(words) or "-".join(re.findall(r"[a-z0-9]+", product_name.lower())) or "unknown"
    size = sold_size_gb(memory_gib)
    if said and (size == 0 or abs(int(said[1]) - memory_gib) <= _RESERVED_SHARE * int(said[1])):
        size = int(said[1])
    return f"{product}-{size}gb" if size else product


def sold_size_gb(memory_gib: float) -> int:
    """The size a memory is sold in: 44.99 GiB as 48, 140.4 GiB as 141, 0 when nothing was measured."""
    if memory_gib <= 0:
        return 0
    for size in _SOLD_SIZES_GB:
        if memory_gib <= size + 0.05 and size * (1 - _RESERVED_SHARE) <= memory_gib:
            return size
    return math.ceil(memory_gib)


def vendor_of(accelerator_type: str) -> str:
    """``nvidia`` for ``h100-80gb``, ``amd`` for ``mi300x-192gb``; ``none`` for ``cpu``, empty when not known."""
    name = accelerator_type.strip().lower()
    if name in ("", CPU_TYPE, "none"):
        return "none"
    for vendor, pattern in _PRODUCTS:
        if re.match(pattern, name):
            return vendor
    return ""
