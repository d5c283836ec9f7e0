# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines and environments come back out of each supervisor's reader as they went in."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervisor.options import ServerOptions, UnhosedConfigParser

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import quoting

WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12)
TRICKY = st.text(st.sampled_from("ab \"'\\$%;#{}`=,*~-:éx1"), max_size=12)
VALUES = WORDS | TRICKY
ARGUMENTS = st.lists(VALUES, max_size=6)
ENVIRONMENTS = st.dictionaries(st.sampled_from(["A", "B_1", "LLAMA_ARG_HOST"]), VALUES, max_size=3)

# Confirmed to come back unchanged from systemd 252 itself (unit with EnvironmentFile, container).
SEEN_BY_SYSTEMD = (
    *("a b", 'q"x\\y', "100%", "%h", "$HOME", "${HOME}", "$$", ";", "", "it's", "a ;b", "#x", "back\\"),
    *('{"a": 1}', "*", "~", "a\\nb", "\\x41", "é ü"),
)


def read_exec_start(text: str) -> list[str]:
    """systemd's rules for a command line, written from systemd.service(5) alone."""
    words: list[str] = []
    position = 0
    while position < len(text):
        if text[position] == " ":
            position += 1
            continue
        word, quoted = "", False
        while position < len(text) and (quoted or text[position] != " "):
            character = text[position]
            following = text[position + 1 : position + 2]
            if character == '"':
                quoted = not quoted
                position += 1
                continue
            assert character != "'" or quoted, "an unquoted single quote begins a word in quotes"
            if character == "\\":
                assert following in ('"', "\\"), "another escape than was meant"
                word, position = word + following, position + 2
            elif character in "%$":
                assert following == character, "a specifier or variable"
                word, position = word + character, position + 2
            else:
                word, position = word + character, position + 1
        assert not quoted
        assert word != ";" or text[position - 1] == '"', "an unquoted ; ends the command"
        words.append(word)
    return words


def read_environment_file(text: str) -> dict[str, str]:
    """systemd's rules for an EnvironmentFile, written from systemd.exec(5) alone: lines of NAME="value"."""
    found = {}
    for line in text.splitlines():
        name, _unused, rest = line.partition("=")
        assert rest[0] == rest[-1] == '"'
        value, escaped = "", False
        for character in rest[1:-1]:
            if escaped:
                assert character in '"\\`$'
                value, escaped = value + character, False
            elif character == "\\":
                escaped = True
            else:
                assert character != '"'
                value += character
        assert not escaped
        found[name] = value
    return found


def read_supervisor_program(command: str, environment: str) -> tuple[list[str], dict[str, str]]:
    """What the real supervisord makes of a program section."""
    parser = UnhosedConfigParser()
    parser.expansions = {}
    parser.read_string(f"[program:x]\ncommand={command}\nenvironment={environment}\nautostart=false\n")
    options = ServerOptions()
    options.configfile = "test"
    (program,) = options.processes_from_section(parser, "program:x", "x")
    return shlex.split(program.command), dict(program.environment)


def run_program(argv: list[str], environment: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Start it as supervisord does, and see what arrives."""
    script = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
    place = argv.index("PYTHON")
    argv = [*argv[:place], sys.executable, "-c", script, *argv[place + 1 :]]
    ran = subprocess.run(argv, env={**environment, "PATH": os.environ["PATH"]}, capture_output=True, check=True)
    words, seen = json.loads(ran.stdout)
    return words, {name: seen[name] for name in environment}


@given(ARGUMENTS)
def test_systemd_reads_back_the_same_words(words: list[str]) -> None:
    argv = ["/usr/bin/env", *words]
    assert read_exec_start(quoting.systemd_command(argv)) == argv


def test_the_words_that_systemd_itself_was_asked_about() -> None:
    argv = ["/usr/bin/python3", *SEEN_BY_SYSTEMD]
    assert read_exec_start(quoting.systemd_command(argv)) == argv


@given(ENVIRONMENTS)
def test_systemd_reads_back_the_same_environment(environment: dict[str, str]) -> None:
    assert read_environment_file(quoting.systemd_environment_file(environment)) == environment


@given(ARGUMENTS, ENVIRONMENTS)
@settings(max_examples=60, deadline=None)
def test_what_supervisord_starts_sees_the_same_words_and_environment(
    words: list[str], environment: dict[str, str]
) -> None:
    texts = quoting.supervisor_program(["PYTHON", *words], environment)
    assert run_program(*read_supervisor_program(*texts)) == (words, environment)


@pytest.mark.parametrize(
    "value", ['"', "'", '"a"', "a'", "a\"b'c", "a ;b", "a #b", "\\", "100% $x", "é ü", '{"a": [1]}', ""]
)
def test_values_that_supervisord_itself_cannot_write(value: str) -> None:
    texts = quoting.supervisor_program(["PYTHON"], {"A": value})
    assert run_program(*read_supervisor_program(*texts)) == ([], {"A": value})


def test_an_easy_environment_needs_no_shell() -> None:
    command, environment = quoting.supervisor_program(["/bin/x", "-a"], {"A": "1", "B": '{"b": 2}'})
    assert (command, environment) == ("/bin/x -a", 'A="1",B=\'{"b": 2}\'')


@pytest.mark.parametrize(
    "argv", [[], [""], ["-x"], ["@/bin/sh"], ["$PROGRAM"], ["/bin/sh", "a\nb"], ["/bin/sh", "\x00"]]
)
def test_what_one_line_cannot_say_is_refused(argv: list[str]) -> None:
    with pytest.raises(InputError, match=r"^model m: "):
        quoting.check_argv(argv, where="model m")


def test_a_bad_value_is_not_repeated_in_the_message() -> None:
    with pytest.raises(InputError) as caught:
        quoting.check_environment({"TOKEN": "secret\nvalue"}, where="model m")
    assert "TOKEN" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B"])
def test_names_that_are_no_variables_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="not a name"):
        quoting.check_environment({name: "x"}, where="model m")
