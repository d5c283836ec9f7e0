#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_request
short_description: Ask for a certificate with a key that is made here and stays here, when the one in place will not do
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Looks at the certificate in a file. When there is none, it is unfit, of another CA or for other names, or too little of its life
    is left, a key is made beside it and a request for a certificate returned, for M(modelops.datacenter.certificate_authority).
    What that signs, M(modelops.datacenter.tls_certificate) puts in place with the key (C(private_key_file)).
  - Until then the certificate that is there is served on.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - Makes no key, so that there is no request either.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - Of a certificate that is fit. For one that is not, each run returns a request until it is replaced, with the same key.
requirements:
  - cryptography, when a certificate is asked for
options:
  path:
    description: The file that certificate and key are in, or will be.
    type: path
    required: true
  names:
    description: Host names and addresses it must hold for, and no others.
    type: list
    elements: str
    required: true
  ca:
    description: Certificates in PEM of which one must have signed it.
    type: str
  ca_file:
    description: A file with such certificates, looked at where O(ca) is not given. One that is not there is passed over.
    type: path
  renew_share:
    description: Another one is asked for when less than this share of its life is left.
    type: float
    default: 0.4
seealso:
  - module: modelops.datacenter.certificate_authority
  - module: modelops.datacenter.tls_certificate
"""

EXAMPLES = r"""
- name: Does the gateway need another certificate?
  modelops.datacenter.tls_request:
    path: /etc/modelops/tls/gateway.pem
    names: [gw1.example.org, 192.0.2.10]
    ca_file: /etc/modelops/tls/ca.pem
  register: request
"""

RETURN = r"""
reason:
  description: Why another certificate is needed; empty when none is.
  returned: success
  type: str
  sample: 25.1 of its 90 days are left
csr:
  description: The request in PEM; empty when there is none.
  returned: success
  type: str
key_file:
  description: Where the key waits.
  returned: success
  type: str
not_after:
  description: Until when the certificate that is there holds, ISO 8601 in UTC; empty when there is none.
  returned: success
  type: str
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.certificate import read_pem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.names import alternative_names
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.request import (
    ask,
    forget_waiting,
    look,
    waiting_key,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "ca": {"type": "str"},
    "ca_file": {"type": "path"},
    "renew_share": {"type": "float", "default": 0.4},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Look at what is there, and make key and request where that will not do."""
    path = params["path"]
    names = alternative_names(params["names"], where="names")
    share = documents.expect_number(params["renew_share"], what="renew_share", minimum=0, maximum=1)
    ca = params["ca"] or ""
    if not ca and params["ca_file"] and os.path.exists(params["ca_file"]):
        ca = read_pem(params["ca_file"], what="certificates of the CA")
    standing = look(path, names=names, ca=ca, renew_share=share, now=clock.now())
    due = bool(standing.reason)
    if not due and not check_mode:
        forget_waiting(waiting_key(path))
    result = {
        "changed": due,
        "reason": standing.reason,
        "csr": ask(path, names) if due and not check_mode else "",
        "key_file": waiting_key(path),
        "not_after": clock.format_moment(standing.found.not_after) if standing.found else "",
    }
    if diff and due:
        result["diff"] = {
            "before": standing.line, "after": f"another one for {', '.join(names)}: {standing.reason}\n",
            "before_header": path, "after_header": path,
        }  # fmt: skip
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
