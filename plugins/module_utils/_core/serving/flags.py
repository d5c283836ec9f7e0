# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Command-line flags: ours are defaults, the catalogue's ``engine_args`` win.

``engine_args`` is a mapping (``max-model-len: 8192``, ``enforce-eager: true``) or a list
of raw arguments. In a mapping, ``null`` leaves a flag out; ``false`` does too, where it is a flag of
ours or the engine has no negative of it, else it is the negative: a switch may be on by default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

# A key in argv can be read by every user of the host in /proc.
SECRET_FLAGS = ("--api-key", "--admin-api-key", "--hf-token", "--ssl-keyfile-password")

# The key of a value that stands without a flag.
POSITIONAL = ""


@dataclass(frozen=True)
class FlagStyle:
    """How an engine's parser takes flags.

    ``aliases``: other spellings of a flag of ours. ``joined``: ``--flag=value`` in one
    word. ``repeats_lists``: a list is the flag once per item, else the flag and then all items.
    ``negative`` is what stands before the name of a switch to say that it is off; ``switches`` have none.
    """

    aliases: Mapping[str, tuple[str, ...]]
    joined: bool = False
    repeats_lists: bool = True
    negative: str = ""
    switches: tuple[str, ...] = ()


def merge_flags(defaults: Mapping[str, Any], engine_args: Any, style: FlagStyle, *, where: str) -> list[str]:
    """Arguments in the order of ``defaults``, then the catalogue's own in theirs.

    Args:
        defaults: our flags with leading dashes; ``None`` and ``False`` are left out.
        engine_args: the catalogue's mapping or list, or ``None``.
        style: the engine's way.
        where: for error messages.

    Raises:
        InputError: ``engine_args`` of another kind, or a secret among them.
    """
    if engine_args is None:
        engine_args = {}
    if isinstance(engine_args, Mapping):
        given = {_flag_name(str(key), style): value for key, value in engine_args.items()}
        _refuse_secrets(given, where)
        overridden = _canonical(given, style)
        arguments = _render({k: v for k, v in defaults.items() if k not in overridden}, style)
        return arguments + _render(dict(_negated(flag, value, defaults, style) for flag, value in given.items()), style)
    if isinstance(engine_args, Sequence) and not isinstance(engine_args, (str, bytes)):
        raw = [str(item) for item in engine_args]
        names = [item.split("=", 1)[0] for item in raw if item.startswith("-")]
        _refuse_secrets(names, where)
        overridden = _canonical(names, style)
        return _render({k: v for k, v in defaults.items() if k not in overridden}, style) + raw
    raise InputError(
        f"engine_args must be a mapping of flags or a list of arguments, not {engine_args!r}",
        where=where,
        remedy="Write engine_args: {max-model-len: 8192}",
    )


def plain(value: Any) -> Any:
    """``value`` rebuilt from plain containers, so that JSON writes what is shown and not a template."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(item) for item in value]
    return value


def _flag_name(key: str, style: FlagStyle) -> str:
    """``max_model_len`` is ``--max-model-len``, ``tp`` is ``-tp`` where the engine has such a short form."""
    if key.startswith("-"):
        return key
    short = f"-{key}"
    is_short = len(key) == 1 or any(short in aliases for aliases in style.aliases.values())
    return short if is_short else "--" + key.replace("_", "-")


def _canonical(names: Any, style: FlagStyle) -> set[str]:
    spelling = {alias: name for name, aliases in style.aliases.items() for alias in aliases}
    return {spelling.get(name, name) for name in names}


def _negated(flag: str, value: Any, defaults: Mapping[str, Any], style: FlagStyle) -> tuple[str, Any]:
    """``--x: false`` as ``--no-x: true``, where the engine has that and the flag is none of ours."""
    is_ours = bool(_canonical([flag], style) & set(defaults))
    if value is not False or not style.negative or is_ours or flag in style.switches or not flag.startswith("--"):
        return flag, value
    return style.negative + flag[2:], True


def _refuse_secrets(names: Any, where: str) -> None:
    for name in names:
        if name in SECRET_FLAGS:
            raise InputError(
                f"{name} would put a secret where every user of the host can read it",
                where=f"{where}, engine_args",
                remedy="Put the key in a file on the host and name it in api_key_file",
            )


def _render(flags: Mapping[str, Any], style: FlagStyle) -> list[str]:
    arguments: list[str] = []
    for flag, value in flags.items():
        if value is None or value is False:
            continue
        if value is True:
            arguments.append(flag)
            continue
        is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
        items = [_text(item) for item in value] if is_list else [_text(value)]
        if flag == POSITIONAL:
            arguments += items
        elif is_list and not style.repeats_lists:
            arguments += [flag, *items]
        elif style.joined:
            arguments += [f"{flag}={item}" for item in items]
        else:
            arguments += [word for item in items for word in (flag, item)]
    return arguments


def _text(value: Any) -> str:
    if isinstance(value, (Mapping, bool)):
        return json.dumps(plain(value), sort_keys=True)
    return str(value)
