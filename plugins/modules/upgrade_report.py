#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``upgrade_report``: the page of an upgrade."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_report
short_description: Write the page of an upgrade
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - One HTML file without a script, out of the journal that M(modelops.datacenter.upgrade_step) keeps. It shows which version
    ran over time, each verdict with its figures, what was drained and for how long, and every step with its reason.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  journal:
    description: File of the journal.
    type: path
    required: true
  dest:
    description: File to write.
    type: path
    required: true
seealso:
  - module: modelops.datacenter.upgrade_step
"""

EXAMPLES = r"""
- name: Write the page
  modelops.datacenter.upgrade_report:
    journal: modelops-output/upgrade-chat-8b.json
    dest: modelops-output/upgrade-chat-8b.html
"""

RETURN = r"""
dest:
  description: The file.
  type: str
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.upgrade_page import render_upgrade
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.journal import parse_journal
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_content
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "journal": {"type": "path", "required": True},
    "dest": {"type": "path", "required": True},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Read the journal, write the page."""
    document = documents.read_document(params["journal"], what="journal of the upgrade")
    content = render_upgrade(parse_journal(document, where=params["journal"])).encode("utf-8")
    return {"changed": store_content(params["dest"], content, dry=check_mode), "dest": params["dest"]}


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
