# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback ``audit_log``: what a run did to whom and by whose word, in a file that shows when it was changed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: audit_log
type: notification
short_description: Hash-chained audit trail of every run
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - One line of JSON for who ran what from which controller, which task changed or failed on which host with digests
    from before and after, and what was decided from which files.
  - Each line holds the hash of the one before. P(modelops.datacenter.audit_verify#module) finds a line that was
    changed, removed or moved, and with heads kept elsewhere, lines cut off at the end.
  - Options of tasks, loop items and output are not put on record; of a task with C(no_log), only that it ran.
  - Plain commands (C(ansible HOST -m ...)) are on record too when C(bin_ansible_callbacks) is set.
requirements:
  - The callback is enabled, with C(callbacks_enabled = modelops.datacenter.audit_log) in C(ansible.cfg) or
    C(ANSIBLE_CALLBACKS_ENABLED).
options:
  path:
    description: File of the trail. Its directory is made when it is absent.
    type: str
    default: ./modelops-output/audit.jsonl
    env:
      - name: MODELOPS_AUDIT_PATH
    ini:
      - section: callback_audit_log
        key: path
  required:
    description:
      - Whether nothing is done that is not on record. Every task is written down, on disk, before it begins; the
        run ends when that fails.
      - Otherwise a trail that cannot be written is a warning.
    type: bool
    default: false
    env:
      - name: MODELOPS_AUDIT_REQUIRED
    ini:
      - section: callback_audit_log
        key: required
  rotate_mib:
    description: Size at which the file is turned over; C(0) for never. Older files are kept beside it.
    type: int
    default: 64
    env:
      - name: MODELOPS_AUDIT_ROTATE_MIB
    ini:
      - section: callback_audit_log
        key: rotate_mib
  forward:
    description: Where each line is sent on to.
    type: str
    choices: [none, journald, syslog]
    default: none
    env:
      - name: MODELOPS_AUDIT_FORWARD
    ini:
      - section: callback_audit_log
        key: forward
  forward_address:
    description: Socket to forward to instead of the usual one; for syslog also C(HOST:PORT), over UDP.
    type: str
    default: ''
    env:
      - name: MODELOPS_AUDIT_FORWARD_ADDRESS
    ini:
      - section: callback_audit_log
        key: forward_address
  heads:
    description:
      - Files the head of the trail is added to, at the end of a run and every O(head_records) lines. On other
        machines, or disks that only add, such as mounts.
    type: list
    elements: str
    default: []
    env:
      - name: MODELOPS_AUDIT_HEADS
    ini:
      - section: callback_audit_log
        key: heads
  head_records:
    description: After how many lines the head is written to O(heads) in the middle of a run.
    type: int
    default: 100
    env:
      - name: MODELOPS_AUDIT_HEAD_RECORDS
    ini:
      - section: callback_audit_log
        key: head_records
  signing_file:
    description: Private Ed25519 key (PEM) the heads are signed with.
    type: str
    default: ''
    env:
      - name: MODELOPS_AUDIT_SIGNING_FILE
    ini:
      - section: callback_audit_log
        key: signing_file
"""

import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.forwarding import Sender
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.heads import append_head, head_line
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.ledger import Ledger
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.outcomes import (
    decision_of,
    facts_of,
    outcome,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.redaction import redacted
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations.identity import identity_of

# Set by AWX and its like in the environment of a job, and among its extra variables.
JOB_VARIABLES = ("JOB_ID", "PROJECT_REVISION", "AWX_HOST")
JOB_EXTRAS = ("awx_job_id", "awx_job_template_name", "awx_user_name", "awx_workflow_job_id", "awx_schedule_name")


class CallbackModule(CallbackBase):
    """See ``DOCUMENTATION``. Runs in the main process of Ansible alone."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "modelops.datacenter.audit_log"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._run = uuid.uuid4().hex[:16]
        self._since_head = 0
        self._check = bool(context.CLIARGS.get("check"))

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        self._required = bool(self.get_option("required"))
        self._key = str(self.get_option("signing_file"))
        self._heads = [str(path) for path in self.get_option("heads")]
        self._head_records = max(1, int(self.get_option("head_records")))
        path = os.path.abspath(os.path.expanduser(str(self.get_option("path"))))
        self._ledger = Ledger(path, rotate_bytes=int(self.get_option("rotate_mib")) << 20)
        self._sender = Sender(str(self.get_option("forward")), str(self.get_option("forward_address")))

    def v2_playbook_on_start(self, playbook: Any) -> None:
        who = identity_of(os.getpid())
        extras = context.CLIARGS.get("extra_vars") or ()
        self._write(
            "run_began",
            user=who.user,
            controller=who.controller,
            process=who.process,
            playbook=redacted(str(playbook._file_name or "").rpartition("/")[2]),
            job={name: redacted(os.environ[name]) for name in JOB_VARIABLES if os.environ.get(name)},
            inventory=[redacted(source) for source in context.CLIARGS.get("inventory") or ()],
            limit=redacted(context.CLIARGS.get("subset") or ""),
            extra_variable_arguments=len(extras),
            check_mode=self._check,
        )

    def v2_playbook_on_play_start(self, play: Any) -> None:
        extras = play.get_variable_manager().extra_vars if play.get_variable_manager() else {}
        job = {name: redacted(extras[name]) for name in JOB_EXTRAS if extras.get(name)}
        self._write("play_began", play=redacted(play.get_name()), variables_given=sorted(map(str, extras)), job=job)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        if self._required:
            self._write("task_begins", **self._task(task))

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result: Any) -> None:
        found, task = _result_of(result), result._task
        decision = decision_of(str(task.action), _options_of(found, task), found)
        ended = outcome(found)
        if ended == "changed" or decision:
            self._write(
                "task", host=result._host.get_name(), outcome=ended, **self._task(task), **facts_of(found), **decision
            )

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        found, task = _result_of(result), result._task
        decision = decision_of(str(task.action), _options_of(found, task), found)
        facts = {**facts_of({**found, "failed": True}), **decision, "ignored": ignore_errors}
        self._write("task", host=result._host.get_name(), outcome="failed", **self._task(task), **facts)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        message = redacted(_result_of(result).get("msg", ""))
        self._write(
            "task", host=result._host.get_name(), outcome="unreachable", **self._task(result._task), message=message
        )

    def v2_playbook_on_stats(self, stats: Any) -> None:
        hosts = {str(host): stats.summarize(host) for host in sorted(stats.processed)}
        self._write("run_ended", hosts=hosts)
        if self._sender.failed:
            self._display.warning(f"audit_log: {self._sender.failed} lines could not be sent on; they are in the file")
        self._sender.close()

    def _task(self, task: Any) -> dict[str, Any]:
        name = redacted(task.get_name())
        return {
            "task": name,
            "action": str(task.action),
            "task_id": str(task._uuid),
            "check_mode": bool(task.check_mode),
        }

    def _write(self, event: str, **fields: Any) -> None:
        """Put one event on record; with ``required``, end the run when that cannot be done.

        A killed run loses no line. Against a power cut the lines of an ordinary run are on disk at its end only.
        """
        last = event == "run_ended"
        try:
            lines = self._ledger.append(
                [{"event": event, "run": self._run, "at": round(time.time(), 3), **fields}], sync=self._required or last
            )
            for line in lines:
                self._sender.send(line)
            self._since_head += len(lines)
            if self._heads and (last or self._since_head >= self._head_records):
                self._witness()
        except ModelOpsError as error:
            self._refuse(error)

    def _witness(self) -> None:
        at = round(time.time(), 3)
        line = head_line(self._ledger.head, trail=self._ledger.path, at=at, private_key=self._key)
        for path in self._heads:
            append_head(path, line)
        self._sender.send(line)
        self._since_head = 0

    def _refuse(self, error: ModelOpsError) -> None:
        if self._required:
            # Ansible turns whatever else a callback raises into a warning and goes on.
            raise SystemExit(f"audit_log: {error.message} Nothing is done without a record (required).")
        self._display.warning(f"audit_log: {error.message} This run is not on record from here.")
        self.disabled = True


def _result_of(result: Any) -> Mapping[str, Any]:
    found = getattr(result, "result", None)  # ansible-core 2.19 and later
    return found if isinstance(found, Mapping) else dict(result._result)


def _options_of(found: Mapping[str, Any], task: Any) -> Mapping[str, Any]:
    """The options as the module saw them where the result says them, else as the task was written."""
    given = (found.get("invocation") or {}).get("module_args")
    return (
        given
        if isinstance(given, Mapping)
        else {key: value for key, value in task.args.items() if "{{" not in str(value)}
    )
