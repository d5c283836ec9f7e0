# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS with client certificates in front of the rulebook's listener: the configuration of the guide, a real HAProxy and Alertmanager."""

from __future__ import annotations

import http.client
import http.server
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from certificates import Authority, Issued
from gateway_bench import HAPROXY, ROOT, free_ports, wait_until
from module_command import run_alone

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
GUIDE = ROOT / "docs/docsite/rst/guide_monitoring.rst"
NAME, CLIENT, TOKEN = "controller.example.org", "alertmanager.example.org", "the-token-of-the-listener"
pytestmark = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")


@dataclass
class Front:
    folder: Path
    port: int
    authority: Authority
    clients: Authority
    seen: list[dict[str, str]] = field(default_factory=list)

    def write(self, name: str, issued: Issued) -> tuple[Path, Path]:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_text(issued.chain)
        key.write_text(issued.private_key)
        return certificate, key

    def post(self, issued: Issued | None, body: bytes = b"{}") -> int:
        """The status of a request that brings this certificate; 0 where the handshake is refused."""
        context = ssl.create_default_context(cadata=self.authority.chain)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if issued is not None:
            context.load_cert_chain(*self.write("client", issued))
        try:
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
            connection = http.client.HTTPSConnection(NAME, self.port, timeout=20)
            connection.sock = context.wrap_socket(plain, server_hostname=NAME)
            connection.request("POST", "/endpoint", body, {"Authorization": f"Bearer {TOKEN}"})
            return connection.getresponse().status
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            return 0


def configuration(front: Front, listener: int) -> str:
    """The block of the guide, with the places and ports of this test."""
    block = re.search(r"\.\. code-block:: text\n\n(    defaults\n.*?)\n\n\S", GUIDE.read_text(), re.DOTALL)
    assert block is not None
    text = re.sub(r"^    ", "", block.group(1), flags=re.MULTILINE) + "\n"
    for what, by in (
        (":5443", f"127.0.0.1:{front.port}"),
        ("127.0.0.1:5010", f"127.0.0.1:{listener}"),
        ("/etc/modelops/tls", str(front.folder)),
    ):
        assert text.count(what) in (1, 2), what
        text = text.replace(what, by)
    return text


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("alerts")
    port, listener = free_ports(2)
    made = Front(folder, port, Authority("controllers"), Authority("monitoring"))

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            made.seen.append({"authorization": str(self.headers["Authorization"]), "body": body})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            pass

    issued = made.authority.issue(NAME)
    placed = run_alone("tls_certificate", {
        "path": str(folder / "controller.pem"), "chain": issued.chain, "private_key": issued.private_key,
        "ca": made.authority.chain, "names": [NAME],
    })  # fmt: skip
    assert placed["changed"], placed
    (folder / "monitoring-ca.pem").write_text(made.clients.chain)
    (folder / "controller-ca.pem").write_text(made.authority.chain)
    (folder / "haproxy.cfg").write_text(configuration(made, listener))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", listener), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    process = subprocess.Popen([HAPROXY, "-db", "-f", str(folder / "haproxy.cfg")], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, 20, "HAProxy")
        yield made
    finally:
        process.kill()
        process.wait()
        server.shutdown()


def test_the_certificate_of_alertmanager_alone_is_let_in(front: Front) -> None:
    assert front.post(front.clients.issue(CLIENT)) == 200
    assert front.seen[-1]["authorization"] == f"Bearer {TOKEN}"
    seen = len(front.seen)
    assert front.post(None) == 0
    assert front.post(Authority("monitoring").issue(CLIENT)) == 0, "of another CA with the same name"
    assert front.post(front.clients.issue(CLIENT, days=(-30, -1))) == 0, "expired"
    assert front.post(front.clients.issue("gpu-a1.example.org")) == 403, "of another host"
    assert front.post(front.clients.issue(CLIENT), b"x" * (5 << 20)) in (0, 413), "far too large"
    with pytest.raises(OSError, match=r"."):
        urllib.request.urlopen(f"http://127.0.0.1:{front.port}/endpoint", b"{}", timeout=5)
    assert len(front.seen) == seen


@pytest.mark.skipif(not ALERTMANAGER, reason="alertmanager is not installed")
def test_alertmanager_reaches_it_with_the_settings_of_the_guide(front: Front, tmp_path: Path) -> None:
    certificate, key = front.write("alertmanager", front.clients.issue(CLIENT))
    (tmp_path / "token").write_text(TOKEN)
    port = free_ports(1)[0]
    tls = {
        "ca_file": str(front.folder / "controller-ca.pem"),
        "cert_file": str(certificate),
        "key_file": str(key),
        "server_name": NAME,
    }
    webhook = {"url": f"https://127.0.0.1:{front.port}/endpoint", "http_config": {
        "authorization": {"type": "Bearer", "credentials_file": str(tmp_path / "token")}, "tls_config": tls}}  # fmt: skip
    route = {"receiver": "remediation", "group_wait": "0s", "group_interval": "1s"}
    (tmp_path / "config.yml").write_text(
        yaml.safe_dump({"route": route, "receivers": [{"name": "remediation", "webhook_configs": [webhook]}]})
    )
    command = [str(ALERTMANAGER), f"--config.file={tmp_path}/config.yml", f"--storage.path={tmp_path}/data",
               f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        alerts = json.dumps([{"labels": {"alertname": "HostDown", "host": "gpu-a1"}}]).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/v2/alerts", alerts, {"Content-Type": "application/json"}
        )
        wait_until(lambda: urllib.request.urlopen(request, timeout=5).status == 200, 30, "Alertmanager")
        wait_until(lambda: any("HostDown" in one["body"] for one in front.seen), 30, "the alert")
    finally:
        process.kill()
        process.wait()
    told = next(one for one in front.seen if "HostDown" in one["body"])
    assert told["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(told["body"])["alerts"][0]["labels"]["host"] == "gpu-a1"
