# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What replicas serve where they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica


def replica_capacity(replica: Replica, hosts: Mapping[str, Host], models: Mapping[str, Model]) -> float:
    """Requests/s one replica serves where it is; nothing on a host that is unknown or does not serve."""
    host, model = hosts.get(replica.host), models.get(replica.model)
    if host is None or model is None or not host.serves or host.accelerator_type not in model.capacity:
        return 0.0
    return model.capacity[host.accelerator_type].requests_per_second


def serving_capacity(
    replicas: Iterable[Replica], hosts: Mapping[str, Host], models: Mapping[str, Model]
) -> dict[str, float]:
    """Requests/s per model that ``replicas`` serve together."""
    total: dict[str, float] = defaultdict(float)
    for replica in replicas:
        total[replica.model] += replica_capacity(replica, hosts, models)
    return dict(total)
