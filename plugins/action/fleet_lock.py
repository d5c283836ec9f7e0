# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action ``fleet_lock``: says for which run of Ansible the lock is asked, and which holder is known to have died.

Both can be known only on the controller; the module runs where the lock is kept.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations.identity import (
    identity_of,
    is_dead,
)

# A holder on this controller may die while another run waits for it: that is looked for this often.
LOOK_SECONDS = 10.0


def main_process() -> int:
    """The process of the ansible-playbook that this worker belongs to."""
    parent = multiprocessing.parent_process()
    return parent.pid if parent is not None and parent.pid is not None else os.getpid()


class ActionModule(ActionBase):
    """See the module's ``DOCUMENTATION``."""

    TRANSFERS_FILES = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        here = identity_of(main_process())
        options = {name: value for name, value in self._task.args.items() if name not in ("run", "dead")}
        if not options.get("owner"):
            options.update(owner=here.owner, run=here.as_record())
        left = self._number(options.get("wait_seconds"))
        while True:
            began = time.monotonic()
            options["wait_seconds"] = max(0.0, min(left, LOOK_SECONDS))
            found = self._ask(options, task_vars)
            holder = found.get("holder") or {}
            left -= max(LOOK_SECONDS, time.monotonic() - began)
            if not holder:
                return found
            if is_dead(holder.get("run") or {}, here) and options.get("dead") != holder.get("number"):
                options["dead"] = holder.get("number")  # asked once more at once, for this lease alone
                left = max(left, 0.0)
            elif left < 0 or self._task.check_mode:
                return found

    def _ask(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        found: dict[str, Any] = self._execute_module(
            module_name="modelops.datacenter.fleet_lock", module_args=dict(options), task_vars=task_vars
        )
        return found

    @staticmethod
    def _number(value: Any) -> float:
        try:
            return float(value or 0)
        except (TypeError, ValueError):
            return 0.0  # the module says what is wrong with it
