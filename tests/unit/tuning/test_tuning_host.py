# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's own settings during a tuning, on made-up /sys and /proc: set for now, put back, nothing but the list."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning import host_settings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.host import (
    Host,
    apply_for_now,
    fitted,
    put_back,
)

SOMAXCONN = "sysctl:net.core.somaxconn"
BUFFERS = "sysctl:net.ipv4.tcp_rmem"
GOVERNORS = "sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor"
FILES = {
    "proc/sys/net/core/somaxconn": "4096\n",
    "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
    "proc/sys/vm/nr_hugepages": "0\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "sys/devices/system/cpu/online": "0-3\n",
    "sys/devices/system/node/online": "0-1\n",
    **{GOVERNORS.format(cpu): "powersave\n" for cpu in range(4)},
    **{GOVERNORS.format(cpu).replace("governor", "available_governors"): "performance powersave\n" for cpu in range(4)},
}


class Tuned:
    """``tuned-adm`` as of tuned 2.x: switching is also written down for the next boot."""

    def __init__(self, root: Path) -> None:
        self.root, self.profile = root, "balanced"
        for name in ("balanced", "throughput-performance"):
            (root / "usr/lib/tuned/profiles" / name).mkdir(parents=True)
            (root / "usr/lib/tuned/profiles" / name / "tuned.conf").write_text("[main]\n")
        for path, text in (("run/tuned/tuned.pid", "7"), ("etc/tuned/active_profile", "balanced\n")):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)

    def __call__(self, argv: Sequence[str]) -> tuple[int, str]:
        if argv[1] == "active":
            return 0, f"Current active profile: {self.profile}" if self.profile else "No current active profile."
        self.profile = "" if argv[1] == "off" else " ".join(argv[2:])
        (self.root / "etc/tuned/active_profile").write_text(self.profile + "\n")
        return 0, ""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Host(root=str(tmp_path))


@pytest.fixture
def record(tmp_path: Path) -> str:
    return str(tmp_path / "run/modelops/host-tuning.json")


def content(host: Host) -> dict[str, str]:
    return {name: " ".join(host.path(name).read_text().split()) for name in FILES if host.path(name).exists()}


def test_set_twice_then_put_back(host: Host, record: str) -> None:
    before = content(host)
    wanted = {SOMAXCONN: 8192, BUFFERS: "4096 262144 16777216", "governor": "performance"}
    dry = apply_for_now(host, wanted, record=record, dry=True)
    assert dry.changes[1] == "set sysctl:net.core.somaxconn from 4096 to 8192"
    assert content(host) == before
    assert not os.path.exists(record)
    done = apply_for_now(host, wanted, record=record, dry=False)
    assert len(done.changes) == 2 + 4
    assert content(host)["proc/sys/net/core/somaxconn"] == "8192"
    assert {content(host)[GOVERNORS.format(cpu)] for cpu in range(4)} == {"performance"}
    assert apply_for_now(host, wanted, record=record, dry=False).changes == []
    # A second trial does not make the first one's values those to go back to.
    apply_for_now(host, {**wanted, SOMAXCONN: 1024}, record=record, dry=False)
    assert put_back(host, record=record, dry=True).changes
    assert os.path.exists(record)
    assert len(put_back(host, record=record, dry=False).changes) == 2 + 4
    assert content(host) == before
    assert put_back(host, record=record, dry=False).changes == []
    assert not os.path.exists(record)


def test_the_record_is_whole_before_the_first_value_is_written(host: Host, record: str) -> None:
    """The process ends by SIGKILL while it sets the second of two; who comes next puts both back."""
    script = f"""
import os, signal
from pathlib import Path
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning import host
written = []
def write(path, text, **_words):
    if written:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(open(path, "w").write(text))
Path.write_text = write
host.apply_for_now(host.Host({host.root!r}), {{"governor": "performance", {SOMAXCONN!r}: 8192}}, record={record!r}, dry=False)
"""
    before = content(host)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert content(host) != before
    assert set(json.loads(Path(record).read_text())["before"]) == {"governor", SOMAXCONN}
    assert os.stat(record).st_mode & 0o777 == 0o600
    assert put_back(host, record=record, dry=False).changes
    assert content(host) == before


def test_what_cannot_be_put_back_keeps_the_record_and_not_the_rest_from_it(host: Host, record: str) -> None:
    apply_for_now(host, {"governor": "performance", SOMAXCONN: 8192}, record=record, dry=False)
    governor = host.path(GOVERNORS.format(2))
    governor.unlink()
    governor.mkdir()
    with pytest.raises(ModelOpsError, match="not all could be put back"):
        put_back(host, record=record, dry=False)
    assert content_of(host, "proc/sys/net/core/somaxconn") == "4096"
    governor.rmdir()  # a processor that was taken away meanwhile has nothing to put back
    put_back(host, record=record, dry=False)
    assert not os.path.exists(record)


def content_of(host: Host, name: str) -> str:
    return host.path(name).read_text().strip()


def test_a_profile_of_tuned_comes_first_and_does_not_outlive_a_boot(host: Host, record: str, tmp_path: Path) -> None:
    tuned = Tuned(tmp_path)
    host = Host(root=str(tmp_path), run=tuned)
    wanted = {SOMAXCONN: 8192, "tuned_profile": "throughput-performance"}
    done = apply_for_now(host, wanted, record=record, dry=False)
    assert done.changes[0] == "set tuned_profile from balanced to throughput-performance"
    assert tuned.profile == "throughput-performance"
    assert content_of(host, "etc/tuned/active_profile") == "balanced"
    put_back(host, record=record, dry=False)
    assert tuned.profile == "balanced"
    apply_for_now(host, {"tuned_profile": "none"}, record=record, dry=False)
    assert tuned.profile == ""
    put_back(host, record=record, dry=False)
    assert tuned.profile == "balanced"
    with pytest.raises(InputError, match="which offers none, balanced, throughput-performance"):
        apply_for_now(host, {"tuned_profile": "powersave"}, record=record, dry=False)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sysctl:kernel.core_pattern": "|/bin/sh"}, "is no setting of a host that may be tuned"),
        ({"sysctl:../../etc/passwd": 1}, "is no setting of a host that may be tuned"),
        ({"/sys/kernel/mm/transparent_hugepage/enabled": "always"}, "is no setting of a host that may be tuned"),
        ({SOMAXCONN: "8192; reboot"}, "takes a whole number, not '8192; reboot'"),
        ({SOMAXCONN: True}, "takes a whole number, not True"),
        ({BUFFERS: 4096}, "takes three whole numbers"),
        ({"governor": "a b"}, "takes a word"),
        ({"governor": "ondemand"}, "which offers performance, powersave"),
        ({"transparent_hugepage": "sometimes"}, "which offers always, madvise, never"),
        ({"tuned_profile": "balanced"}, "tuned does not run here"),
        ({"sysctl:net.core.busy_poll": 50}, "this host does not have it"),
        ({"cpu_affinity": "0-1"}, "a pin belongs to a unit"),
    ],
)
def test_what_may_not_be_set_is_refused_and_nothing_is(
    host: Host, record: str, settings: dict[str, Any], says: str
) -> None:
    before = content(host)
    with pytest.raises(InputError, match=says):
        apply_for_now(host, {"governor": "performance", **settings}, record=record, dry=False)
    assert content(host) == before
    assert not os.path.exists(record)


def test_a_value_that_the_kernel_keeps_short_is_an_error(host: Host, record: str, monkeypatch: Any) -> None:
    """Of 128 huge pages asked for, the kernel found memory for 90, and says so only in the file."""
    monkeypatch.setattr(Path, "write_text", lambda path, _text, **_words: path.write_bytes(b"90"))
    with pytest.raises(InputError, match="it is 90, 128 was asked for"):
        apply_for_now(host, {"sysctl:vm.nr_hugepages": 128}, record=record, dry=False)
    monkeypatch.undo()
    put_back(host, record=record, dry=False)
    assert content_of(host, "proc/sys/vm/nr_hugepages") == "0"


def test_a_record_that_is_none_is_not_followed(host: Host, record: str) -> None:
    Path(record).parent.mkdir(parents=True)
    document = {"schema_version": 1, "kind": "host_tuning", "before": {SOMAXCONN: {"/etc/passwd": "1"}}}
    Path(record).write_text(json.dumps(document))
    put_back(host, record=record, dry=False)
    assert not host.path("/etc/passwd").exists()
    for wrong in ({"kind": "plan"}, {**document, "before": {"sysctl:kernel.modprobe": {"/proc/x": "1"}}}):
        Path(record).write_text(json.dumps(wrong))
        with pytest.raises(InputError):
            put_back(host, record=record, dry=False)


def test_parameters_get_what_is_in_use_and_lose_what_the_host_lacks(host: Host) -> None:
    parameters = {
        "threads": {"low": 1, "high": 8, "default": 4},
        "queue": {"kind": "host", "setting": SOMAXCONN, "low": 1024, "high": 65536, "log": True},
        "clock": {"kind": "host", "setting": "governor", "values": ["performance"]},
        "buffers": {"kind": "host", "setting": BUFFERS, "values": ["4096 262144 16777216"]},
        "profile": {"kind": "host", "setting": "tuned_profile", "values": ["throughput-performance"]},
        "node": {"kind": "host", "setting": "numa_node", "values": ["all", 0, 1]},
    }
    taken, left_out = fitted(parameters, host)
    assert taken["threads"] == parameters["threads"]
    assert taken["queue"]["default"] == 4096
    assert taken["clock"]["values"] == ["powersave", "performance"]
    assert taken["buffers"]["values"] == ["4096 131072 6291456", "4096 262144 16777216"]
    assert (taken["node"]["default"], taken["node"]["values"]) == ("all", ["all", 0, 1])
    assert left_out == ["profile is left out, tuned_profile: tuned does not run here"]
    taken, left_out = fitted(parameters, Host(root=host.root, systemd=False))
    assert left_out[1].startswith("node is left out, numa_node: only systemd pins")
    pinned = Host(root=host.root, properties={"NUMAPolicy": "bind", "NUMAMask": "1", "CPUAffinity": "numa"})
    assert fitted(parameters, pinned)[0]["node"]["default"] == 1


def test_governors_that_differ_are_left_out(host: Host) -> None:
    host.path(GOVERNORS.format(3)).write_text("performance\n")
    parameters = {"clock": {"kind": "host", "setting": "governor", "values": ["performance", "powersave"]}}
    assert fitted(parameters, host) == (
        {},
        ["clock is left out, governor: its processors differ (performance, powersave): make them the same first"],
    )


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"setting": "selinux", "values": [0]}, "parameter x: 'selinux' is no setting of a host"),
        ({"setting": "governor", "values": ["ondemand"]}, "governor cannot be ondemand on this host"),
        ({"setting": "cpu_affinity", "values": ["0-7"]}, "cpu_affinity cannot be 0-7 on this host, which offers 0-3"),
        ({"setting": "numa_node", "values": [2]}, "which offers 0-1"),
        ({"setting": "cpu_affinity", "values": ["some"]}, "takes a list such as 0-7,16 or all"),
        ({"setting": "tuned_profile", "values": ["$(id)"]}, "takes names of profiles"),
        ({"setting": SOMAXCONN, "values": [8192], "default": 128}, "is 4096 here, not 128"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(host: Host, record: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        fitted({"x": {"kind": "host", **record}}, host)


@pytest.mark.parametrize(
    ("values", "properties"),
    [
        ({}, {}),
        ({"cpu_affinity": "0-3"}, {"CPUAffinity": "0-3"}),
        ({"cpu_affinity": "all"}, {"CPUAffinity": ""}),
        ({"numa_node": 1}, {"NUMAPolicy": "bind", "NUMAMask": "1", "CPUAffinity": "numa"}),
        ({"numa_node": 1, "cpu_affinity": "all"}, {"NUMAPolicy": "bind", "NUMAMask": "1", "CPUAffinity": "numa"}),
        ({"numa_node": 1, "cpu_affinity": "4-5"}, {"NUMAPolicy": "bind", "NUMAMask": "1", "CPUAffinity": "4-5"}),
        ({"numa_node": "all", "cpu_affinity": "4-5"}, {"NUMAPolicy": "default", "CPUAffinity": "4-5"}),
    ],
)
def test_pins_in_the_words_of_systemd(values: dict[str, Any], properties: dict[str, str]) -> None:
    assert host_settings.service_properties(values) == properties
    said = host_settings.pins_of(properties)
    assert said["numa_node"] == str(values.get("numa_node", "all"))


def test_what_changed_is_said_in_variables_of_the_roles() -> None:
    values = {
        **{SOMAXCONN: 8192, BUFFERS: "1 2 3", "governor": "performance", "tuned_profile": "balanced"},
        **{"transparent_hugepage": "always", "numa_node": 1},
    }
    assert host_settings.inventory_of(values, [name for name in values if name != BUFFERS]) == {
        "provision_sysctl": {"net.core.somaxconn": 8192},
        "provision_sysfs": {
            "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor": "performance",
            "/sys/kernel/mm/transparent_hugepage/enabled": "always",
        },
        "provision_tuned_profile": "balanced",
        "deploy_service_properties": {"NUMAPolicy": "bind", "NUMAMask": "1", "CPUAffinity": "numa"},
    }
