# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hard rails: what the service manager knows, in words. Answers of real servers are in the integration tests."""

from __future__ import annotations

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.checks import (
    golden_failures,
    service_failures,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.readiness import Target


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"ActiveState": "active", "NRestarts": "0"}, []),
        ({"ActiveState": "active", "NRestarts": "1"}, ["it crashed: its service was restarted 1 time"]),
        (
            {"ActiveState": "failed", "NRestarts": "3"},
            ["it crashed: its service was restarted 3 times", "its service is failed, not active"],
        ),
        ({}, ["its service is unknown, not active"]),
    ],
)
def test_crashes_are_told(properties: dict[str, str], said: list[str]) -> None:
    assert service_failures(properties) == said


@pytest.mark.parametrize("golden", [{"prompt": "2 + 2 ="}, {"expect": " 4"}])
def test_half_a_golden_prompt_is_the_catalogue_s_fault(golden: dict[str, str]) -> None:
    target = Target("http://127.0.0.1:9", "vllm", "chat", "completion", "", "", 1.0)
    with pytest.raises(InputError, match="needs prompt and expect") as error:
        golden_failures(target, golden, 2)
    assert "golden prompt 2 of chat" in error.value.message
