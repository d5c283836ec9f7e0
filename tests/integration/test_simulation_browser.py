# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of fleet_simulation in a real Chromium: it fits, it asks for nothing, it complains about nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "report"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "simulation"))

from report_browser import Browser, find_chromium
from test_simulation_comparison import daily, history, params

from ansible_collections.modelops.datacenter.plugins.modules import fleet_simulation

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="there is no chromium on this machine"),
]


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_quiet(tmp_path: Path, width: int, height: int, scheme: str) -> None:
    page = tmp_path / "simulation.html"
    src = history(tmp_path / "h.csv", np.asarray(daily(3)))
    fleet_simulation.execute(params(src, page_dest=str(page), fidelity="fluid"), False, False)
    with Browser(width=width, height=height, scheme=scheme) as browser:
        browser.call("Page.navigate", url=page.as_uri())
        browser.wait_for(f"location.href === {page.as_uri()!r} && document.readyState === 'complete'")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate("document.querySelectorAll('svg').length") == len(fleet_simulation.POLICIES)
        dark = browser.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] < 128")
        assert dark == (scheme == "dark")
        if kept := os.environ.get("MODELOPS_SCREENSHOTS"):
            browser.screenshot(str(Path(kept) / f"simulation-{width}-{scheme}.png"), full=True)
        assert browser.problems == []
        assert browser.requests == [f"file://{page}"]
