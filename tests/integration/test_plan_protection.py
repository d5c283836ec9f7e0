# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan on its way from planning to apply, through the playbooks: encrypted at rest, approved, and signed."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from module_command import run_alone
from test_playbook_plan import BIN, JOBS, write_history, write_inventory

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import seal
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sealing import close_with, open_with

SEALED = ("history.csv.gz", "forecast.json", "plan.json", "schedule.json", "report.html")
FIRST, SECOND = "zqfirst-password-of-the-test", "zqsecond-password-of-the-test"
HEADER = b"$ANSIBLE_VAULT;1.1;AES256\n"


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORKS": "4"}
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=root, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def play(root: Path, playbook: str, *arguments: str, **extra: Any) -> subprocess.CompletedProcess[str]:
    inventory = ("-i", str(root / "hosts.yml"))
    return run(
        root, "ansible-playbook", *inventory, f"modelops.datacenter.{playbook}", *arguments, "-e", json.dumps(extra)
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sealed")
    write_history(root / "history.csv")
    write_inventory(root)
    for name, text in (("first", FIRST), ("second", SECOND)):
        (root / f"{name}.password").write_text(text + "\n")
        (root / f"{name}.password").chmod(0o600)
    key = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, text=True, check=True
    ).stdout
    (root / "signing.key").write_text(key)
    (root / "signing.key").chmod(0o600)
    public = subprocess.run(
        ["openssl", "pkey", "-pubout"], input=key, capture_output=True, text=True, check=True
    ).stdout
    inventory = yaml.safe_load((root / "hosts.yml").read_text())
    inventory["all"]["vars"] |= {
        "modelops_plan_signing_file": str(root / "signing.key"), "modelops_trusted_keys": [public], "modelops_jobs": JOBS,
        "modelops_state_host": "localhost", "apply_uses": str(root / "plans.json"), "apply_plan_max_age_seconds": 0,
        "deploy_state_dir": str(root / "state"), "plan_time_limit_seconds": 10, "plan_job_feasibility": False,
    }  # fmt: skip
    (root / "hosts.yml").write_text(yaml.safe_dump(inventory))
    return root


@pytest.fixture(scope="module")
def planned(root: Path) -> str:
    done = play(root, "plan", "-vvv", modelops_encryption_password_files=[str(root / "first.password")])
    assert done.returncode == 0, done.stdout + done.stderr
    assert FIRST not in done.stdout + done.stderr
    return done.stdout


def test_what_says_something_of_the_demand_is_sealed_and_ansible_vault_shows_it(root: Path, planned: str) -> None:
    output = root / "output"
    assert all((output / name).read_bytes().startswith(HEADER) for name in SEALED)
    plain = {path.name for path in output.iterdir() if not path.read_bytes().startswith(HEADER)}
    assert plain <= {"releases.json", "plan.json.sig"}
    shown = {
        name: run(root, "ansible-vault", "view", "--vault-password-file", "first.password", str(output / name)).stdout
        for name in SEALED[1:]
    }
    assert {json.loads(shown[name])["kind"] for name in SEALED[1:4]} == {"forecast", "plan", "schedule"}
    assert shown["report.html"].startswith("<!DOCTYPE html>")
    history = run(
        root,
        "ansible-vault",
        "decrypt",
        "--vault-password-file",
        "first.password",
        "--output",
        "plain.gz",
        str(output / SEALED[0]),
    )
    assert history.returncode == 0, history.stderr
    assert gzip.decompress((root / "plain.gz").read_bytes()).startswith(b"series,timestamp,value\nchat,")


def test_the_same_again_leaves_what_says_the_same(root: Path, planned: str) -> None:
    before = {name: (root / "output" / name).read_bytes() for name in SEALED}
    done = play(root, "plan", modelops_encryption_password_files=[str(root / "first.password")])
    assert done.returncode == 0, done.stdout
    after = {name: (root / "output" / name).read_bytes() for name in SEALED}
    assert {name for name in SEALED if before[name] != after[name]} <= {"plan.json", "report.html"}  # their created_at


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "this is encrypted, and no password for it was given. Set modelops_encryption_passwords"),
        ({"modelops_encryption_passwords": [SECOND]}, "this is encrypted with another password, or was changed since"),
        ({"modelops_encryption_passwords": ["zq-brief"]}, "password 1 for encryption at rest is shorter than 16 characters"),
        ({"modelops_encryption_password_files": ["open.password"]}, "others than its owner may read this password"),
    ],
)  # fmt: skip
def test_apply_says_what_it_lacks(root: Path, planned: str, given: dict[str, Any], says: str) -> None:
    (root / "open.password").write_text(FIRST)
    (root / "open.password").chmod(0o644)
    if "modelops_encryption_password_files" in given:
        given = {"modelops_encryption_password_files": [str(root / "open.password")]}
    done = play(root, "apply", "--check", **given)
    assert done.returncode != 0
    assert says in said(done)
    assert SECOND not in said(done)


def test_apply_takes_a_sealed_plan_and_its_signature_and_no_plain_one(root: Path, planned: str) -> None:
    given = {"modelops_encryption_passwords": [FIRST]}
    done = play(root, "apply", "--check", **given)
    assert "Remember the plan and the passes over the hosts" in done.stdout, said(done)
    assert "refused" not in said(done)
    path = root / "output" / "plan.json"
    sealed = path.read_bytes()
    try:
        path.write_text(run(root, "ansible-vault", "view", "--vault-password-file", "first.password", str(path)).stdout)
        done = play(root, "apply", "--check", **given)
        assert f"{path}: this is not encrypted, and encryption at rest is asked for" in said(done)
    finally:
        path.write_bytes(sealed)


def test_the_other_readers_of_plan_and_forecast_open_them(root: Path, planned: str) -> None:
    output, password = root / "output", {"encryption_passwords": [FIRST]}
    figures = {"plan": str(output / "plan.json"), "forecast": str(output / "forecast.json")}
    assert "modelops_plan_replicas{" in run_alone("planning_figures", {**figures, **password})["text"]
    assert "no password for it was given" in run_alone("planning_figures", figures)["msg"]
    (root / "fleet.modelops_plan.yml").write_text("plugin: modelops.datacenter.plan\nplan: output/plan.json\n")
    sources = ("-i", "hosts.yml", "-i", "fleet.modelops_plan.yml", "--list")
    listed = run(root, "ansible-inventory", *sources, "--vault-password-file", "first.password")
    assert {"model_chat", "model_code"} <= set(json.loads(listed.stdout))
    assert "vault password" in said(run(root, "ansible-inventory", *sources)).lower()


def refused(root: Path, *says: str, **extra: Any) -> None:
    """Apply says no, in these words, before it asks any host for anything."""
    done = play(root, "apply", "--check", modelops_encryption_passwords=[FIRST], **extra)
    assert done.returncode != 0
    assert all(words in said(done) for words in says), said(done)
    assert "Carry out one wave after the other" not in done.stdout


def test_another_plan_than_the_approved_one_is_refused(root: Path, planned: str) -> None:
    approved = "sha256:" + "0" * 64
    refused(root, "this is not the plan that was approved", approved, modelops_plan_digest=approved)


def test_a_signed_plan_that_was_altered_or_has_expired_is_refused(root: Path, planned: str) -> None:
    path, signature = root / "output" / "plan.json", root / "output" / "plan.json.sig"
    before, signed = path.read_bytes(), signature.read_bytes()
    plan = json.loads(open_with(before, [FIRST.encode()], where=str(path)))
    try:
        # Whoever has the password can write a plan that is whole in itself. It has not the signature.
        altered = seal({**plan, "cost_per_hour": 0.0})
        path.write_bytes(close_with(canonical_bytes(altered), FIRST.encode()))
        refused(root, "it is not the plan that was signed")
        path.write_bytes(before)
        signature.unlink()
        refused(root, "it is not signed")
        options = {"plan": str(path), "private_key_file": str(root / "signing.key"), "encryption_passwords": [FIRST]}
        assert run_alone("plan_signature", {**options, "valid_seconds": 1})["changed"]
        time.sleep(2.1)
        refused(root, "its signature ran out at")
    finally:
        path.write_bytes(before)
        signature.write_bytes(signed)


def test_one_password_replaces_another(root: Path, planned: str) -> None:
    files = [str(root / f"{name}.password") for name in ("second", "first")]
    done = play(root, "plan", modelops_encryption_password_files=files)
    assert done.returncode == 0, done.stdout
    for name in SEALED:
        shown = run(
            root,
            "ansible-vault",
            "decrypt",
            "--vault-password-file",
            "second.password",
            "--output",
            "plain",
            str(root / "output" / name),
        )
        assert shown.returncode == 0, (name, shown.stderr)
    # The operator's own tool does it as well, and the signature stays good.
    rekeyed = run(root, "ansible-vault", "rekey", "--vault-password-file", "second.password",
                  "--new-vault-password-file", "first.password", str(root / "output" / "plan.json"))  # fmt: skip
    assert rekeyed.returncode == 0, rekeyed.stderr
    done = play(root, "apply", "--check", modelops_encryption_passwords=[FIRST])
    assert "Remember the plan and the passes over the hosts" in done.stdout, said(done)
