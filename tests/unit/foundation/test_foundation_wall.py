"""The one architectural rule: the core computes, the glue talks to Ansible, roles act."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLUGINS = ROOT / "plugins"
CORE = PLUGINS / "module_utils" / "_core"
PREFIX = "ansible_collections.modelops.datacenter"
HEAVY = {
    "scipy",
    "statsmodels",
    "pandas",
    "ortools",
    "pyarrow",
    "joblib",
    "plotly",
    "torch",
    "sklearn",
    "holidays",
    "optuna",
    "dask",
    "distributed",
}
MODULE_IMPORTS = {"numpy"} | HEAVY

CORE_FILES = sorted(CORE.rglob("*.py"))
PLUGIN_FILES = sorted(PLUGINS.rglob("*.py"))
MODULE_FILES = sorted((PLUGINS / "modules").glob("*.py"))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return names


def _module_level_imports(tree: ast.Module) -> list[str]:
    """Imports that run when the file is imported; those under TYPE_CHECKING do not."""
    names = []
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names += _imports(node)
        elif isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.dump(node.test):
                pending += node.body
            pending += node.orelse
        elif isinstance(node, ast.Try):
            pending += node.body + node.orelse + node.finalbody
            for handler in node.handlers:
                pending += handler.body
    return names


def test_there_is_something_to_guard() -> None:
    assert CORE_FILES
    assert MODULE_FILES


@pytest.mark.parametrize("path", CORE_FILES, ids=_name)
def test_core_never_imports_ansible_and_never_prints(path: Path) -> None:
    tree = ast.parse(path.read_text())
    foreign = [
        name
        for name in _imports(tree)
        if name.split(".")[0].startswith("ansible") and not name.startswith(f"{PREFIX}.plugins.module_utils._core")
    ]
    assert not foreign, f"the core must not know Ansible: {foreign}"
    prints = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not prints, f"print on lines {prints}"


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=_name)
def test_only_the_glue_imports_ansible_module_utils(path: Path) -> None:
    if path.is_relative_to(PLUGINS / "module_utils" / "_glue"):
        pytest.skip("this is the glue")
    names = [name for name in _imports(ast.parse(path.read_text())) if name.startswith("ansible.module_utils")]
    allowed = {"ansible.module_utils.common.text.converters"} if "callback" in path.parts else set()
    assert set(names) <= allowed


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=_name)
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    heavy = {name.split(".")[0] for name in _module_level_imports(ast.parse(path.read_text()))} & HEAVY
    assert not heavy, f"imported at module level: {sorted(heavy)}"


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=_name)
def test_plugins_validate_with_errors_not_with_assert(path: Path) -> None:
    lines = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
    assert not lines, f"assert on lines {lines}"


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=_name)
def test_every_file_carries_the_licence(path: Path) -> None:
    head = path.read_text()[:400]
    assert "SPDX-License-Identifier: GPL-3.0-or-later" in head
    assert "GNU General Public License v3.0+" in head


@pytest.mark.parametrize("path", MODULE_FILES, ids=_name)
def test_modules_state_their_attributes_and_stay_thin(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert "modelops.datacenter.attributes" in text
    for attribute in ("check_mode", "diff_mode", "idempotent"):
        assert attribute in text or "attributes.info_module" in text, f"no {attribute} attribute"
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {"execute", "main"} <= functions
    assert not {name.split(".")[0] for name in _module_level_imports(tree)} & MODULE_IMPORTS
    documentation_lines = sum(
        (node.end_lineno or 0) - node.lineno + 1
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    )
    code_lines = len(text.splitlines()) - documentation_lines
    assert code_lines <= 160, f"{code_lines} lines beside the documentation: move the work into the core"
