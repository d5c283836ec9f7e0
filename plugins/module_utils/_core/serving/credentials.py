# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Keys and headers that lie in files on the host, so that they are in no option and no log."""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError


def read_key(path: str | None) -> str:
    """The first line of a key file, empty without a file.

    Raises:
        InputError: unreadable, or its first line is empty.
    """
    if not path:
        return ""
    lines = _lines(path, what="the key", option="api_key_file")
    key = lines[0].strip() if lines else ""
    if not key:
        raise InputError("the first line is empty", where=path, remedy="Put the server's API key there")
    return key


def read_headers(path: str | None) -> dict[str, str]:
    """``Name: value`` lines of a file; empty lines and ``#`` comments are passed over.

    Raises:
        InputError: unreadable, or a line that is no header; its content is not repeated.
    """
    headers = {}
    for number, line in enumerate(_lines(path, what="the headers", option="headers_file") if path else (), start=1):
        name, colon, value = line.partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        if not colon or not name.strip():
            raise InputError("is no header", where=f"{path} line {number}", remedy="Write 'Name: value'")
        headers[name.strip()] = value.strip()
    return headers


def _lines(path: str, *, what: str, option: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().splitlines()
    except OSError as error:
        raise InputError(f"cannot read {what} ({error.strerror})", where=path, remedy=f"Check {option}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {what} (not UTF-8 text)", where=path, remedy=f"Check {option}") from error
