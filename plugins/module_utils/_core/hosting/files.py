# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Files that define a service: compared, written atomically, removed.

A file is right when content, mode and owner are; anything else is mended.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import write_atomically
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError


@dataclass(frozen=True)
class DefinitionFile:
    """``owner`` and ``group`` are names; empty means whoever runs this. ``secret`` keeps the content out of diffs."""

    path: str
    content: str
    mode: int = 0o640
    owner: str = ""
    group: str = ""
    secret: bool = False

    def current_content(self) -> str | None:
        """What is on disk; None when there is no file."""
        try:
            with open(self.path, encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"cannot read the file ({error.strerror})", where=self.path) from error

    def is_right(self) -> bool:
        if self.current_content() != self.content:
            return False
        status = os.stat(self.path)
        uid, gid = self._ids()
        return status.st_mode & 0o7777 == self.mode and uid in (-1, status.st_uid) and gid in (-1, status.st_gid)

    def was_other_before(self, moment: float) -> bool:
        """Whether other content has been on disk since before ``moment`` (epoch seconds)."""
        return self.current_content() not in (None, self.content) and os.stat(self.path).st_mtime < moment

    def write(self) -> None:
        """Put the file in place; the name always shows either the old or the new content."""
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        write_atomically(self.path, self.content.encode("utf-8"), mode=self.mode)
        uid, gid = self._ids()
        try:
            os.chmod(self.path, self.mode)
            if (uid, gid) != (-1, -1):
                os.chown(self.path, uid, gid)
        except OSError as error:
            raise InputError(f"cannot set owner or mode ({error.strerror})", where=self.path) from error

    def difference(self) -> dict[str, str]:
        """Before and after for ``--diff``, without the content of secret files."""
        before, after = self.current_content(), self.content
        if self.secret:
            before, after = (None if before is None else "(not shown)\n"), "(not shown, changed)\n"
        return {
            "before": before or "",
            "after": after,
            "before_header": self.path,
            "after_header": self.path,
        }

    def _ids(self) -> tuple[int, int]:
        return numeric_ids(self.owner, self.group, where=self.path)


@dataclass(frozen=True)
class Directory:
    """A directory that must be there before services can run."""

    path: str
    mode: int = 0o755
    owner: str = ""
    group: str = ""

    def is_right(self) -> bool:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return False
        uid, gid = numeric_ids(self.owner, self.group, where=self.path)
        return (
            stat.S_ISDIR(status.st_mode)
            and status.st_mode & 0o7777 == self.mode
            and uid in (-1, status.st_uid)
            and gid in (-1, status.st_gid)
        )

    def make(self) -> None:
        uid, gid = numeric_ids(self.owner, self.group, where=self.path)
        try:
            os.makedirs(self.path, mode=0o755, exist_ok=True)
            os.chmod(self.path, self.mode)
            if (uid, gid) != (-1, -1):
                os.chown(self.path, uid, gid)
        except OSError as error:
            raise InputError(f"cannot make the directory ({error.strerror})", where=self.path) from error


def numeric_ids(owner: str, group: str, *, where: str) -> tuple[int, int]:
    """Numeric user and group; -1, which leaves one as it is, for an empty name.

    Raises:
        InputError: the host has no such user or group.
    """
    try:
        return (
            pwd.getpwnam(owner).pw_uid if owner else -1,
            grp.getgrnam(group).gr_gid if group else -1,
        )
    except KeyError as error:
        raise InputError(
            f"this host has no such user or group ({error.args[0]})", where=where, remedy="Set deploy_user"
        ) from error


def parse_mode(text: str, *, where: str) -> int:
    """An octal mode such as ``0640``."""
    try:
        return int(str(text), 8)
    except ValueError as error:
        raise InputError(f"mode {text!r} is not octal", where=where, remedy="Write it like '0640'") from error


def remove_file(path: str) -> bool:
    """Remove a file if it is there. Returns whether it was."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(f"cannot remove the file ({error.strerror})", where=path) from error
    return True
