# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""accelerator_facts, run by Ansible."""

from __future__ import annotations

from pathlib import Path

from module_command import ROOT, run_module

RECORDINGS = ROOT / "tests" / "unit" / "accelerators" / "recordings"


def test_facts_of_a_host_with_two_cards(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\ncase "$1" in --query-gpu=*) cat "{RECORDINGS}/nvidia_two_h100.txt";; esac\n')
    tool.chmod(0o755)
    result = run_module("accelerator_facts", {}, path=str(tmp_path))
    facts = result["ansible_facts"]["modelops_accelerators"]
    assert (facts["vendor"], facts["type"], facts["count"]) == ("nvidia", "h100-80gb", 2)
    assert not result["changed"]


def test_a_tool_that_hangs_is_a_warning(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nsleep 60\n")
    tool.chmod(0o755)
    result = run_module("accelerator_facts", {"timeout_seconds": 0.5}, "--check", path=str(tmp_path))
    assert not result["failed"]
    assert result["ansible_facts"]["modelops_accelerators"]["count"] == 0
    assert "no answer within 0.5 s" in " ".join(result["shown"].split())


def test_a_bad_option_is_one_message() -> None:
    result = run_module("accelerator_facts", {"timeout_seconds": 0})
    assert result["failed"]
    assert result["msg"] == "timeout_seconds must be above 0."
