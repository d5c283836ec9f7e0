# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Make one version of a model's weights present, active or absent on a host.

First everything is looked at and decided (:func:`decide`), with nothing touched; then
it is done (:func:`carry_out`). Check mode stops in between.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ArtifactRefusedError, InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import (
    archive,
    artifact_signature,
    artifact_source,
    artifact_store,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.artifact_source import Source
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.artifact_store import (
    Manifest,
    Store,
)

_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")
PART = "payload.part"


@dataclass(frozen=True)
class Request:
    """What is wanted. ``uid`` and ``gid`` of -1 leave ownership as it comes."""

    name: str
    version: str
    dest_root: str
    src: str = ""
    checksum: str = ""
    state: str = "present"
    activate: bool = True
    unarchive: str = "auto"
    entry: str = ""
    keep: int = 2
    protect: tuple[str, ...] = ()
    verify: bool = False
    uid: int = -1
    gid: int = -1
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 60.0
    min_free_gib: float = 1.0
    signature: str = ""
    signature_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What has to be done, empty or false when nothing. ``fetch`` says why, in words.

    ``leftovers`` of an earlier crash are cleared away without being called a change.
    """

    fetch: str = ""
    own: bool = False
    activate: bool = False
    remove: tuple[str, ...] = ()
    remove_all: bool = False
    leftovers: bool = False
    manifest: Manifest | None = None
    source: Source | None = None
    fingerprint: str = ""

    @property
    def changes(self) -> bool:
        return bool(self.fetch or self.own or self.activate or self.remove or self.remove_all)


def check(request: Request) -> None:
    """Raises:
    InputError: options that do not go together.
    """
    if request.checksum and not _CHECKSUM.fullmatch(request.checksum):
        raise InputError(
            f"the checksum {request.checksum!r} is not sha256: and 64 hexadecimal digits",
            where=f"model {request.name}",
            remedy="Take it from sha256sum FILE",
        )
    if request.state == "present" and not (request.src and request.version):
        raise InputError("src and version are needed for state present", where=f"model {request.name}")
    if request.keep < 0:
        raise InputError("keep must not be negative", where=f"model {request.name}")
    if request.signature and not request.signature_keys:
        raise InputError("signature needs signature_keys to check it with", where=f"model {request.name}")
    artifact_signature.check_keys(request.signature_keys, where=f"model {request.name}")
    is_remote = request.src.startswith(("http://", "https://"))
    if request.state == "present" and is_remote and not request.checksum:
        raise InputError(
            "an artifact from the network needs a checksum",
            where=f"model {request.name}",
            remedy="Set checksum: sha256:<hex>, taken where the file is known to be good",
        )


def decide(request: Request, store: Store) -> Decision:
    """Compare what is wanted with what lies on the host."""
    if request.state == "absent":
        if not request.version:
            return Decision(remove_all=os.path.isdir(store.root))
        present = os.path.lexists(store.version_path(request.version))
        return Decision(remove=(request.version,) if present else ())
    manifest = store.read_manifest(request.version)
    source, mark = None, ""
    if not (request.checksum and manifest):  # else what lies here can be judged without its source
        source = artifact_source.parse_source(request.src)
        mark = artifact_source.fingerprint(source)
    fetch = _why_fetch(request, store, manifest, mark)
    if fetch and source is None:
        source = artifact_source.parse_source(request.src)
        mark = artifact_source.fingerprint(source)
    path = store.version_path(request.version)
    wanted = (request.version, store.current() if not request.activate else "", *request.protect)
    return Decision(
        fetch=fetch,
        own=not fetch and artifact_store.ownership_differs(path, request.uid, request.gid),
        activate=request.activate and store.current() != request.version,
        remove=tuple(artifact_store.superseded(store.versions(), wanted=wanted, keep=request.keep)),
        leftovers=store.has_leftovers(),
        manifest=manifest,
        source=source,
        fingerprint=mark,
    )


def carry_out(request: Request, store: Store, decision: Decision) -> Manifest | None:
    """Do what was decided; the caller holds the store's lock.

    Order: the new version is whole before it becomes active, and active before older ones go.
    """
    if decision.remove_all:
        store.remove_all()
        return None
    manifest = decision.manifest
    if decision.fetch:
        manifest = _fetch(request, store, decision)
    path = store.version_path(request.version)
    if decision.own:
        artifact_store.set_ownership(path, request.uid, request.gid)
    if decision.activate:
        store.activate(request.version)
    for version in decision.remove:
        store.remove(version)
    store.clean_leftovers()
    return manifest


def engine_path(request: Request, store: Store, manifest: Manifest | None) -> str:
    """What to give the engine: the named entry, else the only file, else the directory."""
    base = store.version_path(request.version)
    if request.entry:
        path = os.path.normpath(os.path.join(base, request.entry))
        if not path.startswith(base + os.sep):
            raise InputError(f"file {request.entry!r} is outside the artifact", where=f"model {request.name}")
        if manifest is not None and not os.path.exists(path):
            raise ArtifactRefusedError(
                f"the artifact holds no {request.entry!r}", where=base, remedy="Name a path inside the artifact in file"
            )
        return path
    if manifest is not None and len(manifest.entries) == 1 and "/" not in manifest.entries[0].path:
        return os.path.join(base, manifest.entries[0].path)
    if manifest is None and not _unpacks(request, request.src.rpartition("/")[2]) and not os.path.isdir(request.src):
        return os.path.join(base, artifact_source.parse_source(request.src).base_name)
    return base


def _why_fetch(request: Request, store: Store, manifest: Manifest | None, mark: str) -> str:
    if manifest is None:
        return "it is not here yet"
    if request.checksum and request.checksum != manifest.checksum:
        return "another checksum is wanted"
    if not request.checksum and mark != manifest.fingerprint:
        return "the source has changed"
    if request.signature_keys and manifest.signed_by not in map(artifact_signature.key_digest, request.signature_keys):
        return "no key in signature_keys vouched for it yet"
    damage = store.damage(request.version, manifest, verify=request.verify)
    return f"damaged: {'; '.join(damage[:3])}" if damage else ""


def _fetch(request: Request, store: Store, decision: Decision) -> Manifest:
    source = decision.source
    if source is None:  # only a removal has no source
        raise InputError("there is no source to fetch", where=f"model {request.name}")
    store.clean_leftovers(keep_incoming=request.version if source.kind == "http" else "")
    incoming = store.incoming_path(request.version)
    tree = os.path.join(incoming, "tree")
    if os.path.exists(tree):
        shutil.rmtree(tree)
    os.makedirs(tree)
    if source.kind == "directory":
        artifact_source.require_space(tree, artifact_source.local_bytes(source), request.min_free_gib)
        sha256 = artifact_source.copy_tree(source.location, tree)
        found = artifact_store.tree_digest(sha256)
        _require_checksum(request, found, source)
        payload = os.path.join(incoming, PART)
        with open(payload, "wb") as stream:
            stream.write(artifact_store.tree_listing(sha256))
        signed_by = _require_signature(request, payload, source)
        os.unlink(payload)
    else:
        found, sha256, signed_by = _fetch_file(request, source, incoming, tree)
    if not sha256:
        raise InputError("holds no file", where=request.src, remedy="Check src")
    artifact_store.set_ownership(tree, request.uid, request.gid)
    return store.complete(
        request.version,
        tree,
        checksum=found,
        source=source.shown,
        fingerprint=decision.fingerprint,
        sha256=sha256,
        signed_by=signed_by,
    )


def _fetch_file(request: Request, source: Source, incoming: str, tree: str) -> tuple[str, dict[str, str], str]:
    payload = os.path.join(incoming, PART)
    if source.kind == "http":
        resumed = os.path.exists(payload)
        found = _download(request, source, payload)
        if resumed and found != request.checksum:
            # The address held something else when the first part was fetched.
            os.unlink(payload)
            found = _download(request, source, payload)
    else:
        artifact_source.require_space(incoming, artifact_source.local_bytes(source), request.min_free_gib)
        found = "sha256:" + artifact_source.copy_file(source.location, payload)
    try:
        _require_checksum(request, found, source)
        signed_by = _require_signature(request, payload, source)
    except InputError:
        os.unlink(payload)
        raise
    if _unpacks(request, source.base_name):
        sha256 = archive.unpack(payload, tree, name=source.base_name, min_free_gib=request.min_free_gib)
        os.unlink(payload)
        return found, sha256, signed_by
    os.rename(payload, os.path.join(tree, source.base_name))
    return found, {source.base_name: found.partition(":")[2]}, signed_by


def _download(request: Request, source: Source, payload: str) -> str:
    return "sha256:" + artifact_source.download(
        source.location,
        payload,
        headers=request.headers,
        timeout_seconds=request.timeout_seconds,
        min_free_gib=request.min_free_gib,
    )


def _unpacks(request: Request, base_name: str) -> bool:
    return request.unarchive == "always" or (request.unarchive == "auto" and archive.is_archive_name(base_name))


def _require_signature(request: Request, payload: str, source: Source) -> str:
    """The digest of the key that vouches for the payload; empty where no signature is asked for."""
    if not request.signature_keys:
        return ""
    signature = artifact_signature.fetch(source, request.signature, request.headers, request.timeout_seconds)
    return artifact_signature.verify(payload, signature, request.signature_keys, where=source.base_name)


def _require_checksum(request: Request, found: str, source: Source) -> None:
    if request.checksum and found != request.checksum:
        raise ArtifactRefusedError(
            f"its checksum is {found}, not {request.checksum}; nothing was installed",
            where=source.base_name,
            remedy="If the new content is right, change checksum and version; if not, the source is damaged",
        )
