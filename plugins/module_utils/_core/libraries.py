# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One place that imports third-party libraries, and says clearly when it cannot.

Heavy libraries cost up to two CPU seconds to import, so nothing imports them at
module level; the function that needs one calls :func:`require`.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module, metadata
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import (
    MissingLibraryError,
)

# distribution name and least version for each top-level import name
MINIMUM_VERSIONS: dict[str, tuple[str, str]] = {
    "distributed": ("distributed", "2024.8"),
    "holidays": ("holidays", "0.50"),
    "joblib": ("joblib", "1.3"),
    "numpy": ("numpy", "1.26"),
    "optuna": ("optuna", "4.0"),
    "ortools": ("ortools", "9.12"),
    "plotly": ("plotly", "6.0"),
    "pyarrow": ("pyarrow", "16"),
    "scipy": ("scipy", "1.11"),
    "statsmodels": ("statsmodels", "0.14.2"),
    "torch": ("torch", "2.2"),
}


def require(name: str, *, purpose: str) -> Any:
    """Import ``name`` (dotted names allowed) or say what is missing and how to get it.

    Args:
        name: import name, for example ``scipy.sparse``.
        purpose: what it is needed for, in the operator's words.

    Raises:
        MissingLibraryError: absent, broken, or older than the least version.
    """
    top = name.split(".", maxsplit=1)[0]
    distribution, minimum = MINIMUM_VERSIONS.get(top, (top, ""))
    wanted = f"{distribution} >= {minimum}" if minimum else distribution
    try:
        module = import_module(name)
    except ImportError as error:
        raise MissingLibraryError(
            f"{purpose} needs the Python library {wanted}, which {sys.executable} cannot import ({error})",
            remedy=f"Install it there: {sys.executable} -m pip install '{wanted.replace(' ', '')}',"
            " or set ansible_python_interpreter to a Python that has it",
        ) from error
    found = _installed_version(distribution)
    if minimum and found and _as_tuple(found) < _as_tuple(minimum):
        raise MissingLibraryError(
            f"{purpose} needs {wanted}, but {sys.executable} has {found} at {getattr(module, '__file__', '?')}",
            remedy=f"Upgrade it: {sys.executable} -m pip install '{wanted.replace(' ', '')}'",
        )
    return module


@cache
def _installed_version(distribution: str) -> str:
    """Looked up once a process: it reads files, and takes longer than many a computation that asks for it."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _as_tuple(version: str) -> tuple[int, ...]:
    numbers = []
    for part in version.split("."):
        digits = "".join(ch for ch in part if ch.isdigit())
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
