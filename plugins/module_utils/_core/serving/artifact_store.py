# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Where model weights lie on a host, and how to tell that they are whole.

    dest_root/NAME/VERSION/...            one version, complete or absent, never in between
    dest_root/NAME/VERSION/.modelops.json what it must hold (the manifest)
    dest_root/NAME/current -> VERSION     the active version
    dest_root/NAME/.incoming-VERSION/     a fetch under way, or what a crash left of one
    dest_root/NAME/.trash-*               being removed

A version is put together in ``.incoming-*`` on the same file system and renamed, and it
is renamed away before it is removed, so every name outside a dot is always whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

MANIFEST = ".modelops.json"
CURRENT = "current"
FILE_MODE = 0o644
DIRECTORY_MODE = 0o755
_LEFTOVERS = (".incoming-", ".trash-", f".{CURRENT}-")
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Entry:
    """One file of a version: path inside it, size in bytes, modification time in ns, SHA-256 in hex."""

    path: str
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a version must hold. ``fingerprint`` tells whether a local source has changed since.

    ``signed_by``: digest of the key whose signature was checked before it was installed; empty for none.
    """

    checksum: str
    source: str
    fingerprint: str
    entries: tuple[Entry, ...]
    signed_by: str = ""

    @property
    def size_bytes(self) -> int:
        return sum(entry.size for entry in self.entries)


class Store:
    """The versions of one model under ``dest_root``."""

    def __init__(self, dest_root: str, name: str) -> None:
        _require_safe(name, what="name")
        self.root = os.path.join(os.path.abspath(dest_root), name)

    def version_path(self, version: str) -> str:
        _require_safe(version, what="version")
        if version == CURRENT:
            raise InputError(f"a version cannot be called {CURRENT!r}", remedy="Give the version another name")
        return os.path.join(self.root, version)

    def incoming_path(self, version: str) -> str:
        return os.path.join(self.root, f".incoming-{version}")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs for the same model out; replicas of one model share their weights.

        Raises:
            InputError: the directory cannot be made or written.
        """
        while True:
            try:
                os.makedirs(self.root, mode=DIRECTORY_MODE, exist_ok=True)
                handle = os.open(self._lock_path, os.O_CREAT | os.O_RDWR, FILE_MODE)
            except OSError as error:
                raise InputError(
                    f"cannot write here ({error.strerror})", where=self.root, remedy="Check dest_root and its owner"
                ) from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if self._holds_lock(handle):
                    yield
                    return
            finally:
                os.close(handle)

    def _holds_lock(self, handle: int) -> bool:
        """False when the model was removed, and its lock with it, while this run waited."""
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self._lock_path))
        except FileNotFoundError:
            return False

    @property
    def _lock_path(self) -> str:
        return os.path.join(self.root, ".lock")

    def current(self) -> str:
        """The active version, empty when there is none.

        Raises:
            InputError: ``current`` is something else than a link; it is not ours to remove.
        """
        link = os.path.join(self.root, CURRENT)
        if os.path.islink(link):
            return os.readlink(link)
        if os.path.exists(link):
            raise InputError(
                "is not a symbolic link", where=link, remedy="Move it away; the active version is linked here"
            )
        return ""

    def activate(self, version: str) -> None:
        """Point ``current`` at ``version`` in one step."""
        temporary = os.path.join(self.root, f".{CURRENT}-{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.symlink(version, temporary)
        os.replace(temporary, os.path.join(self.root, CURRENT))

    def versions(self) -> list[str]:
        """Versions that were completed here, newest first; directories that are not ours are not among them."""
        found = []
        for name in _names(self.root):
            manifest = os.path.join(self.root, name, MANIFEST)
            if not name.startswith(".") and name != CURRENT and os.path.isfile(manifest):
                found.append((-os.stat(manifest).st_mtime_ns, name))
        return [name for _time, name in sorted(found)]

    def read_manifest(self, version: str) -> Manifest | None:
        """The manifest of a version, ``None`` when it is absent or unreadable: then it is fetched again."""
        try:
            document = documents.read_document(os.path.join(self.version_path(version), MANIFEST), what="manifest")
            entries = tuple(
                Entry(str(item["path"]), int(item["size"]), int(item["mtime_ns"]), str(item["sha256"]))
                for item in document["files"]
            )
            return Manifest(
                str(document["checksum"]),
                str(document["source"]),
                str(document["fingerprint"]),
                entries,
                str(document.get("signed_by") or ""),
            )
        except (InputError, KeyError, TypeError, ValueError):
            return None

    def damage(self, version: str, manifest: Manifest, *, verify: bool) -> list[str]:
        """What differs from the manifest, in words.

        Only files whose time has changed are read, all of them with ``verify``.
        """
        found = []
        base = self.version_path(version)
        for entry in manifest.entries:
            path = os.path.join(base, entry.path)
            try:
                status = os.lstat(path)
            except OSError:
                found.append(f"{entry.path} is gone")
                continue
            if status.st_size != entry.size:
                found.append(f"{entry.path} has {status.st_size} bytes instead of {entry.size}")
            elif (verify or status.st_mtime_ns != entry.mtime_ns) and documents.file_digest(
                path
            ) != f"sha256:{entry.sha256}":
                found.append(f"{entry.path} has other content")
        return found

    def complete(
        self,
        version: str,
        tree: str,
        *,
        checksum: str,
        source: str,
        fingerprint: str,
        sha256: Mapping[str, str],
        signed_by: str = "",
    ) -> Manifest:
        """Make the assembled ``tree`` the version: manifest into it, flushed, renamed into place."""
        entries = []
        for path in sorted(sha256, key=os.fsencode):
            _flush(os.path.join(tree, path))
            status = os.lstat(os.path.join(tree, path))
            entries.append(Entry(path, status.st_size, status.st_mtime_ns, sha256[path]))
        manifest = Manifest(checksum, source, fingerprint, tuple(entries), signed_by)
        document = {
            "schema_version": 1,
            "kind": "artifact",
            "checksum": checksum,
            "source": source,
            "fingerprint": fingerprint,
            "signed_by": signed_by,
            "files": [vars(entry) for entry in entries],
        }
        documents.write_document(os.path.join(tree, MANIFEST), document, mode=FILE_MODE)
        target = self.version_path(version)
        if os.path.lexists(target):
            self._discard(target)
        os.rename(tree, target)
        return manifest

    def remove(self, version: str) -> None:
        if self.current() == version:
            os.unlink(os.path.join(self.root, CURRENT))
        self._discard(self.version_path(version))

    def remove_all(self) -> None:
        """Everything of this model."""
        shutil.rmtree(self.root)

    def has_leftovers(self) -> bool:
        return any(name.startswith(_LEFTOVERS) for name in _names(self.root))

    def clean_leftovers(self, *, keep_incoming: str = "") -> None:
        """Remove what a crash left behind, but the partial download of ``keep_incoming``, which is taken up again."""
        for name in _names(self.root):
            if name.startswith(_LEFTOVERS) and name != f".incoming-{keep_incoming}":
                _remove(os.path.join(self.root, name))

    def _discard(self, path: str) -> None:
        trash = tempfile.mkdtemp(prefix=".trash-", dir=self.root)
        os.rename(path, os.path.join(trash, "old"))
        _remove(trash)


def superseded(versions: Iterable[str], *, wanted: Iterable[str], keep: int) -> list[str]:
    """Of ``versions``, newest first, those beyond the ``keep`` newest that are not wanted."""
    spared = set(wanted)
    return [version for version in versions if version not in spared][keep:]


def tree_digest(sha256: Mapping[str, str]) -> str:
    """Digest of a directory: SHA-256 over ``sha256sum``'s own listing of its files, sorted by path.

    The same number comes from ``find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0
    sha256sum | sha256sum`` inside the directory.
    """
    return "sha256:" + hashlib.sha256(tree_listing(sha256)).hexdigest()


def tree_listing(sha256: Mapping[str, str]) -> bytes:
    """The listing that :func:`tree_digest` is of; what the signature of a directory signs."""
    lines = [f"{sha256[path]}  ".encode() + os.fsencode(path) + b"\n" for path in sorted(sha256, key=os.fsencode)]
    return b"".join(lines)


def set_ownership(tree: str, uid: int, gid: int) -> None:
    """Give a tree our modes and, where ``uid`` or ``gid`` is not -1, its owner."""
    for folder, _folders, files in os.walk(tree):
        os.chmod(folder, DIRECTORY_MODE)
        os.chown(folder, uid, gid)
        for name in files:
            path = os.path.join(folder, name)
            os.chmod(path, FILE_MODE)
            os.chown(path, uid, gid)


def ownership_differs(tree: str, uid: int, gid: int) -> bool:
    """Whether something in ``tree`` belongs to someone else; -1 is anyone."""
    for folder, _folders, files in os.walk(tree):
        for path in (folder, *(os.path.join(folder, name) for name in files)):
            status = os.lstat(path)
            if uid not in (-1, status.st_uid) or gid not in (-1, status.st_gid):
                return True
    return False


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _flush(path: str) -> None:
    """On disk before the manifest says so: a power cut must not leave a manifest that lies."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _require_safe(text: str, *, what: str) -> None:
    if not _SAFE_NAME.fullmatch(text):
        raise InputError(
            f"the {what} {text!r} cannot be a directory's name here",
            remedy="Use letters, digits, dot, underscore, plus and minus, and begin with a letter or digit",
        )
