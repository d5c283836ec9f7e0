#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``audit_verify``: whether an audit trail is what was written."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_verify
short_description: Find lines of an audit trail that were changed, removed, moved or cut off
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Reads the trail of P(modelops.datacenter.audit_log#callback) with the older files beside it, and fails when it is
    not what was written, naming the file and line.
  - The chain alone shows a line that was changed, removed, added or moved. That lines were cut off at the end, or that
    the whole end was made anew, only O(heads) kept elsewhere can show.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.attributes.info_module
options:
  path:
    description: File of the newest lines of the trail.
    type: path
    required: true
  heads:
    description: Files of heads that were kept elsewhere.
    type: list
    elements: path
    default: []
  verification_file:
    description: Public Ed25519 key (PEM) that every head must be signed with.
    type: path
  first_sequence:
    description: Number of the oldest line that must be there; above 1 where older files were archived.
    type: int
    default: 1
"""

EXAMPLES = r"""
- name: Check the trail against the heads on another machine
  modelops.datacenter.audit_verify:
    path: modelops-output/audit.jsonl
    heads: [/mnt/witness/heads.jsonl]
    verification_file: /etc/modelops/audit.pub
"""

RETURN = r"""
lines:
  description: How many lines the trail has.
  type: int
  returned: always
head:
  description: Number and hash of its last line.
  type: dict
  returned: always
  sample: {"sequence": 120, "hash": "sha256:..."}
files:
  description: What was read, oldest first.
  type: list
  elements: str
  returned: always
faults:
  description: What is wrong, the first twenty, each with C(file), C(line) and C(what).
  type: list
  elements: dict
  returned: always
fault_count:
  description: How many there are in all.
  type: int
  returned: always
cut_bytes:
  description: Length of a last line without its end, the mark of a crash while it was written. Not a fault.
  type: int
  returned: always
unfinished_runs:
  description: Runs that began and did not end; they were killed, or go on.
  type: list
  elements: str
  returned: always
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.heads import read_heads
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.review import review_trail
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "heads": {"type": "list", "elements": "path", "default": []},
    "verification_file": {"type": "path"},
    "first_sequence": {"type": "int", "default": 1},
}


def execute(params: Mapping[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Read the trail and its heads, and say what is wrong."""
    heads = [
        head for path in params["heads"] for head in read_heads(path, public_key=params["verification_file"] or "")
    ]
    review = review_trail(params["path"], heads=heads, first_sequence=params["first_sequence"])
    result = {"changed": False, **asdict(review)}
    if review.faults:
        first = review.faults[0]
        place = f"{first['file']}, line {first['line']}" if first["line"] else first["file"]
        more = f" {review.fault_count - 1} more faults follow." if review.fault_count > 1 else ""
        remedy = "Keep the files as evidence and compare them with what was forwarded."
        result.update(failed=True, msg=f"{place}: {first['what']}.{more} {remedy}")
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
