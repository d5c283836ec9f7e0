# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Unpack an archive that may be hostile: nothing leaves the directory it is unpacked into.

Only plain files and directories are taken. Absolute paths, ``..``, links, devices and
names given twice are refused, whatever the standard library of this Python would do
with them; weights need none of these.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
import zlib
from typing import IO, NoReturn

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ArtifactRefusedError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.artifact_source import (
    copy_stream,
    require_space,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.artifact_store import MANIFEST

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")


def is_archive_name(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def unpack(archive: str, target: str, *, name: str, min_free_gib: float) -> dict[str, str]:
    """Unpack ``archive`` into the empty directory ``target``.

    Args:
        archive: the file.
        target: an existing, empty directory.
        name: what the archive is called, for messages.
        min_free_gib: what must stay free on the disk.

    Returns:
        SHA-256 in hex by relative path of every file.

    Raises:
        ArtifactRefusedError: not an archive, damaged, or holding something that is refused.
    """
    try:
        if zipfile.is_zipfile(archive):
            return _unpack_zip(archive, target, name, min_free_gib)
        return _unpack_tar(archive, target, name, min_free_gib)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArtifactRefusedError(
            f"cannot be unpacked ({error or type(error).__name__})",
            where=name,
            remedy="Use tar, tar.gz, tar.bz2, tar.xz or zip, or set unarchive: never",
        ) from error


def _unpack_tar(archive: str, target: str, name: str, min_free_gib: float) -> dict[str, str]:
    found: dict[str, str] = {}
    with tarfile.open(archive, mode="r:*") as tar:
        for member in tar:
            if member.isdir():
                _make_directory(target, member.name, name)
                continue
            if not member.isreg():
                _refuse(name, member.name, "a link" if member.issym() or member.islnk() else "a device")
            stream = tar.extractfile(member)
            if stream is None:
                _refuse(name, member.name, "no file")
            _write(stream, member.size, target, member.name, name, min_free_gib, found)
    return found


def _unpack_zip(archive: str, target: str, name: str, min_free_gib: float) -> dict[str, str]:
    found: dict[str, str] = {}
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                _make_directory(target, member.filename, name)
                continue
            if kind not in (0, stat.S_IFREG):
                _refuse(name, member.filename, "a link" if kind == stat.S_IFLNK else "a device")
            with packed.open(member) as stream:
                _write(stream, member.file_size, target, member.filename, name, min_free_gib, found)
    return found


def _write(
    stream: IO[bytes],
    size: int,
    target: str,
    member: str,
    name: str,
    min_free_gib: float,
    found: dict[str, str],
) -> None:
    relative = _safe_path(member, name)
    if relative in found:
        _refuse(name, member, "in it twice")
    require_space(target, size, min_free_gib)
    path = os.path.join(target, relative)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as writer:
            found[relative] = copy_stream(stream, writer, limit_bytes=size)
            written = writer.tell()
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        _refuse(name, member, "both a file and a directory")
    if written != size:
        _refuse(name, member, f"cut off after {written} of {size} bytes")


def _make_directory(target: str, member: str, name: str) -> None:
    relative = _safe_path(member, name, allow_root=True)
    try:
        os.makedirs(os.path.join(target, relative), exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        _refuse(name, member, "both a file and a directory")


def _safe_path(member: str, name: str, *, allow_root: bool = False) -> str:
    parts = [part for part in member.replace("\\", "/").split("/") if part not in ("", ".")]
    if member.startswith(("/", "\\")) or ".." in parts or "\0" in member:
        _refuse(name, member, "outside the directory it is unpacked into")
    if parts == [MANIFEST] or (not parts and not allow_root):
        _refuse(name, member, "not a usable name")
    return "/".join(parts)


def _refuse(name: str, member: str, why: str) -> NoReturn:
    raise ArtifactRefusedError(
        f"{member!r} in the archive is {why}",
        where=name,
        remedy="Pack plain files and directories with relative paths (tar --dereference)",
    )
