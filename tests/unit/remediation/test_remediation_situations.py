"""What is done, counted against the budgets, in the situations that make repair systems do harm."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation import turn as turns
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.given import situation_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    AuditError,
    append,
    parse_history,
    read_history,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import build_policy

BEGAN = 1_800_000_000.0
MODELS = {"chat": {"capacity": {"a": {"requests_per_second": 2.0}}}}


@dataclass
class Fleet:
    """Twelve replicas of one model on six hosts in two zones, and a clock."""

    path: str
    at: float = BEGAN
    down: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    given: dict[str, Any] = field(default_factory=dict)
    owner: str = "one"

    def decide(
        self, *alerts: dict[str, Any], outcomes: Any = (), reviews: Any = (), close: Any = None, **more: Any
    ) -> turns.Turn:
        hosts = [
            {"name": f"h{n}", "zone": f"z{n % 2}", "accelerator_type": "a", "reachable": f"h{n}" not in self.dead}
            for n in range(6)
        ]
        replicas = [{"host": f"h{n}", "slot": s, "model": "chat"} for n in range(6) for s in range(2)]
        looked = {
            f"{one['host']}-{one['slot']}": {
                "answers": f"{one['host']}-{one['slot']}" not in self.down and one["host"] not in self.dead,
                "at": self.at,
            }
            for one in replicas
        }
        given: dict[str, Any] = {
            "alerts": list(alerts), "hosts": hosts, "replicas": replicas, "gateways": ["gw"], "models": MODELS,
            "plan": {"rollout": {"floors_requests_per_second": {"chat": 16.0}}}, "looked": looked, "rollouts": [],
            "maintenance": [], "silences": [], "ladders": {}, "owner": self.owner, "alone": True,
            "shadow": False, **self.given, **more,
        }  # fmt: skip
        return turns.take_turn(
            self.path,
            lambda history: situation_of(given, history, build_policy({}), now=self.at),
            build_policy({}),
            outcomes=[{"at": self.at, **one} for one in outcomes],
            reviews=reviews,
            close=close,
            shadow=given["shadow"],
        )

    def alert(self, name: str = "ModelServerDown", host: str = "h0", **labels: Any) -> dict[str, Any]:
        found = {"alertname": name, "host": host, "slot": "0", "model": "chat", **labels}
        return {"status": "firing", "labels": {k: v for k, v in found.items() if v is not None}, "startsAt": self.at}

    def recorded(self, event: str) -> list[dict[str, Any]]:
        return [one for one in read_history(self.path) if one["event"] == event]

    def run(self, effect: str, *alerts: dict[str, Any], **more: Any) -> list[str]:
        """A whole run of remediate: act until nothing is left to do, each action with that effect."""
        outcomes: list[dict[str, Any]] = []
        done: list[str] = []
        for _turn in range(10):
            found = self.decide(*alerts, outcomes=outcomes, **more)
            if not found.decision.actions and not found.decision.looks:
                break
            done += [f"{one.step} {one.target}" for one in found.decision.actions]
            outcomes = [{"id": one.id, "effect": effect} for one in (*found.decision.actions, *found.decision.looks)]
            self.at += 20
        return done


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(str(tmp_path / "remediation.jsonl"))


def test_a_dead_server_is_restarted_once_and_a_second_run_does_nothing(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    assert fleet.run("effective", fleet.alert()) == ["restart replica h0-0"]
    fleet.down = set()
    before = Path(fleet.path).read_bytes()
    assert fleet.run("effective") == []
    assert Path(fleet.path).read_bytes() == before
    assert [one["effect"] for one in fleet.recorded("result")] == ["effective"]


def test_a_flapping_server_uses_up_its_budget_then_its_host_is_emptied_then_a_person_is_told(fleet: Fleet) -> None:
    done: list[str] = []
    for _crash in range(24):  # a crash every ten minutes for four hours; each restart helps
        fleet.down = {"h0-0"}
        alert = fleet.alert()
        fleet.at += 15
        done += fleet.run("effective", alert)
        fleet.down = set()
        fleet.at += 600
    assert done == ["restart replica h0-0"] * 3 + ["move replica h0-0"]
    assert [one["target"] for one in fleet.recorded("escalation")] == ["replica h0-0"]


def test_a_fault_that_restart_does_not_fix_goes_up_the_ladder_to_a_person_and_no_further(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    alert = fleet.alert()
    done: list[str] = []
    for _run in range(60):  # a run a minute for an hour
        done += fleet.run("ineffective", alert)
        fleet.at += 60
    assert done == ["restart replica h0-0", "move replica h0-0"]
    (told,) = fleet.recorded("escalation")
    assert [one["step"] for one in told["tried"]] == ["restart", "move"]
    assert told["reason"] == "move did not help"


def test_the_fault_of_a_zone_opens_the_breaker_and_nothing_is_restarted_until_a_person_closes_it(fleet: Fleet) -> None:
    fleet.down = {"h0-0", "h2-0", "h4-0"}
    alerts = [fleet.alert(host=host) for host in ("h0", "h2", "h4")]
    assert fleet.run("effective", *alerts) == []
    (told,) = fleet.recorded("escalation")
    assert "ModelServerDown on 3 hosts at once (h0, h2, h4)" in told["reason"]
    for _run in range(30):
        fleet.at += 60
        assert fleet.run("effective", *alerts) == []
    assert len(fleet.recorded("escalation")) == 1
    with pytest.raises(InputError, match="no open breaker"):
        fleet.decide(close={"scope": "model other", "by": "a person", "at": fleet.at})
    with pytest.raises(InputError, match="who closes"):
        fleet.decide(close={"scope": "fleet", "at": fleet.at})
    fleet.decide(close={"scope": "fleet", "by": "a person", "at": fleet.at})
    fleet.at += 5
    assert fleet.run("effective", *alerts) == ["restart replica h0-0"], "one at a time, the others when it has settled"


def test_a_fifth_of_a_pool_on_two_hosts_opens_the_breaker_of_its_model_and_one_dead_host_does_not(fleet: Fleet) -> None:
    fleet.down = {"h0-0", "h0-1"}
    both = [fleet.alert(), fleet.alert(slot="1")]
    assert fleet.decide(*both).decision.opened == {}
    fleet.down |= {"h1-0"}
    fleet.at += 30
    (cause,) = fleet.decide(*both, fleet.alert(host="h1")).decision.opened.items()
    assert cause == ("model chat", "3 of 12 replicas of chat with a fault in 10 minutes")


def test_two_controllers_at_once_give_one_action(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    alert = fleet.alert()
    other = Fleet(fleet.path, down={"h0-0"}, owner="two")
    assert len(fleet.decide(alert, alone=False).decision.actions) == 1
    second = other.decide(alert, alone=False).decision
    assert (second.actions, second.looks) == ([], [])
    assert second.held[0]["why"] == "restart is under way since 0 s"
    assert len(fleet.recorded("intent")) == 1


def test_an_action_that_a_dead_run_left_is_looked_at_before_anything_else(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    alert = fleet.alert()
    (left,) = fleet.decide(alert).decision.actions
    assert fleet.decide(alert).decision.looks == [], "its own"
    fleet.at, fleet.owner = fleet.at + 30, "two"
    found = fleet.decide(alert).decision
    assert ([one.id for one in found.looks], found.actions) == ([left.id], [])
    fleet.at += 31
    after = fleet.decide(alert, outcomes=[{"id": left.id, "effect": "ineffective"}]).decision
    assert (after.looks, after.actions) == ([], []), "a short pause"
    fleet.at += 61
    assert [one.step for one in fleet.decide(alert).decision.actions] == ["move"]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"host": "nowhere"}, "no serving host nowhere"),
        ({"host": None}, "names no host"),
        ({"host": ""}, "names no host"),
        ({"host": "h0; reboot"}, "names no host"),
        ({"host": "{{ lookup('pipe', 'id') }}"}, "names no host"),
        ({"slot": "9"}, "h0 runs no replicas of slot 9"),
        ({"slot": None}, "h0 runs 2 replicas of model chat"),
        ({"slot": None, "model": None}, "names no replica"),
        ({"model": "other"}, "h0 runs no replicas of slot 0 model other"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_alert_whose_target_is_not_known_is_told_and_nothing_is_done(
    fleet: Fleet, labels: dict[str, Any], says: str
) -> None:
    fleet.down = {"h0-0", "h0-1"}
    assert fleet.run("effective", fleet.alert(**labels)) == []
    (told,) = fleet.recorded("escalation")
    assert says in told["reason"]


def test_what_others_wrote_never_comes_out_as_a_template(fleet: Fleet) -> None:
    alert = fleet.alert("ModelErrorRateHigh", host=None, slot=None)
    alert["annotations"] = {"summary": "{{ lookup('pipe', 'id') }} {% raw %}\x1b[31m"}
    fleet.at += 200
    (told,) = fleet.decide(alert).decision.escalations
    assert told["summary"] == "(( lookup('pipe', 'id') )) (% raw %)[31m"


def test_resolved_before_handled_and_answering_again_are_left_alone(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    firing = fleet.alert()
    fleet.at += 10
    resolved = {**firing, "status": "resolved", "endsAt": fleet.at}
    assert fleet.run("effective", firing, resolved) == []
    assert fleet.run("effective", resolved, firing) == [], "whatever the order"
    fleet.down = set()
    assert fleet.decide(firing).decision.held[0]["why"] == "it answers"
    assert not Path(fleet.path).exists() or fleet.recorded("intent") == []


def test_ten_thousand_times_the_same_alert_is_one_action(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    flood = [fleet.alert() for _number in range(10_000)]
    important = fleet.alert("GatewayDown", host="gw", slot=None, model=None)
    looked = {"gateway gw": {"answers": False, "at": fleet.at}, "h0-0": {"answers": False, "at": fleet.at}}
    decided = fleet.decide(*flood, important, looked=looked).decision
    assert [one.target for one in decided.actions] == ["gateway gw", "replica h0-0"], "the gateway first"
    assert decided.escalations == []


def test_alerts_of_many_names_on_one_server_are_one_action(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    alerts = [fleet.alert(name) for name in ("ModelServerNotReady", "ModelServerDown", "ModelServerStalled")]
    assert fleet.run("effective", *alerts) == ["restart replica h0-0"]
    assert fleet.recorded("intent")[0]["alert"] == "ModelServerDown"


def test_a_server_that_answers_is_drained_only_above_the_floor(fleet: Fleet) -> None:
    errors = fleet.alert("ModelServerErrors")
    low = {"rollout": {"floors_requests_per_second": {"chat": 23.0}}}
    found = fleet.decide(errors, plan=low)
    assert found.decision.actions == []
    assert found.decision.escalations[0]["reason"] == "not restarted: chat would serve 22 of 23 requests/s"
    fleet.at += 5 * 3600
    assert fleet.decide(errors, plan=None).decision.escalations[0]["reason"].endswith("is not known")
    fleet.at += 5 * 3600
    assert [one.step for one in fleet.decide(fleet.alert("ModelServerErrors")).decision.actions] == [
        "restart_after_drain"
    ]


def test_two_replicas_ill_after_a_change_blame_the_change(fleet: Fleet) -> None:
    fleet.down = {"h0-0", "h0-1"}
    change = {"model": "chat", "began": fleet.at - 600, "ended": fleet.at - 60, "what": "chat to 2"}
    both = [fleet.alert(), fleet.alert(slot="1")]
    found = fleet.decide(*both, rollouts=[change]).decision
    assert found.actions == []
    assert "2 replicas of chat since its change" in found.escalations[0]["reason"]
    running = {**change, "ended": None}
    assert {one["why"] for one in fleet.decide(*both, rollouts=[running]).decision.held} == {
        "chat to 2 is being changed"
    }
    long_ago = {**change, "began": fleet.at - 9000, "ended": fleet.at - 8000}
    assert len(fleet.decide(*both, rollouts=[long_ago]).decision.actions) == 1


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"maintenance": [{"host": "h0", "from": BEGAN - 1, "until": BEGAN + 60}]}, "maintenance"),
        (
            {"maintenance": [{"zone": "z0", "from": BEGAN - 1, "until": BEGAN + 60, "reason": "power"}]},
            "maintenance: power",
        ),
        (
            {
                "silences": [
                    {
                        "matchers": [{"name": "host", "value": "h[0-3]", "isRegex": True}],
                        "startsAt": BEGAN - 1,
                        "endsAt": BEGAN + 60,
                        "status": {"state": "active"},
                    }
                ]
            },
            "silenced",
        ),
        ({"gathered_at": BEGAN - 121}, "the alerts are 121 s old"),
        ({"gathered_at": BEGAN + 500}, "the alerts are from the future: the clocks differ"),
        ({"looked": {}}, "nobody has looked at it again"),
        ({"looked": {"h0-0": {"answers": False, "at": BEGAN - 200}}}, "nobody has looked at it again"),
    ],
)
def test_what_is_left_alone(fleet: Fleet, more: dict[str, Any], why: str) -> None:
    fleet.down = {"h0-0"}
    found = fleet.decide(fleet.alert(), **more).decision
    assert ([one["why"] for one in found.held], found.actions) == ([why], [])


def test_stale_monitoring_freezes_at_once_and_opens_the_breaker_later(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    silent = fleet.alert("PrometheusDown", host=None, slot=None, model=None)
    alert = fleet.alert()
    found = fleet.decide(silent, alert).decision
    assert (found.actions, found.opened) == ([], {})
    fleet.at += 601
    assert "fleet" in fleet.decide(silent, alert).decision.opened
    fleet.at += 60
    held = fleet.decide(alert).decision.held
    assert "a breaker is open: PrometheusDown for more than 10 minutes" in held[0]["why"]


def test_three_actions_in_a_row_that_do_not_help_open_the_breaker(fleet: Fleet) -> None:
    for host, slot in (("h0", "0"), ("h3", "0"), ("h4", "1")):
        fleet.down = {f"{host}-{slot}"}
        found = fleet.decide(fleet.alert(host=host, slot=slot)).decision
        assert [one.step for one in found.actions] == ["restart"], host
        fleet.at += 20
        fleet.decide(outcomes=[{"id": one.id, "effect": "ineffective"} for one in found.actions])
        fleet.at += 900
    opened = parse_history(read_history(fleet.path), where="").breakers
    assert opened["model chat"]["cause"].startswith(
        "3 actions in a row did not help, the last: restart of replica h4-1"
    )


def test_what_cannot_be_put_on_record_is_not_done_and_stops_the_rest(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.down = {"h0-0"}

    def full(_path: str, _events: Any) -> None:
        raise AuditError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(turns, "append", full)
        with pytest.raises(AuditError):
            fleet.decide(fleet.alert())
    held = fleet.decide(fleet.alert()).decision.held
    assert held[0]["why"] == "a breaker is open: an action could not be put on record"
    fleet.decide(close={"scope": "fleet", "by": "a person", "at": fleet.at})
    assert len(fleet.decide(fleet.alert()).decision.actions) == 1


def test_a_line_that_was_cut_off_is_dropped_and_damage_stops_everything(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    fleet.decide(fleet.alert())
    whole = Path(fleet.path).read_bytes()
    Path(fleet.path).write_bytes(whole + b'{"at": 18000000')
    assert read_history(fleet.path) == [json.loads(whole)]
    append(fleet.path, [{"event": "result", "id": json.loads(whole)["id"], "at": fleet.at, "effect": "effective"}])
    assert Path(fleet.path).read_bytes().startswith(whole)
    assert len(read_history(fleet.path)) == 2
    Path(fleet.path).write_bytes(b"rubbish\n" + whole)
    with pytest.raises(InputError, match="line 1 of the history of actions is not JSON"):
        fleet.decide(fleet.alert())


def test_shadow_says_and_records_and_does_nothing(fleet: Fleet) -> None:
    fleet.down = {"h0-0"}
    alert = fleet.alert()
    first = fleet.decide(alert, shadow=True)
    assert [one.step for one in first.decision.actions] == ["restart"]
    for _look in range(20):
        fleet.at += 10
        fleet.decide(alert, shadow=True)
    assert (len(fleet.recorded("shadow")), fleet.recorded("intent")) == (1, [])
    assert len(fleet.decide(alert).decision.actions) == 1, "in earnest nothing was done yet"


def test_a_dead_host_is_planned_around_once_and_then_a_person_is_told(fleet: Fleet) -> None:
    down = fleet.alert("HostDown", slot=None, model=None)
    assert fleet.decide(down).decision.held[0]["why"] == "the host answers"
    fleet.dead = {"h0"}
    servers = [fleet.alert(slot=slot) for slot in ("0", "1")]
    done: list[str] = []
    for _run in range(30):
        done += fleet.run("effective", down, *servers)
        fleet.at += 60
    assert done == ["replan host h0"]
    assert [(one["target"], one["reason"]) for one in fleet.recorded("escalation")] == [
        ("host h0", "replan did not help")
    ]


def test_the_heartbeat_and_what_was_told_before_are_no_faults(fleet: Fleet) -> None:
    for name in ("MonitoringHeartbeat", "RemediationEscalation"):
        found = fleet.decide(fleet.alert(name, host=None, slot=None, model=None))
        assert (found.events, found.decision.held) == ([], [])


def test_load_on_every_host_is_more_capacity_and_not_a_breaker(fleet: Fleet) -> None:
    busy = [fleet.alert("HostCpuHigh", host=f"h{n}", slot=None, model=None) for n in range(6)]
    queue = fleet.alert("QueueGrowing", host=None, slot=None)
    assert fleet.run("effective", *busy, queue) == ["scale_out model chat"]
    assert fleet.recorded("breaker") == []


def test_a_busy_host_that_serves_nothing_is_not_set_aside(fleet: Fleet) -> None:
    fleet.given["replicas"] = [{"host": f"h{n}", "slot": s, "model": "chat"} for n in range(5) for s in range(2)]
    busy = [fleet.alert("HostCpuHigh", host=host, slot=None, model=None) for host in ("h5", "h0")]
    assert fleet.run("effective", *busy) == ["scale_out host h0"]
    (held,) = [one for one in fleet.decide(busy[0]).decision.held if "h5" in one["target"]]
    assert held["why"] == "nothing runs on h5 that could be scaled out"


def test_every_line_of_the_record_keeps_to_its_schema(fleet: Fleet) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[3] / "docs/schemas/remediation_event.schema.json").read_text())
    fleet.down = {"h0-0", "h2-0", "h4-0"}
    fleet.run("effective", fleet.alert())
    fleet.decide(*[fleet.alert(host=host) for host in ("h0", "h2", "h4")])
    fleet.decide(close={"scope": "fleet", "by": "a person", "at": fleet.at})
    fleet.decide(fleet.alert("HostDiskFull", host="h5", slot=None, model=None), shadow=True)
    fleet.decide(*[fleet.alert(host=f"nowhere{number}") for number in range(12)])
    fleet.at += 300
    fleet.down = set()
    fleet.decide(reviews=[{"id": one.action.id, "verdict": "pass"} for one in fleet.decide().reviews])
    events = read_history(fleet.path)
    assert {one["event"] for one in events} == {"intent", "result", "escalation", "breaker", "shadow", "review"}
    assert any("targets" in one for one in events)
    for event in events:
        jsonschema.validate(event, schema)


def test_a_silent_exporter_is_started_anew_alone_and_then_a_person_is_told(fleet: Fleet) -> None:
    silent = fleet.alert("AcceleratorExporterSilent", slot=None, model=None)
    found = fleet.decide(silent)
    (action,) = found.decision.actions
    assert (action.step, action.target) == ("restart_exporter", "host h0")
    fleet.at += 20
    fleet.down = {"h1-0"}
    # It holds nothing back that serves: another server's fault is acted on meanwhile.
    other = fleet.decide(silent, fleet.alert(host="h1"), outcomes=[{"id": action.id, "effect": "failed"}])
    assert [one.target for one in other.decision.actions] == ["replica h1-0"]
    assert [one["target"] for one in other.decision.escalations] == ["host h0"]


def test_errors_that_a_mended_fault_left_in_the_window_are_told_to_nobody(fleet: Fleet) -> None:
    """The share of failed requests of the last minute is high while the server that failed is being restarted."""
    fleet.down = {"h0-0"}
    errors = fleet.alert("ModelErrorRateHigh", host=None, slot=None)
    found = fleet.decide(fleet.alert(), errors)
    assert [one.target for one in found.decision.actions] == ["replica h0-0"]
    assert found.decision.escalations == []
    fleet.at += 115
    fleet.down = set()
    after = fleet.decide(errors, outcomes=[{"id": found.decision.actions[0].id, "effect": "effective"}])
    assert [one["why"] for one in after.decision.held] == [
        "a person is told if it still fires 120 s after the last action"
    ]
    fleet.at += 119
    assert fleet.decide(errors).decision.escalations == []
    fleet.at += 2
    assert [one["target"] for one in fleet.decide(errors).decision.escalations] == ["model chat"]


def test_errors_that_nothing_explains_are_told_after_two_minutes(fleet: Fleet) -> None:
    errors = fleet.alert("ModelErrorRateHigh", host=None, slot=None)
    assert fleet.decide(errors).decision.escalations == []
    fleet.at += 121
    assert [one["target"] for one in fleet.decide(errors).decision.escalations] == ["model chat"]
