# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook that launches a job template, on a real ansible-rulebook, against a STAND-IN for a controller.

The stand-in keeps job templates and counts launches behind the addresses that ansible-rulebook 1.3 asks. It shows what is sent,
how often, and what happens while nobody answers there; it shows nothing of what a real controller accepts.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rulebook_desk import (
    FLOOD,
    IMPORTANT,
    NEEDS_RULEBOOK,
    ROOT,
    WINDOW_SECONDS,
    Desk,
    alert,
    free_port,
    message,
    post,
    post_all,
)

OBJECTS = yaml.safe_load((Path(__file__).resolve().parents[2] / "extensions/awx/objects.yml").read_text())
SECRET = "a-controller-token-of-this-test"
JOB_SECONDS = 2.0

pytestmark = [pytest.mark.slow, NEEDS_RULEBOOK]


class Controller:
    """Job templates as ``extensions/awx/objects.yml`` declares them; jobs that take two seconds."""

    def __init__(self) -> None:
        self.port = free_port()
        self.launched: list[tuple[str, dict[str, Any]]] = []
        self.strangers = 0
        self.server: http.server.ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        handler = type("Own", (Handler,), {"controller": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def templates(self, name: str) -> list[dict[str, Any]]:
        names = [str(one["name"]) for one in OBJECTS["job_templates"]]
        return [
            {
                "id": number,
                "type": "job_template",
                "name": one,
                "related": {"launch": f"/api/v2/job_templates/{number}/launch/"},
                "summary_fields": {"organization": {"name": OBJECTS["organization"]}},
                "ask_limit_on_launch": False,
                "ask_labels_on_launch": False,
                "ask_inventory_on_launch": False,
                "ask_variables_on_launch": False,
            }
            for number, one in enumerate(names, start=1)
            if one == name
        ]

    def launch(self, number: int, given: dict[str, Any]) -> dict[str, Any]:
        self.launched.append((str(OBJECTS["job_templates"][number - 1]["name"]), given))
        return self.job(len(self.launched))

    def job(self, number: int) -> dict[str, Any]:
        begun = BEGAN.setdefault((self.port, number), time.monotonic())
        status = "successful" if time.monotonic() - begun > JOB_SECONDS else "running"
        url = f"/api/v2/jobs/{number}/"
        return {
            "id": number,
            "url": url,
            "type": "job",
            "status": status,
            "created": "2026-11-27T12:00:00Z",
            "artifacts": {},
        }


BEGAN: dict[tuple[int, int], float] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    controller: Controller

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        parts = url.path.strip("/").split("/")[2:]
        if parts == ["config"]:
            return self.say({"version": "24.6.1"})
        if parts == ["unified_job_templates"]:
            return self.say({"next": None, "results": self.controller.templates(query.get("name", ""))})
        if parts and parts[0] in ("jobs", "unified_jobs"):
            wanted = parts[1:2] or (query.get("id") or query.get("id__in") or "").split(",")
            found = [self.controller.job(int(one)) for one in wanted if one]
            return self.say(found[0] if len(parts) > 1 else {"next": None, "results": found})
        return self.say({"detail": f"Not found: {self.path}"}, 404)

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        parts = self.path.strip("/").split("/")[2:]
        if parts[:1] == ["job_templates"] and parts[2:] == ["launch"]:
            return self.say(self.controller.launch(int(parts[1]), given), 201)
        return self.say({"detail": "Not found."}, 404)

    def say(self, what: dict[str, Any], status: int = 200) -> None:
        if self.headers.get("Authorization") != f"Bearer {SECRET}":
            self.controller.strangers += 1
            what, status = {"detail": "Authentication credentials were not provided."}, 401
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: Any) -> None:
        pass


class TemplateDesk(Desk):
    """The rulebook in front of the stand-in; Alertmanager is not asked by it."""

    name = "modelops.datacenter.remediate_job_template"

    def __init__(self, directory: Path, controller: Controller) -> None:
        super().__init__(directory)
        self.controller = controller

    def start(self) -> None:
        inventory = self.directory / "hosts.yml"
        inventory.write_text(json.dumps({"all": {"hosts": {"a1": {}}}}))
        self.rulebook(
            self.name,
            inventory,
            {"EDA_CONTROLLER_URL": self.controller.url, "EDA_CONTROLLER_TOKEN": SECRET,
             "EDA_CONTROLLER_RETRY_ATTEMPTS": "2", "EDA_JOB_TEMPLATE_REFRESH_DELAY": "1"},
        )  # fmt: skip

    def runs(self) -> int:
        return len(self.controller.launched)


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    made = Controller()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, controller: Controller) -> Iterator[TemplateDesk]:
    made = TemplateDesk(tmp_path_factory.mktemp("desk"), controller)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_the_template_that_awx_setup_makes_is_launched_and_nothing_of_the_alert_is_sent(
    desk: TemplateDesk, controller: Controller
) -> None:
    odd = alert(1, alertname="HostDown", model="{{ lookup('pipe', 'id') }}")
    assert post(desk.webhook, "/alerts", message(odd), desk.token) == 200
    assert post(desk.webhook, "/alerts", message(IMPORTANT), "another-token") == 401
    time.sleep(5)
    assert desk.runs() == 0
    assert post(desk.webhook, "/alerts", message(IMPORTANT), desk.token) == 200
    desk.wait_for(lambda: desk.runs() > 0, 120)
    name, given = controller.launched[0]
    assert name == "answer alerts"
    sent = json.dumps(given)
    assert "gpu-that-matters" not in sent and "HostDown" not in sent and "{{" not in sent
    # The rulebook's own name is all that is said beside where to run; a template without prompts ignores both.
    assert set(given) <= {"limit", "extra_vars"}
    assert SECRET not in desk.output() and desk.token not in desk.output()


def test_a_flood_is_a_few_launches(desk: TemplateDesk) -> None:
    time.sleep(WINDOW_SECONDS)
    before, began = desk.runs(), time.monotonic()
    everything = [alert(number) for number in range(1, FLOOD)]
    everything.insert(FLOOD * 7 // 10, IMPORTANT)
    assert post_all(desk, everything) == {200: FLOOD}
    sent = time.monotonic() - began

    def quiet() -> bool:
        earlier = desk.runs()
        time.sleep(WINDOW_SECONDS + 15)
        return desk.runs() == earlier > before

    desk.wait_for(quiet, 1200)
    took, runs = time.monotonic() - began, desk.runs() - before
    print(f"{FLOOD} posts in {sent:.0f} s, {runs} launches in {took:.0f} s")
    assert 1 <= runs <= 4 * (took / WINDOW_SECONDS + 1)


def test_a_controller_that_is_down_is_one_clear_line_and_the_next_signal_tries_again(
    desk: TemplateDesk, controller: Controller
) -> None:
    controller.stop()
    time.sleep(WINDOW_SECONDS)
    before = desk.runs()
    assert post(desk.webhook, "/alerts", message(IMPORTANT), desk.token) == 200
    desk.wait_for(lambda: "Error connecting to controller" in desk.output(), 180)
    controller.start()
    time.sleep(2 * WINDOW_SECONDS)
    assert post(desk.webhook, "/alerts", message(IMPORTANT), desk.token) == 200
    desk.wait_for(lambda: desk.runs() > before, 180)
    assert controller.strangers == 0
    assert "Traceback" not in desk.output()


def test_what_was_resolved_meanwhile_gets_a_run_so_long_after_it(tmp_path: Path, controller: Controller) -> None:
    """The first look comes too early for it: a second one follows, and then no more."""
    shipped = (ROOT / "extensions/eda/rulebooks/remediate_job_template.yml").read_text()
    assert shipped.count("once_after: 7 minutes") == 2
    own = TemplateDesk(tmp_path, controller)
    own.name = str(tmp_path / "rulebook.yml")
    Path(own.name).write_text(shipped.replace("once_after: 7 minutes", "once_after: 60 seconds"))
    resolved = json.dumps({"alerts": [{"status": "resolved", **IMPORTANT}]}).encode()
    before, moments = own.runs(), []
    try:
        own.start()
        for pause in (0, 40):
            time.sleep(pause)
            moments.append(time.monotonic())
            assert post(own.webhook, "/alerts", resolved, own.token) == 200
        own.wait_for(lambda: own.runs() == before + 1, 120)
        assert moments[0] + 55 < time.monotonic() < moments[1] + 55
        own.wait_for(lambda: own.runs() == before + 2, 180)
        assert time.monotonic() > moments[1] + 60
        time.sleep(75)
    finally:
        own.stop()
    assert own.runs() == before + 2
