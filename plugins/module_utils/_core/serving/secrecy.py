# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""No secret in the catalogue: it goes into records, into definition files and into verbose output.

What an engine needs to know in secret lies in a file on the host; the catalogue names the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import quoting
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.flags import SECRET_FLAGS

# How a variable ends whose value is a secret: HF_TOKEN, AWS_SECRET_ACCESS_KEY; not MAX_TOKENS, not TOKEN_FILE.
_SECRET_VARIABLE = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS)$", re.IGNORECASE
)


def plain_secrets(models: Mapping[str, Any]) -> list[str]:
    """What looks like a secret in the catalogue, one sentence each that names it and never says it.

    Args:
        models: the raw catalogue; entries that are no mappings are left to those who read them.
    """
    sentences = []
    for name, entry in sorted(models.items()):
        if isinstance(entry, Mapping):
            sentences += [f"Model {name}: {sentence}" for sentence in _of_entry(entry)]
    return sentences


def secret_files(given: Any, fill: Callable[[str], str], *, where: str) -> dict[str, str]:
    """``secret_environment`` of a catalogue entry: a variable to the file on the host that holds its value.

    Raises:
        InputError: no mapping, no name of a variable, or a value that is not an absolute path. The value is not
            repeated, since it may be the secret itself.
    """
    files = {}
    for name, value in documents.expect_mapping(given or {}, what="secret_environment", where=where).items():
        quoting.check_environment({str(name): ""}, where=where)
        path = fill(str(value))
        if not path.startswith("/") or any(ord(letter) < 32 for letter in path):
            raise InputError(
                f"secret_environment {name} is not the absolute path of a file on the host",
                where=where,
                remedy="Put the value in a file there, as deploy_secrets does, and name the file",
            )
        files[str(name)] = path
    return files


def _of_entry(entry: Mapping[str, Any]) -> list[str]:
    found = []
    environment = entry.get("environment")
    for name, value in sorted(environment.items()) if isinstance(environment, Mapping) else ():
        if _SECRET_VARIABLE.search(str(name)) and _may_be_secret(value):
            found.append(
                f"environment holds {name}, whose value would be put on record and shown. Put it in a file on the host "
                f"(deploy_secrets does) and name that file in secret_environment."
            )
    arguments = entry.get("engine_args")
    found += [
        f"engine_args holds {name}, which every user of the host can read. Put the key in a file on the host "
        f"and name it in api_key_file or secret_environment."
        for name in _flags(arguments)
        if name in SECRET_FLAGS
    ]
    artifact = entry.get("artifact")
    source = str(artifact.get("src") or "") if isinstance(artifact, Mapping) else ""
    if "://" in source and "@" in urlsplit(source).netloc:
        found.append(
            "the artifact's src holds a login. Put an Authorization header in a file on the host and name it in headers_file."
        )
    return found


def _flags(arguments: Any) -> list[str]:
    if isinstance(arguments, Mapping):
        words = [str(key) for key in arguments]
        return [word if word.startswith("-") else "--" + word.replace("_", "-") for word in words]
    if isinstance(arguments, Sequence) and not isinstance(arguments, (str, bytes)):
        return [str(word).split("=", 1)[0] for word in arguments]
    return []


def _may_be_secret(value: Any) -> bool:
    """Not empty, not a number, not the path of a file, not a placeholder."""
    text = str(value).strip()
    return bool(text) and value is not None and not re.match(r"[/{]", text) and not re.fullmatch(r"[-+.\d]*", text)
