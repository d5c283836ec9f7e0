#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alert_evaluation
short_description: Evaluate alert rules over gathered facts
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Compares facts with thresholds, with a hold time and a separate threshold to clear, and keeps the states between runs.
  - Reports a change when an alert begins to fire or resolves, so that handlers can be notified by topic. A second run
    with the same facts reports none.
  - >-
    Missing data neither fires nor resolves a threshold. It is a transition of its own, with the topic
    C(modelops alert: no data).
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  facts:
    description:
      - What to look at, usually C(ansible_facts), with C(modelops_accelerators) of M(modelops.datacenter.accelerator_facts)
        and with C(servers), a mapping from a name to a result of M(modelops.datacenter.model_server_info).
    type: dict
    required: true
  sets:
    description: Built-in sets of rules.
    type: list
    elements: str
    choices: [host, accelerator, server]
    default: [host]
  rules:
    description:
      - Name of a rule to keys that replace the built-in rule's, or to a whole rule.
      - Keys are C(value) (dotted path of a fact, C(*) for every entry), C(of) (fact to divide by), C(above) or C(below),
        C(clear), C(hold_seconds), C(clear_hold_seconds), C(missing_hold_seconds), C(topic), C(severity) (V(page) or
        V(ticket)), C(optional) (no data is no fault where there never was any), C(label) (key that names an entry),
        C(skip) (key to values of entries to leave out) and C(enabled).
    type: dict
    default: {}
  state_file:
    description: Where the states are kept between runs. Its directory must exist.
    type: path
    required: true
  forget_seconds:
    description: How long an instance without data is remembered, such as a replica that was taken away.
    type: float
    default: 86400
seealso:
  - module: modelops.datacenter.accelerator_facts
  - module: modelops.datacenter.model_server_info
"""

EXAMPLES = r"""
- name: Evaluate the alerts
  modelops.datacenter.alert_evaluation:
    facts: "{{ ansible_facts | combine({'servers': {'chat-0': server}}) }}"
    sets: [host, server]
    rules:
      cpu_saturated: {above: 4, clear: 3}
    state_file: /var/lib/modelops/alerts.json
  register: alerts

- name: Notify the handlers
  ansible.builtin.debug:
    msg: "{{ item }}"
  loop: "{{ alerts.topics | intersect(['modelops alert: server not ready']) }}"
  changed_when: true
  notify: "{{ item }}"
"""

RETURN = r"""
transitions:
  description:
    - What changed, with C(rule), C(instance), C(severity), C(value), C(topic) and C(to), which is V(firing), V(resolved),
      V(missing), V(returned) or V(forgotten).
  returned: success
  type: list
  elements: dict
firing:
  description: What fires now, new or not, with C(since) in epoch seconds.
  returned: success
  type: list
  elements: dict
missing:
  description: What has no data now.
  returned: success
  type: list
  elements: dict
topics:
  description: Topics of what began to fire or went missing in this run, for C(notify).
  returned: success
  type: list
  elements: str
  sample: ["modelops alert: server not ready"]
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.alerts.rules import build_rules
from ansible_collections.modelops.datacenter.plugins.module_utils._core.alerts.states import (
    book_document,
    evaluate,
    parse_book,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    canonical_bytes,
    expect_number,
    read_document,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_content
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "facts": {"type": "dict", "required": True},
    "sets": {
        "type": "list",
        "elements": "str",
        "choices": ["host", "accelerator", "server"],
        "default": ["host"],
    },
    "rules": {"type": "dict", "default": {}},
    "state_file": {"type": "path", "required": True},
    "forget_seconds": {"type": "float", "default": 86400},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Look, compare with the last look, keep the states unless in check mode."""
    rules = build_rules(params["sets"], params["rules"])
    forget_seconds = expect_number(params["forget_seconds"], what="forget_seconds", minimum=1)
    path = params["state_file"]
    book = parse_book(read_document(path, what="state file"), where=path) if os.path.exists(path) else {}
    found = evaluate(rules, params["facts"], book, now=clock.now(), forget_seconds=forget_seconds)
    store_content(path, canonical_bytes(book_document(found.book)), dry=check_mode)
    result: dict[str, Any] = {
        "changed": bool(found.transitions),
        "transitions": found.transitions,
        "firing": found.firing,
        "missing": found.missing,
        "topics": found.topics,
    }
    if diff:
        before = {
            (name, key) for name, entries in book.items() for key, one in entries.items() if one.state == "firing"
        }
        after = {(entry["rule"], entry["instance"]) for entry in found.firing}
        result["diff"] = {"before": _lines(before), "after": _lines(after), "before_header": "firing"}
    return result


def _lines(alerts: set[tuple[str, str]]) -> str:
    return "".join(f"{rule} {instance}".rstrip() + "\n" for rule, instance in sorted(alerts))


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
