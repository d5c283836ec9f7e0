"""Settings of the kernel: files for the next boot, live values now, and what cannot be set is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision import kernel


def settings(tmp_path: Path, parameters: dict[str, str], *, dry: bool = False, **sysfs: str) -> kernel.Outcome:
    return kernel.apply_settings(
        parameters,
        sysfs,
        sysctl_file=str(tmp_path / "60-modelops.conf"),
        tmpfiles_file=str(tmp_path / "modelops-kernel.conf"),
        dry=dry,
    )


def live(name: str) -> str:
    return " ".join(Path("/proc/sys", *name.split(".")).read_text(encoding="ascii").split())


def test_a_setting_that_is_true_already_only_needs_its_file(tmp_path: Path) -> None:
    parameters = {"kernel.ostype": live("kernel.ostype")}
    said = settings(tmp_path, parameters, dry=True)
    assert said.changes == [f"wrote {tmp_path}/60-modelops.conf"] and not list(tmp_path.iterdir())
    assert settings(tmp_path, parameters).changes == said.changes
    assert "kernel.ostype = Linux\n" in (tmp_path / "60-modelops.conf").read_text(encoding="utf-8")
    assert settings(tmp_path, parameters) == kernel.Outcome([], [], [])
    assert settings(tmp_path, {}).changes == [f"removed {tmp_path}/60-modelops.conf"]


def test_what_this_kernel_does_not_have_or_allow_is_told_and_is_no_change(tmp_path: Path) -> None:
    parameters = {"vm.no_such_setting": "1"}
    settings(tmp_path, parameters)
    outcome = settings(tmp_path, parameters)
    assert outcome.changes == []
    assert "this kernel does not have the setting" in outcome.unapplied[0]


@pytest.mark.skipif(not os.access("/proc/sys/vm/swappiness", os.W_OK), reason="needs the right to set the kernel")
def test_a_value_set_by_hand_is_put_back(tmp_path: Path) -> None:
    name, before = "net.ipv4.ip_default_ttl", live("net.ipv4.ip_default_ttl")
    other = "63" if before != "63" else "62"
    try:
        assert settings(tmp_path, {name: other}, dry=True).changes[1].endswith(f"from {before} to {other}")
        assert live(name) == before
        settings(tmp_path, {name: other})
        assert live(name) == other
        with pytest.raises(InputError, match="the kernel refuses"):
            settings(tmp_path, {name: "99999"})
    finally:
        settings(tmp_path, {name: before})
    assert live(name) == before


def test_of_choices_the_one_in_brackets_counts(tmp_path: Path) -> None:
    choices = tmp_path / "enabled"
    choices.write_text("always [madvise] never\n", encoding="ascii")
    assert kernel.current_value(choices) == "madvise"
    assert kernel.current_value(tmp_path / "absent") is None


def test_a_pattern_below_sys_is_kept_as_one_and_looked_at_file_by_file(tmp_path: Path) -> None:
    pattern = "/sys/devices/system/cpu/cpu*/topology/core_id"
    cores = len(list(Path("/").glob(pattern[1:])))
    outcome = settings(tmp_path, {}, **{pattern: "99"})
    assert f"w {pattern} - - - - 99\n" in (tmp_path / "modelops-kernel.conf").read_text(encoding="utf-8")
    assert len(outcome.unapplied) == cores > 0
    assert outcome.unapplied[0].startswith("/sys/devices/system/cpu/cpu0/topology/core_id is ")
    none = settings(tmp_path, {}, **{"/sys/no_such/cpu*/governor": "x"})
    assert none.unapplied == ["/sys/no_such/cpu*/governor is not there: this kernel does not have the setting"]


@pytest.mark.parametrize("given", [{"parameters": {"swappiness": "1"}}, {"sysfs": {"/etc/passwd": "x"}}])
def test_what_is_no_setting_is_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        settings(tmp_path, given.get("parameters", {}), **given.get("sysfs", {}))
