# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The project's own exceptions: what was wrong, where, and what would be right.

The core raises nothing else on bad input. The glue turns each into one message
for the operator; a traceback that reaches an operator is a bug.
"""

from __future__ import annotations


class ModelOpsError(Exception):
    """A failure an operator can act on.

    Args:
        what: what is wrong, one sentence without a final stop.
        where: the file, row, host, model or option it was found at.
        remedy: what the operator can do next, one sentence without a final stop.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """One line: ``where: what. Remedy.``"""
        text = f"{self.where}: {self.what}." if self.where else f"{self.what}."
        return f"{text} {self.remedy}." if self.remedy else text


class InputError(ModelOpsError):
    """An option, file or record does not hold what it must."""


class ArtifactRefusedError(InputError):
    """The content of an artifact is not what was declared, or nothing that can be used: trying again does not help."""


class MissingLibraryError(ModelOpsError):
    """A Python library that this action needs is absent or too old."""


class SourceUnavailableError(ModelOpsError):
    """A metrics server, artifact source or model server gave no usable answer."""


class PlanRefusedError(ModelOpsError):
    """A plan file is corrupt, of another schema, stale, or made for something else."""
