# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Estimates into a catalogue of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError


def filled_resources(models: Any, estimates: Any) -> dict[str, Any]:
    """The catalogue, with the resources of an estimate under those that an entry sets itself.

    Raises:
        InputError: an estimate of a model that the catalogue does not have, or one that found no place.
    """
    catalogue = dict(expect_mapping(models, what="catalogue of models (modelops_models)"))
    for name, estimate in sorted(expect_mapping(estimates, what="estimates").items()):
        where = f"model {name}"
        if name not in catalogue:
            raise InputError("there is an estimate, but no entry in the catalogue", where=where)
        resources = expect_mapping(estimate, what="estimate", where=where).get("resources")
        if not isinstance(resources, Mapping):
            raise InputError(
                "the estimate names no resources", where=where, remedy="Give resource_estimate the hosts of the fleet"
            )
        entry = expect_mapping(catalogue[name], what="model", where=where)
        catalogue[name] = {**entry, "resources": {**resources, **(entry.get("resources") or {})}}
    return catalogue
