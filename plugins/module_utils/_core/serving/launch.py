# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a start of any engine depends on, and what can differ between engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.flags import FlagStyle

WORKER_BASE_PORT = 20000
WORKER_PORTS = 50


@dataclass(frozen=True)
class Launch:
    """What one start of an engine depends on; paths are on the host, empty when there is none.

    ``accelerator_share`` is what the catalogue asks for: 2.0 means two whole
    accelerators, 0.5 half of the memory of one that is shared.
    """

    model_path: str
    cache_dir: str
    alias: str
    name: str
    host: str
    port: int
    slot: int
    accelerators: tuple[int | str, ...]
    accelerator_share: float
    cpu_cores: float
    api_key_file: str
    engine_args: Any
    drain_seconds: float
    where: str

    @property
    def memory_share(self) -> float:
        """The part (0, 1] of each of its accelerators' memory that is its own."""
        return self.accelerator_share if 0 < self.accelerator_share < 1 else 1.0

    @property
    def worker_port(self) -> int:
        """First of the ports for an engine's own worker processes."""
        return WORKER_BASE_PORT + WORKER_PORTS * self.slot

    def require_model(self) -> str:
        """The path to load.

        Raises:
            InputError: the model has no artifact on the host.
        """
        if not self.model_path:
            raise InputError(
                "there is nothing to load: the host has no path for the model",
                where=self.where,
                remedy="Give the model an artifact in the catalogue",
            )
        return self.model_path


def _nothing(_launch: Launch) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Profile:
    """One engine's ways.

    ``flags`` gets the executable too, since a program can be started in more than one way.
    ``drains``: the engine finishes running work on SIGTERM, for up to ``drain_seconds``
    where it can be told; ``stop_margin_seconds`` is the time on top for its teardown.
    ``probe``: what proves readiness: a first answered ``completion`` (Triton has its own
    readiness of server and model instead), or ``health`` where no more is known.
    """

    executable: tuple[str, ...]
    flags: Callable[[Launch, Sequence[str]], dict[str, Any]]
    style: FlagStyle
    environment: Callable[[Launch], dict[str, str]] = _nothing
    secrets: Callable[[Launch], dict[str, str]] = _nothing
    health_path: str = "/health"
    ready_path: str = "/health"
    metrics_port: Callable[[Launch], int] = field(default=lambda launch: launch.port)
    probe: str = "completion"
    drains: bool = True
    stop_margin_seconds: float = 30.0
    success_exit_statuses: tuple[str, ...] = ()
    shared_memory_gib: Callable[[Launch], float] = field(default=lambda launch: 0.0)
    notes: tuple[str, ...] = ()

    def stop_timeout_seconds(self, drain_seconds: float) -> float:
        """When to kill what is left: always later than the engine's own drain ends."""
        return self.stop_margin_seconds + (drain_seconds if self.drains else 0.0)
