"""Callback of the benchmark: when each task began and how many hosts it ran on, as JSON into $TASK_SECONDS."""

# The documentation stands first, as in every plugin.
# ruff: noqa: E402
from __future__ import annotations

DOCUMENTATION = """
name: task_seconds
type: aggregate
short_description: Wall seconds and number of results of each task
description: [Writes JSON to the file that the environment variable TASK_SECONDS names.]
author: [The modelops.datacenter founders (@modelops)]
"""

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_seconds"

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[dict[str, Any]] = []
        self._began = time.monotonic()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._close()
        self._rows.append({"task": task.get_name(), "action": task.action, "results": 0, "skipped": 0})

    def _close(self) -> None:
        now = time.monotonic()
        if self._rows:
            self._rows[-1]["seconds"] = round(now - self._began, 3)
        self._began = now

    def _count(self, key: str) -> None:
        if self._rows:
            self._rows[-1]["results"] += 1
            self._rows[-1]["skipped"] += key == "skipped"

    def v2_runner_on_ok(self, result: Any) -> None:
        self._count("ok")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._count("skipped")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._count("failed")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._close()
        with open(os.environ["TASK_SECONDS"], "w", encoding="utf-8") as stream:
            json.dump(self._rows, stream)
