# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is scraped, what plan and forecast show, and the numbers of the rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.planning_figures import planning_text
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rules import rules_text
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.service_levels import (
    bounds_for,
    capped,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.settings import parse_settings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.targets import (
    scrape_jobs,
    write_targets,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.exposition import parse_exposition

MODELS = {"chat": {"engine": "vllm"}, "code": {"engine": "triton"}, "own": {"engine": "command"}}


def host(address: str, *replicas: tuple[str, int], **more: Any) -> dict[str, Any]:
    records = [{"model": model, "slot": slot, "port": 8100 + slot} for model, slot in replicas]
    return {
        "modelops_accelerator_type": "h100-80gb",
        "modelops_address": address,
        "modelops_zone": "z1",
        "modelops_host_state": {"kind": "host", "replicas": records},
        **more,
    }


def fleet() -> dict[str, dict[str, Any]]:
    return {
        "a1": host("192.0.2.1", ("chat", 0), ("code", 1), ("own", 2), modelops_accelerator_exporter_port=9400),
        "b1": host("2001:db8::1", ("chat", 0)),
        "m1": host("192.0.2.9", modelops_state="maintenance"),
        "gw1": {"ansible_host": "192.0.2.40", "modelops_gateway": True},
        "mon1": {"modelops_monitoring": True},
        "other": {"ansible_host": "192.0.2.99"},
    }


def scraped(jobs: dict[str, Any], job: str) -> list[str]:
    return [one["targets"][0] for one in jobs[job]]


def test_targets_are_what_the_inventory_says_and_what_runs() -> None:
    variables = fleet()
    jobs = scrape_jobs(list(variables), variables, MODELS)
    assert scraped(jobs, "modelops-node") == ["192.0.2.1:9100", "[2001:db8::1]:9100", "192.0.2.40:9100", "mon1:9100"]
    # Triton has its metrics on a port of their own, a command has none.
    assert scraped(jobs, "modelops-engine") == ["192.0.2.1:8100", "192.0.2.1:9101", "[2001:db8::1]:8100"]
    assert jobs["modelops-engine"][1]["labels"] == {
        "host": "a1", "zone": "z1", "model": "code", "slot": "1", "engine": "triton",
    }  # fmt: skip
    assert scraped(jobs, "modelops-gateway") == ["192.0.2.40:8405"]
    assert scraped(jobs, "modelops-accelerator") == ["192.0.2.1:9400"]
    assert scraped(jobs, "modelops-prometheus") == ["mon1:9090"]
    other = scrape_jobs(list(variables), variables, MODELS, {"modelops-node": 9999})
    assert "192.0.2.1:9999" in scraped(other, "modelops-node")


def test_a_port_or_job_that_cannot_be_meant_is_said() -> None:
    with pytest.raises(InputError, match="there is no job 'nodes'"):
        scrape_jobs([], {}, {}, {"nodes": 1})
    with pytest.raises(InputError, match="between 1 and 65535"):
        scrape_jobs([], {}, {}, {"modelops-node": 0})


def test_replicas_of_a_dead_host_stay_targets_and_those_of_a_living_one_go(tmp_path: Path) -> None:
    variables = fleet()
    directory = str(tmp_path)
    written, differences, counts = write_targets(directory, scrape_jobs(list(variables), variables, MODELS))
    assert (len(written), counts["modelops-engine"], len(differences)) == (6, 3, 6)
    assert write_targets(directory, scrape_jobs(list(variables), variables, MODELS))[0] == []
    variables["b1"]["modelops_reachable"] = False
    variables["a1"]["modelops_host_state"]["replicas"].pop(0)
    jobs = scrape_jobs(list(variables), variables, MODELS)
    write_targets(directory, jobs, unknown_hosts=["b1"], dry_run=True)
    assert "192.0.2.1:8100" in (tmp_path / "modelops-engine.json").read_text()
    write_targets(directory, jobs, unknown_hosts=["b1"])
    kept = json.loads((tmp_path / "modelops-engine.json").read_text())
    assert [one["targets"][0] for one in kept] == ["192.0.2.1:9101", "[2001:db8::1]:8100"]
    # Damaged files are made anew.
    (tmp_path / "modelops-engine.json").write_text("{")
    assert len(write_targets(directory, jobs)[0]) == 1


PLAN = {
    "created_at": "2026-11-26T18:00:00Z",
    "cost_per_hour": 12.5,
    "hosts": [{"name": "a1", "accelerator_type": "h100-80gb"}],
    "models": {"chat": {"capacity": {"h100-80gb": {"requests_per_second": 6.5}}}, "code": {"capacity": {}}},
    "placements": [{"model": "chat", "host": "a1", "slot": 0}, {"model": "chat", "host": "a1", "slot": 1}],
    "capacity": {"chat": {"planned_requests_per_second": 13.0}},
    "demand": {
        "chat": {"levels": {"0.5": 4.0, "0.95": 9.0}, "source": "forecast"},
        "code": {"levels": {"0.95": 1.0}, "source": "held"},
    },
    "shortages": [{"model": "code", "requests_per_second": 1.0}],
    "outlook": {"periods": [{"shortages": {}}, {"shortages": {"chat": 2.5}}]},
}
FORECAST = {
    "series": {
        "chat|eu": {
            "usable": True,
            "backtest": {"skill": 0.25},
            "window_maximum": {"0.95": 9.0},
            "feedback": {"samples": 120, "realised": {"0.95": 0.91}},
        },
        'odd"name': {"usable": False, "backtest": None},
    }
}


def test_plan_and_forecast_as_figures_read_back_as_they_were() -> None:
    text = planning_text(PLAN, FORECAST)
    found = parse_exposition(text)

    def value(name: str, **labels: str) -> float | None:
        return found.total(name, **labels)

    assert value("modelops_plan_created_seconds") == 1795716000.0
    assert value("modelops_plan_replica_capacity_requests_per_second", model="chat", host="a1", slot="1") == 6.5
    assert value("modelops_plan_capacity_requests_per_second", model="chat") == 13.0
    assert value("modelops_plan_shortage_requests_per_second", model="chat") == 2.5
    assert value("modelops_plan_shortage_requests_per_second", model="code") == 1.0
    assert value("modelops_forecast_upper_requests_per_second", model="chat") == 9.0
    # Demand that was only held is nothing that demand could be above.
    assert value("modelops_forecast_upper_requests_per_second", model="code") in (None, 0.0)
    assert value("modelops_forecast_realised_coverage", model="chat", region="eu", quantile="0.95") == 0.91
    assert value("modelops_forecast_usable", model='odd"name') == 0.0
    assert planning_text(PLAN, FORECAST) == text


def test_figures_of_no_plan_are_an_error_and_of_no_forecast_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        planning_text(str(tmp_path / "plan.json"))
    assert "modelops_forecast_skill" not in planning_text(PLAN)


def test_a_burn_threshold_is_at_most_half_of_the_largest_possible_burn() -> None:
    assert capped(14.4, 0.999) == 14.4
    # At 95 % the budget is gone 20 times too fast at most.
    assert capped(14.4, 0.95) == pytest.approx(10.0)
    assert capped(6.0, 0.95) == 6.0


def test_the_bounds_tried_are_at_or_below_the_target() -> None:
    assert bounds_for(1.5)[:3] == ("1.5", "1", "0.8")
    assert bounds_for(0.0001) == ("0.001",)
    assert all(float(bound) <= 0.2 for bound in bounds_for(0.2))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"disk_free": 0.1}, "there is no parameter 'disk_free'"),
        ({"disk_free_ratio": 5}, "disk_free_ratio must be between"),
        ({"availability_objective": 1.0}, "availability_objective must be between"),
        ({"cpu_hold_seconds": "soon"}, "cpu_hold_seconds must be a number"),
        ({"host_down_hold_seconds": -1}, "host_down_hold_seconds must be between"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_settings(options)


def test_equal_input_gives_equal_rules_and_a_name_with_quotes_breaks_nothing() -> None:
    models = {'a"b\\c': {"slo": {"ttft_seconds": 1.0}}}
    text = rules_text({}, models, runbook_url="https://runbooks.example/alerts")
    assert text == rules_text({}, models, runbook_url="https://runbooks.example/alerts")
    assert 'model="a\\"b\\\\c"' in text
    assert "https://runbooks.example/alerts#modelserverdown" in text
    assert "runbook_url" not in rules_text({}, models, runbook_url="")
