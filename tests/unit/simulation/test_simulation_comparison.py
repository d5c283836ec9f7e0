"""The whole comparison on demand with a known answer, its words and its page."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.rhythm import rhythm
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.verdict import verdict
from ansible_collections.modelops.datacenter.plugins.modules import fleet_simulation

MODELS = {
    "chat": {
        "engine": "command",
        "accelerators": 1,
        "capacity": {"h100": {"requests_per_second": 0.1, "service_time_seconds": 40}},
        "startup_seconds": 120,
    }
}


def history(path: Path, rates: Any) -> str:
    moments = np.datetime64("2026-01-05T00:00:00") + np.arange(len(rates)) * np.timedelta64(600, "s")
    rows = [f"chat,{moment}Z,{rate:.4f}" for moment, rate in zip(moments, rates)]
    path.write_text("series,timestamp,value\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def params(src: str, **more: Any) -> dict[str, Any]:
    defaults = {name: spec.get("default") for name, spec in fleet_simulation.ARGUMENT_SPEC.items()}
    return {**defaults, "src": src, "models": MODELS, "accelerator_type": "h100", "days": 1.0, "seeds": 1, **more}


def daily(days: int) -> Any:
    """From 0.05 to 0.45 requests/s and back, every day."""
    return 0.25 - 0.2 * np.cos(2 * np.pi * np.arange(days * 144) / 144)


def test_a_daily_wave_is_worth_following(tmp_path: Path) -> None:
    asked = params(
        history(tmp_path / "h.csv", daily(8)), policies=["modelops", "static_peak", "static_mean", "foresight"]
    )
    found = fleet_simulation.execute(asked, False, False)
    hours = {name: figures["accelerator_hours"]["mean"] for name, figures in found["policies"].items()}
    share = {name: figures["deadline_share"]["mean"] for name, figures in found["policies"].items()}
    assert found["fidelity"] == "requests"
    assert hours["static_peak"] == pytest.approx(5 * 24.0)
    assert hours["modelops"] < 0.73 * hours["static_peak"]
    assert hours["modelops"] < 1.2 * hours["foresight"]
    assert share["modelops"] > 0.998
    assert share["static_mean"] < share["modelops"]
    assert found["verdict"][0].startswith("modelops would have used ")


def test_flat_demand_is_better_served_by_a_fixed_fleet(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    asked = params(
        history(tmp_path / "h.csv", np.full(4 * 144, 0.28)),
        policies=["modelops", "static_peak"],
        fidelity="fluid",
        page_dest=str(page),
    )
    looked = fleet_simulation.execute(asked, True, False)
    assert looked["changed"] is True
    assert not page.exists()
    found = fleet_simulation.execute(asked, False, False)
    assert found["fidelity"] == "fluid"
    assert found["verdict"][0].startswith("On this demand a fixed fleet is a better choice than modelops")
    assert found["verdict"][1].startswith("Demand is flat")
    content = page.read_bytes()
    HTMLParser().feed(content.decode("utf-8"))
    assert b"<script" not in content
    assert content.count(b"<svg") == 2
    assert b"There are 6 accelerators" in content  # the peak takes 3, the stock is twice that
    assert fleet_simulation.execute(asked, False, False)["changed"] is False
    assert page.read_bytes() == content


def test_bursts_that_nothing_announces_are_better_served_by_a_fixed_fleet(tmp_path: Path) -> None:
    """Ten minutes at six times the rest, by chance in one of eight steps; a replica takes two minutes to start."""
    factors = np.where(np.random.default_rng(7).random(8 * 144) < 1.0 / 8.0, 6.0, 1.0)
    asked = params(history(tmp_path / "h.csv", 0.08 * factors), policies=["modelops", "static_peak"])
    said = fleet_simulation.execute(asked, False, False)["verdict"]
    assert said[0].startswith("On this demand a fixed fleet is a better choice than modelops"), said
    assert said[1].startswith("This demand cannot be forecast"), said


def test_the_rhythm_of_demand() -> None:
    wave = np.asarray(daily(3))
    told = rhythm(wave[:288], wave[288:], 600.0)
    assert told["repeats"] == pytest.approx(1.0)
    assert told["peak_over_trough"] == pytest.approx(0.45 / 0.05, rel=0.15)
    assert rhythm(np.full(288, 0.3), np.full(144, 0.3), 600.0) == {"peak_over_trough": 1.0, "repeats": None}
    assert rhythm(np.full(10, 0.3), np.full(20, 0.0), 600.0) == {"peak_over_trough": None, "repeats": None}
    drawn = np.random.default_rng(1).random(10 * 144)
    told = rhythm(drawn[:144], drawn[144:], 600.0)
    # Of two independent uniforms |x - y| is 1/3 in the mean, |x - 1/2| is 1/4.
    assert told["repeats"] == pytest.approx(1.0 - (1.0 / 3.0) / (1.0 / 4.0), abs=0.05)


def test_no_policy_has_more_than_the_stock(tmp_path: Path) -> None:
    """Two replicas of 0.1 requests/s for a mean of 0.25: all that run, and most are late."""
    asked = params(history(tmp_path / "h.csv", daily(3)), policies=["modelops"], accelerators=2.0, fidelity="fluid")
    figures = fleet_simulation.execute(asked, False, False)["policies"]["modelops"]
    assert figures["accelerator_hours"]["mean"] <= 2 * 24.0
    assert figures["deadline_share"]["mean"] < 0.6


def test_a_lost_zone_is_felt_and_replaced(tmp_path: Path) -> None:
    """Half of the replicas die at noon with all they hold, and are started anew at the next look."""
    src = history(tmp_path / "h.csv", daily(3))
    policies = ["modelops", "static_peak"]
    whole, lost = (
        fleet_simulation.execute(params(src, policies=policies, lost_share=share), False, False)["policies"]
        for share in (0.0, 0.5)
    )
    for name in policies:
        assert lost[name]["deadline_share"]["mean"] < whole[name]["deadline_share"]["mean"]
        assert lost[name]["lost"]["mean"] > 0
        assert lost[name]["starts"]["mean"] > whole[name]["starts"]["mean"]


def test_what_cannot_be_simulated_is_said(tmp_path: Path) -> None:
    src = history(tmp_path / "h.csv", daily(1))
    with pytest.raises(InputError, match="leaves nothing before"):
        fleet_simulation.execute(params(src), False, False)
    with pytest.raises(InputError, match="no capacity of it on l40s"):
        fleet_simulation.execute(params(src, days=0.5, accelerator_type="l40s"), False, False)
    with pytest.raises(InputError, match="no series of the history"):
        fleet_simulation.execute(params(src, models={"other": MODELS["chat"]}), False, False)


def test_the_verdict_names_who_is_cheaper_and_nearly_as_good() -> None:
    def figures(hours: float, share: float) -> dict[str, dict[str, float]]:
        return {"accelerator_hours": {"mean": hours}, "deadline_share": {"mean": share}}

    policies = {"modelops": figures(86.0, 0.9990), "static_peak": figures(120.0, 0.9991), "hpa": figures(95.0, 0.9990)}
    assert not any("cheaper choice" in sentence for sentence in verdict({"policies": policies}))
    policies["planner"] = figures(72.4, 0.9975)
    policies["kpa"] = figures(60.0, 0.9800)
    said = verdict({"policies": policies})
    assert (
        said[1]
        == "Of the others that answer as many in time, HPA on utilisation takes 10% more accelerator-hours than modelops."
    )
    assert said[2] == (
        "A Dynamo-like planner answers 99.75% in time, nearly as many, and takes 16% fewer accelerator-hours than"
        " modelops: where that is enough, it is the cheaper choice."
    )
    policies["planner"] = figures(72.4, 0.9990)
    said = verdict({"policies": policies})
    assert said[1].endswith("a Dynamo-like planner takes 16% fewer accelerator-hours than modelops.")
    assert len(said) == 2


def test_the_verdict_says_when_the_fixed_fleet_should_be_larger() -> None:
    def figures(hours: float, share: float) -> dict[str, dict[str, float]]:
        return {"accelerator_hours": {"mean": hours}, "deadline_share": {"mean": share}}

    policies = {"modelops": figures(96.0, 0.999), "static_peak": figures(72.0, 0.985)}
    document = {"policies": policies, "demand": [0.28] * 144, "step_seconds": 600.0}
    said = verdict({**document, "rhythm": {"peak_over_trough": 1.0, "repeats": None}})
    assert said[0].startswith(
        "On this demand a fixed fleet is a better choice than modelops: changing capacity would have"
    )
    assert "taken 33% more accelerator-hours" in said[0]
    assert said[2] == "Make it larger than the 3 accelerators that its peak needs: modelops held 4 in the mean."
    policies["static_peak"] = figures(120.0, 0.9999)
    policies["modelops"] = figures(90.0, 0.990)
    said = verdict({**document, "rhythm": {"peak_over_trough": 6.0, "repeats": -0.3}})
    assert "25% fewer accelerator-hours than a fixed fleet for the peak, and paid for it with what was late" in said[0]
    assert said[1].startswith("This demand cannot be forecast")
    assert len(said) == 2
