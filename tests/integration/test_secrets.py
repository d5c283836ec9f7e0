# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unique secrets go in wherever the roles take one; playbooks run at -vvv with --diff; then all that is left is searched.

Searched are output, logs, the fact cache, facts, definition files, plan, report, records, the audit trail, and the
arguments of every process that ran meanwhile. Files that must hold a secret are for root and its reader alone.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from loop_fleet import BIN, HOSTS, Fleet, make_fleet

sys.path.insert(0, str(Path(__file__).resolve().parent))

from certificates import Authority
from gateway_bench import free_ports, wait_until
from planted_secrets import Planted, ProcessWatch

crypt = pytest.importorskip("crypt", reason="Python has no crypt from 3.13 on")
pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")
ED25519 = ["openssl", "genpkey", "-algorithm", "ed25519"]
PROMETHEUS = shutil.which("prometheus")
pytestmark = [
    pytest.mark.skipif(not PROMETHEUS, reason="prometheus is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="owners of files are looked at, so root is needed"),
]

# Roles whose services need systemd: their secrets are written for real, the rest is shown in check mode with --diff.
ROLES_PLAYBOOK = """
- hosts: alpha
  gather_facts: false
  tasks:
    - ansible.builtin.setup:
        gather_subset: ["!all", "!min", "distribution", "service_mgr", "python"]
    - ansible.builtin.file: {path: "{{ item }}", state: directory, mode: "0755"}
      check_mode: false
      loop: ["{{ gateway_config_dir }}", "{{ monitoring_config_dir }}"]
    - ansible.builtin.set_fact:
        __gateway_program: {stat: {exists: true}}
        __monitoring_program: {stat: {exists: true}}
    - ansible.builtin.include_role: {name: modelops.datacenter.gateway, tasks_from: "{{ item }}"}
      loop: [tls, keys, configure, agent]
      when: ansible_check_mode or item in ['tls', 'keys']
    - ansible.builtin.include_role: {name: modelops.datacenter.monitoring, tasks_from: "{{ item }}"}
      loop: [secrets, configure, watch, figures, controller]
      when: ansible_check_mode or item == 'secrets'
    - ansible.builtin.include_role: {name: modelops.datacenter.monitoring, tasks_from: answer}
    - ansible.builtin.include_role: {name: modelops.datacenter.remediate, tasks_from: tell}
      vars: {remediate_told: [{alert: A, target: t, reason: r, summary: s, tried: []}], remediate_owner: me}
      when: not ansible_check_mode
    - ansible.builtin.include_role: {name: modelops.datacenter.provision, tasks_from: engines}
      when: not ansible_check_mode
"""


class Locked(http.server.BaseHTTPRequestHandler):
    """Gives its file to whoever brings the token; everything else is refused."""

    token = ""
    content = b""

    def do_GET(self) -> None:
        right = self.headers.get("Authorization") == f"Bearer {self.token}"
        content = self.content if right else b"no"
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        pass


class Guarded:
    """A fleet of one host whose operator has a vault, and everything that was said and seen."""

    def __init__(self, root: Path, planted: Planted, ports: dict[str, int]) -> None:
        self.planted, self.ports = planted, ports
        self.certificate = Authority().issue("gateway.example.org")
        planted.add_pem("tls_key", self.certificate.private_key)
        self.fleet: Fleet = make_fleet(root / "fleet")
        self.root = self.fleet.root
        # What belongs to the operator, and is searched by nobody.
        self.operator = root / "operator"
        self.operator.mkdir()
        self.said: dict[str, str] = {}
        self.watch = ProcessWatch(planted)
        self._write_vault()
        self.write_inventory()

    def write_inventory(self, **more: Any) -> None:
        etc = self.root / "alpha" / "etc"
        entry = self.fleet.models["chat"]
        entry["artifact"] = {
            "src": f"http://127.0.0.1:{self.ports['artifact']}/tiny.gguf",
            "checksum": entry["artifact"]["checksum"],
            "headers_file": str(self.operator / "headers"),
        }
        entry["api_key_file"] = f"{etc}/secrets/chat.key"
        entry["secret_environment"] = {"HF_TOKEN": f"{etc}/secrets/hf-token"}
        entry["environment"] = {"TOKENIZERS_PARALLELISM": "false"}
        entry.pop("capacity")
        entry["capacity"] = {"l40s-48gb": {"requests_per_second": 3.0, "service_time_seconds": 1.0}}
        self.fleet.models = {"chat": entry}
        self.fleet.write_inventory(
            hosts={"alpha": {**HOSTS["alpha"], "modelops_base_port": self.ports["replica"], "modelops_monitoring": True,
                             "ansible_become": True, "ansible_become_method": "ansible.builtin.su"}},
            modelops_prometheus={
                "url": f"http://127.0.0.1:{self.ports['prometheus']}", "retries": 1, "timeout_seconds": 30,
                "username": "planner", "password_file": str(self.operator / "prometheus.password"),
            },
            modelops_series={"chat": {"query": "vector(0.1)"}}, plan_lookback_seconds=2 * 86400, plan_engine="seasonal_naive",
            gateway_tls_certificate=f"{etc}/tls/gateway.pem", gateway_config_dir=f"{etc}/gateway", gateway_group="root",
            gateway_log_file=f"{self.root}/alpha/log/g.jsonl",
            gateway_state_dir=f"{self.root}/alpha/gateway", gateway_programs_dir=f"{self.root}/alpha/opt",
            monitoring_config_dir=f"{etc}/monitoring", monitoring_group="root", monitoring_listen_address="127.0.0.1",
            monitoring_alertmanager_port=self.ports["artifact"], monitoring_rulebook="modelops.datacenter.remediate",
            provision_engines=[{"name": "none", "version": "1", "requirements": str(self.operator / "engine.lock")}],
            provision_engine_python=sys.executable, provision_prefix=f"{self.root}/alpha/opt",
            **more,
        )  # fmt: skip

    def _write_vault(self) -> None:
        one = self.planted
        loopback = f"http://127.0.0.1:{self.ports['artifact']}"
        document = {
            "ansible_become_password": one["become_password"],
            "ansible_password": one["ssh_password"],
            "modelops_secrets": {"hf-token": one["hf_token"], "chat.key": one["engine_key"]},
            "modelops_plan_signing_key": one["signing_key"],
            "gateway_tls_chain": self.certificate.chain, "gateway_tls_private_key": self.certificate.private_key,
            "gateway_api_keys": {"tenant-a": one["tenant_key"]},
            "gateway_backend_keys": {"chat": one["backend_key"]},
            "monitoring_login_user": "operator",
            "monitoring_login_password": one["login_password"],
            "monitoring_users": {"operator": one["login_hash"]},
            "monitoring_remediation_url": f"{loopback}/endpoint",
            "monitoring_remediation_token": one["remediation_token"],
            "monitoring_receivers": [{"name": "chat", "webhook_configs": [{"url": f"{loopback}/{one['receiver_token']}"}]}],
            "monitoring_dead_man_url": f"{loopback}/{one['dead_man_token']}",
            "monitoring_extra_scrape_configs": [
                {"job_name": "own", "basic_auth": {"username": "operator", "password": one["scrape_password"]}}
            ],
            "remediate_escalation_url": f"{loopback}/{one['escalation_token']}",
            "provision_engine_index_url": f"http://operator:{one['index_password']}@127.0.0.1:{self.ports['artifact']}/simple",
        }  # fmt: skip
        (self.operator / "prometheus.password").write_text(one["prometheus_password"] + "\n")
        (self.operator / "headers").write_text(f"Authorization: Bearer {one['artifact_token']}\n")
        (self.operator / "engine.lock").write_text(f"nothing-of-this-name==1.0 --hash=sha256:{'0' * 64}\n")
        (self.operator / "vault.password").write_text(one["vault_password"])
        self.write_vault("vault.yml", document)
        self.write_vault(
            "rotated.yml", {"modelops_secrets": {"hf-token": one["hf_token_rotated"], "chat.key": one["engine_key"]}}
        )
        self.write_vault("malformed.yml", {"gateway_api_keys": one["malformed_key"]})

    def write_vault(self, name: str, document: dict[str, Any]) -> None:
        secret = VaultSecret(self.planted["vault_password"].encode())
        (self.root / name).write_bytes(VaultLib([("default", secret)]).encrypt(yaml.safe_dump(document)))

    def public_key(self) -> str:
        """Of who signs plans."""
        command = ["openssl", "pkey", "-pubout"]
        private = self.planted["signing_key"]
        return subprocess.run(command, input=private, capture_output=True, text=True, check=True).stdout

    def play(self, playbook: str, *arguments: str, vault: str = "vault.yml", code: int = 0, **extra: Any) -> str:
        """What the playbook said at -vvv; it is kept and searched."""
        one = str(self.root / playbook) if playbook.endswith(".yml") else f"modelops.datacenter.{playbook}"
        command = [str(BIN / "ansible-playbook"), "-i", str(self.root / "hosts.yml"), one, "-vvv", "--diff", *arguments]
        command += ["--vault-password-file", str(self.operator / "vault.password"), "-e", f"@{self.root}/vault.yml"]
        command += ["-e", f"@{self.root}/{vault}", "-e", json.dumps(extra)]
        temporary = self.root / "temporary"
        environment = {
            **os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOG_PATH": str(self.root / "ansible.log"),
            "ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.root / "facts"),
            "ANSIBLE_LOCAL_TEMP": str(temporary / "local"), "ANSIBLE_REMOTE_TEMP": str(temporary / "remote"),
            "ANSIBLE_CALLBACKS_ENABLED": "modelops.datacenter.audit_log", "MODELOPS_AUDIT_PATH": str(self.root / "audit.jsonl"),
        }  # fmt: skip
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=1500, check=False
        )
        said = done.stdout + done.stderr
        self.said[f"{playbook} {' '.join(arguments)} {vault} {len(self.said)}"] = said
        assert (done.returncode != 0) == bool(code), said
        return said


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    root = tmp_path_factory.mktemp("secrets")
    (root / "fleet").mkdir()
    planted = Planted()
    planted.add_pem("signing_key", subprocess.run(ED25519, capture_output=True, text=True, check=True).stdout)
    planted.add("login_hash", crypt.crypt(planted["login_password"], crypt.mksalt(crypt.METHOD_BLOWFISH)))
    ports = dict(zip(("artifact", "prometheus", "replica"), free_ports(3)))
    one = Guarded(root, planted, ports)
    Locked.token, Locked.content = planted["artifact_token"], (one.root / "tiny.gguf").read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", ports["artifact"]), Locked)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    prometheus = _prometheus(one)
    try:
        with one.watch:
            yield one
    finally:
        prometheus.kill()
        prometheus.wait()
        server.shutdown()
        one.fleet.stop()


def _prometheus(guarded: Guarded) -> subprocess.Popen[bytes]:
    """A real one, empty, that wants a login."""
    folder = guarded.operator / "prometheus"
    folder.mkdir()
    hashed = crypt.crypt(guarded.planted["prometheus_password"], crypt.mksalt(crypt.METHOD_BLOWFISH))
    (folder / "web.yml").write_text(yaml.safe_dump({"basic_auth_users": {"planner": hashed}}))
    (folder / "prometheus.yml").write_text("{}\n")
    port = guarded.ports["prometheus"]
    command = [str(PROMETHEUS), "--config.file=prometheus.yml", "--web.config.file=web.yml", "--storage.tsdb.path=data"]
    process = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: _status(f"http://127.0.0.1:{port}/-/ready") == 401, 30, "prometheus")
    return process


def _status(url: str, body: Any = None, key: str = "") -> int:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _environment(guarded: Guarded) -> dict[str, str]:
    """Of the replica's process: what it was really told."""
    marks = (str(guarded.ports["replica"]).encode(), str(guarded.root).encode())
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # a process may be gone by now
            words = path.read_bytes()
            if all(mark in words for mark in marks):
                pairs = (path.parent / "environ").read_text().split("\0")
                return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return {}


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """Each way a secret could show: in a file, in base64, as a line of a key, as an argument of a process."""
    planted = Planted()
    planted.add_pem("tls_key", Authority().private_key)
    shown = {
        "plain": planted["hf_token"],
        "base64": base64.b64encode(f"operator:{planted['login_password']}".encode()).decode(),
        "key": planted["tls_key"].splitlines()[1],
    }
    for name, text in shown.items():
        (tmp_path / name).write_text(f"before {text} after\n")
    (tmp_path / "innocent").write_text("before after\n")
    found = {path.name: kinds for path, kinds in planted.found_below(tmp_path).items()}
    assert found == {"plain": {"hf_token"}, "base64": {"login_password (base64)"}, "key": {"tls_key"}}
    with ProcessWatch(planted) as watch:
        subprocess.run(["sleep", "1"], check=True, env={"SECRET": planted["hf_token"]})
        assert watch.leaks() == {}, "the environment of a process is for its owner alone"
        subprocess.run(["sh", "-c", "sleep 1", planted["backend_key"]], check=True)
        assert list(watch.leaks().values()) == [{"backend_key"}]


def test_the_loop_runs_on_secrets_from_a_vault(guarded: Guarded) -> None:
    assert "1 replica of 1 model" in guarded.play("plan")
    guarded.play("apply", modelops_trusted_keys=[guarded.public_key()])
    assert "it was carried out already" in guarded.play("apply", code=2, modelops_trusted_keys=[guarded.public_key()])
    completion = {"model": "chat", "prompt": "Hello", "max_tokens": 1}
    url = f"http://127.0.0.1:{guarded.ports['replica']}/v1/completions"
    assert _status(url, completion) == 401
    assert _status(url, completion, guarded.planted["engine_key"]) == 200
    assert _environment(guarded)["HF_TOKEN"] == guarded.planted["hf_token"]


def test_another_secret_is_put_in_place_and_read_at_the_next_start(guarded: Guarded) -> None:
    guarded.play("apply", vault="rotated.yml", deploy_restart=["modelops-chat-0"])
    assert _environment(guarded)["HF_TOKEN"] == guarded.planted["hf_token_rotated"]


def test_what_watches_and_remediates_says_none(guarded: Guarded) -> None:
    guarded.play("watch")
    guarded.play("apply", "--check")


def test_roles_of_other_hosts_keep_theirs(guarded: Guarded) -> None:
    (guarded.root / "roles.yml").write_text(ROLES_PLAYBOOK)
    shown = guarded.play("roles.yml", "--check")
    assert (
        "modelops-gateway.service" in shown and "Write the settings of Prometheus" in shown
    )  # check mode got that far
    failed = guarded.play("roles.yml", code=1)  # there is no such package index
    assert "nothing-of-this-name" in failed
    assert "NOBODY WAS TOLD" in failed


def test_errors_do_not_repeat_a_secret(guarded: Guarded) -> None:
    headers = guarded.operator / "headers"
    right = headers.read_text()
    headers.write_text("Authorization: Bearer wrong\n")
    shutil.rmtree(guarded.root / "alpha/opt/models/chat")
    try:
        assert "401" in guarded.play("apply", code=2)
    finally:
        headers.write_text(right)
    (guarded.root / "roles.yml").write_text(ROLES_PLAYBOOK)
    guarded.play("roles.yml", "--check", vault="malformed.yml", code=2)


def test_a_secret_in_the_catalogue_is_refused_before_anything_reads_it(guarded: Guarded) -> None:
    guarded.fleet.models["chat"]["environment"]["WANDB_API_KEY"] = guarded.planted["plain_in_catalogue"]
    guarded.fleet.write_inventory()
    said = " ".join(guarded.play("plan", code=2).split())
    assert "Model chat: environment holds WANDB_API_KEY" in said
    assert "name that file in secret_environment" in said


def test_no_secret_is_anywhere_else(guarded: Guarded) -> None:
    """Last: everything the tests above have left."""
    planted, root = guarded.planted, guarded.root
    assert {run: kinds for run, said in guarded.said.items() if (kinds := planted.found_in(said.encode()))} == {}
    assert guarded.watch.leaks() == {}
    assert len(guarded.watch.seen) > 50
    etc = root / "alpha" / "etc"
    holders = {
        etc / "secrets/hf-token": 0o640, etc / "secrets/chat.key": 0o640, etc / "gateway/backend_keys.map": 0o640,
        etc / "monitoring/login.password": 0o640, etc / "monitoring/remediation.token": 0o640,
        etc / "monitoring/web.yml": 0o640, etc / "tls/gateway.pem": 0o600,
    }  # fmt: skip
    found = planted.found_below(root, guarded.fleet.run_dir)
    # An inventory with a secret in it is the one that was refused.
    assert found.pop(root / "hosts.yml") == {"plain_in_catalogue"}
    assert {str(path): kinds for path, kinds in found.items() if path not in holders} == {}
    assert set(found) == set(holders)
    for path, mode in holders.items():
        status = path.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (mode, 0), path
    assert stat.S_IMODE((etc / "secrets").stat().st_mode) == 0o750
    for path in (
        etc / "gateway/api_keys.map",
        etc / "modelops-chat-0.ini",
        root / "output/plan.json",
        root / "output/releases.json",
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, path
    for name in ("ansible.log", "audit.jsonl", "facts", "output/report.html", "alpha/facts.d/modelops.fact"):
        assert (root / name).exists(), name
