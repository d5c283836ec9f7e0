# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A model from whatever describes it: files, a configuration given inline, or a declared architecture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
    read_document,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources import gguf, gguf_header
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import (
    Architecture,
    Experts,
    Latent,
    Parameters,
    count_parameters,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.huggingface import read_config
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.precision import named_precision
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.safetensors_header import read_headers
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.weights import (
    Weights,
    computed_weights,
    stored_weights,
)

# From this share on, files that hold another number of parameters than the configuration says are pointed out.
_TELL_SHARE = 0.02


@dataclass(frozen=True)
class Described:
    """``values`` parameters and ``stored_bytes`` as the headers say, 0 where there are no weights to look at.

    ``packed``: several values lie in one stored number, so that counts of values are no counts of parameters.
    """

    architecture: Architecture
    source: str
    stored_bytes: int = 0
    values: int = 0
    packed: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def count(self) -> Parameters:
        return count_parameters(self.architecture)

    def weights(self, precision: str, engine: str) -> Weights:
        """As stored, unless another precision is asked for or nothing is known of what is stored."""
        if self.stored_bytes and not precision:
            return stored_weights(self.stored_bytes, self.count, self.architecture)
        arch = self.architecture
        return computed_weights(arch, self.count, precision or arch.quantised or arch.precision, engine=engine)


def describe(path: str = "", config: Any = None, declared: Any = None) -> Described:
    """What is known of the model; exactly one of the three is given.

    Args:
        path: a GGUF file, a folder with ``config.json`` and perhaps safetensors files, or a ``config.json``.
        config: the content of a ``config.json``.
        declared: fields of :class:`Architecture`, ``experts`` and ``latent`` as mappings.

    Raises:
        InputError: nothing that describes a model is there, or it is damaged.
    """
    if config is not None:
        return _with_warnings(Described(read_config(config, where="config"), "config"))
    if declared is not None:
        return Described(read_declared(declared), "architecture")
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        return _folder(path)
    if path.endswith(".gguf"):
        file = gguf_header.read_gguf(path)
        arch = gguf.read_architecture(file, where=path)
        return _compared(Described(arch, path, file.stored_bytes, file.values))
    if path.endswith(".json"):
        return _with_warnings(Described(read_config(read_document(path, what="model configuration"), where=path), path))
    raise InputError(
        "this is neither a folder, a .gguf file nor a config.json" if os.path.exists(path) else "there is no such file",
        where=path,
        remedy="Give the folder of the model, its GGUF file or its config.json",
    )


def _folder(path: str) -> Described:
    names = sorted(os.listdir(path))
    models = [name for name in names if name.endswith(".gguf")]
    if "config.json" not in names and models:
        return describe(os.path.join(path, models[0]))
    if "config.json" not in names:
        raise InputError("the folder holds neither config.json nor a .gguf file", where=path)
    where = os.path.join(path, "config.json")
    found = describe(where)
    files = [os.path.join(path, name) for name in names if name.endswith(".safetensors")]
    _all_parts(path, names)
    if not files:
        return found
    stored = read_headers(files)
    packed = any(kind in stored.values for kind in ("I32", "U8", "I8")) or bool(found.architecture.quantised)
    arch = found.architecture
    surplus = stored.parameters - found.count.total
    if not packed and surplus > 0:
        arch = replace(arch, extra=surplus)
    return _compared(
        replace(found, architecture=arch, stored_bytes=stored.stored_bytes, values=stored.parameters, packed=packed)
    )


def _all_parts(path: str, names: list[str]) -> None:
    """Refuses a folder of which the index names a file that is not there."""
    index = "model.safetensors.index.json"
    if index not in names:
        return
    document = expect_mapping(
        read_document(os.path.join(path, index), what="index of weights"), what="index of weights"
    )
    missing = sorted(set(expect_mapping(document.get("weight_map") or {}, what="weight_map").values()) - set(names))
    if missing:
        raise InputError(
            f"{len(missing)} files of the weights are missing, {missing[0]} first",
            where=path,
            remedy="Fetch the model again",
        )


def _with_warnings(found: Described) -> Described:
    return replace(found, warnings=found.warnings + found.architecture.warnings)


def _compared(found: Described) -> Described:
    """Points out a number of parameters that is not what the configuration makes of it."""
    expected = found.count.total - found.architecture.extra
    if found.packed or not found.values or abs(found.values / expected - 1) <= _TELL_SHARE:
        return found
    text = f"{found.source}: the files hold {found.values:,} parameters, the configuration says {expected:,}"
    return replace(found, warnings=(*found.warnings, text))


def read_declared(record: Any) -> Architecture:
    """An architecture from an option.

    Raises:
        InputError: an unknown or missing field, or a value that is no whole number.
    """
    where = "architecture"
    given = dict(expect_mapping(record, what="architecture", where=where))
    parts = {"experts": Experts, "latent": Latent}
    for name, kind in parts.items():
        if given.get(name) is not None:
            given[name] = _declared(kind, expect_mapping(given[name], what=name, where=where), f"{where}.{name}")
    given.setdefault("name", "declared")
    given.setdefault("kv_heads", given.get("heads"))
    if given.get("heads") and given.get("width"):
        given.setdefault("head_width", int(given["width"]) // int(given["heads"]))
    if "precision" in given:
        given["precision"] = named_precision(given["precision"], what="precision", where=where)
    given.pop("warnings", None)
    declared: Architecture = _declared(Architecture, given, where)
    return declared


def _declared(kind: Any, given: Mapping[str, Any], where: str) -> Any:
    known = {one.name: one for one in fields(kind) if one.name != "warnings"}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"{', '.join(unknown)} is not known", where=where, remedy=f"Known are {', '.join(known)}")
    values: dict[str, Any] = {}
    for name, value in given.items():
        if known[name].type == "int":
            values[name] = int(expect_number(value, what=name, where=where, minimum=0))
        else:
            values[name] = value
    try:
        return kind(**values)
    except TypeError as error:
        missing = [name for name in known if name not in values and name in str(error)]
        raise InputError(f"{', '.join(missing)} is missing", where=where, remedy="Declare it") from error
