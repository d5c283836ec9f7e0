# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A STAND-IN for a controller, not AWX: objects in memory behind the addresses and shapes that awx.awx 24.6.1 uses.

It shows that the requests of the role ``awx_setup`` are formed and ordered so that they refer to what exists, and that what
was sent is read back as it was declared. It shows nothing about what a real controller accepts. Of AWX's own rules it keeps
those that matter for the order: a job template is refused until its project was updated, and secrets are not shown.
"""

from __future__ import annotations

import http.server
import itertools
import json
import threading
import urllib.parse
from typing import Any

Found = dict[str, Any]
# field of an object: the endpoint of what it refers to
REFERS = {
    "organization": "organizations", "project": "projects", "source_project": "projects", "inventory": "inventories",
    "execution_environment": "execution_environments", "credential": "credentials", "credential_type": "credential_types",
    "target_credential": "credentials", "source_credential": "credentials", "unified_job_template": "unified_job_templates",
    "workflow_job_template": "workflow_job_templates",
}  # fmt: skip
UNIFIED = {
    "job_templates": "job", "workflow_job_templates": "workflow_job", "projects": "project_update",
    "inventory_sources": "inventory_update", "workflow_approval_templates": "workflow_approval",
}  # fmt: skip
ROLES = {
    "job_templates": ("Admin", "Execute", "Read"), "workflow_job_templates": ("Admin", "Execute", "Read", "Approve"),
    "inventories": ("Admin", "Use", "Read"), "projects": ("Admin", "Use", "Read"), "credentials": ("Admin", "Use", "Read"),
}  # fmt: skip
TYPES = {"workflow_job_templates": "workflow_job_template", "inventories": "inventory"}
SECRET = ("ssh_key_data", "secret_id", "vault_password", "token", "password")
LINKS = ("success_nodes", "failure_nodes", "always_nodes")
CREATED = {"description": "", "survey_enabled": False, "limit": "", "extra_vars": "", "extra_data": {}, "status": "ok"}


class RefusedError(Exception):
    def __init__(self, status: int, said: Any) -> None:
        self.status, self.said = status, said


class Store:
    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.tables: dict[str, dict[int, Found]] = {}
        self.joined: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], Any] = {}
        self.roles: dict[int, Found] = {}
        self.holders: dict[int, list[int]] = {}
        self.sent: list[str] = []
        for name in ("Machine", "Vault", "HashiCorp Vault Secret Lookup"):
            self.make("credential_types", {"name": name, "managed": True})
        self.make("credentials", {"name": "Ansible Galaxy", "organization": None})

    def make(self, endpoint: str, given: Found) -> Found:
        if endpoint == "job_templates":
            project = self.tables["projects"][given["project"]]
            if project["status"] != "successful":
                raise RefusedError(400, {"playbook": ["Playbook not found for project."]})
        number = next(self.numbers)
        one = {**CREATED, "managed": False, **given, "id": number, "url": f"/api/v2/{endpoint}/{number}/"}
        one["type"] = TYPES.get(endpoint, endpoint[:-1])
        self.tables.setdefault(endpoint, {})[number] = one
        if endpoint == "projects":
            one.update(status="pending", scm_revision="", update=next(self.numbers))
        for name in ROLES.get(endpoint, ()):
            role = next(self.numbers)
            about = {"resource_name": one["name"], "resource_type": one["type"], "resource_id": number}
            self.roles[role] = {"id": role, "name": name, "of": (endpoint, number), "summary_fields": about}
        return one

    def listed(self, endpoint: str, query: Found) -> list[Found]:
        if endpoint == "unified_job_templates":
            rows = [(kind, one) for kind in UNIFIED for one in self.tables.get(kind, {}).values()]
        else:
            rows = [(endpoint, one) for one in self.tables.get(endpoint, {}).values()]
        kept = [(kind, one) for kind, one in rows if all(self.fits(one, key, value) for key, value in query.items())]
        return [self.shown(kind, one) for kind, one in kept]

    def fits(self, one: Found, key: str, value: str) -> bool:
        field, _sep, further = key.partition("__")
        is_ = one.get(field)
        if further:
            is_ = self.tables.get(REFERS[field], {}).get(is_, {}).get(further)
        return str(is_).lower() == value.lower()

    def shown(self, endpoint: str, one: Found) -> Found:
        summary: Found = {}
        for field, target in REFERS.items():
            kinds = UNIFIED if target == "unified_job_templates" else (target,)
            for kind in kinds:
                other = self.tables.get(kind, {}).get(one.get(field))  # type: ignore[arg-type]
                if other:
                    summary[field] = {
                        "id": other["id"],
                        "name": other.get("name"),
                        "unified_job_type": UNIFIED.get(kind),
                    }
        ids = self.joined.get((endpoint, one["id"], "credentials"), [])
        summary["credentials"] = [{"id": each, "name": self.tables["credentials"][each]["name"]} for each in ids]
        own = [role for role in self.roles.values() if role["of"] == (endpoint, one["id"])]
        words = {"Approve": "approval_role"}
        summary["object_roles"] = {words.get(r["name"], f"{r['name'].lower()}_role"): {"id": r["id"]} for r in own}
        if endpoint == "projects" and one["status"] == "pending":
            summary["current_update"] = {"id": one["update"]}
        related = {"survey_spec": f"{one['url']}survey_spec/", "update": f"{one['url']}update/"}
        runs = summary.get("unified_job_template")
        if runs:
            kind = next(kind for kind, word in UNIFIED.items() if word == runs["unified_job_type"])
            related["unified_job_template"] = f"/api/v2/{kind}/{runs['id']}/"
        found = {**one, "summary_fields": summary, "related": related}
        if endpoint == "credentials":
            inputs = one.get("inputs") or {}
            found["inputs"] = {key: "$encrypted$" if key in SECRET else value for key, value in inputs.items()}
        if endpoint == "notification_templates":
            settings = one.get("notification_configuration") or {}
            found["notification_configuration"] = {
                key: "$encrypted$" if key in SECRET else value for key, value in settings.items()
            }
        if endpoint == "workflow_job_template_nodes":
            found.update({link: self.joined.get((endpoint, one["id"], link), []) for link in LINKS})
        return found

    def get(self, parts: list[str], query: Found) -> Any:
        if len(parts) == 1:
            return self.listed(parts[0], query)
        endpoint, number = parts[0], int(parts[1])
        if endpoint == "project_updates":
            project = next(one for one in self.tables["projects"].values() if one["update"] == number)
            project.update(status="successful", scm_revision="abc")
            return {"id": number, "status": "successful", "finished": "now", "failed": False, "scm_revision": "abc"}
        if len(parts) == 2:
            return self.shown(endpoint, self.one(endpoint, number))
        if parts[2] == "survey_spec":
            return self.surveys.get((endpoint, number), {})
        if endpoint == "roles":
            return [self.tables["teams"][team] for team in self.holders.get(number, [])]
        if (endpoint, parts[2]) == ("teams", "roles"):
            return [self.roles[role] for role, teams in self.holders.items() if number in teams]
        target = "workflow_job_template_nodes" if parts[2] in LINKS else parts[2]
        target = "notification_templates" if target.startswith("notification_templates_") else target
        target = "credentials" if target == "galaxy_credentials" else target
        return [self.tables[target][each] for each in self.joined.get((endpoint, number, parts[2]), [])]

    def one(self, endpoint: str, number: int) -> Found:
        try:
            return self.tables[endpoint][number]
        except KeyError:
            raise RefusedError(404, {"detail": "Not found."}) from None

    def post(self, parts: list[str], given: Found) -> tuple[int, Any]:
        if len(parts) == 1:
            return 201, self.shown(parts[0], self.make(parts[0], given))
        endpoint, number, what = parts[0], int(parts[1]), parts[2]
        if what == "survey_spec":
            self.surveys[(endpoint, number)] = given
            return 200, {}
        if what == "update":
            return 202, {"url": f"/api/v2/project_updates/{self.one(endpoint, number)['update']}/"}
        if what == "create_approval_template":
            approval = self.make("workflow_approval_templates", given)
            self.one(endpoint, number)["unified_job_template"] = approval["id"]
            return 201, approval
        ids = self.holders if endpoint == "roles" else self.joined
        key: Any = number if endpoint == "roles" else (endpoint, number, what)
        kept = [each for each in ids.get(key, []) if each != given["id"]]  # type: ignore[call-overload]
        ids[key] = kept if given.get("disassociate") else [*kept, given["id"]]
        return 204, None


class Handler(http.server.BaseHTTPRequestHandler):
    store: Store

    def do_GET(self) -> None:
        self.answer("GET")

    def do_POST(self) -> None:
        self.answer("POST")

    def do_PATCH(self) -> None:
        self.answer("PATCH")

    def do_DELETE(self) -> None:
        self.answer("DELETE")

    def answer(self, method: str) -> None:
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.removeprefix("/api/v2/").strip("/").split("/")
        given = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if method != "GET":
            self.store.sent.append(f"{method} {'/'.join(parts)}")
        status = 200
        try:
            if method == "GET":
                said = self.store.get(parts, dict(urllib.parse.parse_qsl(url.query)))
                if isinstance(said, list):
                    said = {"count": len(said), "next": None, "results": said}
            elif method == "POST":
                status, said = self.store.post(parts, given)
            elif method == "PATCH":
                one = self.store.one(parts[0], int(parts[1]))
                one.update(given)
                said = self.store.shown(parts[0], one)
            else:
                status, said = 204, None
                del self.store.tables[parts[0]][int(parts[1])]
        except RefusedError as refused:
            status, said = refused.status, refused.said
        body = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: Any) -> None:
        pass


class StandIn:
    """Serves on a free port of the loopback address until closed."""

    def __init__(self) -> None:
        self.store = Store()
        handler = type("OwnHandler", (Handler,), {"store": self.store})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
