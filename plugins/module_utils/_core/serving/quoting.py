# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Command lines and environments as systemd and supervisord read them.

Each reader has its own rules; text that one of them takes apart differently than it
was put together starts another program than the one that was planned.

systemd (systemd.service(5), systemd.exec(5)): words in double quotes, C escapes, ``%``
starts a specifier and ``$`` a variable, both doubled to be themselves. In an
EnvironmentFile neither is expanded; inside double quotes a backslash guards ``"\\`$``.

supervisord: configparser with ``%`` expansion, then shlex. Whitespace before ``;`` or
``#`` begins a comment *before* quotes are looked at, so in a command the two are parted
by quotes; see :func:`supervisor_program` for the environment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_COMMENT_START = re.compile(r"(\s)(?=[;#])")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_argv(argv: Sequence[str], *, where: str) -> None:
    """Refuse what a one-line command cannot say.

    Raises:
        InputError: no program, a program name systemd would read as something else, a control character.
    """
    if not argv or not argv[0]:
        raise InputError("there is no program to start", where=where, remedy="Set executable in the catalogue")
    if argv[0][0] in "-@:+!|" or "$" in argv[0]:
        raise InputError(
            f"the program {argv[0]!r} has a character that systemd reads as an instruction",
            where=where,
            remedy="Give the path of the program alone",
        )
    for word in argv:
        if _CONTROL.search(word):
            raise InputError(f"the argument {word!r} holds a line break or control character", where=where)


def check_environment(environment: Mapping[str, str], *, where: str) -> None:
    """Refuse names that are no variables and values an environment file cannot hold.

    Raises:
        InputError: naming the variable, not its value, which may be a secret.
    """
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            raise InputError(f"{name!r} is not a name for an environment variable", where=where)
        if _CONTROL.search(value):
            raise InputError(f"the variable {name} holds a line break or control character", where=where)


def systemd_command(argv: Sequence[str]) -> str:
    """``argv`` as the value of ``ExecStart=``."""
    return " ".join(_systemd_word(word) for word in argv)


def systemd_environment_file(environment: Mapping[str, str]) -> str:
    """``environment`` as the text of an ``EnvironmentFile=``, sorted by name."""
    lines = []
    for name, value in sorted(environment.items()):
        guarded = re.sub(r'(["\\`$])', r"\\\1", value)
        lines.append(f'{name}="{guarded}"\n')
    return "".join(lines)


def supervisor_program(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[str, str]:
    """The values of ``command=`` and ``environment=`` in a ``[program:x]`` section.

    ``environment=`` knows no escape at all: a value with both kinds of quotes, one at
    either end, or the beginning of a comment cannot be written there. Such a value is
    written in octal and the command begins with a shell that turns it back, so that it
    is still in no argument list.
    """
    pairs, encoded = [], []
    for name, value in sorted(environment.items()):
        quote = "'" if '"' in value else '"'
        if quote in value or value.strip("'\"") != value or _COMMENT_START.search(value):
            encoded.append(name)
            value, quote = _octal(value), '"'
        pairs.append(f"{name}={quote}{value}{quote}")
    if encoded:
        decode = " && ".join(f'export {name}="$(printf %b "${name}")"' for name in encoded)
        argv = ["/bin/sh", "-c", f'{decode} && exec "$@"', "sh", *argv]
    words = (_COMMENT_START.sub(r"\1''", shlex.quote(word)) for word in argv)
    return " ".join(words).replace("%", "%%"), ",".join(pairs).replace("%", "%%")


def _octal(value: str) -> str:
    return "".join(f"\\0{byte:03o}" for byte in value.encode("utf-8"))


def _systemd_word(word: str) -> str:
    guarded = re.sub(r'(["\\])', r"\\\1", word).replace("%", "%%").replace("$", "$$")
    return guarded if _PLAIN_WORD.fullmatch(guarded) else f'"{guarded}"'
