"""The version stands in two places, for Galaxy and in every document: they say the same."""

from __future__ import annotations

from pathlib import Path

import yaml

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import GENERATOR


def test_documents_name_the_released_version() -> None:
    galaxy = yaml.safe_load((Path(__file__).resolve().parents[3] / "galaxy.yml").read_text())
    assert f"{galaxy['namespace']}.{galaxy['name']} {galaxy['version']}" == GENERATOR
