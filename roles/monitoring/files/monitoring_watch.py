# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's switch: does monitoring still see, and can it still be heard? Runs on another host.

    monitoring_watch.py /etc/modelops/watch.json

Each round asks every Prometheus whether it is ready and every Alertmanager for the alert that always
fires. What is missing for some rounds in a row is raised as PrometheusDown, AlertmanagerDown or
MonitoringSilent: through an Alertmanager that still answers, else straight to the webhooks.
When it comes back, that is said too.

Python's standard library only.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from typing import Any

HEARTBEAT = "MonitoringHeartbeat"
TIMEOUT_SECONDS = 5.0


class Watch:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.misses: dict[tuple[str, str], int] = {}
        self.raised: dict[tuple[str, str], str] = {}
        self.context = self._trusting()

    def _trusting(self) -> ssl.SSLContext:
        """Who is trusted now: the file changes when the CA is replaced."""
        return ssl.create_default_context(cafile=self.settings.get("ca_file") or None)

    def round(self) -> None:
        self.context, heard = self._trusting(), False
        for host in self.settings["hosts"]:
            self._count("PrometheusDown", host["name"], self._ready(host["prometheus"]))
            alive, beats = self._heartbeat(host["alertmanager"])
            self._count("AlertmanagerDown", host["name"], alive)
            heard = heard or beats
        self._count("MonitoringSilent", "", heard)

    def _count(self, alert: str, host: str, good: bool) -> None:
        key = (alert, host)
        self.misses[key] = 0 if good else self.misses.get(key, 0) + 1
        if good and key in self.raised:
            self._tell(alert, host, self.raised.pop(key), ends=True)
        elif self.misses[key] >= self.settings["misses"]:
            # Said in every round: Alertmanager forgets what is not repeated.
            self.raised.setdefault(key, stamp())
            self._tell(alert, host, self.raised[key], ends=False)

    def _ready(self, url: str) -> bool:
        return self._get(f"{url}/-/ready") is not None

    def _heartbeat(self, url: str) -> tuple[bool, bool]:
        """Whether Alertmanager answers, and whether the alert that always fires still comes in."""
        body = self._get(f"{url}/api/v2/alerts?filter=alertname%3D%22{HEARTBEAT}%22")
        if body is None:
            return False, False
        try:
            # Prometheus sends it anew each time, with an end a few minutes ahead; a dead one's runs out.
            return True, len(json.loads(body)) > 0
        except ValueError:
            return True, False

    def _tell(self, alert: str, host: str, since: str, *, ends: bool) -> None:
        labels = {"alertname": alert, "severity": "page", "source": "watch", **({"host": host} if host else {})}
        annotations = {"summary": f"{alert}{' on ' + host if host else ''}, seen from {self.settings['name']}"}
        print(f"{alert} {host}: {'over' if ends else 'since ' + since}", flush=True)
        one = {"labels": labels, "annotations": annotations, "startsAt": since}
        if ends:
            one["endsAt"] = stamp()
        told = [
            host["alertmanager"]
            for host in self.settings["hosts"]
            if self._post(f"{host['alertmanager']}/api/v2/alerts", [one])
        ]
        if told:
            return
        status = "resolved" if ends else "firing"
        message = {
            "version": "4", "status": status, "receiver": "watch", "groupKey": f"watch:{alert}:{host}",
            "groupLabels": {"alertname": alert}, "commonLabels": labels, "commonAnnotations": annotations,
            "alerts": [{"endsAt": "0001-01-01T00:00:00Z", **one, "status": status}],
        }  # fmt: skip
        for webhook in self.settings["webhooks"]:
            self._post(webhook["url"], message, token_file=webhook.get("token_file") or "")

    def _get(self, url: str) -> bytes | None:
        return self._ask(urllib.request.Request(url, headers=self._login()))

    def _post(self, url: str, body: Any, *, token_file: str = "") -> bool:
        headers = {"Content-Type": "application/json", **(bearer(token_file) if token_file else self._login())}
        request = urllib.request.Request(url, json.dumps(body).encode("utf-8"), headers, method="POST")
        return self._ask(request) is not None

    def _login(self) -> dict[str, str]:
        """Basic authentication of the monitoring hosts, from a file with USER:PASSWORD."""
        path = self.settings.get("login_file")
        if not path:
            return {}
        with open(secret(path), "rb") as stream:
            return {"Authorization": "Basic " + base64.b64encode(stream.readline().strip()).decode("ascii")}

    def _ask(self, request: urllib.request.Request) -> bytes | None:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=self.context) as answer:
                return bytes(answer.read(1 << 20))
        except (OSError, ValueError) as error:
            print(f"{request.full_url}: {error}", file=sys.stderr, flush=True)
            return None


def bearer(path: str) -> dict[str, str]:
    with open(secret(path), encoding="utf-8") as stream:
        return {"Authorization": f"Bearer {stream.readline().strip()}"}


def secret(name: str) -> str:
    """Names are systemd's credentials of this service; paths are paths."""
    return os.path.join(os.environ.get("CREDENTIALS_DIRECTORY", ""), name)


def stamp() -> str:
    return datetime.now(tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as stream:
        settings = json.load(stream)
    watch = Watch(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os._exit(0))
    while True:
        watch.round()
        time.sleep(settings["interval_seconds"])


if __name__ == "__main__":
    main()
