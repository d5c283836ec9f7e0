# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The network: a segment LSTM that encodes a window, and a direct decoder of every lead's quantiles.

With x_g the g-th segment of a window, b_k(j) the baselines and s(j) the features of lead j,

    e_g   = W_e x_g                                  h = LSTM(e_1 .. e_G)
    m(j)  = f(U h + V s(j)),                         f a two-layer perceptron
    Q_1/2 = sum_k a_k(j) b_k(j) + c(j)               a, c linear in m(j)
    Q_q   = Q_1/2 -+ sums of softplus(g_i(j))        g linear in m(j)

so quantiles never cross. At the start a is 1/K: the mean of the baselines. Every lead is
decoded at once and knows the seasons' forecasts of itself, so the recurrence carries only
what differs from them (multi-quantile direct decoding: Wen et al. 2017, arXiv:1711.11053).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.lstm_windows import (
    BASELINES,
    SAMPLE_FEATURES,
    SEGMENT_FEATURES,
    STEP_FEATURES,
    Window,
)

HIDDEN = 48


def build(torch: Any, width: int, levels: int) -> Any:
    """The network for segments of ``width`` samples and that many quantile levels, on the CPU."""
    nn = torch.nn
    network = nn.ModuleDict(
        {
            "embed": nn.Linear(width * SAMPLE_FEATURES + SEGMENT_FEATURES, HIDDEN),
            "recur": nn.LSTM(HIDDEN, HIDDEN, batch_first=True),
            "state": nn.Linear(HIDDEN, HIDDEN),
            "step": nn.Linear(BASELINES + STEP_FEATURES, HIDDEN, bias=False),
            "deep": nn.Linear(HIDDEN, HIDDEN),
            "out": nn.Linear(HIDDEN, BASELINES + levels),
        }
    )
    with torch.no_grad():
        network["out"].weight.mul_(0.1)
        network["out"].bias.zero_()
        network["out"].bias[:BASELINES] = 1.0 / BASELINES
    return network


def quantiles(torch: Any, network: Any, window: Window, median: int) -> Any:
    """Quantiles (N, L, Q), ascending, in units of the spread about the level; ``median`` is the index of 1/2."""
    activate = torch.nn.functional.silu
    _unused, (hidden, _cell) = network["recur"](activate(network["embed"](window.context)))
    mixed = activate(network["state"](hidden[-1])[:, None] + network["step"](window.steps))
    mixed = mixed + activate(network["deep"](mixed))
    out = network["out"](mixed)
    centre = (out[..., :BASELINES] * window.baselines).sum(-1, keepdim=True) + out[..., BASELINES : BASELINES + 1]
    gaps = torch.nn.functional.softplus(out[..., BASELINES + 1 :])
    below = centre - gaps[..., :median].flip(-1).cumsum(-1).flip(-1)
    return torch.cat([below, centre, centre + gaps[..., median:].cumsum(-1)], dim=-1)


def pinball_loss(torch: Any, forecast: Any, target: Any, observed: Any, levels: Any) -> Any:
    """Mean over levels and observed steps of the pinball loss of (N, L, Q) against (N, L); gaps weigh nothing."""
    gap = target[..., None] - forecast
    loss = torch.maximum(levels * gap, (levels - 1.0) * gap).mean(-1)
    return (loss * observed).sum() / observed.sum().clamp(min=1.0)


def weights_of(network: Any) -> dict[str, Any]:
    """Plain numpy copies of the weights."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def load(torch: Any, network: Any, weights: Mapping[str, Any]) -> None:
    """Put weights back."""
    network.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
