# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a decoder is made of, as far as its memory and its arithmetic depend on it.

Symbols as in the papers: L layers of width h, a query heads and g key-value heads of width d,
feed-forward width f, vocabulary V. Everything is counted in numbers (parameters, values);
bytes come from :mod:`precision`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Experts:
    """A mixture of experts in the feed-forward part of ``layers`` layers.

    ``shared_width`` is the width of the part each token passes through; ``router_bias`` and
    ``biased`` say whether router and experts carry biases, ``gated_shared`` whether the shared
    part has a gate of its own.
    """

    count: int
    active: int
    width: int
    layers: int
    shared_width: int = 0
    router_bias: bool = False
    biased: bool = False
    gated_shared: bool = False


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1).

    One vector of ``rank`` and one rotated key of ``rope_width``, shared by all heads, are cached a token.
    ``query_rank`` 0: queries are projected directly.
    """

    rank: int
    rope_width: int
    plain_width: int
    value_width: int
    query_rank: int = 0


@dataclass(frozen=True)
class Architecture:
    """A decoder-only transformer.

    ``windowed_layers`` of the layers attend only to the last ``window`` tokens. ``norms`` is the
    number of vectors of width h that normalisation keeps in one layer, biases included;
    ``head_norms`` the same of width d. ``qkv_bias`` counts biases of queries, keys and values,
    ``output_bias`` that of the attention's output. ``positions`` are learned positions. ``extra``
    are parameters of anything else, such as a vision tower.
    """

    name: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    feed_forward: int
    vocabulary: int
    context: int
    tied: bool = False
    gated: bool = True
    precision: str = "bfloat16"
    quantised: str = ""
    window: int = 0
    windowed_layers: int = 0
    experts: Experts | None = None
    latent: Latent | None = None
    norms: int = 2
    final_norm: int = 1
    head_norms: int = 0
    sinks: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    feed_forward_bias: bool = False
    head_bias: bool = False
    positions: int = 0
    extra: int = 0
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters by where they are. ``active`` is what one token is multiplied by: the head
    is counted, the embedding, of which a token takes one row, is not."""

    embedding: int
    head: int
    attention: int
    feed_forward: int
    experts: int
    norms: int
    extra: int
    active: int

    @property
    def total(self) -> int:
        return self.embedding + self.head + self.layers + self.extra

    @property
    def layers(self) -> int:
        """Parameters of the layers and of the last normalisation."""
        return self.attention + self.feed_forward + self.experts + self.norms

    @property
    def matrices(self) -> int:
        """What quantisation of the layers stores smaller."""
        return self.attention + self.feed_forward + self.experts


def count_parameters(arch: Architecture) -> Parameters:
    """The parameters of each part, from the definitions of the layers (Vaswani et al. 2017, arXiv:1706.03762;
    gated feed-forward: Shazeer 2020, arXiv:2002.05202; experts: Fedus et al. 2021, arXiv:2101.03961).

    - attention, a layer: h·a·d + 2·h·g·d + a·d·h, and biases; latent attention as in :func:`_latent_attention`
    - feed-forward, a layer: 3·h·f where gated, else 2·h·f
    - experts, a layer: E·3·h·f_e + E·h for the router, and the shared part
    """
    h, layers = arch.width, arch.layers
    attention = layers * (_latent_attention(arch, arch.latent) if arch.latent else _attention(arch))
    expert_layers = arch.experts.layers if arch.experts else 0
    feed_forward = (layers - expert_layers) * _feed_forward(arch, arch.feed_forward)
    routed = active_routed = 0
    if arch.experts:
        one = _expert(arch, arch.experts)
        around = h * arch.experts.count + (arch.experts.count if arch.experts.router_bias else 0)
        around += _feed_forward(arch, arch.experts.shared_width) + (h if arch.experts.gated_shared else 0)
        routed = expert_layers * (arch.experts.count * one + around)
        active_routed = expert_layers * (arch.experts.active * one + around)
    norms = layers * (arch.norms * h + arch.head_norms * arch.head_width) + arch.final_norm * h
    if arch.latent:
        norms += layers * (arch.latent.rank + arch.latent.query_rank)
    embedding = arch.vocabulary * h + arch.positions * h
    head = (0 if arch.tied else arch.vocabulary * h) + (arch.vocabulary if arch.head_bias else 0)
    active = attention + feed_forward + active_routed + norms + arch.vocabulary * h
    return Parameters(embedding, head, attention, feed_forward, routed, norms, arch.extra, active)


def _attention(arch: Architecture) -> int:
    h, queries, keys = arch.width, arch.heads * arch.head_width, arch.kv_heads * arch.head_width
    biases = (queries + 2 * keys if arch.qkv_bias else 0) + (h if arch.output_bias else 0)
    return h * queries + 2 * h * keys + queries * h + biases + (arch.heads if arch.sinks else 0)


def _latent_attention(arch: Architecture, latent: Latent) -> int:
    """Queries directly or through their rank; keys and values through theirs, with one rotated key beside it."""
    h, heads = arch.width, arch.heads
    key = latent.plain_width + latent.rope_width
    queries = h * latent.query_rank + latent.query_rank * heads * key if latent.query_rank else h * heads * key
    down = h * (latent.rank + latent.rope_width)
    up = latent.rank * heads * (latent.plain_width + latent.value_width)
    return queries + down + up + heads * latent.value_width * h


def _feed_forward(arch: Architecture, width: int) -> int:
    matrices = 3 if arch.gated else 2
    biases = ((matrices - 1) * width + arch.width) if arch.feed_forward_bias and width else 0
    return matrices * arch.width * width + biases


def _expert(arch: Architecture, experts: Experts) -> int:
    matrices = 3 if arch.gated else 2
    biases = (matrices - 1) * experts.width + arch.width if experts.biased else 0
    return matrices * arch.width * experts.width + biases
