# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Bring weights from where they are: a file, a directory, or an http(s) address.

Every byte is hashed as it passes, so nothing is read twice. A download that broke off
is taken up where it ended, when the server can do that; the checksum decides in the
end whether the whole is right.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import (
    InputError,
    SourceUnavailableError,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.artifact_store import MANIFEST

BLOCK_BYTES = 1 << 20
ATTEMPTS = 3
PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Source:
    """Where an artifact comes from. ``kind`` is ``file``, ``directory`` or ``http``; ``location`` a path or address."""

    kind: str
    location: str
    base_name: str

    @property
    def shown(self) -> str:
        """The location without what may be secret in it."""
        return shown(self.location) if self.kind == "http" else self.location


def parse_source(text: str) -> Source:
    """A path, ``file://`` or ``http(s)://`` address.

    Raises:
        InputError: another scheme, no file name in it, or nothing at the path.
    """
    parts = urllib.parse.urlsplit(text)
    if parts.scheme in ("http", "https"):
        return Source("http", text, _base_name(urllib.parse.unquote(parts.path), text))
    if parts.scheme == "file":
        text = urllib.request.url2pathname(parts.path)
    elif "://" in text:
        raise InputError(
            f"cannot fetch from {parts.scheme}://",
            where=text,
            remedy="Give a path on the host, file://, http:// or https://; fetch other sources to the host first",
        )
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.exists(path):
        raise InputError("there is no such file or directory on the host", where=path, remedy="Check src")
    return Source("directory" if os.path.isdir(path) else "file", path, _base_name(path, path))


def fingerprint(source: Source) -> str:
    """Sizes and times of a local source in one digest; empty for an address, where only the checksum tells."""
    if source.kind == "http":
        return ""
    if source.kind == "file":
        status = os.stat(source.location)
        return documents.digest([status.st_size, status.st_mtime_ns])
    marks = []
    for relative in walk_files(source.location):
        status = os.stat(os.path.join(source.location, relative))
        marks.append([relative, status.st_size, status.st_mtime_ns])
    return documents.digest(marks)


def local_bytes(source: Source) -> int:
    """Size of a local source."""
    if source.kind == "file":
        return os.stat(source.location).st_size
    return sum(os.stat(os.path.join(source.location, path)).st_size for path in walk_files(source.location))


def walk_files(root: str) -> Iterator[str]:
    """Relative paths of all files below ``root`` in byte order; links to files count as what they lead to.

    Raises:
        InputError: a link to a directory, a dangling link, or something that is no file.
    """
    found = []
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            try:
                mode = os.stat(path).st_mode
            except OSError as error:
                raise InputError(f"cannot be read ({error.strerror})", where=path) from error
            if os.path.islink(path) and stat.S_ISDIR(mode):
                raise InputError("is a link to a directory", where=path, remedy="Put the directory itself there")
            if stat.S_ISREG(mode):
                found.append(os.path.relpath(path, root))
            elif not stat.S_ISDIR(mode):
                raise InputError("is neither a file nor a directory", where=path, remedy="Remove it from the source")
    return iter(sorted((path for path in found if path != MANIFEST), key=os.fsencode))


def copy_stream(source: IO[bytes], target: IO[bytes], *, limit_bytes: int | None = None) -> str:
    """Copy to the end, or to ``limit_bytes``, and return the SHA-256 in hex of what was copied."""
    state = hashlib.sha256()
    left = limit_bytes
    while left is None or left > 0:
        block = source.read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left))
        if not block:
            break
        state.update(block)
        target.write(block)
        left = None if left is None else left - len(block)
    return state.hexdigest()


def copy_file(source: str, target: str) -> str:
    """Copy one file and return its SHA-256 in hex."""
    with open(source, "rb") as reader, open(target, "wb") as writer:
        return copy_stream(reader, writer)


def copy_tree(source: str, target: str) -> dict[str, str]:
    """Copy all files of a directory and return their SHA-256 in hex by relative path."""
    found = {}
    for relative in walk_files(source):
        path = os.path.join(target, relative)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        found[relative] = copy_file(os.path.join(source, relative), path)
    return found


def require_space(folder: str, needed_bytes: int, min_free_gib: float) -> None:
    """Refuse before a file system is filled.

    Raises:
        InputError: with what is needed, what is free and what must stay free.
    """
    free = shutil.disk_usage(folder).free
    if free - needed_bytes < min_free_gib * 2**30:
        raise InputError(
            f"the disk has {free / 2**30:.2f} GiB free; {needed_bytes / 2**30:.2f} GiB are needed"
            f" and {min_free_gib:g} GiB must stay free",
            where=folder,
            remedy="Free some space, lower keep, or choose another dest_root",
        )


def download(
    url: str,
    target: str,
    *,
    headers: Mapping[str, str],
    timeout_seconds: float,
    min_free_gib: float,
    pause_seconds: float = PAUSE_SECONDS,
) -> str:
    """Fetch ``url`` into ``target``, taking up what is already there, and return the SHA-256 in hex.

    A connection that breaks is tried again up to :data:`ATTEMPTS` times, each time from
    where it broke. A refusal (4xx) is final.

    Raises:
        SourceUnavailableError: refused, unreachable, or broken again and again.
        InputError: the disk is too small.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _download_once(url, target, headers, timeout_seconds, min_free_gib)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416:  # there is nothing after what is already here
                    if error.headers.get("Content-Range") == f"bytes */{os.path.getsize(target)}":
                        return documents.file_digest(target).partition(":")[2]
                    os.unlink(target)
                elif error.code < 500:
                    raise SourceUnavailableError(
                        f"the server answered {error.code} {error.reason}",
                        where=shown(url),
                        remedy=_http_remedy(error.code),
                    ) from error
            problem = f"the server answered {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", "") or error)
        if attempt < ATTEMPTS:
            time.sleep(pause_seconds * attempt)
    raise SourceUnavailableError(
        f"the download failed {ATTEMPTS} times ({problem})",
        where=shown(url),
        remedy="What has arrived is kept: run again to take it up from there",
    )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A token is for the host it was given for: it is not sent on to another, nor into the open."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if old.scheme == "https" and new.scheme != "https":
            raise SourceUnavailableError(f"redirects from https to {new.scheme}", where=shown(req.full_url))
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and (old.scheme, old.netloc) != (new.scheme, new.netloc):
            request.headers = {key: value for key, value in request.headers.items() if key in ("Range", "User-agent")}
        return request


def open_address(url: str, headers: Mapping[str, str], timeout_seconds: float) -> Any:
    """The answer of a server, to be closed; headers do not follow a redirect to another host."""
    request = urllib.request.Request(url, headers={"User-Agent": "modelops.datacenter", **headers})
    return urllib.request.build_opener(_Redirects()).open(request, timeout=timeout_seconds)


def _download_once(
    url: str, target: str, headers: Mapping[str, str], timeout_seconds: float, min_free_gib: float
) -> str:
    have = os.path.getsize(target) if os.path.exists(target) else 0
    ranged = {"Range": f"bytes={have}-"} if have else {}
    with open_address(url, {**headers, **ranged}, timeout_seconds) as response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        length = response.headers.get("Content-Length")
        expected = int(length) if length and length.isdigit() else None
        require_space(os.path.dirname(target), expected or 0, min_free_gib)
        before = have if resumed else 0
        with open(target, "r+b" if resumed else "wb") as stream:
            state = hashlib.sha256()
            if resumed:
                for block in iter(lambda: stream.read(BLOCK_BYTES), b""):
                    state.update(block)
            for block in iter(lambda: response.read(BLOCK_BYTES), b""):
                state.update(block)
                stream.write(block)
            received = stream.tell() - before
    if expected is not None and received < expected:
        raise ConnectionError(f"the connection ended after {before + received} of {before + expected} bytes")
    return state.hexdigest()


def _base_name(path: str, where: str) -> str:
    name = path.rstrip("/").rpartition("/")[2]
    if not name or name in (".", "..", MANIFEST) or "\0" in name:
        raise InputError("has no usable file name", where=where, remedy="Give the address of one file or directory")
    return name


def shown(url: str) -> str:
    """The address without what may be secret in it."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _http_remedy(code: int) -> str:
    if code in (401, 403):
        return "Give a token in headers_file, for example 'Authorization: Bearer ...'"
    return "Check src"
