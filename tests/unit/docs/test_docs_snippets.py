# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation tells people to type is right: commands, options, playbooks, variables, YAML."""

from __future__ import annotations

import argparse
import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.cli.adhoc import AdHocCLI
from ansible.cli.doc import DocCLI
from ansible.cli.galaxy import GalaxyCLI
from ansible.cli.playbook import PlaybookCLI
from ansible_runner.__main__ import DEFAULT_CLI_ARGS, add_args_to_parser
from doc_snippets import (
    COLLECTION,
    GUIDES,
    ROOT,
    VARIABLE,
    Snippet,
    commands,
    known_names,
    make_verbs,
    markdown_snippets,
    module_options,
    playbooks,
    rst_snippets,
    snippets,
    variables,
)
from pip._internal.commands import create_command

LANGUAGES = {"yaml", "console", "python", "json", "text", "ini"}
RUNNER_COMMANDS = {"run", "transmit", "worker", "process"}
CLIS = {"ansible": AdHocCLI, "ansible-doc": DocCLI, "ansible-galaxy": GalaxyCLI, "ansible-playbook": PlaybookCLI}
LOCKED = {
    re.sub(r"[-_.]+", "-", name).lower()
    for lock in (ROOT / "requirements").glob("*.lock")
    for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock.read_text(), re.MULTILINE)
}


class Loader(yaml.SafeLoader):
    """YAML as Ansible reads it: ``!vault`` and its like are strings."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: getattr(node, "value", ""))


def unknown_variables(names: set[str]) -> list[str]:
    return sorted(name for name in names if name not in known_names())


def options_of(words: list[str]) -> Any:
    """What Ansible's own parser makes of the words; what it refuses is an error with its reason."""
    cli = CLIS[words[0]](words)
    cli.init_parser()
    cli.parser.allow_abbrev = False
    try:
        return cli.parser.parse_args(words[1:])
    except SystemExit as refused:
        raise ValueError(f"{' '.join(words)}: not accepted by {words[0]}") from refused


def extra_variables(given: list[str]) -> set[str]:
    found: set[str] = set()
    for text in given or []:
        if text.startswith("{"):
            found |= set(json.loads(text))
        elif not text.startswith("@"):
            found |= {pair.split("=", 1)[0] for pair in text.split()}
    return {name for name in found if not name.startswith("ansible_")}


def faults_of_playbook(words: list[str]) -> list[str]:
    options = options_of(words)
    faults = [f"there is no playbook {name}" for name in options.args if not playbook_exists(name)]
    faults += [f"nothing reads the variable {name}" for name in unknown_variables(extra_variables(options.extra_vars))]
    for inventory in options.inventory or []:
        if inventory.startswith("inventories/") and not (ROOT / inventory).exists():
            faults.append(f"there is no {inventory}")
    return faults


def playbook_exists(name: str) -> bool:
    return name.removeprefix(f"{COLLECTION}.") in playbooks() if name.startswith(COLLECTION) else name.endswith(".yml")


def faults_of_module(words: list[str]) -> list[str]:
    options = options_of(words)
    if not options.module_name.startswith(f"{COLLECTION}."):
        return []
    known = module_options(options.module_name.removeprefix(f"{COLLECTION}."))
    if known is None:
        return [f"there is no module {options.module_name}"]
    text = options.module_args
    given = set(json.loads(text)) if text.startswith("{") else {pair.split("=", 1)[0] for pair in text.split()}
    return [f"{options.module_name} has no option {name}" for name in sorted(given - known)]


def faults_of_doc(words: list[str]) -> list[str]:
    options = options_of(words)
    folder = {"role": "roles/{}", "module": "plugins/modules/{}.py"}.get(
        options.type, "plugins/" + options.type + "/{}.py"
    )
    own = [name.removeprefix(f"{COLLECTION}.") for name in options.args if name.startswith(COLLECTION)]
    return [f"there is no {options.type} {name}" for name in own if not (ROOT / folder.format(name)).exists()]


def faults_of_pip(words: list[str]) -> list[str]:
    command = create_command(words[1])
    try:
        options, names = command.parse_args(words[2:])
    except SystemExit as refused:
        raise ValueError(f"{' '.join(words)}: not accepted by pip") from refused
    faults = [f"{name} is in no lock file" for name in names if re.sub(r"[-_.]+", "-", name).lower() not in LOCKED]
    return faults + [f"there is no {file}" for file in options.requirements if not (ROOT / Path(file).name).exists()]


def faults_of_galaxy(words: list[str]) -> list[str]:
    options_of(words)
    return []


def faults_of_runner(words: list[str]) -> list[str]:
    """By the options that ansible-runner lists for itself, whatever its command."""
    parser = argparse.ArgumentParser(conflict_handler="resolve", allow_abbrev=False, exit_on_error=False)
    groups = {name: group for name, group in DEFAULT_CLI_ARGS.items() if name != "positional_args"}
    for group in groups.values():
        add_args_to_parser(parser, group)
    options, folders = parser.parse_known_args(words[2:])
    faults = [f"{words[1]} is no command of ansible-runner"] if words[1] not in RUNNER_COMMANDS else []
    if folders != words[2:3] and words[1] != "worker":
        faults.append(f"not accepted by ansible-runner: {' '.join(folders[1:]) or 'no private data directory'}")
    playbook = getattr(options, "playbook", None)
    return faults + ([f"there is no playbook {playbook}"] if playbook and not playbook_exists(playbook) else [])


def faults_of_make(words: list[str]) -> list[str]:
    return [f"make has no verb {word}" for word in words[1:] if "=" not in word and word not in make_verbs()]


CHECKS = {
    "ansible": faults_of_module,
    "ansible-doc": faults_of_doc,
    "ansible-galaxy": faults_of_galaxy,
    "ansible-playbook": faults_of_playbook,
    "ansible-runner": faults_of_runner,
    "make": faults_of_make,
    "pip": faults_of_pip,
}


def faults_of(snippet: Snippet) -> list[str]:
    """Everything that is wrong in a snippet, each as a sentence."""
    try:
        if snippet.language == "yaml":
            found: set[str] = set()
            for document in yaml.load_all(snippet.text, Loader=Loader):
                found |= variables(document)
            return [f"nothing reads the variable {name}" for name in unknown_variables(found)]
        if snippet.language == "console":
            return [fault for words in commands(snippet) for fault in CHECKS[words[0]](words)]
        if snippet.language == "python":
            ast.parse(snippet.text)
        elif snippet.language == "json":
            json.loads(snippet.text)
    except (ValueError, SyntaxError, yaml.YAMLError) as error:
        return [str(error)]
    return [] if snippet.language in LANGUAGES else [f"{snippet.language} is looked at by nobody"]


@pytest.mark.parametrize("snippet", snippets(), ids=lambda snippet: snippet.where)
def test_a_snippet_is_right(snippet: Snippet) -> None:
    assert faults_of(snippet) == []


@pytest.mark.parametrize("page", [*GUIDES, ROOT / "README.md"], ids=lambda page: page.name)
def test_a_variable_in_the_text_is_one_that_something_reads(page: Path) -> None:
    text = re.sub(r"[`\w/.-]+\.(?:py|rst|md|yml|json|svg)\b", "", page.read_text())
    named = {name for name in re.findall(r"`+([a-z0-9_]+)`+", text) if VARIABLE.fullmatch(name)}
    assert unknown_variables(named) == []


def test_the_snippets_are_found() -> None:
    checked = [words for snippet in snippets() if snippet.language == "console" for words in commands(snippet)]
    pages = {snippet.page for snippet in snippets()}
    assert len(checked) > 50
    assert {"README.md", "guide_quick_start.rst", "guide_loop.rst", "guide_variables.rst"} <= pages
    assert sum(snippet.language == "yaml" for snippet in snippets()) > 20


@pytest.mark.parametrize(
    ("language", "text", "says"),
    [
        ("yaml", "modelops_models: {a: [}", "expected the node content"),
        ("yaml", "all:\n  vars:\n    modelops_histroy: a.csv", "nothing reads the variable modelops_histroy"),
        ("console", "$ ansible-playbook -i inventory modelops.datacenter.aply", "no playbook modelops.datacenter.aply"),
        ("console", "$ ansible-playbook modelops.datacenter.apply --dif", "not accepted by ansible-playbook"),
        ("console", "$ ansible-playbook modelops.datacenter.apply -e plan_headrom=2", "variable plan_headrom"),
        (
            "console",
            "$ ansible-playbook -i inventories/demo/host.yml modelops.datacenter.plan",
            "no inventories/demo/host.yml",
        ),
        (
            "console",
            "ansible-playbook modelops.datacenter.plan \\\n  -e modelops_histroy=a.csv",
            "variable modelops_histroy",
        ),
        ("console", "$ ansible all -m modelops.datacenter.fleet_lok", "no module modelops.datacenter.fleet_lok"),
        (
            "console",
            "$ ansible-runner run private --playbok modelops.datacenter.plan",
            "not accepted by ansible-runner",
        ),
        ("console", "$ ansible-runner run --playbook modelops.datacenter.plan", "no private data directory"),
        ("console", "$ ansible-runner run private --playbook modelops.datacenter.pln", "no playbook modelops"),
        ("console", "$ ansible all -m modelops.datacenter.fleet_lock -a '{\"stat\": 1}'", "no option stat"),
        ("console", "$ ansible-doc -t role modelops.datacenter.deployy", "no role deployy"),
        ("console", "$ ansible-galaxy collection instal modelops.datacenter", "not accepted by ansible-galaxy"),
        ("console", "$ pip install xllamacp", "xllamacp is in no lock file"),
        ("console", "$ pip install -r requirement.txt", "no requirement.txt"),
        ("console", "$ make demoo && make test", "no verb demoo"),
        ("python", "def f(:", "invalid syntax"),
        ("cobol", "STOP RUN.", "cobol is looked at by nobody"),
    ],
)
def test_a_fault_is_found(language: str, text: str, says: str) -> None:
    page = f".. code-block:: {language}\n\n" + "".join(f"    {line}\n" for line in text.splitlines()) + "\nThe end\n"
    (snippet,) = rst_snippets("page.rst", page)
    assert says in " ".join(faults_of(snippet))
    if language != "cobol":
        (fenced,) = markdown_snippets("page.md", f"```{language}\n{text}\n```\n")
        assert faults_of(fenced) == faults_of(snippet)
