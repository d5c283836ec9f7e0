# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``monitoring_rules``: the rule file for Prometheus."""

from __future__ import annotations

DOCUMENTATION = r"""
name: monitoring_rules
short_description: Write Prometheus' rules for a catalogue of models
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Returns a rule file - recording rules that give the metrics of vLLM, SGLang, TGI, Triton and llama.cpp one set of
    names, and every alert of the collection.
  - The C(slo) of each model (C(ttft_seconds), C(inter_token_seconds)) becomes burn-rate alerts.
positional: _input, models, runbook_url
options:
  _input:
    description: Parameters of the rules, as in C(monitoring_rules) of the role P(modelops.datacenter.monitoring#role).
    type: dict
    required: true
  models:
    description: The catalogue, C(modelops_models).
    type: dict
    required: true
  runbook_url:
    description: Page that each alert links to, with its name in lower case as the anchor; empty for none.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Write the rules
  ansible.builtin.copy:
    content: "{{ {'disk_free_ratio': 0.1} | modelops.datacenter.monitoring_rules(modelops_models) }}"
    dest: /etc/prometheus/rules/modelops.yml
    mode: "0644"
    validate: promtool check rules %s
"""

RETURN = r"""
_value:
  description: The rule file.
  type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring import rules


def monitoring_rules(options: Mapping[str, Any], models: Mapping[str, Any], runbook_url: str = "") -> str:
    """See ``DOCUMENTATION``."""
    try:
        return rules.rules_text(options, models, runbook_url=runbook_url)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"monitoring_rules": monitoring_rules}
