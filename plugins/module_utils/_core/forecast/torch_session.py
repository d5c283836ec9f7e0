# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Where torch computes, and that it computes the same twice."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require


def load_torch() -> Any:
    """The library, with the part that it would load at the first training step.

    Raises:
        MissingLibraryError: it is absent, or too old.
    """
    with _plain_interning():
        torch = require("torch", purpose="The engine lstm")
        import_module("torch._dynamo")
    return torch


@contextmanager
def _plain_interning() -> Iterator[None]:
    """``sys.intern`` as Python has it: torch looks it up by its type while it loads, and whoever
    runs this module may have put a stand-in in its place (ansible-core 2.19 does)."""
    stand_in = sys.intern
    sys.intern = getattr(stand_in, "unpatched_implementation", stand_in)
    try:
        yield
    finally:
        sys.intern = stand_in


def choose_device(torch: Any, device: str) -> str:
    """The name of the device: "auto" takes an accelerator where torch finds one.

    Raises:
        InputError: torch cannot compute there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # running sums are in double precision, which not every device has
        float(torch.zeros(1, dtype=torch.float64, device=device))
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise InputError(
            f"torch cannot use the device {device!r} ({str(error).splitlines()[0]})",
            remedy="Choose auto or cpu",
        ) from error
    return str(torch.device(device).type if device.startswith("cpu") else device)


@contextmanager
def reproducibly(torch: Any) -> Iterator[None]:
    """One thread and deterministic kernels inside; the caller's settings again outside."""
    threads = torch.get_num_threads()
    strict, lenient = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.set_num_threads(1)
    # an accelerator without a deterministic kernel would rather warn than stop
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=lenient)
