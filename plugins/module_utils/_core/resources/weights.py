# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Bytes of a model's weights: as stored, or as another precision would store them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import (
    Architecture,
    Parameters,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.precision import LAYER_ONLY, bytes_of

# vLLM pads the width of experts stored as mxfp4 to a multiple of this (seen on Hopper: 64.4 GiB for 60.8 stored).
_MXFP4_MULTIPLE = 256


@dataclass(frozen=True)
class Weights:
    """Bytes that are divided among accelerators, and bytes that each keeps whole."""

    divided: float
    kept: float

    @property
    def total(self) -> float:
        return self.divided + self.kept

    def on_each(self, parallel: int) -> float:
        return self.divided / parallel + self.kept


def computed_weights(arch: Architecture, count: Parameters, precision: str, *, engine: str = "") -> Weights:
    """Bytes from the numbers of parameters. Where only the layers' matrices are stored in ``precision``,
    the rest stays in what the model was published in; mxfp4 is for experts alone, where there are any."""
    base = bytes_of(arch.precision if arch.precision in ("float32", "bfloat16", "float16") else "bfloat16")
    if precision not in LAYER_ONLY:
        base = bytes_of(precision)
        return Weights(base * (count.total - count.norms), base * count.norms)
    small = count.experts if precision == "mxfp4" and count.experts else count.matrices
    padded = small * bytes_of(precision)
    if precision == "mxfp4" and engine in ("vllm", "sglang") and arch.experts:
        padded *= ceil(arch.experts.width / _MXFP4_MULTIPLE) * _MXFP4_MULTIPLE / arch.experts.width
    return Weights(padded + base * (count.total - small - count.norms), base * count.norms)


def stored_weights(stored_bytes: int, count: Parameters, arch: Architecture) -> Weights:
    """Bytes as the files' headers say."""
    base = bytes_of(arch.precision) if arch.precision in ("float32", "bfloat16", "float16") else 4.0
    kept = min(float(stored_bytes), base * count.norms)
    return Weights(stored_bytes - kept, kept)
