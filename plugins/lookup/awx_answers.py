# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup ``awx_answers``: what a controller has for an organization."""

from __future__ import annotations

DOCUMENTATION = r"""
name: awx_answers
short_description: What AWX has for an organization
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Asks a controller for all that an organization has, for M(modelops.datacenter.awx_drift_info). Nothing is sent.
  - Who asks comes from the environment variables of C(awx.awx), such as E(CONTROLLER_OAUTH_TOKEN).
requirements:
  - The collection C(awx.awx), 24.6 or newer.
options:
  _terms:
    description: Names of organizations.
    required: true
  host:
    description: The controller.
    type: str
    required: true
  request_timeout_seconds:
    description: How long one question may take.
    type: float
    default: 30
seealso:
  - module: modelops.datacenter.awx_drift_info
"""

EXAMPLES = r"""
- name: Where does the controller differ from the data?
  modelops.datacenter.awx_drift_info:
    data: objects.json
    controller: "{{ query('modelops.datacenter.awx_answers', 'modelops', host='https://awx.example') | first }}"
"""

RETURN = r"""
_raw:
  description: For each organization its objects by endpoint of the API, with surveys, grants and what is notified; empty where it does not exist.
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.questions import answers_of

API = "awx.awx.controller_api"
MOST_OBJECTS = 10_000


class LookupModule(LookupBase):
    """The lookup of this file."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        api = lookup_loader.get(API, loader=self._loader, templar=self._templar)
        if api is None:
            raise AnsibleLookupError(
                "the collection awx.awx, 24.6 or newer, is not installed. Install it: ansible-galaxy collection install awx.awx"
            )
        about = {"host": self.get_option("host"), "request_timeout": self.get_option("request_timeout_seconds")}

        def ask(endpoint: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
            words = {"query_params": dict(query), "return_all": True, "max_objects": MOST_OBJECTS, **about}
            return list(api.run([endpoint], variables, **words))

        return [answers_of(str(name), ask) for name in terms]
