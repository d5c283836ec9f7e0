# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The helpers that write HTML let nothing through as markup that is not."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    Cell,
    Column,
    element,
    embedded_json,
    table,
)


@given(st.dictionaries(st.text(), st.text()))
def test_embedded_json_says_the_same_and_holds_no_markup(document):
    text = embedded_json(document)
    assert json.loads(text) == document
    assert not set(text) & set("<>&\u2028\u2029")


def test_embedded_json_cannot_end_its_script():
    assert embedded_json(["</script><!--"]) == '["\\u003c/script\\u003e\\u003c!--"]'


def test_attributes_are_escaped_left_out_or_bare():
    written = element("p", "<b>x</b>", class_='a"b', aria_label="<", hidden=True, title=None, lang=False)
    assert written == '<p class="a&quot;b" aria-label="&lt;" hidden><b>x</b></p>'
    assert element("br") == "<br>"


def test_a_table_heads_its_rows_and_columns():
    written = table(
        "C & D", [Column("Name"), Column("Rate", numeric=True)], [("", ["x", Cell("1", 1.0)])], sortable=True
    )
    assert "<caption>C &amp; D</caption>" in written and 'aria-label="C &amp; D"' in written
    assert '<th scope="col"><button type="button">Name</button></th>' in written
    assert '<th scope="row">x</th><td class="n" data-sort="1.0">1</td>' in written
