# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Reactive autoscalers of Kubernetes, from what their documentation says.

- HPA (kubernetes.io, Horizontal Pod Autoscaling, 1.30): looks every 15 s; desired = ceil(current x
  metric / target); nothing within a tolerance of 10 %; replicas that are not ready count with a
  metric of 0 when scaling out, and nothing is done if that turns the direction; at most
  max(4 replicas, 100 %) more a look; scale-in to the largest desired of the last 300 s.
- KEDA (keda.sh 2.x, ScaledObject): the same controller with an external metric, average a
  replica; polled every 30 s. ``threshold`` 5 waiting requests is what the guide of the
  vLLM production stack sets.
- KPA (Knative serving, config-autoscaler): looks at the mean concurrency of 60 s, target 70 % of what
  a replica takes; panics for 60 s when the last 10 % of the window asks for 200 % of what is
  ready, and then only grows; at most halves a look. It looks every 2 s; here every 10 s, so its panic window is one
  look.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fleet_run import Look, Seen


@dataclass
class Stabilised:
    """Scale-in to the largest desired of the last ``scale_in_seconds``; growth is limited a look."""

    scale_in_seconds: float = 300.0
    _wished: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def settle(self, name: str, moment: float, current: int, desired: int, least: int) -> int:
        wished = [one for one in self._wished.get(name, []) if one[0] > moment - self.scale_in_seconds]
        wished.append((moment, desired))
        self._wished[name] = wished
        if desired < current:
            desired = min(current, max(count for _moment, count in wished))
        return max(least, min(desired, current + max(4, current)))


@dataclass
class Hpa:
    """HPA on utilisation: requests in the replicas over the places of those that are ready."""

    places: Mapping[str, int]
    target: float = 0.7
    tolerance: float = 0.1
    least: int = 1
    name: str = "HPA on utilisation"
    interval_seconds: float = 15.0
    stabilised: Stabilised = field(default_factory=Stabilised)

    def wanted(self, look: Look) -> Mapping[str, int]:
        return {
            name: self.stabilised.settle(
                name, look.moment, seen.ready + seen.starting, self._desired(seen, self.places[name]), self.least
            )
            for name, seen in look.models.items()
        }

    def _desired(self, seen: Seen, places: int) -> int:
        current = seen.ready + seen.starting
        if not seen.ready:
            return max(current, self.least)
        busy = seen.in_service / places
        ratio = busy / seen.ready / self.target
        if abs(ratio - 1.0) <= self.tolerance:
            return current
        if ratio < 1.0 or not seen.starting:
            return max(1, math.ceil(ratio * seen.ready - 1e-9))
        damped = busy / current / self.target
        return current if damped <= 1.0 + self.tolerance else math.ceil(damped * current - 1e-9)


@dataclass
class Keda:
    """KEDA on the queue: waiting requests at the gateway, ``threshold`` a replica."""

    threshold: float = 5.0
    tolerance: float = 0.1
    least: int = 1
    name: str = "KEDA on queue length"
    interval_seconds: float = 30.0
    stabilised: Stabilised = field(default_factory=Stabilised)

    def wanted(self, look: Look) -> Mapping[str, int]:
        found = {}
        for name, seen in look.models.items():
            current = seen.ready + seen.starting
            ratio = seen.queued / self.threshold / max(1, current)
            desired = current if abs(ratio - 1.0) <= self.tolerance else math.ceil(seen.queued / self.threshold)
            found[name] = self.stabilised.settle(name, look.moment, current, desired, self.least)
        return found


@dataclass
class Kpa:
    """Knative's autoscaler on concurrency: what is in the replicas and in front of them."""

    places: Mapping[str, int]
    target: float = 0.7
    window_seconds: float = 60.0
    panic_threshold: float = 2.0
    least: int = 1
    name: str = "KPA on concurrency"
    interval_seconds: float = 10.0
    _seen: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    _panic: dict[str, tuple[float, int]] = field(default_factory=dict)

    def wanted(self, look: Look) -> Mapping[str, int]:
        return {name: self._desired(name, seen, look.moment) for name, seen in look.models.items()}

    def _desired(self, name: str, seen: Seen, moment: float) -> int:
        now = seen.in_service + seen.queued
        window = [one for one in self._seen.get(name, []) if one[0] > moment - self.window_seconds]
        window.append((moment, now))
        self._seen[name] = window
        a_replica = self.target * self.places[name]
        stable = math.ceil(sum(count for _moment, count in window) / len(window) / a_replica - 1e-9)
        urgent = math.ceil(now / a_replica - 1e-9)
        ready = max(1, seen.ready)
        stable, urgent = (max(count, ready // 2) for count in (stable, urgent))
        begun, most = self._panic.get(name, (-math.inf, 0))
        if urgent / ready >= self.panic_threshold:
            begun = moment
        if moment - begun >= self.window_seconds:
            self._panic.pop(name, None)
            return max(self.least, stable)
        most = max(most, urgent, stable, seen.ready)
        self._panic[name] = (begun, most)
        return max(self.least, most)
