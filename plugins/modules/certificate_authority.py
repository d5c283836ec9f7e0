#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_authority
short_description: A small CA on this host, and the certificates that it signs
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Makes a CA where there is none, with a key that never leaves this host, and signs requests of M(modelops.datacenter.tls_request).
    A certificate holds for the names that are given here, whatever its request says.
  - The CA is one file for its owner alone, replaced in one step. It also holds what was signed and has not ended. Back it up.
  - The CA can sign no other CA, and its certificates are for servers and clients of TLS alone.
  - To replace the CA, go through O(replacement=trust), O(replacement=sign) and O(replacement=drop), and hand out what is to be
    trusted after each. Each may be given again, and changes nothing then.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - Signs nothing. Where there is no CA yet, RV(certificate) and RV(trust) are empty.
  diff_mode:
    support: full
    details:
      - Says what is done, never a key.
  idempotent:
    support: full
    details:
      - Without O(requests). Each request is signed anew.
requirements:
  - cryptography
options:
  path:
    description: The file of the CA. Its directory is closed to others.
    type: path
    default: /etc/modelops/ca/authority.json
  name:
    description: What a new CA is called; twelve digits of its own are added.
    type: str
    default: modelops internal CA
  days:
    description: For how many days a new CA holds.
    type: float
    default: 3650
  make:
    description: Whether a CA is made where there is none. Otherwise that is an error.
    type: bool
    default: true
  passphrases:
    description:
      - The key is encrypted with the first. Any opens it, so a passphrase is replaced by giving the new one and after it the old
        one. None, and the key is kept plain, for its owner alone.
    type: list
    elements: str
    default: []
  replacement:
    description:
      - A step to another CA. V(trust) makes it, and it is trusted beside the one that signs. With V(sign) it signs, and both are
        trusted. With V(drop) the one before is trusted no more; refused while a certificate that it signed is in use.
    type: str
    choices: ["", trust, sign, drop]
    default: ""
  forget:
    description: Hosts that are gone for good, whose certificates hold up V(drop) no more.
    type: list
    elements: str
    default: []
  requests:
    description: What is to be signed.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Who asks, by its inventory name.
        type: str
        required: true
      use:
        description: What for; the latest certificate for the same use of a host takes the place of the one before.
        type: str
        required: true
      csr:
        description: The request in PEM.
        type: str
        required: true
      names:
        description: Host names and addresses that the certificate holds for.
        type: list
        elements: str
        required: true
      purposes:
        description: Whether for servers, for clients, or both.
        type: list
        elements: str
        choices: [server, client]
        default: [server]
      days:
        description: For how many days, 398 at most. Never longer than the CA.
        type: float
        default: 90
seealso:
  - module: modelops.datacenter.tls_request
  - module: modelops.datacenter.tls_certificate
"""

EXAMPLES = r"""
- name: Have it signed
  modelops.datacenter.certificate_authority:
    passphrases: "{{ modelops_ca_passphrases }}"
    requests:
      - {host: gw1, use: gateway.pem, csr: "{{ request.csr }}", names: [gw1.example.org, 192.0.2.10]}
  delegate_to: ca1
"""

RETURN = r"""
certificate:
  description: The certificate in PEM of the CA that signs.
  returned: success
  type: str
trust:
  description: Certificates in PEM of all CAs that are to be trusted.
  returned: success
  type: str
fingerprint:
  description: SHA-256 of RV(certificate), hexadecimal.
  returned: success
  type: str
signed:
  description: What was signed, each with C(host), C(use), C(names), C(chain) in PEM and C(not_after).
  returned: success
  type: list
  elements: dict
issued:
  description: What was signed and has not ended, by host and use, with C(names), C(serial), C(not_after) and the CA's fingerprint.
  returned: success
  type: list
  elements: dict
done:
  description: What was done, in words.
  returned: success
  type: list
  elements: str
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.office import Visit, Wish, visit
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.register import SIGNING, make_directory
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

WAIT_SECONDS = 60.0
ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "default": "/etc/modelops/ca/authority.json"},
    "name": {"type": "str", "default": "modelops internal CA"},
    "days": {"type": "float", "default": 3650},
    "make": {"type": "bool", "default": True},
    "passphrases": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "replacement": {"type": "str", "choices": ["", "trust", "sign", "drop"], "default": ""},
    "forget": {"type": "list", "elements": "str", "default": []},
    "requests": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "host": {"type": "str", "required": True},
            "use": {"type": "str", "required": True},
            "csr": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "purposes": {"type": "list", "elements": "str", "choices": ["server", "client"], "default": ["server"]},
            "days": {"type": "float", "default": 90},
        },
    },
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """One visit to the CA, alone."""
    path = params["path"]
    wish = Wish(
        name=params["name"],
        days=params["days"],
        passphrases=tuple(params["passphrases"]),
        replacement=params["replacement"],
        make=params["make"],
        forget=tuple(params["forget"]),
        requests=tuple(params["requests"]),
    )
    if not check_mode:
        make_directory(path)
    alone = exclusive(path + ".lock", doing="signing", wait_seconds=WAIT_SECONDS)
    with nullcontext() if check_mode else alone:
        made = visit(path, wish, now=clock.now(), dry_run=check_mode)
    return _result(made, path, diff)


def _result(made: Visit, path: str, diff: bool) -> dict[str, Any]:
    register = made.register
    signing = register.with_standing(SIGNING) if register else None
    result: dict[str, Any] = {
        "changed": bool(made.done),
        "certificate": signing.certificate if signing else "",
        "trust": register.trust if register else "",
        "fingerprint": signing.fingerprint if signing else "",
        "signed": made.signed,
        "issued": [
            {**asdict(one), "names": list(one.names), "not_after": clock.format_moment(one.not_after)}
            for one in (register.issued if register else ())
        ],
        "done": made.done,
        "warnings": made.warnings,
    }
    if diff and made.done:
        after = "".join(f"{line}\n" for line in made.done)
        result["diff"] = {"before": "", "after": after, "before_header": path, "after_header": path}
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
