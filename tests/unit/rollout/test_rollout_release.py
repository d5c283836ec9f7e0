# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of releases: what is served is what is on record, and what was refused stays refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import release

NOW = 1_790_000_000.0


def entry(version: str, **fields: Any) -> dict[str, Any]:
    return {"engine": "vllm", "version": version, "engine_args": {"max-num-seqs": 8}, "min_replicas": 1, **fields}


def applied(version: str = "1") -> dict[str, Any]:
    return release.note_applied(release.empty_record(), {"chat": entry(version)}, now=NOW, names=["chat"])


def test_what_only_the_planner_reads_is_no_other_release() -> None:
    assert release.release_digest(entry("1")) == release.release_digest(
        entry("1", min_replicas=4, weight=9, capacity={})
    )
    assert release.release_digest(entry("1")) != release.release_digest(entry("2"))
    assert release.release_digest(entry("1")) != release.release_digest(entry("1", engine_args={"max-num-seqs": 9}))


def test_the_good_release_is_served_with_the_catalogue_s_limits_until_an_upgrade() -> None:
    catalogue = {"chat": entry("2", min_replicas=3)}
    served = release.served_catalogue(applied(), catalogue, [], by_upgrade=True)
    assert served.models["chat"]["version"] == "1"
    assert served.models["chat"]["min_replicas"] == 3
    assert served.held == ["chat"]
    assert served.lines == [
        "chat: the catalogue has 2, the fleet serves 1 until modelops.datacenter.upgrade -e upgrade_model=chat"
    ]


def test_where_versions_roll_the_catalogue_is_served_at_once() -> None:
    served = release.served_catalogue(applied(), {"chat": entry("2")}, [], by_upgrade=False)
    assert (served.models["chat"]["version"], served.held) == ("2", [])


def test_a_running_version_that_nothing_describes_is_not_guessed() -> None:
    running = [{"model": "chat", "version": "1"}]
    with pytest.raises(InputError, match="hosts run chat 1, the catalogue has 2") as error:
        release.served_catalogue(release.empty_record(), {"chat": entry("2")}, running, by_upgrade=True)
    assert "backup" in error.value.message
    served = release.served_catalogue(release.empty_record(), {"chat": entry("1")}, running, by_upgrade=True)
    assert served.models["chat"] == entry("1")


def test_the_first_apply_is_good_and_later_ones_leave_the_record_alone() -> None:
    first = applied("1")
    assert release.note_applied(first, {"chat": entry("2")}, now=NOW + 9, names=["chat"]) == first
    rolled = release.note_applied(first, {"chat": entry("2")}, now=NOW + 9, names=["chat"], replace=True)
    assert rolled["models"]["chat"]["good"]["version"] == "2"


def test_a_refused_release_is_bad_until_it_has_served_everywhere() -> None:
    tried = release.note_tried(applied(), "chat", entry("2"), now=NOW)
    digest = release.release_digest(entry("2"))
    bad = release.note_bad(tried, "chat", digest, ["it crashed"], now=NOW)
    assert release.bad_digests(bad, "chat") == {digest: "it crashed"}
    assert bad["models"]["chat"]["candidate"] is None
    assert release.note_bad(bad, "chat", digest, ["again"], now=NOW) == bad
    good = release.note_good(release.note_tried(bad, "chat", entry("2"), now=NOW), "chat", now=NOW)
    assert release.bad_digests(good, "chat") == {}
    assert good["models"]["chat"]["good"]["entry"] == release.serving_part(entry("2"))


def test_a_record_that_was_edited_is_refused() -> None:
    record = applied()
    record["models"]["chat"]["good"]["entry"]["version"] = "7"
    with pytest.raises(InputError, match="was changed since it was recorded"):
        release.parse_record(record, where="releases.json")
    with pytest.raises(InputError, match="not a record of releases"):
        release.parse_record({"kind": "plan"}, where="releases.json")
