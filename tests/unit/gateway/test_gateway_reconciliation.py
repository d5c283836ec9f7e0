"""From any state of a worker to the wanted members, and nothing left to do then."""

from __future__ import annotations

from dataclasses import replace

from gateway_samples import V26, Worker, gateway, state_of
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.configuration import backends_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.members import Member, wanted_members
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.reconciliation import reconcile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.runtime_state import FORCED_DRAIN
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.version import HaproxyVersion

A = Member("chat", "gpu-a1", 0, "10.0.0.1", 8100)
B = Member("chat", "gpu-a2", 1, "10.0.0.2", 8101)
C = Member("code", "gpu-a1", 1, "10.0.0.1", 8101)

members = st.builds(
    lambda model, host, slot, weight, out: Member(model, host, slot, f"10.0.0.{len(host)}", 8100 + slot, weight, out),
    st.sampled_from(["chat", "code"]),
    st.sampled_from(["a", "bb", "ccc"]),
    st.integers(0, 3),
    st.integers(1, 256),
    st.booleans(),
)
fleets = st.lists(members, max_size=8, unique_by=lambda one: (one.host, one.slot)).map(sorted)


@given(before=fleets, after=fleets)
def test_the_commands_reach_the_members_from_any_others_and_then_there_are_none(
    before: list[Member], after: list[Member]
) -> None:
    worker = Worker(state for member in before for state in state_of(member))
    plan = reconcile(gateway(after), list(worker.servers.values()))
    assert not plan.reload
    assert not plan.by_hand
    for step in plan.steps:
        for command in step.commands:
            worker.run(command)
    wanted = {
        (backend, one.server): (one.port, one.out, one.weight) for one in after for backend in backends_of(one.model)
    }
    assert {k: (s.port, s.is_out, s.weight) for k, s in worker.servers.items()} == wanted
    again = reconcile(gateway(after), list(worker.servers.values()))
    assert not again.steps
    assert not again.changes


def test_what_a_person_took_out_stays_out() -> None:
    servers = [replace(one, admin=FORCED_DRAIN) for one in state_of(A)] + state_of(B)
    plan = reconcile(gateway([A, B]), servers, in_before=[A.key, B.key])
    assert plan.steps == []
    assert plan.by_hand == [("chat", "gpu-a1-0"), ("chat:panic", "gpu-a1-0")]


def test_what_we_took_out_comes_in_again() -> None:
    servers = [replace(one, admin=FORCED_DRAIN) for one in state_of(A)]
    plan = reconcile(gateway([A]), servers, in_before=[])
    assert [step.commands for step in plan.steps] == [
        ("set server chat/gpu-a1-0 state ready",),
        ("set server chat:panic/gpu-a1-0 state ready",),
    ]


def test_a_server_at_another_place_needs_a_reload() -> None:
    plan = reconcile(gateway([replace(A, port=8109)]), state_of(A))
    assert plan.reload[0] == "chat/gpu-a1-0 moves from 10.0.0.1:8100 to 10.0.0.1:8109"


def test_old_releases_add_servers_by_a_reload() -> None:
    plan = reconcile(gateway([A], version=HaproxyVersion(2, 4, "2.4.22")), [])
    assert "adds servers only by a reload" in plan.reload[0]
    assert V26.adds_servers


def test_members_of_a_host_that_says_nothing_stay_as_they_are() -> None:
    assert wanted_members([A], known=[A, B, replace(C, out=True)], unknown_hosts=["gpu-a2"]) == [A, B]
    assert wanted_members([], known=[replace(C, out=True)], unknown_hosts=["gpu-a1"]) == [replace(C, out=True)]


def test_kept_out_is_no_member_and_a_share_is_a_weight() -> None:
    found = wanted_members([A, B, C], keep_out=[C], shares=[(A, 0.1)])
    assert found == [replace(A, weight=10), B]
