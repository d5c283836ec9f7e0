# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the placement, read back from its markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.inputs import ReportInputs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.placement import (
    host_words,
    look,
    placement_picture,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.view import view_of

MODELS = {"whole": 1, "wide": 4, "half": 0.5, "plain": 0}


def _replica(host, slot, model, accelerators, wave=0):
    return {
        "host": host,
        "slot": slot,
        "model": model,
        "version": "1",
        "port": 8100 + slot,
        "accelerators": accelerators,
        "wave": wave,
    }


def _plan(placements, stops=(), hosts=(), moves=()):
    actions = [
        {**replica, "action": "start", "move": dict(moves).get((replica["host"], replica["slot"]))}
        for replica in placements
        if replica["wave"]
    ]
    return {
        "created_at": "2026-11-23T18:00:00Z",
        "demand": {},
        "placements": list(placements),
        "actions": [*actions, *({**replica, "action": "stop"} for replica in stops)],
        "hosts": list(hosts),
        "models": {name: {"accelerators": size} for name, size in MODELS.items()},
    }


def _host(name, count=8, **fields):
    return {"name": name, "zone": "a", "accelerator_type": "h100-80gb", "accelerator_count": count, **fields}


class _Picture(HTMLParser):
    """Cells and blocks as (class, title) in the order they are drawn."""

    def __init__(self, markup):
        super().__init__()
        self.cells, self.blocks, self.hosts = [], [], []
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        fields = dict(attrs)
        names = (fields.get("class") or "").split()
        if "cell" in names:
            self.cells.append(" ".join(names[1:]))
        elif "r" in names and fields.get("title"):
            self.blocks.append((names, fields["title"]))
        elif "host" in names:
            self.hosts.append(names)


def _draw(plan):
    view = view_of(ReportInputs(plan=plan))
    return _Picture(placement_picture(view)), view


def test_a_replica_on_four_accelerators_is_one_block_of_four_cells():
    picture, _unused = _draw(_plan([_replica("h", 0, "wide", [2, 3, 4, 5])], hosts=[_host("h")]))
    assert picture.cells == ["g1 s1", "g2 s1", "g3 s4", "g7 s1", "g8 s1"]
    assert len(picture.blocks) == 1


def test_accelerators_that_are_not_neighbours_are_two_blocks_of_one_replica():
    picture, _unused = _draw(_plan([_replica("h", 0, "wide", [0, 1, 4, 5])], hosts=[_host("h")]))
    assert [cell for cell in picture.cells if cell.endswith("s2")] == ["g1 s2", "g5 s2"]
    assert len({title for _names, title in picture.blocks}) == 1


def test_shares_of_one_accelerator_lie_in_one_cell_as_wide_as_their_share():
    placements = [_replica("h", 0, "half", [0]), _replica("h", 1, "half", [0]), _replica("h", 2, "whole", [1])]
    picture, _unused = _draw(_plan(placements, hosts=[_host("h", 2)]))
    assert picture.cells == ["g1 s1", "g2 s1"]
    assert ["f10" in names for names, _title in picture.blocks] == [True, True, False]


def test_sixteen_accelerators_are_two_rows():
    picture, _unused = _draw(_plan([_replica("h", 0, "wide", [6, 7, 8, 9])], hosts=[_host("h", 16)]))
    assert picture.cells[6:8] == ["g7 s2", "g1 s2"]


def test_replicas_without_accelerators_are_drawn_too():
    picture, _unused = _draw(_plan([_replica("c", 0, "plain", [])], hosts=[_host("c", 0)]))
    assert picture.cells == [] and len(picture.blocks) == 1


def test_starts_moves_and_stops_are_marked():
    placements = [
        _replica("h", 0, "whole", [0]),
        _replica("h", 1, "whole", [1], wave=1),
        _replica("h", 2, "whole", [2], wave=2),
    ]
    plan = _plan(placements, [_replica("h", 3, "whole", [3], wave=3)], [_host("h")], moves=[(("h", 2), 1)])
    picture, _unused = _draw(plan)
    kinds = {re.sub(r".*: ", "", title): names for names, title in picture.blocks}
    assert list(kinds) == ["runs", "starts in wave 1", "moves here in wave 2", "stops in wave 3"]
    assert "start" in kinds["starts in wave 1"] and "move" in kinds["moves here in wave 2"]
    assert "stop" in kinds["stops in wave 3"]


def test_hosts_that_take_nothing_new_are_marked():
    hosts = [_host("a", state="draining"), _host("b", state="maintenance"), _host("c", reachable=False), _host("d")]
    picture, _unused = _draw(_plan([], hosts=hosts))
    assert [" ".join(names) for names in picture.hosts] == [
        "host draining idle",
        "host maintenance idle",
        "host unreachable idle",
        "host idle",
    ]


def test_a_host_in_words():
    placements = [_replica("h", 0, "whole", [0]), _replica("h", 1, "whole", [1], wave=1), _replica("h", 2, "half", [2])]
    _unused, view = _draw(_plan(placements, [_replica("h", 3, "whole", [3], wave=2)], [_host("h", 4)]))
    assert host_words(view.hosts[0]) == (
        "Runs 1 \u00d7 half and 2 \u00d7 whole; 1 replica starts; 1 replica stops; accelerator 3 free."
    )


def test_hosts_are_sorted_as_people_count_and_found_in_the_placements_when_the_stock_lacks_them():
    _unused, view = _draw(_plan([_replica("gpu-10", 0, "whole", [0])], hosts=[_host("gpu-9"), _host("gpu-2")]))
    assert sorted(host.zone for host in view.hosts) == ["a", "a", "default"]
    assert [host.name for host in view.hosts] == ["gpu-2", "gpu-9", "gpu-10"]


def test_the_largest_models_get_a_colour_of_their_own_the_rest_keep_their_number():
    assert [look(number) for number in (1, 24, 25, 400)] == ["c0", "c23", "c24", "c24"]
