# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Mean waits of queues in equilibrium, over arrays.

Symbols: lambda arrivals a second, s mean seconds of service, c servers, offered load
a = lambda s, rho = a / c < 1.

M/M/c, Erlang's C formula (Erlang 1917; Gross & Harris, Fundamentals of Queueing Theory, 2.3)::

    B(0) = 1,  B(k) = a B(k-1) / (k + a B(k-1))          blocked, of k servers
    C    = B(c) / (1 - rho (1 - B(c)))                   waits
    W    = C s / (c - a)                                 mean wait
    P(wait > t) = C exp(-(c - a) t / s)

M/D/1 (Pollaczek-Khinchine): W = rho s / (2 (1 - rho)).

Load-dependent servers (:func:`birth_death`), one queue whose departure rate m(k) depends on
the requests k in the system and is constant from K on::

    p(k) = p(0) prod_{i=1..k} lambda / m(i),   L = sum k p(k)

The part beyond K is geometric with r = lambda / m(K) and is summed in closed form. With
m(k) = min(k, c) / s this is M/M/c.
"""

from __future__ import annotations

from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


def erlang_c(offered_load: Array, servers: int) -> Array:
    """Probability that a request waits; 1 where the load is at or above the servers. Shape of ``offered_load``."""
    load = np.asarray(offered_load, dtype=np.float64)
    blocked = np.ones_like(load)
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    below = load < servers
    share = np.where(below, load / servers, 0.0)
    return np.where(below, blocked / (1.0 - share * (1.0 - blocked)), 1.0)


def mmc_wait_seconds(requests_per_second: Array, service_seconds: float, servers: int) -> Array:
    """Mean wait in an M/M/c queue; infinite at or above saturation."""
    load = np.asarray(requests_per_second, dtype=np.float64) * service_seconds
    room = np.where(load < servers, servers - load, np.nan)
    wait = erlang_c(load, servers) * service_seconds / room
    return np.where(np.isnan(wait), np.inf, wait)


def mmc_waits_longer(requests_per_second: Array, service_seconds: float, servers: int, seconds: float) -> Array:
    """Share of the requests of an M/M/c queue that wait longer than ``seconds``; 1 at or above saturation."""
    load = np.asarray(requests_per_second, dtype=np.float64) * service_seconds
    fading = np.exp(-np.maximum(servers - load, 0.0) * seconds / service_seconds)
    return np.minimum(1.0, erlang_c(load, servers) * fading)


def md1_wait_seconds(requests_per_second: Array, service_seconds: float) -> Array:
    """Mean wait in an M/D/1 queue; infinite at or above saturation."""
    share = np.asarray(requests_per_second, dtype=np.float64) * service_seconds
    below = share < 1.0
    return np.where(below, share * service_seconds / (2.0 * np.where(below, 1.0 - share, 1.0)), np.inf)


def birth_death(requests_per_second: Array, departures_per_second: Array) -> Array:
    """Mean requests in a system with load-dependent departures.

    Args:
        requests_per_second: lambda, shape (n,), positive and below the last departure rate.
        departures_per_second: m(1) .. m(K), shape (K,), positive; m stays at m(K) beyond.

    Returns:
        L, shape (n,).
    """
    rate = np.asarray(requests_per_second, dtype=np.float64)[:, None]
    departures = np.asarray(departures_per_second, dtype=np.float64)[None, :]
    logs = np.cumsum(np.log(rate) - np.log(departures), axis=1)
    top = np.maximum(logs.max(axis=1, keepdims=True), 0.0)
    weights = np.exp(logs - top)
    states = np.arange(1, departures.shape[1] + 1, dtype=np.float64)
    ratio = rate[:, 0] / departures[0, -1]
    last, most = weights[:, -1], float(departures.shape[1])
    tail = last * ratio / (1.0 - ratio)
    # sum over j >= 1 of (K + j) r^j = K r / (1 - r) + r / (1 - r)^2
    tail_requests = most * tail + last * ratio / (1.0 - ratio) ** 2
    total = np.exp(-top[:, 0]) + weights.sum(axis=1) + tail
    return (weights @ states + tail_requests) / total
