"""When a replica is drained: every worker counts, and idle connections of those that a reload replaced."""

from __future__ import annotations

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.drain import Drain, in_the_way
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.master_socket import (
    MasterSocket,
    Worker,
    parse_workers,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.members import Member
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.runtime_state import (
    parse_load,
    parse_servers_state,
    without_changed,
)

A = Member("chat", "gpu-a1", 0, "10.0.0.1", 8100)
# As HAProxy 2.6.12 printed them.
PROCESSES = """#<PID>          <type>          <reloads>       <uptime>        <version>
3171            master          1 [failed: 0]   0d00h00m07s     2.6.12-1+deb12u4
# workers
3322            worker          0               0d00h00m02s     2.6.12-1+deb12u4
# old workers
3174            worker          1               0d00h00m07s     2.6.12-1+deb12u4
# programs

"""
STATES = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state \
bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr \
srv_agent_port
3 chat 1 gpu-a1-0 10.0.0.1 2 {admin} 100 100 7 6 3 4 6 0 0 0 - 8100 - 0 0 - - 0
3 chat 4 gpu-b1-0 10.0.0.3 0 1 100 100 3 1 0 0 2 18 0 0 - 8100 - 0 0 - - 13100
"""


def stat(server: int, *, status: str = "UP", queued: int = 0, clients: int = 0) -> str:
    return (
        "# pxname,svname,qcur,qmax,scur,status,\n"
        f"gateway,FRONTEND,,,{clients},STOP,\nmetrics,FRONTEND,,,5,STOP,\n"
        f"chat,gpu-a1-0,0,0,{server},{status},\nchat,gpu-b1-0,0,0,7,UP,\nchat,BACKEND,{queued},0,{server + 7},UP,\n"
    )


def test_workers_are_told_apart() -> None:
    assert parse_workers(PROCESSES) == [Worker(3322, old=False), Worker(3174, old=True)]


def test_states_are_read_and_moved_servers_left_out_of_what_is_kept() -> None:
    text = STATES.format(admin=8)
    assert [(one.server, one.port, one.is_out, one.in_maintenance) for one in parse_servers_state(text)] == [
        ("gpu-a1-0", 8100, True, False),
        ("gpu-b1-0", 8100, True, True),
    ]
    assert "gpu-a1-0" not in without_changed(text, {("chat", "gpu-a1-0")})
    assert without_changed(text, set()) == text


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        (stat(0, clients=7), (0, 0)),
        (stat(2, clients=9), (2, 0)),
        # A connection without a request may still bring one.
        (stat(0, clients=8), (0, 1)),
        # Not where the worker itself had it out when it was replaced.
        (stat(0, clients=8, status="DRAIN"), (0, 0)),
        (stat(0, clients=8, status="MAINT"), (0, 0)),
        # A queued request may still be given to it.
        (stat(0, clients=7, queued=1), (0, 1)),
    ],
)
def test_an_old_worker_is_in_the_way_while_it_can_still_send_a_request(old: str, expected: tuple[int, int]) -> None:
    loads = [(Worker(1, False), parse_load(stat(0, clients=99))), (Worker(2, True), parse_load(old))]
    assert in_the_way(A, loads)[:2] == expected


def test_what_is_no_table_is_an_error() -> None:
    with pytest.raises(ModelOpsError, match="no table"):
        parse_load("Permission denied\n")


class Haproxy(MasterSocket):
    """Answers from a script: in flight at each look; remembers the commands."""

    def __init__(self, flights: list[int]) -> None:
        super().__init__("nowhere")
        self.flights, self.admin, self.commands = flights, 0, []

    def ask(self, command: str) -> str:
        return PROCESSES

    def ask_worker(self, worker: Worker, command: str) -> str:
        if command == "show servers state":
            return STATES.format(admin=self.admin)
        if command.startswith("set server"):
            self.commands.append(command)
            self.admin = 1 if command.endswith("maint") else 8
            return ""
        if worker.old:
            return stat(self.flights.pop(0) if len(self.flights) > 1 else self.flights[0], clients=99, status="DRAIN")
        return stat(0)


def run(flights: list[int], limit: float) -> tuple[Haproxy, Drain]:
    now = [0.0]
    haproxy = Haproxy(flights)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    drain = Drain(haproxy, [A], limit, clock=lambda: now[0], sleep=sleep)
    drain.run()
    return haproxy, drain


def test_it_waits_for_the_streams_of_the_old_worker_and_only_then_ends_in_maintenance() -> None:
    haproxy, drain = run([2, 2, 1, 0], 60)
    assert haproxy.commands == ["set server chat/gpu-a1-0 state drain", "set server chat/gpu-a1-0 state maint"]
    assert drain.drained[0].as_record() == {
        "model": "chat",
        "host": "gpu-a1",
        "slot": 0,
        "left_in_flight": 0,
        "seconds": 2.0,
    }


def test_at_the_limit_what_is_left_is_counted_and_nothing_is_cut() -> None:
    haproxy, drain = run([3], 5)
    assert haproxy.commands == ["set server chat/gpu-a1-0 state drain"]
    assert (drain.drained[0].left_in_flight, drain.drained[0].done) == (3, False)
