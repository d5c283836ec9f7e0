#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: model_artifact
short_description: Fetch, verify and activate a version of a model's weights
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Puts one version of a model's weights at C(dest_root/name/version), verified, and lets the link
    C(dest_root/name/current) point at it. A version is complete or absent, never half present.
  - An interrupted download is taken up where it ended. Leftovers of a crash are removed.
  - Files that were removed or written to since are noticed and fetched again.
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
  name:
    description: The model's name; the directory under O(dest_root).
    type: str
    required: true
  version:
    description:
      - The version; the directory under the model's.
      - Required when O(state=present). With O(state=absent) and no version, everything of the model is removed.
    type: str
  src:
    description:
      - A file or directory on the host, or a V(file://), V(http://) or V(https://) address of a file.
      - Required when O(state=present).
    type: str
  checksum:
    description:
      - V(sha256:) and the SHA-256 in hexadecimal of the file; of the archive itself when it is one.
      - For a directory, the SHA-256 of the output of C(sha256sum) over its files, as
        C(find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum) prints it.
      - Required for an address. Without it, a source on the host is fetched again when sizes or times in it change.
    type: str
  signature:
    description:
      - Where the detached OpenPGP signature is, a path on the host or an V(http://) or V(https://) address. By default it is beside
        O(src), with C(.sig) added.
      - It is of the file, before it is unpacked; of a directory, of the listing that O(checksum) describes.
    type: str
  signature_keys:
    description:
      - Public keys in ASCII armor, as C(gpg --armor --export) writes them. Where one is given, the artifact is installed only if
        one of them signed it and has neither expired nor been revoked; C(gpgv) on the host checks that.
      - A version that is here and that none of them vouched for is fetched and checked again.
    type: list
    elements: str
    default: []
  dest_root:
    description: Directory that holds all models.
    type: path
    default: /var/lib/modelops/models
  file:
    description: Path inside the artifact to give to the engine, when it holds more than one file.
    type: str
  unarchive:
    description:
      - V(auto) unpacks files named C(.tar), C(.tar.gz), C(.tgz), C(.tar.bz2), C(.tar.xz) or C(.zip).
      - Archives that hold links, devices or paths that lead outside are refused.
    type: str
    choices: [auto, always, never]
    default: auto
  activate:
    description: Whether to let C(current) point at this version.
    type: bool
    default: true
  keep:
    description: How many other versions to keep, newest first.
    type: int
    default: 2
  protect:
    description: Versions that are never removed, for example those that still run on this host.
    type: list
    elements: str
    default: []
  verify:
    description:
      - Whether to read every file and compare its checksum. Otherwise sizes and modification times are compared.
    type: bool
    default: false
  headers_file:
    description:
      - "File on the host with request headers, one C(Name: value) a line, for example a token. They are sent to
        the host of O(src) only, not to where it redirects."
    type: path
  timeout_seconds:
    description: Seconds to wait for the server to send anything.
    type: float
    default: 60
  min_free_gib:
    description: GiB that must stay free on the disk.
    type: float
    default: 1
  owner:
    description: User that shall own the files, by name or ID.
    type: str
  group:
    description: Group that shall own the files, by name or ID.
    type: str
  state:
    description: Whether the version shall be there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Fetch the weights and make them the active version
  modelops.datacenter.model_artifact:
    name: chat-8b
    version: "2026.11.1"
    src: https://models.example.com/chat-8b-q4.gguf
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    headers_file: /etc/modelops/models.headers
  register: artifact

- name: Lay out the next version beside the active one
  modelops.datacenter.model_artifact:
    name: chat-8b
    version: "2026.12.1"
    src: /srv/import/chat-8b-2026.12.1
    activate: false

- name: Install weights that the people who train them have signed
  modelops.datacenter.model_artifact:
    name: chat-8b
    version: "2026.12.2"
    src: https://models.example.com/chat-8b-q4.gguf
    checksum: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    signature: https://models.example.com/chat-8b-q4.gguf.asc
    signature_keys: ["{{ lookup('ansible.builtin.file', 'training.asc') }}"]

- name: Remove a version
  modelops.datacenter.model_artifact:
    name: chat-8b
    version: "2026.10.1"
    state: absent
"""

RETURN = r"""
path:
  description: File or directory to give to the engine, with the version in it.
  returned: when O(state=present)
  type: str
current_path:
  description: The same by way of C(current); what it leads to changes with the active version.
  returned: when O(state=present)
  type: str
checksum:
  description: V(sha256:) and the SHA-256 of the artifact, empty in check mode before the first fetch without O(checksum).
  returned: when O(state=present)
  type: str
version:
  description: The version.
  returned: always
  type: str
bytes:
  description: Size of all files in bytes, 0 in check mode before the first fetch.
  returned: when O(state=present)
  type: int
fetched:
  description: Why the artifact was fetched, empty when it was not.
  returned: always
  type: str
pruned:
  description: Versions that were removed.
  returned: always
  type: list
  elements: str
"""

import grp
import os
import pwd
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import artifact
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.artifact_store import CURRENT, Store
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.credentials import read_headers
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    "src": {"type": "str"},
    "checksum": {"type": "str"},
    "signature": {"type": "str"},
    "signature_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "dest_root": {"type": "path", "default": "/var/lib/modelops/models"},
    "file": {"type": "str"},
    "unarchive": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
    "activate": {"type": "bool", "default": True},
    "keep": {"type": "int", "default": 2},
    "protect": {"type": "list", "elements": "str", "default": []},
    "verify": {"type": "bool", "default": False},
    "headers_file": {"type": "path"},
    "timeout_seconds": {"type": "float", "default": 60},
    "min_free_gib": {"type": "float", "default": 1},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Decide what is to be done and, unless in check mode, do it under the model's lock."""
    request = artifact.Request(
        name=params["name"],
        version=params["version"] or "",
        dest_root=params["dest_root"],
        src=params["src"] or "",
        checksum=(params["checksum"] or "").lower(),
        state=params["state"],
        activate=params["activate"],
        unarchive=params["unarchive"],
        entry=params["file"] or "",
        keep=params["keep"],
        protect=tuple(params["protect"]),
        verify=params["verify"],
        uid=_identity(params["owner"], lambda name: pwd.getpwnam(name).pw_uid, "user"),
        gid=_identity(params["group"], lambda name: grp.getgrnam(name).gr_gid, "group"),
        headers=read_headers(params["headers_file"]),
        timeout_seconds=params["timeout_seconds"],
        min_free_gib=params["min_free_gib"],
        signature=params["signature"] or "",
        signature_keys=tuple(params["signature_keys"]),
    )
    artifact.check(request)
    try:
        return _converge(request, check_mode, diff)
    except OSError as error:
        raise InputError(error.strerror or str(error), where=error.filename or request.dest_root) from error


def _converge(request: artifact.Request, check_mode: bool, diff: bool) -> dict[str, Any]:
    store = Store(request.dest_root, request.name)
    before = _picture(store)
    decision = artifact.decide(request, store)
    manifest = None if decision.fetch else decision.manifest
    if (decision.changes or decision.leftovers) and not check_mode:
        with store.locked():
            decision = artifact.decide(request, store)  # another run may have done it while this one waited
            manifest = artifact.carry_out(request, store, decision)
    result: dict[str, Any] = {
        "changed": decision.changes,
        "version": request.version,
        "fetched": decision.fetch,
        "pruned": list(decision.remove) if request.state == "present" else [],
    }
    if request.state == "present":
        path = artifact.engine_path(request, store, manifest)
        result["path"] = path
        result["current_path"] = path.replace(store.version_path(request.version), os.path.join(store.root, CURRENT), 1)
        result["checksum"] = manifest.checksum if manifest else request.checksum
        result["bytes"] = manifest.size_bytes if manifest else 0
    if diff:
        result["diff"] = {"before": before, "after": _expected(before, request, decision)}
    return result


def _picture(store: Store) -> dict[str, Any]:
    return {"versions": sorted(store.versions()), "current": store.current()}


def _expected(before: Mapping[str, Any], request: artifact.Request, decision: artifact.Decision) -> dict[str, Any]:
    if decision.remove_all:
        return {"versions": [], "current": ""}
    versions = (set(before["versions"]) | ({request.version} if decision.fetch else set())) - set(decision.remove)
    current = request.version if decision.activate else before["current"]
    after: dict[str, Any] = {"versions": sorted(versions), "current": "" if current in decision.remove else current}
    if decision.fetch:
        after["fetched"] = f"{request.version}: {decision.fetch}"
    return after


def _identity(name: str | None, find: Any, what: str) -> int:
    if not name:
        return -1
    if name.isdigit():
        return int(name)
    try:
        return int(find(name))
    except KeyError as error:
        raise InputError(f"there is no {what} {name!r} on this host", remedy=f"Create the {what} first") from error


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
