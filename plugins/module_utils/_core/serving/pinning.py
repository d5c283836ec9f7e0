# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which accelerators a replica sees, said in each vendor's own environment variable.

CUDA's order of devices can differ from nvidia-smi's, so a card is named by its UUID
where one is known. ROCm, Intel and Ascend take indexes only. vLLM on ROCm refuses to
start when ``HIP_VISIBLE_DEVICES`` and ``CUDA_VISIBLE_DEVICES`` differ, so both are set.
"""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.names import (
    VENDORS,
    vendor_of,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

VARIABLES = {
    "none": (),
    "nvidia": ("CUDA_VISIBLE_DEVICES",),
    "amd": ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
    "intel": ("ZE_AFFINITY_MASK",),
    "ascend": ("ASCEND_RT_VISIBLE_DEVICES",),
}
HIDE_ALL = {"nvidia": "-1", "amd": "-1"}


def pin_devices(
    accelerators: Sequence[int | str],
    *,
    accelerator_type: str,
    vendor: str = "",
    uuids: Sequence[str] = (),
    where: str = "",
) -> dict[str, str]:
    """The environment that shows a replica its own accelerators and no other.

    Args:
        accelerators: indexes on the host, or UUIDs; empty for a replica on CPU, which
            then sees none, so that it cannot take a neighbour's.
        accelerator_type: the host's type, from which the vendor follows.
        vendor: one of :data:`VENDORS`; overrides the type.
        uuids: the host's UUIDs by index, empty when not known.
        where: for error messages.

    Raises:
        InputError: an unknown vendor, or accelerators on a host that has none.
    """
    vendor = vendor or vendor_of(accelerator_type)
    if vendor and vendor not in VENDORS:
        raise InputError(f"the accelerator vendor must be one of {', '.join(VENDORS)}, not {vendor!r}", where=where)
    if not accelerators:
        return dict.fromkeys(VARIABLES.get(vendor, ()), HIDE_ALL[vendor]) if vendor in HIDE_ALL else {}
    if not vendor:
        raise InputError(
            f"accelerator type {accelerator_type!r} is of no vendor known here, so its devices cannot be pinned",
            where=where,
            remedy=f"Set modelops_accelerator_vendor on the host to one of {', '.join(VENDORS[1:])}",
        )
    if vendor == "none":
        raise InputError(
            f"the replica is placed on accelerators {list(accelerators)}, but the host's type is {accelerator_type!r}",
            where=where,
            remedy="Plan again with the host's real accelerator_type and accelerator_count",
        )
    names = [_device_name(device, uuids if vendor == "nvidia" else ()) for device in accelerators]
    environment = {variable: ",".join(names) for variable in VARIABLES[vendor]}
    if vendor == "nvidia" and any(name.isdigit() for name in names):
        # Without this CUDA numbers the fastest card first, nvidia-smi by bus position.
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return environment


def _device_name(device: int | str, uuids: Sequence[str]) -> str:
    text = str(device).strip()
    if not text.isdigit():
        return text
    return str(uuids[int(text)]) if int(text) < len(uuids) and uuids[int(text)] else text
