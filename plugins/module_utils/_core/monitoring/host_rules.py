# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Alerts on hosts and accelerators."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.names import (
    ACCELERATOR,
    HOST,
    NODE,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rule import Alert, Group, Recording
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.settings import Settings

NO_DISKS = 'fstype!~"ramfs|devtmpfs|overlay|squashfs|iso9660|fuse.*|nfs.*|autofs", mountpoint!~"/run.*|/boot/efi"'
DISK = f'{{job="{NODE}", {NO_DISKS}}}'
WIRED = 'device!~"lo|veth.*|docker.*|podman.*|br-.*|cni.*|virbr.*"'
MINIMUM_NETWORK_ERRORS = 10
DEVICE = f"{HOST}, accelerator"


def host_rules(settings: Settings) -> list[Group]:
    """Alerts from node_exporter."""
    return [Group("modelops-hosts", [*_machine(settings), *_disks(settings), *_network(settings)])]


def _machine(settings: Settings) -> list[Alert]:
    return [
        Alert(
            "HostDown", f'up{{job="{NODE}"}} == 0', settings.host_down_hold_seconds, "page",
            "{{ $labels.host }} does not answer",
            "node_exporter cannot be read: the host is off, cut off, or frozen.",
        ),
        Alert(
            "HostMemoryHigh",
            f'node_memory_MemAvailable_bytes{{job="{NODE}"}} / node_memory_MemTotal_bytes{{job="{NODE}"}}'
            f" < {settings.memory_available_ratio:g}",
            settings.memory_hold_seconds, "page",
            "{{ $labels.host }} has {{ $value | humanizePercentage }} of its memory left",
            "The kernel will kill the largest process soon, which is a model server.",
        ),
        Alert(
            "HostCpuHigh",
            f'1 - avg by ({HOST}) (rate(node_cpu_seconds_total{{job="{NODE}", mode="idle"}}[1m]))'
            f" > {settings.cpu_ratio:g}",
            settings.cpu_hold_seconds, "ticket",
            "{{ $labels.host }} uses {{ $value | humanizePercentage }} of its processors",
            "Tokenising, HTTP and scheduling of the engines run there and slow down.",
        ),
    ]  # fmt: skip


def _disks(settings: Settings) -> list[Alert]:
    free, size, writable = (f"node_filesystem_{name}{DISK}" for name in ("avail_bytes", "size_bytes", "readonly"))
    inodes, all_inodes = f"node_filesystem_files_free{DISK}", f"(node_filesystem_files{DISK} > 0)"
    ratio = f"{settings.disk_free_ratio:g}"
    return [
        Alert(
            "HostDiskFull",
            f"({free} / {size} < {ratio}\nor {inodes} / {all_inodes} < {ratio})\nand {writable} == 0",
            settings.disk_hold_seconds, "page",
            "{{ $labels.mountpoint }} on {{ $labels.host }} has {{ $value | humanizePercentage }} left",
            "Of its space or its files. Engines write caches and logs; a full disk keeps them from starting.",
        ),
        Alert(
            "HostDiskWillFill",
            f"predict_linear({free}[1h], {settings.disk_fill_hours * 3600:g}) < 0\n"
            f"and {free} / {size} < {settings.disk_fill_free_ratio:g}\n"
            f"and {free} / {size} >= {ratio}\nand {writable} == 0",
            600.0, "ticket",
            "{{ $labels.mountpoint }} on {{ $labels.host }} will be full "
            f"within {settings.disk_fill_hours:g} hours",
            "By the last hour's trend.",
        ),
    ]  # fmt: skip


def _network(settings: Settings) -> list[Alert]:
    def per_device(metric: str, window: str = "2m", function: str = "rate") -> str:
        return f'{function}(node_network_{metric}_total{{job="{NODE}", {WIRED}}}[{window}])'

    found = []
    for way in ("receive", "transmit"):
        errors, packets = per_device(f"{way}_errs"), per_device(f"{way}_packets")
        found.append(f"{errors} / ({packets} > 0) > {settings.network_error_ratio:g}\nand "
                     f"{per_device(f'{way}_errs', function='increase')} >= {MINIMUM_NETWORK_ERRORS}")  # fmt: skip
    # Virtual devices know no speed, or say -1.
    speed = (
        f"{settings.network_bytes_per_second:g}"
        if settings.network_bytes_per_second
        else f'(node_network_speed_bytes{{job="{NODE}", {WIRED}}} > 0)'
    )
    saturated = [
        f"{per_device(f'{way}_bytes', '1m')} / {speed} > {settings.network_saturation_ratio:g}"
        for way in ("receive", "transmit")
    ]
    return [
        Alert(
            "HostNetworkErrors", "\nor ".join(found), settings.network_hold_seconds, "ticket",
            "{{ $labels.device }} on {{ $labels.host }} loses packets",
            "{{ $value | humanizePercentage }} of its packets have errors: cable, port or driver.",
        ),
        Alert(
            "HostNetworkSaturated", "\nor ".join(saturated), settings.network_hold_seconds, "ticket",
            "{{ $labels.device }} on {{ $labels.host }} is full",
            "{{ $value | humanizePercentage }} of its speed is used.",
        ),
    ]  # fmt: skip


def accelerator_rules(settings: Settings) -> list[Group]:
    """NVIDIA's, AMD's and Ascend's exporters under one set of names, and the alerts on them.

    The label ``accelerator`` is the device's index.
    """
    recorded = [
        Recording(
            "modelops:accelerator_memory_use",
            _either(
                "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE + (DCGM_FI_DEV_FB_RESERVED or 0 * DCGM_FI_DEV_FB_FREE))",
                "gpu_used_vram / gpu_total_vram",
                "npu_chip_info_hbm_used_memory / npu_chip_info_hbm_total_memory",
            ),
        ),
        Recording(
            "modelops:accelerator_temperature_celsius",
            _either("DCGM_FI_DEV_GPU_TEMP", "gpu_junction_temperature or gpu_edge_temperature", "npu_chip_info_temperature"),
        ),
        Recording(
            "modelops:accelerator_ecc_errors_total",
            _either(
                "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL or DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
                "gpu_ecc_uncorrect_total",
                "npu_chip_info_hbm_ecc_double_bit_error_cnt",
            ),
        ),
        # The share of the time in which a limit of temperature or power held the clock down.
        Recording(
            "modelops:accelerator_throttled",
            _either(
                "rate(DCGM_FI_DEV_THERMAL_VIOLATION[2m]) / 1e9",
                "(gpu_violation_socket_thermal_residency_percentage or gpu_violation_hbm_thermal_residency_percentage) / 100",
            ),
        ),
    ]  # fmt: skip
    return [Group("modelops-accelerators", [*recorded, *_accelerators(settings)])]


def _either(*vendors: str) -> str:
    """The vendors' expressions, each with the device's index as ``accelerator``."""
    # NVIDIA and AMD say gpu or gpu_id, Ascend says id.
    return "\nor ".join(
        f"max by ({DEVICE}) (label_replace(label_replace(label_replace({vendor},\n"
        '  "accelerator", "$1", "id", "(.+)"), "accelerator", "$1", "gpu_id", "(.+)"), "accelerator", "$1", "gpu", "(.+)"))'
        for vendor in vendors
    )


def _accelerators(settings: Settings) -> Sequence[Alert]:
    name = "Accelerator {{ $labels.accelerator }} of {{ $labels.host }}"
    hold = settings.accelerator_hold_seconds
    return [
        Alert(
            "AcceleratorMemoryHigh",
            f"modelops:accelerator_memory_use > {settings.accelerator_memory_ratio:g}", hold, "ticket",
            f"{name} has {{{{ $value | humanizePercentage }}}} of its memory in use",
            "Engines set most of it aside at their start; more than that is a leak or a foreign process.",
        ),
        Alert(
            "AcceleratorHot",
            f"modelops:accelerator_temperature_celsius > {settings.accelerator_celsius:g}", hold, "page",
            f"{name} has {{{{ $value }}}} degrees Celsius",
            "It will slow down, then switch itself off.",
        ),
        Alert(
            "AcceleratorEccErrors",
            "increase(modelops:accelerator_ecc_errors_total[10m]) > 0\n"
            f"or max by ({DEVICE}) (label_replace(DCGM_FI_DEV_ROW_REMAP_FAILURE, "
            '"accelerator", "$1", "gpu", "(.+)")) > 0',
            0.0, "page",
            f"{name} has uncorrectable memory errors",
            "Answers computed on it cannot be trusted.",
        ),
        Alert(
            "AcceleratorThrottled",
            f"modelops:accelerator_throttled > {settings.accelerator_throttled_ratio:g}", hold, "ticket",
            f"{name} is slowed down by its temperature",
            "{{ $value | humanizePercentage }} of the time its clock was held down.",
        ),
        Alert(
            "AcceleratorExporterSilent",
            f'up{{job="{ACCELERATOR}"}} == 0\n'
            f'or (up{{job="{ACCELERATOR}"}} == 1 unless on (host) modelops:accelerator_temperature_celsius)',
            settings.silent_seconds, "ticket",
            "The accelerators of {{ $labels.host }} are not watched",
            "Their exporter cannot be read, or knows no device: heat and memory errors would go unseen.",
        ),
    ]  # fmt: skip
