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

import re

CPU_TYPE = "cpu"
VENDORS = ("none", "nvidia", "amd", "intel", "ascend")

# Products of each vendor as they begin in a type, longest known first where one begins another.
_PRODUCTS: tuple[tuple[str, str], ...] = (
    ("amd", r"mi\d{2,3}|instinct|radeon|rx-?\d|w\d{4}|v620"),
    ("ascend", r"ascend|910|310|atlas"),
    ("intel", r"arc|bmg|b580|b60|flex|gpu-max|max-?1[15]|pvc|intel"),
    (
        "nvidia",
        r"nvidia|[ghb]\d{3}|gh200|gb\d{3}|a\d{1,3}\b|l\d{1,2}s?\b|t4g?\b|p\d{1,3}\b|v100s?|rtx|gtx|geforce|quadro|tesla|titan|orin",
    ),
)

# Words that say how a card is built or sold, not what it is.
_NOISE = re.compile(
    r"\b(nvidia|amd|intel|huawei|instinct|tesla|geforce|graphics|data center gpu|sxm\d?|pcie?|hbm\d?e?|nvl|oam|"
    r"generation|ada(?= generation)|gpu|accelerator|\(r\)|\(tm\))\b",
    re.IGNORECASE,
)
_MEMORY = re.compile(r"\b\d+ ?gi?b\b", re.IGNORECASE)


def normalise_type(product_name: str, memory_gib: float) -> str:
    """``NVIDIA H100 80GB HBM3`` with 79.6 GiB becomes ``h100-80gb``.

    The memory in the vendor's own name wins; without one, the measured size is
    rounded up to what such memory is sold in (whole 4 GB above 16, whole 2 below).

    Args:
        product_name: what the vendor's tool calls the card.
        memory_gib: its memory as measured, 0 when unknown.
    """
    sold = _MEMORY.search(product_name)
    bare = _NOISE.sub(" ", _MEMORY.sub(" ", product_name.replace("-", " ").replace("_", " ")))
    product = "-".join(re.findall(r"[a-z0-9.]+", bare.lower()))
    if not product:
        product = "-".join(re.findall(r"[a-z0-9]+", product_name.lower())) or "unknown"
    if sold:
        return f"{product}-{re.sub(r'[^0-9]', '', sold.group())}gb"
    size = _sold_size_gb(memory_gib)
    return f"{product}-{size}gb" if size else product


def vendor_of(accelerator_type: str) -> str:
    """``nvidia`` for ``h100-80gb``, ``amd`` for ``mi300x-192gb``; ``none`` for ``cpu``, empty when not known."""
    name = accelerator_type.strip().lower()
    if name in ("", CPU_TYPE, "none"):
        return "none"
    for vendor, pattern in _PRODUCTS:
        if re.match(pattern, name):
            return vendor
    return ""


def _sold_size_gb(memory_gib: float) -> int:
    """Drivers keep a little for themselves: 22.5 GiB are sold as 24 GB, 44.99 GiB as 48 GB."""
    if memory_gib <= 0:
        return 0
    step = 2 if memory_gib <= 16 else 4
    return int(-(-memory_gib // step) * step)
