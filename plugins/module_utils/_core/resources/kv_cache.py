# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How much is kept a token: the cache of keys and values.

- Multi-head and grouped-query attention (Shazeer 2019, arXiv:1911.02150; Ainslie et al. 2023,
  arXiv:2305.13245): 2·g·d numbers a token and layer, keys and values of g heads of width d.
- Latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1.4): rank + rope width, once for all heads.
- A layer with a window (Beltagy et al. 2020, arXiv:2004.05150; Mistral 7B, arXiv:2310.06825) keeps no more
  than its window and what one step computes at once.

Tensor parallelism divides heads. Where there are fewer key-value heads than accelerators each
keeps a whole one; the latent vector is kept by every accelerator.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import Architecture


@dataclass(frozen=True)
class CacheRules:
    """How an engine keeps it: room is given in blocks of ``block`` tokens; a step computes up to
    ``step_tokens``, which a layer with a window keeps beside its window; ``windows`` False: the
    engine keeps every token in every layer. ``straddled``: a window may begin and end within a block, which
    takes one more (vLLM 0.32, SlidingWindowSpec)."""

    block: int = 16
    step_tokens: int = 8192
    windows: bool = True
    straddled: bool = False


def layer_bytes_per_token(arch: Architecture, value_bytes: float, parallel: int = 1) -> float:
    """Bytes that one layer keeps a token on each of ``parallel`` accelerators."""
    if arch.latent:
        return (arch.latent.rank + arch.latent.rope_width) * value_bytes
    return 2 * ceil(arch.kv_heads / parallel) * arch.head_width * value_bytes


def bytes_per_token(arch: Architecture, value_bytes: float, parallel: int = 1) -> float:
    """Bytes that all layers keep a token, as long as no window is full."""
    return arch.layers * layer_bytes_per_token(arch, value_bytes, parallel)


def sequence_bytes(arch: Architecture, value_bytes: float, context: int, rules: CacheRules, parallel: int = 1) -> float:
    """Bytes that one sequence of ``context`` tokens keeps on each of ``parallel`` accelerators."""
    whole = _in_blocks(context, rules.block)
    windowed = arch.windowed_layers if rules.windows else 0
    more = rules.block if rules.straddled else 0
    short = min(whole, _in_blocks(arch.window + rules.step_tokens, rules.block) + more)
    tokens = (arch.layers - windowed) * whole + windowed * short
    return tokens * layer_bytes_per_token(arch, value_bytes, parallel)


def _in_blocks(tokens: int, block: int) -> int:
    return ceil(tokens / block) * block
