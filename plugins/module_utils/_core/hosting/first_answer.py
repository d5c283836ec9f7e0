# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Waits for a replica's first answer, and no longer than it is worth waiting.

Ready means a first answered completion (``serving.readiness``). A service that its
manager has given up on is not waited for, nor one that ended three times in the same
way: what is missing, wrong or too small is so at the fourth start too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.lifecycle import (
    Answer,
    ReplicaService,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.managers import ServiceManager
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import process, readiness
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.credentials import read_key

LOOK_AT_MANAGER_EVERY_SECONDS = 5.0
ENDS_THAT_ARE_ENOUGH = 3


@dataclass(frozen=True)
class FirstAnswer:
    """Called by the lifecycle; ``poll_seconds`` bounds the error of a measured start-up."""

    manager: ServiceManager
    poll_seconds: float = 0.25
    request_timeout_seconds: float = 30.0

    def __call__(self, service: ReplicaService, pid: int | None) -> Answer:
        """Wait up to the service's ready timeout.

        Args:
            pid: main process of a service that was just started; its age at the first
                answer is the start-up time. None when it has been running before.
        """
        target = readiness.Target(
            url=service.url,
            engine=service.engine,
            model=service.served_name,
            probe=service.probe,
            health_path=service.health_path,
            api_key=read_key(service.api_key_file),
            request_timeout_seconds=self.request_timeout_seconds,
        )
        began = time.monotonic()
        ends = [self.manager.last_end(service.name)]
        while True:
            left = service.ready_timeout_seconds - (time.monotonic() - began)
            found = readiness.wait_until_ready(
                target, wait_seconds=min(left, LOOK_AT_MANAGER_EVERY_SECONDS), poll_seconds=self.poll_seconds
            )
            waited = time.monotonic() - began
            if found.ready:
                age = process.age_seconds(pid) if pid is not None else None
                return Answer(True, startup_seconds=age if age is not None else waited)
            if self.manager.has_given_up(service.name):
                return Answer(
                    False, reason=f"it crashed again and again and is not restarted any more ({found.reason})"
                )
            end = self.manager.last_end(service.name)
            if end[0] and end != ends[-1]:
                ends.append(end)
            alike = [how for _moment, how in ends[1:] if how == end[1]]
            if pid is not None and len(alike) >= ENDS_THAT_ARE_ENOUGH:
                how = f", each time: {end[1]}" if end[1] else ""
                return Answer(False, reason=f"it ended {len(alike)} times before it answered{how}", doomed=True)
            if waited >= service.ready_timeout_seconds:
                return Answer(False, reason=f"{found.reason}, after {waited:.0f} s")
