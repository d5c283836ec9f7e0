# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a service that failed wrote last, cut to what a person needs to see."""

from __future__ import annotations

import os
import re

# Read from the end of a log. An engine of several processes writes some two hundred lines of tracebacks after its cause.
LOG_LINES = 600
LOG_BYTES = 96 * 1024
LAST_LINES = 20
ERROR_LINES = 6
# "ImportError('libnuma.so.1: ...", "error: failed to open", not the bare "raise AttributeError(" of a traceback.
NAMES_AN_ERROR = re.compile(r"\b(?:\w*(?:Error|Exception)\b[:(]\s*|error: )\S.{2,}", re.IGNORECASE)


def end_of_log(path: str, most_bytes: int) -> str:
    """The end of a log file; in words where there is none."""
    try:
        with open(path, "rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - most_bytes))
            return stream.read().decode("utf-8", "replace")
    except OSError as error:
        return f"(no log at {path}: {error.strerror})\n"


def last_words(log: str) -> str:
    """The last ``LAST_LINES`` lines of a log; before them the first ``ERROR_LINES`` lines further up that name an error.

    The same error is said once, whichever process wrote it and however often the service was started again.
    """
    lines = log.splitlines()
    further_up, last = lines[:-LAST_LINES], lines[-LAST_LINES:]
    said = {error for error in map(_error, last) if error}
    errors: list[str] = []
    for line in further_up:
        error = _error(line)
        if error and error not in said and len(errors) < ERROR_LINES:
            said.add(error)
            errors.append(line.strip())
    return "\n".join([*errors, "...", *last] if errors else last)


def _error(line: str) -> str | None:
    found = NAMES_AN_ERROR.search(line)
    return found.group().strip() if found else None
