#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_certificate
short_description: Put a certificate with its key in place, or look at the one that is there, unless it is unfit to be served
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Certificate chain and key go into one file, replaced in one step, so that no server ever sees one without the other.
  - Before that, a handshake is made with them in memory. A key of another certificate, an expired certificate, one of another CA
    or for another name is refused, and what is there stays.
  - Needs nothing but Python on the host. It tells no server; M(modelops.datacenter.gateway_members) does, Prometheus and
    Alertmanager read the file at each connection.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows names, end and fingerprint, never the key.
  idempotent:
    support: full
options:
  path:
    description: The file, in PEM, the certificate first, then the rest of its chain, then the key.
    type: path
    required: true
  chain:
    description: The certificate and the rest of its chain in PEM. Without it, what is at O(path) is only looked at.
    type: str
  private_key:
    description: The key in PEM without a passphrase, from a vault or a credential.
    type: str
  private_key_file:
    description:
      - A file on the host with the key instead, as M(modelops.datacenter.tls_request) makes it. It is taken away once
        the key is in O(path).
    type: path
  ca:
    description: Certificates in PEM of which one must have issued it. Without them, its issuer is taken on trust.
    type: str
  names:
    description: Host names and addresses it must hold for.
    type: list
    elements: str
    default: []
  valid_seconds:
    description: For how long, in seconds, it must still hold.
    type: float
    default: 3600
  group:
    description: Group that may read the file besides root. None by default.
    type: str
"""

EXAMPLES = r"""
- name: Serve the certificate of the operator's CA
  modelops.datacenter.tls_certificate:
    path: /etc/modelops/tls/gateway.pem
    chain: "{{ lookup('ansible.builtin.file', 'gateway.crt') }}"
    private_key: "{{ vault_gateway_key }}"
    ca: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    names: [models.example.org]
"""

RETURN = r"""
not_before:
  description: From when it holds, ISO 8601 in UTC.
  returned: success
  type: str
not_after:
  description: Until when.
  returned: success
  type: str
names:
  description: What it holds for.
  returned: success
  type: list
  elements: str
fingerprint:
  description: SHA-256 of the certificate, hexadecimal.
  returned: success
  type: str
"""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.files import DefinitionFile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.certificate import (
    MAX_PEM_BYTES,
    Certificate,
    describe,
    examine,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.request import forget_waiting, read_waiting
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "chain": {"type": "str"},
    "private_key": {"type": "str", "no_log": True},
    "private_key_file": {"type": "path", "no_log": False},
    "ca": {"type": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
    "valid_seconds": {"type": "float", "default": 3600},
    "group": {"type": "str"},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Examine what is given, or what is there, and put it in place; in check mode only the former."""
    path, content = params["path"], _content(params)
    if content is None:
        return {"changed": False, **_examined(path, path, params).as_record()}
    with tempfile.TemporaryDirectory(prefix="modelops-tls-") as scratch:  # for its owner alone
        candidate = os.path.join(scratch, "candidate.pem")
        documents.write_atomically(candidate, content.encode("ascii"), mode=0o600)
        found = _examined(candidate, path, params)
    wanted = DefinitionFile(
        path, content, mode=0o640 if params["group"] else 0o600, group=params["group"] or "", secret=True
    )
    changed = not wanted.is_right()
    before = _shown(path)
    if changed and not check_mode:
        wanted.write()
    if params["private_key_file"] and not check_mode:
        forget_waiting(params["private_key_file"])
    result = {"changed": changed, **found.as_record()}
    if diff and changed:
        result["diff"] = {
            "before": before, "after": _line(found), "before_header": path, "after_header": path,
        }  # fmt: skip
    return result


def _content(params: Mapping[str, Any]) -> str | None:
    chain, key = params["chain"], params["private_key"]
    if params["private_key_file"]:
        key = read_waiting(params["private_key_file"])
    if not chain and not key:
        return None
    if not chain or not key:
        raise InputError(
            "chain and private_key belong together; instead of the latter there may be private_key_file",
            where=params["path"],
        )
    content = f"{chain.strip()}\n{key.strip()}\n"
    if len(content) > MAX_PEM_BYTES or not content.isascii():
        raise InputError("this is no PEM text, or far too long for one", where="chain, private_key")
    return content


def _examined(path: str, where: str, params: Mapping[str, Any]) -> Certificate:
    return examine(
        path,
        where=where,
        ca=params["ca"] or "",
        names=params["names"],
        valid_seconds=documents.expect_number(params["valid_seconds"], what="valid_seconds", minimum=0),
        now=clock.now(),
    )


def _shown(path: str) -> str:
    with contextlib.suppress(InputError):
        return _line(describe(path))
    return ""


def _line(certificate: Certificate) -> str:
    return f"{', '.join(certificate.names)} until {certificate.as_record()['not_after']} ({certificate.fingerprint})\n"


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, mutually_exclusive=[("private_key", "private_key_file")])


if __name__ == "__main__":
    main()
