# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Settings of the kernel: kept in files for the next boot, and made true now.

Parameters go into a file of sysctl.d, paths below /sys into a file of tmpfiles.d.
Inside a container many belong to the machine beneath; they are told of, and are no change.
"""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.files import DefinitionFile

HEADER = "# Written by the role modelops.datacenter.provision; a run puts it back.\n"
PARAMETER = re.compile(r"^[a-z0-9_]+(?:[./][A-Za-z0-9_:-]+)+$")
NOT_OURS = (errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class Outcome:
    """``changes`` and ``unapplied`` in words, and before and after of the files for ``--diff``."""

    changes: list[str]
    unapplied: list[str]
    differences: list[dict[str, str]]


def apply_settings(
    parameters: Mapping[str, str], sysfs: Mapping[str, str], *, sysctl_file: str, tmpfiles_file: str, dry: bool
) -> Outcome:
    """Write the files and the live values that differ; with ``dry`` only tell.

    Args:
        parameters: values by sysctl name, such as ``{"vm.swappiness": "10"}``.
        sysfs: values by path below /sys, in which ``*`` stands for any name.

    Raises:
        InputError: a name that is none, or a value that the kernel refuses.
    """
    for name in parameters:
        if not PARAMETER.match(name):
            raise InputError(
                f"{name!r} is no kernel parameter", where="parameters", remedy="Write it like vm.swappiness"
            )
    for path in sysfs:
        if not path.startswith("/sys/") or ".." in path or " " in path:
            raise InputError(f"{path!r} is no path below /sys", where="sysfs")
    changes: list[str] = []
    differences = []
    for path, content in (
        (sysctl_file, "".join(f"{name} = {value}\n" for name, value in sorted(parameters.items()))),
        (tmpfiles_file, "".join(f"w {name} - - - - {value}\n" for name, value in sorted(sysfs.items()))),
    ):
        one = DefinitionFile(path, HEADER + content if content else "", mode=0o644)
        if content and not one.is_right():
            changes.append(f"wrote {path}")
            differences.append(one.difference())
            if not dry:
                one.write()
        elif not content and os.path.exists(path):
            changes.append(f"removed {path}")
            differences.append(one.difference())
            if not dry:
                os.unlink(path)
    unapplied = []
    live = {"/proc/sys/" + name.replace(".", "/"): value for name, value in parameters.items()}
    # tmpfiles.d takes patterns of the shell too; one that fits nothing is told of like a path that is not there.
    live.update({path: value for name, value in sysfs.items() for path in glob.glob(name) or [name]})
    for path, value in sorted(live.items()):
        change, remark = _make_true(Path(path), str(value), dry=dry)
        changes += [change] if change else []
        unapplied += [remark] if remark else []
    return Outcome(changes, unapplied, differences)


def _make_true(path: Path, value: str, *, dry: bool) -> tuple[str, str]:
    """One live value. Returns what changed and what could not be, each empty or in words."""
    before = current_value(path)
    if before is None:
        return "", f"{path} is not there: this kernel does not have the setting"
    if before == " ".join(value.split()):
        return "", ""
    if not os.access(path, os.W_OK):
        return "", f"{path} is {before} and cannot be set here: it belongs to the machine beneath this container"
    if not dry:
        try:
            path.write_text(value, encoding="ascii")
        except OSError as error:
            if error.errno in NOT_OURS:
                return "", f"{path} is {before} and cannot be set here: {error.strerror}"
            raise InputError(f"the kernel refuses {value!r} ({error.strerror})", where=str(path)) from error
        after = current_value(path)
        if after == before:
            return "", f"{path} stays {before}, {value} was asked for: see if memory is free, or boot the host"
    return f"set {path} from {before} to {value}", ""


def current_value(path: Path) -> str | None:
    """A live value with single spaces; of a list of choices the one in brackets; None where there is none."""
    try:
        text = " ".join(path.read_text(encoding="ascii", errors="replace").split())
    except OSError:
        return None
    chosen = re.search(r"\[([^\]]+)\]", text)
    return chosen[1] if chosen else text
