# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snippets of the guides and the README, and what they may name: playbooks, variables, modules, make's verbs."""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
COLLECTION = "modelops.datacenter"
GUIDES = sorted((ROOT / "docs/docsite/rst").glob("*.rst"))
PROGRAMS = {"ansible", "ansible-playbook", "ansible-galaxy", "ansible-doc", "ansible-runner", "pip", "make"}
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())
VARIABLE = re.compile(rf"(?:modelops|{'|'.join(ROLES)})_[a-z0-9_]+")


@dataclass(frozen=True)
class Snippet:
    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def rst_snippets(page: str, text: str) -> list[Snippet]:
    """Each ``code-block``: the indented lines after it, options of the directive left out."""
    found = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        opened = re.fullmatch(r"( *)\.\. code-block:: *(\S+)", line)
        if not opened:
            continue
        depth = len(opened.group(1))
        block = []
        for following in lines[number + 1 :]:
            if following.strip() and len(following) - len(following.lstrip()) <= depth:
                break
            block.append(following)
        body = textwrap.dedent("\n".join(block))
        found.append(Snippet(page, number + 1, opened.group(2), re.sub(r"^(:\w+:.*\n)+", "", body).strip("\n")))
    return found


def markdown_snippets(page: str, text: str) -> list[Snippet]:
    """Each fenced block; one without a language is ``console`` where a line of it begins with a program we check."""
    found = []
    for block in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        body = block.group(2)
        language = block.group(1) or ("console" if any(program(line) for line in body.splitlines()) else "text")
        found.append(Snippet(page, text[: block.start()].count("\n") + 1, language, body.strip("\n")))
    return found


@cache
def snippets() -> tuple[Snippet, ...]:
    found = [snippet for page in GUIDES for snippet in rst_snippets(page.name, page.read_text())]
    return (*found, *markdown_snippets("README.md", (ROOT / "README.md").read_text()))


def program(line: str) -> str:
    """The program a line of a console starts, when it is one we check; empty otherwise."""
    words = line.lstrip("$# ").split()
    name = Path(words[0]).name if words else ""
    return name if name in PROGRAMS else ""


def commands(snippet: Snippet) -> list[list[str]]:
    """The words of each command that starts a program we check; output, comments and a closing ``...`` left out."""
    joined = re.sub(r"\\\n\s*", " ", snippet.text).splitlines()
    prompted = any(line.startswith("$ ") for line in joined)
    found = []
    for line in joined:
        if prompted and not line.startswith("$ "):
            continue
        parts = split_words(shlex.split(line.removeprefix("$ "), comments=True))
        started = [part for part in parts if part and Path(part[0]).name in PROGRAMS]
        found += [[Path(part[0]).name, *(word for word in part[1:] if word != "...")] for part in started]
    return found


def split_words(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", "|", ";", ">"):
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


@cache
def playbooks() -> frozenset[str]:
    return frozenset(path.stem for path in (ROOT / "playbooks").glob("*.yml"))


@cache
def make_verbs() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def module_options(name: str) -> frozenset[str] | None:
    """Options of one of our modules, or None where there is no such module."""
    path = ROOT / f"plugins/modules/{name}.py"
    if not path.exists():
        return None
    documentation = re.search(r'DOCUMENTATION = r?"""(.*?)"""', path.read_text(), re.DOTALL)
    return frozenset(yaml.safe_load(documentation.group(1))["options"]) if documentation else frozenset()


@cache
def known_names() -> frozenset[str]:
    """What roles, playbooks, plugins and rulebooks really read or set, and what they are called."""
    found: set[str] = set(ROLES)
    for folder in ("roles", "playbooks", "plugins", "extensions"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yml", ".yaml", ".j2", ".py", ".sh", ""):
                found.add(path.stem)
                if path.is_file():
                    found.update(VARIABLE.findall(path.read_text(errors="replace")))
    return frozenset(found)


def variables(data: Any) -> set[str]:
    """The keys, at any depth, that look like variables of ours."""
    if isinstance(data, dict):
        own = {key for key in data if isinstance(key, str) and VARIABLE.fullmatch(key)}
        return own.union(*(variables(value) for value in data.values()), set())
    if isinstance(data, list):
        return set().union(*(variables(value) for value in data))
    return set()
