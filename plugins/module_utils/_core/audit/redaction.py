# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Text for the audit trail without secrets: what looks like one is replaced, whatever it was found in.

This is the second wall. The first is that options, loop items and output are never put on record at all, and that a
task with ``no_log`` gives nothing but its name, its host and how it ended.
"""

from __future__ import annotations

import re

MAX_TEXT = 500
HIDDEN = "[hidden]"
_NAME = r"[\w.-]*(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|private[_-]?key|credential|authorization|cookie)[\w.-]*"
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        (r"\$ANSIBLE_VAULT;.*\Z", HIDDEN),
        (r"\b(bearer|basic)\s+[\w.~+/=-]{4,}", rf"\1 {HIDDEN}"),
        (r"(\w+://)[^\s/@:]*:[^\s/@]+@", rf"\1{HIDDEN}@"),
        (rf"([\"']?\b{_NAME}[\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&}}\]]+)", rf"\1{HIDDEN}"),
        (rf"(--?{_NAME}\s+)(\"[^\"]*\"|'[^']*'|[^\s-][^\s]*)", rf"\1{HIDDEN}"),
        (r"\beyJ[\w-]{4,}\.[\w-]{8,}(?:\.[\w-]*)?", HIDDEN),
        (r"\b(?:sk|pk|ghp|gho|glpat|hf|xox[abp]|AKIA)[_-]?[A-Za-z0-9_-]{16,}", HIDDEN),
    )
)


def redacted(text: object) -> str:
    """At most 500 characters of ``text`` on one line, with what looks like a secret hidden."""
    # Cut generously first, so that a huge message costs nothing; a key that is cut in two is still hidden.
    found = str(text)[: 8 * MAX_TEXT]
    for pattern, replacement in _PATTERNS:
        found = pattern.sub(replacement, found)
    found = " ".join(found.split())
    return found if len(found) <= MAX_TEXT else found[: MAX_TEXT - 1] + "…"
