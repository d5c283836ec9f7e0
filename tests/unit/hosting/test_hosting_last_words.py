# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last words of a service show the cause, however many lines of traceback came after it."""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.last_words import (
    ERROR_LINES,
    LAST_LINES,
    last_words,
)

# Lines of a vLLM 0.32 on a host without libnuma, as journald kept them.
CAUSE = (
    "(VllmWorker-0 pid=667) WARNING 11-27 07:57:55 [cpu.py:644] Failed to import from vllm._C:"
    " ImportError('libnuma.so.1: cannot open shared object file: No such file or directory')"
)
EFFECT = (
    "(VllmWorker-0 pid=667) ERROR 11-27 07:57:57 [multiproc_executor.py:953] AttributeError:"
    " '_OpNamespace' '_C' object has no attribute 'init_cpu_memory_env'"
)
RAISED = "(VllmWorker-0 pid=667) ERROR 11-27 07:57:57 [multiproc_executor.py:953]     raise AttributeError("
LAST = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"


def traceback(lines: int) -> list[str]:
    return [f'  File "/opt/core.py", line {number}, in __init__' for number in range(lines)]


def test_a_short_log_is_shown_whole() -> None:
    assert last_words("one\ntwo") == "one\ntwo"
    assert last_words("") == ""


def test_the_cause_is_shown_above_the_last_lines() -> None:
    found = last_words("\n".join([CAUSE, EFFECT, RAISED, *traceback(100), LAST])).splitlines()
    assert found[:3] == [CAUSE, EFFECT, "..."]
    assert found[-1] == LAST and len(found) == 3 + LAST_LINES


def test_each_error_is_said_once_though_every_start_wrote_it() -> None:
    start = [CAUSE, *traceback(40), LAST]
    found = last_words("\n".join(start * 3)).splitlines()
    assert sum("libnuma" in line for line in found) == 1
    assert sum(LAST in line for line in found) == 1


def test_many_errors_are_cut() -> None:
    found = last_words("\n".join([*(f"error: bad tensor {number}" for number in range(50)), *traceback(50)]))
    assert found.splitlines()[:ERROR_LINES] == [f"error: bad tensor {number}" for number in range(ERROR_LINES)]


def test_a_log_without_errors_is_its_last_lines() -> None:
    lines = traceback(50)
    assert last_words("\n".join(lines)).splitlines() == lines[-LAST_LINES:]
