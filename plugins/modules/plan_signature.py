#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_signature
short_description: Sign a plan, for where another machine or person applies it than planned it
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Writes the signature of a plan file beside it. It covers every byte of the plan, what it was made from, the fleet it was
    made for, until when it may be applied, and a random number by which it can be applied only once.
  - M(modelops.datacenter.plan_validation) checks it against the keys it is told to trust.
  - A signature of the same plan by the same key that holds for at least half of O(valid_seconds) is left as it is.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - A signature differs as a whole.
  idempotent:
    support: partial
    details:
      - Signs again once half of O(valid_seconds) is over.
options:
  plan:
    description: Path of the plan file that M(modelops.datacenter.capacity_plan) wrote.
    type: path
    required: true
  dest:
    description: Where the signature goes; O(plan) with V(.sig) behind it by default.
    type: path
  private_key_file:
    description:
      - Path of the private key where the module runs, Ed25519 in PEM without a passphrase, readable for its owner alone.
      - C(openssl genpkey -algorithm ed25519 -out plan.key) makes one, C(openssl pkey -in plan.key -pubout) prints its public part.
    type: path
  private_key:
    description: The key itself, from a vault or a credential, in place of O(private_key_file).
    type: str
  valid_seconds:
    description: For how long the plan may be applied, in seconds.
    type: float
    default: 3600
seealso:
  - module: modelops.datacenter.plan_validation
  - module: modelops.datacenter.plan_use
"""

EXAMPLES = r"""
- name: Sign the plan
  modelops.datacenter.plan_signature:
    plan: plan.json
    private_key: "{{ vault_plan_signing_key }}"
    valid_seconds: 1800
"""

RETURN = r"""
dest:
  description: Path of the signature.
  returned: success
  type: str
signature:
  description: What it says, C(nonce), C(key) (name of the public key), C(signed_at) and C(expires_at).
  returned: success
  type: dict
"""

import os
import stat
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents, signing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import signature
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import parse_plan, plan_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.refusal import RefusedPlanError
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import ENCRYPTION
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "plan": {"type": "path", "required": True},
    "dest": {"type": "path"},
    "private_key_file": {"type": "path"},
    "private_key": {"type": "str", "no_log": True},
    "valid_seconds": {"type": "float", "default": 3600},
    **ENCRYPTION,
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Sign the plan unless a good signature is there; in check mode only tell."""
    valid_seconds = documents.expect_number(params["valid_seconds"], what="valid_seconds", minimum=1)
    key = _private_key(params)
    dest = params["dest"] or params["plan"] + signature.SUFFIX
    content = plan_bytes(params["plan"])
    plan = parse_plan(content, where=params["plan"])
    now = clock.now()
    there = _still_good(dest, content, plan, key, now)
    if there is not None and there.expires_at - now >= valid_seconds / 2:
        return {"changed": False, "dest": dest, "signature": there.as_record()}
    record = signature.sign(content, plan, key, now=now, valid_seconds=valid_seconds)
    if not check_mode:
        documents.write_document(dest, record)
    said = {name: record[name] for name in ("nonce", "key", "signed_at", "expires_at")}
    return {"changed": True, "dest": dest, "signature": said}


def _private_key(params: Mapping[str, Any]) -> Any:
    path, text = params["private_key_file"], params["private_key"]
    if bool(path) == bool(text):
        raise InputError("give private_key_file or private_key, one of them")
    if text:
        return signing.load_private(text.encode("utf-8"), purpose=signature.PURPOSE, where="private_key")
    pem = signing.read_key(path)
    if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
        raise InputError("others than its owner may read this key", where=path, remedy=f"chmod 600 {path}")
    return signing.load_private(pem, purpose=signature.PURPOSE, where=path)


def _still_good(dest: str, content: bytes, plan: Mapping[str, Any], key: Any, now: float) -> signature.Signed | None:
    try:
        return signature.verify(signature.read_signature(dest), content, plan, [key.public_key()], now=now)
    except RefusedPlanError:
        return None


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, sealed=("plan",))


if __name__ == "__main__":
    main()
