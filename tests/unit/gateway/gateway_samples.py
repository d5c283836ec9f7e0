"""A small gateway for the tests, and a worker of HAProxy in words of its runtime API."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.configuration import (
    Gateway,
    backends_of,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.members import Member
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.models import parse_models
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.runtime_state import (
    FORCED_MAINTENANCE,
    ServerState,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.settings import Settings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.version import HaproxyVersion

CATALOGUE = {
    "chat": {"engine": "vllm", "engine_args": {"max-num-seqs": 32}},
    "code": {"engine": "llama_cpp", "engine_args": ["--parallel", "4"], "served_model_name": "coder"},
}
V26 = HaproxyVersion(2, 6, "2.6.12")


def gateway(members: Iterable[Member] = (), *, version: HaproxyVersion = V26, **settings: object) -> Gateway:
    return Gateway(
        Settings(**settings),  # type: ignore[arg-type]
        parse_models(CATALOGUE, default_concurrency=64),
        sorted(members),
        version,
    )


def state_of(member: Member) -> list[ServerState]:
    """Both servers of a member as a worker has them when all is well."""
    return [
        ServerState(
            backend, member.server, member.address, member.port, FORCED_MAINTENANCE * member.out, member.weight, 100
        )
        for backend in backends_of(member.model)
    ]


class Worker:
    """What the commands of a reconciliation do to a worker's servers, as HAProxy 2.6 was seen to answer them."""

    def __init__(self, servers: Iterable[ServerState]) -> None:
        self.servers = {one.key: one for one in servers}

    def run(self, command: str) -> None:
        words = command.split()
        if words[:2] == ["add", "server"]:
            backend, server = words[2].split("/")
            assert (backend, server) not in self.servers
            address, port = words[3].rsplit(":", 1)
            weight = int(words[words.index("weight") + 1])
            self.servers[(backend, server)] = ServerState(
                backend, server, address.strip("[]"), int(port), FORCED_MAINTENANCE, weight, weight
            )
        elif words[:2] == ["set", "server"]:
            backend, server = words[2].split("/")
            held = self.servers[(backend, server)]
            fields = {**held.__dict__}
            if words[3] == "weight":
                fields["weight"] = int(words[4])
            else:
                fields["admin"] = {"ready": 0, "maint": FORCED_MAINTENANCE}[words[4]]
            self.servers[(backend, server)] = ServerState(**fields)
        elif words[:2] == ["del", "server"]:
            backend, server = words[2].split("/")
            assert self.servers[(backend, server)].in_maintenance
            del self.servers[(backend, server)]
        else:
            assert words[0] == "enable", command
