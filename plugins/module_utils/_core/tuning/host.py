# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A host's own settings during a tuning: read, set for now, and put back.

What was there before is on record, in a file that is replaced in one step, before anything is changed. A tuning that
was killed is therefore mended by whoever finds the record next. All is set in the running system alone, and the record
lies below /run, so a reboot leaves neither.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.commands import run_command
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.kernel import current_value
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.host_settings import (
    ALL,
    NO_PROFILE,
    PINS,
    SYSCTL,
    SYSFS,
    TUNED,
    checked,
    pins_of,
    plain,
)

SCHEMA_VERSION = 1
# What one setting is made of: a value by the file that holds it.
State = dict[str, str]
PROFILE = "profile"
# Where tuned keeps what it loads at the next boot.
_TUNED_FILES = ("/etc/tuned/active_profile", "/etc/tuned/profile_mode")
_TUNED_PROFILES = ("/usr/lib/tuned", "/usr/lib/tuned/profiles", "/etc/tuned", "/etc/tuned/profiles")
_TUNED_SECONDS = 60.0
_WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Host:
    """The host; ``root`` is where its files begin, ``properties`` what units of replicas say, ``systemd`` who runs them."""

    root: str = "/"
    systemd: bool = True
    properties: Mapping[str, Any] = field(default_factory=dict)
    run: Callable[[Sequence[str]], tuple[int, str]] = lambda argv: run_command(argv, timeout_seconds=_TUNED_SECONDS)

    def path(self, name: str) -> Path:
        return Path(self.root, name.lstrip("/"))

    def files(self, setting: str) -> list[str]:
        """Those that hold the setting, sorted; none where this kernel does not have it."""
        name = SYSFS[setting][0] if setting in SYSFS else "/proc/sys/" + setting[len(SYSCTL) :].replace(".", "/")
        found = glob.glob(str(self.path(name)))
        return sorted("/" + os.path.relpath(one, self.root) for one in found)

    def lacks(self, setting: str) -> str:
        """Why this host cannot take it, in words; empty when it can."""
        if setting in PINS:
            return "" if self.systemd else "only systemd pins, and something else runs the replicas here"
        if setting == TUNED:
            return "" if self.path("/run/tuned/tuned.pid").exists() else "tuned does not run here"
        paths = self.files(setting)
        if not paths:
            return "this host does not have it"
        if not all(os.access(self.path(one), os.W_OK) for one in paths):
            return "it cannot be set here: it takes root, and in a container it belongs to the machine beneath"
        values = sorted(set(self.state(setting).values()))
        return "" if len(values) == 1 else f"its processors differ ({', '.join(values)}): make them the same first"

    def state(self, setting: str) -> State:
        """What is in force, by file."""
        if setting == TUNED:
            said = self.run(["tuned-adm", "active"])[1]
            profile = re.search(r"active profile: (\S.*)", said)
            files = {one: self.path(one) for one in _TUNED_FILES}
            kept = {one: path.read_text(encoding="utf-8") for one, path in files.items() if path.exists()}
            return {PROFILE: profile[1].strip() if profile else NO_PROFILE, **kept}
        return {one: current_value(self.path(one)) or "" for one in self.files(setting)}

    def value(self, setting: str) -> str:
        """What is in force, in one word."""
        if setting in PINS:
            return pins_of(self.properties)[setting]
        state = self.state(setting)
        return state[PROFILE] if setting == TUNED else next(iter(state.values()), "")

    def check(self, setting: str, value: Any, *, where: str) -> str:
        """The value as this host writes it.

        Raises:
            InputError: the setting may not be tuned, or this host does not offer the value.
        """
        text = checked(setting, value, where=where)
        if setting in PINS:
            kind = "cpu" if setting == "cpu_affinity" else "node"
            offers = current_value(self.path(f"/sys/devices/system/{kind}/online")) or "0"
            able = text == ALL or _numbers(text) <= _numbers(offers)
        else:
            words = self._offers(setting)
            offers, able = ", ".join(words), not words or set(text.split()) <= set(words)
        if not able:
            raise InputError(f"{setting} cannot be {text} on this host, which offers {offers}", where=where)
        return text

    def put(self, setting: str, state: State) -> list[str]:
        """Put these values in force where they are not. Returns what changed, in words.

        Raises:
            ModelOpsError: the host does not take one.
        """
        if setting == TUNED:
            return self._put_profile(state)
        changes = []
        for one in sorted(set(state) & set(self.files(setting))):
            path, value = self.path(one), state[one]
            before = current_value(path)
            if before == value:
                continue
            try:
                path.write_text(value, encoding="ascii")
            except OSError as error:
                raise InputError(f"the kernel refuses {value!r} ({error.strerror})", where=one) from error
            if current_value(path) != value:
                raise InputError(f"it is {current_value(path)}, {value} was asked for", where=one)
            changes.append(f"set {one} from {before} to {value}")
        return changes

    def _put_profile(self, state: State) -> list[str]:
        before = self.value(TUNED)
        if before == state[PROFILE]:
            return []
        words = ["off"] if state[PROFILE] == NO_PROFILE else ["profile", *state[PROFILE].split()]
        code, said = self.run(["tuned-adm", *words])
        for one in sorted(set(state) & set(_TUNED_FILES)):  # so that the next boot loads what it would have
            documents.write_atomically(str(self.path(one)), state[one].encode("utf-8"), mode=0o644)
        if code or self.value(TUNED) != state[PROFILE]:
            raise ModelOpsError(f"tuned does not take the profile {state[PROFILE]}: {said}", where="tuned-adm")
        return [f"set {TUNED} from {before} to {state[PROFILE]}"]

    def _offers(self, setting: str) -> list[str]:
        """The words it takes, where the host says which."""
        if setting == TUNED:
            found = [one for place in _TUNED_PROFILES for one in self.path(place).glob("*/tuned.conf")]
            return [NO_PROFILE, *sorted({one.parent.name for one in found})]
        if setting not in SYSFS:
            return []
        beside = SYSFS[setting][1]
        paths = [self.path(one) for one in self.files(setting)]
        lists = [(one.with_name(beside) if beside else one).read_text(encoding="ascii") for one in paths]
        words = [re.sub(r"[\[\]]", "", text).split() for text in lists]
        return sorted(set(words[0]).intersection(*words[1:])) if words else []


@dataclass(frozen=True)
class Outcome:
    """``changes`` in words, and ``before`` and ``after`` by setting."""

    changes: list[str] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)


def apply_for_now(host: Host, settings: Mapping[str, Any], *, record: str, dry: bool) -> Outcome:
    """Put settings in force until :func:`put_back`; with ``dry`` only tell.

    Args:
        settings: value by setting; no pins, which belong to a unit.
        record: file of what was there before the first one.

    Raises:
        ModelOpsError: a setting or value that may not be, or that this host does not take; what was set before it stays.
    """
    wanted = {}
    for name in _in_order(settings):
        where = f"setting {name}"
        if name in PINS:
            raise InputError("a pin belongs to a unit", where=where, remedy="Give it to deploy_service_properties")
        wanted[name] = checked(name, settings[name], where=where)
        if host.lacks(name):
            raise InputError(host.lacks(name), where=where, remedy="Leave it out")
        host.check(name, settings[name], where=where)
    before = {name: host.value(name) for name in wanted}
    if before == wanted or dry:
        changes = [
            f"set {name} from {before[name]} to {wanted[name]}" for name in wanted if before[name] != wanted[name]
        ]
        return Outcome(changes, before, wanted)
    with exclusive(f"{record}.lock", doing="setting the host for a tuning", wait_seconds=_WAIT_SECONDS):
        kept = {**{name: host.state(name) for name in wanted}, **_on_record(record)}
        _write_record(record, kept)
        changes = []
        for name, value in wanted.items():
            state = kept[name]
            aim = {**state, PROFILE: value} if name == TUNED else dict.fromkeys(state, value)
            changes += host.put(name, aim)
    return Outcome(changes, before, wanted)


def put_back(host: Host, *, record: str, dry: bool) -> Outcome:
    """Put back what the record says, then remove it; with ``dry`` only tell. Nothing where there is no record.

    Raises:
        ModelOpsError: something could not be put back; the rest is, and the record stays.
    """
    if not os.path.exists(record):
        return Outcome()
    if dry:
        kept = _on_record(record)
        return Outcome([f"put {name} back" for name in kept], {}, {})
    with exclusive(f"{record}.lock", doing="setting the host for a tuning", wait_seconds=_WAIT_SECONDS):
        kept = _on_record(record)
        before = {name: host.value(name) for name in kept}
        changes: list[str] = []
        problems = [_tried(host, name, kept[name], changes) for name in _in_order(kept)]
        if any(problems):
            raise ModelOpsError(
                f"not all could be put back: {' '.join(filter(None, problems))}",
                where=record,
                remedy="Mend it and run again, or reboot",
            )
        os.unlink(record)
    return Outcome(changes, before, {name: host.value(name) for name in kept})


def fitted(parameters: Mapping[str, Any], host: Host) -> tuple[dict[str, Any], list[str]]:
    """Parameters of a tuning as this host can take them, and what was left out of them, in words.

    Those of ``kind: host`` get what is in use here as their default, and as one of their values.

    Raises:
        InputError: a setting that may not be tuned, or a value that the host does not offer.
    """
    taken: dict[str, Any] = {}
    left_out = []
    for name, record in parameters.items():
        if not isinstance(record, Mapping) or record.get("kind") != "host":
            taken[name] = record
            continue
        where, setting = f"parameter {name}", str(record.get("setting") or "")
        values = list(record.get("values") or [record.get("low"), record.get("high")])
        for value in values:
            checked(setting, value, where=where)
        if host.lacks(setting):
            left_out.append(f"{name} is left out, {setting}: {host.lacks(setting)}")
            continue
        values = [plain(host.check(setting, value, where=where)) for value in values]
        in_use = plain(host.value(setting))
        if plain(record.get("default", in_use)) != in_use:
            raise InputError(
                f"{setting} is {in_use} here, not {record['default']}", where=where, remedy="Leave default out"
            )
        taken[name] = {**record, "default": in_use}
        if record.get("values"):
            taken[name]["values"] = list(dict.fromkeys([in_use, *values]))
    return taken, left_out


def _in_order(settings: Mapping[str, Any]) -> list[str]:
    """A profile of tuned sets others too, so it comes first, and they win."""
    return sorted(settings, key=lambda name: (name != TUNED, name))


def _tried(host: Host, name: str, state: State, changes: list[str]) -> str:
    """Put one setting back and add what changed. Returns what went wrong, in words."""
    try:
        changes += host.put(name, state)
    except ModelOpsError as error:
        return error.message
    return ""


def _on_record(record: str) -> dict[str, State]:
    if not os.path.exists(record):
        return {}
    document = documents.expect_mapping(
        documents.read_document(record, what="record of the host"), what="record of the host"
    )
    if document.get("kind") != "host_tuning" or document.get("schema_version") != SCHEMA_VERSION:
        raise InputError("this is no record of a host's settings", where=record, remedy="Look at it, then remove it")
    kept = {
        str(name): {str(one): str(value) for one, value in state.items()} for name, state in document["before"].items()
    }
    for name, state in kept.items():
        for value in [state[PROFILE]] if name == TUNED else state.values():
            checked(name, value, where=record)
    return kept


def _write_record(record: str, kept: Mapping[str, State]) -> None:
    document = {"schema_version": SCHEMA_VERSION, "kind": "host_tuning", "before": kept}
    documents.write_document(record, document, mode=0o600)


def _numbers(text: str) -> set[int]:
    """``0-2,5`` as a set."""
    found: set[int] = set()
    for part in text.split(","):
        first, _dash, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found
