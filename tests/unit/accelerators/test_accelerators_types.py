# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One name for one product."""

from __future__ import annotations

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.names import (
    normalise_type,
    sold_size_gb,
    vendor_of,
)


@pytest.mark.parametrize(
    ("product", "memory_mib", "expected", "vendor"),
    [
        ("NVIDIA H100 80GB HBM3", 81559, "h100-80gb", "nvidia"),
        ("NVIDIA H100 PCIe", 81559, "h100-80gb", "nvidia"),
        ("NVIDIA H100 NVL", 95830, "h100-94gb", "nvidia"),
        ("NVIDIA A100-SXM4-80GB", 81920, "a100-80gb", "nvidia"),
        ("NVIDIA A100-SXM4-40GB", 40960, "a100-40gb", "nvidia"),
        ("NVIDIA H200", 143771, "h200-141gb", "nvidia"),
        ("NVIDIA B200", 183359, "b200-180gb", "nvidia"),
        ("NVIDIA GH200 480GB", 97871, "gh200-96gb", "nvidia"),
        ("NVIDIA L40S", 46068, "l40s-48gb", "nvidia"),
        ("NVIDIA L4", 23034, "l4-24gb", "nvidia"),
        ("Tesla T4", 15360, "t4-16gb", "nvidia"),
        ("NVIDIA GeForce RTX 4090", 24564, "rtx-4090-24gb", "nvidia"),
        ("NVIDIA RTX 6000 Ada Generation", 49140, "rtx-6000-ada-48gb", "nvidia"),
        ("AMD Instinct MI300X", 196592, "mi300x-192gb", "amd"),
        ("MI300X-O", 196592, "mi300x-192gb", "amd"),
        ("AMD Radeon RX 7900 XT", 20464, "radeon-rx-7900-xt-20gb", "amd"),
        ("910B3", 65536, "910b3-64gb", "ascend"),
        ("Ascend910", 65536, "ascend910-64gb", "ascend"),
        ("Intel Arc Pro B60 Graphics", 24480, "arc-pro-b60-24gb", "intel"),
    ],
)
def test_products(product: str, memory_mib: int, expected: str, vendor: str) -> None:
    assert normalise_type(product, memory_mib / 1024) == expected
    assert vendor_of(expected) == vendor


def test_the_edges() -> None:
    assert normalise_type("NVIDIA L4", 0) == "l4"
    assert normalise_type("", 0) == "unknown"
    assert normalise_type("NVIDIA", 80) == "nvidia-80gb"
    assert sold_size_gb(0) == 0
    assert sold_size_gb(500.2) == 501
    assert vendor_of("cpu") == "none"
    assert vendor_of("zx-spectrum-48kb") == ""


@pytest.mark.parametrize("accelerator_type", ["h100-80gb", "l40s-48gb", "mi300x-192gb", "910b3-64gb", "t4-16gb"])
def test_a_type_is_its_own_type(accelerator_type: str) -> None:
    assert normalise_type(accelerator_type, 0) == accelerator_type
