# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vendors' tools print, and tools that fail, hang or are not there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators import amd, ascend, nvidia
from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.devices import ToolError, number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.inventory import (
    as_facts,
    run_tool,
    take_inventory,
)

RECORDINGS = Path(__file__).parent / "recordings"


def recorded(name: str) -> str:
    return (RECORDINGS / f"{name}.txt").read_text()


def install(folder: Path, name: str, script: str) -> None:
    """A tool of this name; ``play NAME`` in it prints a recording."""
    path = folder / name
    path.write_text(
        f'#!/bin/sh\nplay() {{ while read -r line; do echo "$line"; done < "{RECORDINGS}/$1.txt"; }}\n{script}\n'
    )
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


NVIDIA_SMI = """case "$1" in
--query-gpu=*) play {gpus} ;;
--query-compute-apps=*) {apps} ;;
*) play nvidia_banner ;;
esac"""


def test_nvidia(tools: Path) -> None:
    install(tools, "nvidia-smi", NVIDIA_SMI.format(gpus="nvidia_two_h100", apps="play nvidia_apps"))
    facts, warnings = take_inventory(timeout_seconds=10)
    assert warnings == []
    devices = facts.pop("devices")
    assert facts == {
        "vendor": "nvidia",
        "type": "h100-80gb",
        "count": 2,
        "memory_gib": 79.65,
        "driver_version": "550.90.07",
        "runtime_versions": {"cuda": "12.4"},
    }
    assert devices[1] == {
        "index": 1,
        "uuid": "GPU-22222222-2222-4222-8222-222222222222",
        "name": "NVIDIA H100 80GB HBM3",
        "memory_total_gib": pytest.approx(81559 / 1024, abs=1e-3),
        "memory_free_gib": pytest.approx(15000 / 1024, abs=1e-3),
        "utilisation_ratio": 0.97,
        "temperature_celsius": 61.0,
        "power_watts": 612.34,
        "ecc_uncorrected": 0,
        "processes": [4710, 4711],
    }
    assert devices[0]["ecc_uncorrected"] == 2
    assert devices[0]["processes"] == []


def test_nvidia_values_that_are_not_known() -> None:
    devices, driver, warnings = nvidia.parse_gpus(recorded("nvidia_na_values"))
    assert (len(devices), driver, warnings) == (2, "550.90.07", [])
    for device in devices:
        assert device.utilisation_ratio is None
        assert device.power_watts is None
        assert device.ecc_uncorrected is None
    assert [device.temperature_celsius for device in devices] == [35.0, None]


def test_a_lost_card_is_a_warning_and_the_other_is_still_there(tools: Path) -> None:
    install(tools, "nvidia-smi", NVIDIA_SMI.format(gpus="nvidia_lost_card", apps="exit 3"))
    facts, warnings = take_inventory(timeout_seconds=10)
    assert (facts["type"], facts["count"]) == ("l40s-48gb", 1)
    assert any("Unable to determine the device handle" in warning for warning in warnings)
    assert any("processes are not known" in warning for warning in warnings)


AMD_SMI = 'case "$1" in static|metric|list|process|version) play "amd_$1" ;; esac'


def test_amd(tools: Path) -> None:
    install(tools, "amd-smi", AMD_SMI)
    facts, warnings = take_inventory(timeout_seconds=10)
    assert warnings == []
    assert (facts["vendor"], facts["type"], facts["count"], facts["memory_gib"]) == ("amd", "mi300x-192gb", 2, 191.98)
    assert (facts["driver_version"], facts["runtime_versions"]) == ("6.12.12", {"rocm": "6.4.0"})
    first, second = facts["devices"]
    assert first["uuid"] == "aaff74a1-0000-1000-80aa-000000000001"
    assert first["memory_free_gib"] == pytest.approx((196592 - 1024) / 1024, abs=1e-3)
    assert (first["utilisation_ratio"], first["temperature_celsius"], first["power_watts"]) == (0.42, 45.0, 142.0)
    assert (first["ecc_uncorrected"], first["processes"]) == (1, [4710, 4711])
    for unknown in ("utilisation_ratio", "temperature_celsius", "power_watts", "ecc_uncorrected", "memory_free_gib"):
        assert second[unknown] is None
    assert second["processes"] == []


def test_amd_in_the_newer_form_after_a_warning() -> None:
    devices, driver = amd.parse_amd_smi(recorded("amd_static_gpu_data"), recorded("amd_metric_gpu_data"), "[]", "[]")
    assert driver == ""
    (device,) = devices
    assert (device.name, device.uuid) == ("AMD Radeon RX 7800 XT", "")
    assert device.memory_free_gib == pytest.approx((16368 - 14569) / 1024, abs=1e-3)


def test_rocm_smi_where_amd_smi_is_broken(tools: Path) -> None:
    install(tools, "amd-smi", "echo no such device >&2; exit 1")
    install(tools, "rocm-smi", "play rocm_smi")
    facts, warnings = take_inventory(timeout_seconds=10)
    assert (facts["type"], facts["count"], facts["driver_version"]) == ("mi210-64gb", 2, "6.2.4")
    assert [device["uuid"] for device in facts["devices"]] == ["0xabcdef", ""]
    assert [device["power_watts"] for device in facts["devices"]] == [128.0, 90.5]
    assert [device["temperature_celsius"] for device in facts["devices"]] == [35.0, 30.0]
    assert len(warnings) == 1
    assert "no such device" in warnings[0]


def test_ascend(tools: Path) -> None:
    install(tools, "npu-smi", "play ascend_910b")
    facts, warnings = take_inventory(timeout_seconds=10)
    assert warnings == []
    assert (facts["vendor"], facts["type"], facts["count"], facts["memory_gib"]) == ("ascend", "910b3-64gb", 2, 64.0)
    assert facts["driver_version"] == "24.1.rc2"
    first, second = facts["devices"]
    assert (first["utilisation_ratio"], first["temperature_celsius"], first["power_watts"]) == (0.12, 41.0, 97.4)
    assert first["memory_free_gib"] == 30.0
    assert first["processes"] == [4710, 4711]
    assert (second["power_watts"], second["processes"]) == (None, [])


def test_ascend_cards_of_two_chips_and_cards_without_hbm() -> None:
    devices = ascend.parse_info(recorded("ascend_two_chips"))
    assert [(device.index, device.name) for device in devices] == [(0, "Ascend910"), (1, "Ascend910"), (2, "310P3")]
    assert devices[2].memory_total_gib == pytest.approx(44280 / 1024, abs=1e-3)
    assert devices[2].power_watts is None


def test_a_host_without_tools_is_a_cpu_host(tools: Path) -> None:
    facts, warnings = take_inventory(timeout_seconds=10)
    assert warnings == []
    assert facts == {
        "vendor": "none",
        "type": "cpu",
        "count": 0,
        "memory_gib": 0.0,
        "driver_version": "",
        "runtime_versions": {},
        "devices": [],
    }


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo NVIDIA-SMI has failed because; exit 9", "ended with 9: NVIDIA-SMI has failed because"),
        ("echo 'No devices were found'; exit 6", "No devices were found"),
        ("/bin/sleep 60 & wait", "no answer within 0.5 s"),
    ],
)
def test_a_broken_tool_is_a_warning(tools: Path, script: str, said: str) -> None:
    install(tools, "nvidia-smi", script)
    started = time.monotonic()
    facts, warnings = take_inventory(timeout_seconds=0.5)
    assert time.monotonic() - started < 5
    assert (facts["vendor"], facts["type"], facts["count"]) == ("none", "cpu", 0)
    assert len(warnings) == 1
    assert said in warnings[0]


def test_no_devices_is_no_warning(tools: Path) -> None:
    install(tools, "nvidia-smi", "echo 'No devices were found'")
    assert take_inventory(timeout_seconds=10)[1] == []


@pytest.mark.parametrize("text", ["", "<html>", "ERROR: no driver", "{"])
def test_tools_that_do_not_keep_their_format(text: str) -> None:
    def run(argv: list[str]) -> str:
        return text

    for read in (amd.read, amd.read_old, ascend.read):
        with pytest.raises(ToolError):
            read(run)
    assert nvidia.read(run).devices == ()


def test_what_else_amd_smi_cannot_say_is_a_warning() -> None:
    def run(argv: list[str]) -> str:
        if argv[1] in ("static", "metric"):
            return recorded(f"amd_{argv[1]}")
        raise ToolError("not allowed")

    report = amd.read(run)
    assert len(report.devices) == 2
    assert report.devices[0].uuid == "0xAAAA"
    assert len(report.warnings) == 3


def test_mixed_cards_are_said() -> None:
    cards = recorded("nvidia_two_h100") + recorded("nvidia_lost_card").splitlines()[0].replace("0, ", "2, ", 1)
    devices, _driver, _warnings = nvidia.parse_gpus(cards)
    warnings: list[str] = []
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators.devices import Report

    facts = as_facts(Report("nvidia", tuple(devices)), warnings)
    assert (facts["type"], facts["count"], facts["memory_gib"]) == ("h100-80gb", 3, 44.99)
    assert "l40s-48gb" in warnings[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12", 12.0), ("12.5 W", 12.5), ({"value": 3, "unit": "W"}, 3.0), (7, 7.0), ("-1", -1.0), ("1e3", 1000.0)]
    + [(text, None) for text in ("[N/A]", "N/A", "[Not Supported]", "ERR!", "-", "", "nan", None, True, {}, [])],
)
def test_numbers_as_tools_write_them(value: Any, expected: float | None) -> None:
    assert number(value) == expected


def test_a_tool_speaks_english(tools: Path) -> None:
    install(tools, "x", 'echo "$LC_ALL"')
    assert run_tool(["x"], timeout_seconds=5) == "C\n"
