#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``gateway_events_info``: the requests a gateway has answered, out of its event log."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_events_info
short_description: Read the requests a gateway has answered out of its event log
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs on a gateway host. Returns the requests of one model that were accepted since a moment, as columns.
  - A request is in the log when it has ended; a long stream comes late, but it is found. The log is entered where
    the time says, not read from its beginning; rotated logs are read where the time reaches into them.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.attributes.info_module
options:
  path:
    description: The event log. Rotated ones have V(.1), V(.2.gz) and so on after this name.
    type: path
    default: /var/log/modelops/gateway.jsonl
  model:
    description: Only requests of this model; all when not given.
    type: str
  since:
    description: Only requests accepted at or after this moment, in seconds since the epoch.
    type: float
    default: 0
  until:
    description: Only requests accepted before this moment, in seconds since the epoch.
    type: float
  servers:
    description: Only requests answered by these servers (C(HOST-SLOT)); all when empty.
    type: list
    elements: str
    default: []
  limit:
    description: At most so many requests, the latest ones. RV(truncated) says whether there were more.
    type: int
    default: 100000
"""

EXAMPLES = r"""
- name: What has been answered since the canary came in
  modelops.datacenter.gateway_events_info:
    model: chat-8b
    since: "{{ canary_since }}"
"""

RETURN = r"""
events:
  description:
    - Lists of equal length by name - C(at), C(id), C(model), C(server), C(status), C(term), C(queue_ms),
      C(connect_ms), C(response_ms), C(total_ms), C(bytes), C(request_bytes), C(retries), C(synthetic), C(backend).
    - Sorted by C(at).
  type: dict
  returned: always
count:
  description: How many requests are returned.
  type: int
  returned: always
truncated:
  description: Whether there were more than O(limit).
  type: bool
  returned: always
unreadable:
  description: Lines that are no events.
  type: int
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.events import read_events
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "default": "/var/log/modelops/gateway.jsonl"},
    "model": {"type": "str"},
    "since": {"type": "float", "default": 0},
    "until": {"type": "float"},
    "servers": {"type": "list", "elements": "str", "default": []},
    "limit": {"type": "int", "default": 100000},
}


def execute(params: Mapping[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Read, filter, return columns."""
    found = read_events(
        params["path"],
        model=params["model"] or "",
        since=params["since"],
        until=params["until"],
        servers=params["servers"],
        limit=params["limit"],
    )
    return {
        "events": found.columns,
        "count": found.count,
        "truncated": found.truncated,
        "unreadable": found.unreadable,
    }


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
