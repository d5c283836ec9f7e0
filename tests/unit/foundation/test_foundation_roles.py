"""Roles: what is documented is what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) or {}


def documented(role: Path) -> dict[str, dict[str, Any]]:
    """Options of all entry points of a role, by name."""
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in (spec.get("options") or {}).items()}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_default_is_documented_and_every_option_has_a_default(role: Path) -> None:
    defaults = set(load(role / "defaults" / "main.yml"))
    options = documented(role)
    required = {name for name, option in options.items() if option.get("required")}
    assert defaults == set(options) - required


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_documented_defaults_are_the_real_ones(role: Path) -> None:
    defaults = load(role / "defaults" / "main.yml")
    for name, option in documented(role).items():
        if "default" in option:
            assert defaults[name] == option["default"], name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_variables_carry_the_role_s_name(role: Path) -> None:
    assert all(name.startswith(f"{role.name}_") for name in load(role / "defaults" / "main.yml"))
    variables = role / "vars" / "main.yml"
    if variables.exists():
        assert all(name.startswith(f"__{role.name}_") for name in load(variables))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_entry_point_is_a_task_file(role: Path) -> None:
    for entry in load(role / "meta" / "argument_specs.yml")["argument_specs"]:
        assert (role / "tasks" / f"{entry}.yml").is_file()
