# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""model_artifact on a real file system, from real directories and a real HTTP server."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from module_command import run_module

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import (
    InputError,
    ModelOpsError,
    SourceUnavailableError,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import artifact_source
from ansible_collections.modelops.datacenter.plugins.modules import model_artifact

CONTENT = bytes(range(256)) * 2000


def checksum(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def tree(root: Path) -> dict[str, bytes]:
    """What lies under ``root``, without locks and manifests."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and not path.is_symlink()
        and path.name not in (".lock", ".modelops.json")
        and "current" not in path.relative_to(root).parts
    }


class Place:
    """A destination and the module called on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.model = root / "chat"

    def run(self, check: bool = False, **options: Any) -> dict[str, Any]:
        defaults = {name: spec.get("default") for name, spec in model_artifact.ARGUMENT_SPEC.items()}
        given = {"name": "chat", "version": "1", "dest_root": str(self.root), "min_free_gib": 0, **options}
        return model_artifact.execute({**defaults, **given}, check, True)

    @property
    def current(self) -> str:
        return os.readlink(self.model / "current")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "models")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "hf"
    (root / "sub").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "sub" / "model.safetensors").write_bytes(CONTENT)
    return root


class Shop:
    """An HTTP server that can misbehave. ``cut`` lists how many bytes each next answer carries before it breaks."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"/tiny.gguf": CONTENT}
        self.cut: list[int] = []
        self.status: list[int] = []
        self.ranges = True
        self.redirect = ""
        self.requests: list[dict[str, str]] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shop.requests.append(dict(self.headers))
                if shop.redirect:
                    self.send_response(302)
                    self.send_header("Location", shop.redirect)
                    self.end_headers()
                    return
                content = shop.files.get(self.path.partition("?")[0])
                if shop.status:
                    self.send_error(shop.status.pop(0))
                elif content is None:
                    self.send_error(404)
                else:
                    self.give(content)

            def give(self, content: bytes) -> None:
                start = 0
                if shop.ranges and self.headers.get("Range"):
                    start = int(self.headers["Range"].partition("=")[2].rstrip("-"))
                if start >= len(content) and start:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start:][: shop.cut.pop(0)] if shop.cut else content[start:])
                self.wfile.flush()
                self.connection.close()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(artifact_source.time, "sleep", lambda seconds: None)
    found = Shop()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_the_ladder(place: Place, weights: Path) -> None:
    """Check, create, same again, damage, repair, remove, remove again."""
    options = {"src": str(weights), "checksum": checksum(CONTENT)}
    planned = place.run(check=True, **options)
    assert planned["changed"]
    assert not place.root.exists()
    done = place.run(**options)
    assert {key: done[key] for key in ("changed", "path", "checksum", "diff")} == {
        key: planned[key] for key in ("changed", "path", "checksum", "diff")
    }
    assert done["path"] == str(place.model / "1" / "tiny.gguf")
    assert done["current_path"] == str(place.model / "current" / "tiny.gguf")
    assert Path(done["current_path"]).read_bytes() == CONTENT
    assert done["bytes"] == len(CONTENT)
    assert done["diff"]["before"] == {"versions": [], "current": ""}
    assert (Path(done["path"]).stat().st_mode & 0o777, (place.model / "1").stat().st_mode & 0o777) == (0o644, 0o755)
    weights.unlink()
    again = place.run(**options)
    assert (again["changed"], again["path"], again["fetched"]) == (False, done["path"], ""), "the source is not needed"
    gone = place.run(state="absent", check=True)
    assert gone["changed"]
    assert place.current == "1"
    assert place.run(state="absent")["changed"]
    assert tree(place.model) == {}
    assert not (place.model / "current").is_symlink()
    assert not place.run(state="absent")["changed"]
    place.run(state="absent", version=None)
    assert not place.model.exists()


def test_a_directory(place: Place, directory: Path) -> None:
    done = place.run(src=str(directory))
    assert done["path"] == str(place.model / "1")
    assert tree(place.model / "1") == tree(directory)
    assert not place.run(src=str(directory))["changed"]
    assert not place.run(src=str(directory), checksum=done["checksum"])["changed"]
    (directory / "config.json").write_text('{"a": 1}')
    changed = place.run(src=str(directory))
    assert (changed["changed"], changed["fetched"]) == (True, "the source has changed")
    assert tree(place.model / "1") == tree(directory)


def test_the_entry_to_give_to_the_engine(place: Place, directory: Path) -> None:
    assert place.run(src=str(directory), file="sub/model.safetensors")["path"].endswith("/chat/1/sub/model.safetensors")
    for wrong, said in (("nope", "holds no 'nope'"), ("../../x", "outside the artifact")):
        with pytest.raises(InputError, match=said):
            place.run(src=str(directory), file=wrong)


@pytest.mark.parametrize("verify", [False, True])
def test_damage_is_noticed_and_repaired(place: Place, directory: Path, verify: bool) -> None:
    place.run(src=str(directory))
    path = place.model / "1" / "sub" / "model.safetensors"

    def remove() -> None:
        path.unlink()

    def write_same_size() -> None:
        path.write_bytes(CONTENT[:-1] + b"!")

    def cut() -> None:
        os.truncate(path, 10)

    for damage, said in ((remove, "is gone"), (write_same_size, "has other content"), (cut, "has 10 bytes instead of")):
        damage()
        planned = place.run(check=True, src=str(directory), verify=verify)
        assert said in planned["fetched"]
        assert place.run(src=str(directory), verify=verify)["changed"]
        assert path.read_bytes() == CONTENT
        assert not place.run(src=str(directory), verify=verify)["changed"]


def test_damage_behind_an_unchanged_time_is_found_by_verify_alone(place: Place, weights: Path) -> None:
    path = Path(place.run(src=str(weights))["path"])
    before = path.stat()
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not place.run(src=str(weights))["changed"]
    assert place.run(src=str(weights), verify=True)["changed"]
    assert path.read_bytes() == CONTENT


def test_a_touched_file_is_not_fetched_again(place: Place, weights: Path) -> None:
    path = Path(place.run(src=str(weights))["path"])
    path.touch()
    assert not place.run(src=str(weights))["changed"]


def test_versions_are_activated_kept_and_pruned(place: Place, weights: Path) -> None:
    for version in ("1", "2", "3"):
        place.run(src=str(weights), version=version)
    assert sorted(tree(place.model)) == ["1/tiny.gguf", "2/tiny.gguf", "3/tiny.gguf"]
    fourth = place.run(src=str(weights), version="4", activate=False, keep=1, protect=["1"])
    assert place.current == "3"
    assert fourth["pruned"] == []
    assert sorted(tree(place.model)) == ["1/tiny.gguf", "2/tiny.gguf", "3/tiny.gguf", "4/tiny.gguf"]
    fifth = place.run(src=str(weights), version="5", keep=1, protect=["1"])
    assert fifth["pruned"] == ["3", "2"]
    assert place.current == "5"
    assert sorted(tree(place.model)) == ["1/tiny.gguf", "4/tiny.gguf", "5/tiny.gguf"]
    back = place.run(src=str(weights), version="4", keep=2)
    assert back["changed"]
    assert place.current == "4"


def test_a_wrong_checksum_installs_nothing_and_keeps_the_active_version(place: Place, weights: Path) -> None:
    place.run(src=str(weights))
    with pytest.raises(InputError, match=r"nothing was installed"):
        place.run(src=str(weights), version="2", checksum=checksum(b"else"))
    assert place.current == "1"
    assert sorted(tree(place.model)) == ["1/tiny.gguf"]


def test_from_the_network(place: Place, shop: Shop) -> None:
    options = {"src": f"{shop.url}/tiny.gguf?token=secret", "checksum": checksum(CONTENT)}
    planned = place.run(check=True, **options)
    assert planned["path"] == str(place.model / "1" / "tiny.gguf")
    assert shop.requests == [], "check mode downloads nothing"
    assert Path(place.run(**options)["path"]).read_bytes() == CONTENT
    assert not place.run(**options)["changed"]
    assert len(shop.requests) == 1
    assert "secret" not in (place.model / "1" / ".modelops.json").read_text()


def test_a_broken_connection_is_taken_up_where_it_broke(place: Place, shop: Shop) -> None:
    shop.cut = [100_000, 50_000]
    done = place.run(src=f"{shop.url}/tiny.gguf", checksum=checksum(CONTENT))
    assert Path(done["path"]).read_bytes() == CONTENT
    assert [headers.get("Range") for headers in shop.requests] == [None, "bytes=100000-", "bytes=150000-"]


def test_a_server_that_cannot_resume_gives_the_whole_again(place: Place, shop: Shop) -> None:
    shop.cut, shop.ranges = [100_000], False
    done = place.run(src=f"{shop.url}/tiny.gguf", checksum=checksum(CONTENT))
    assert Path(done["path"]).read_bytes() == CONTENT


def test_what_arrived_is_kept_for_the_next_run(place: Place, shop: Shop) -> None:
    shop.cut = [1000, 1000, 1000]
    with pytest.raises(SourceUnavailableError, match="ended after 3000 of 512000 bytes"):
        place.run(src=f"{shop.url}/tiny.gguf", checksum=checksum(CONTENT))
    assert not (place.model / "1").exists()
    done = place.run(src=f"{shop.url}/tiny.gguf", checksum=checksum(CONTENT))
    assert shop.requests[-1]["Range"] == "bytes=3000-"
    assert Path(done["path"]).read_bytes() == CONTENT
    assert sorted(os.listdir(place.model)) == [".lock", "1", "current"]


def test_leftovers_of_a_crash(place: Place, shop: Shop) -> None:
    part = place.model / ".incoming-1" / "payload.part"
    options = {"src": f"{shop.url}/tiny.gguf", "checksum": checksum(CONTENT)}
    for left in (b"something else entirely", CONTENT, CONTENT + b"too long", CONTENT[:7]):
        part.parent.mkdir(parents=True)
        part.write_bytes(left)
        (place.model / ".incoming-1" / "tree" / "half").mkdir(parents=True)
        (place.model / ".incoming-0").mkdir()
        (place.model / ".trash-x" / "old").mkdir(parents=True)
        done = place.run(**options)
        assert Path(done["path"]).read_bytes() == CONTENT
        assert sorted(os.listdir(place.model)) == [".lock", "1", "current"]
        place.run(state="absent", version=None)


def test_leftovers_go_without_being_called_a_change(place: Place, weights: Path) -> None:
    place.run(src=str(weights))
    (place.model / ".trash-x").mkdir()
    place.run(check=True, src=str(weights))
    assert (place.model / ".trash-x").exists()
    assert not place.run(src=str(weights))["changed"]
    assert not (place.model / ".trash-x").exists()


def test_a_version_without_its_manifest_is_fetched_again(place: Place, weights: Path) -> None:
    place.run(src=str(weights))
    (place.model / "1" / ".modelops.json").write_text("{")
    assert place.run(src=str(weights))["changed"]
    assert not place.run(src=str(weights))["changed"]


@pytest.mark.parametrize(
    ("status", "said"),
    [([404], "answered 404"), ([401], "headers_file"), ([503, 503, 503], "failed 3 times .*503")],
)
def test_refusals(place: Place, shop: Shop, status: list[int], said: str) -> None:
    shop.status = list(status)
    with pytest.raises(SourceUnavailableError, match=said):
        place.run(src=f"{shop.url}/tiny.gguf", checksum=checksum(CONTENT))
    assert len(shop.requests) == len(status)
    assert not (place.model / "1").exists()


def test_a_busy_server_is_asked_again(place: Place, shop: Shop) -> None:
    shop.status = [503]
    assert place.run(src=f"{shop.url}/tiny.gguf", checksum=checksum(CONTENT))["changed"]


def test_a_token_is_sent_to_its_host_and_not_where_it_redirects(place: Place, shop: Shop, tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("# for the shop\nAuthorization: Bearer s3cret\n\n")
    entrance = Shop()
    entrance.redirect = f"{shop.url}/tiny.gguf"
    place.run(src=f"{entrance.url}/tiny.gguf", checksum=checksum(CONTENT), headers_file=str(headers))
    assert entrance.requests[0]["Authorization"] == "Bearer s3cret"
    assert "Authorization" not in shop.requests[0]
    entrance.server.shutdown()
    entrance.server.server_close()


def test_an_archive_is_unpacked_and_a_hostile_one_leaves_nothing(place: Place, shop: Shop, tmp_path: Path) -> None:
    for name, ok in (("good/a.bin", True), ("../../evil", False)):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
        shop.files["/model.tar.gz"] = packed.getvalue()
        options = {"src": f"{shop.url}/model.tar.gz", "checksum": checksum(packed.getvalue())}
        if ok:
            assert place.run(**options)["path"] == str(place.model / "1")
            assert tree(place.model / "1") == {"good/a.bin": b"abc"}
            kept = place.run(**options, version="whole", unarchive="never")
            assert kept["path"].endswith("/whole/model.tar.gz")
        else:
            with pytest.raises(InputError, match="outside"):
                place.run(**options, version="2")
            assert sorted(path.name for path in tmp_path.rglob("*evil*")) == []
            assert not (place.model / "2").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_owner(place: Place, weights: Path) -> None:
    place.run(src=str(weights))
    assert place.run(src=str(weights), owner="65534", check=True)["changed"]
    done = place.run(src=str(weights), owner="65534", group="65534")
    assert done["changed"]
    assert (done["fetched"], Path(done["path"]).stat().st_uid) == ("", 65534)
    assert not place.run(src=str(weights), owner="65534", group="65534")["changed"]


def test_runs_side_by_side_fetch_once(place: Place, shop: Shop) -> None:
    results: list[dict[str, Any]] = []
    options = {"src": f"{shop.url}/tiny.gguf", "checksum": checksum(CONTENT)}
    threads = [threading.Thread(target=lambda: results.append(place.run(**options))) for _unused in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result["changed"] for result in results) == [False, False, False, True]
    assert len(shop.requests) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "src and version are needed"),
        ({"src": "/nonexistent"}, "no such file"),
        ({"src": "http://host/x"}, "needs a checksum"),
        ({"src": "http://host/x", "checksum": "md5:abc"}, "not sha256:"),
        ({"src": "s3://b/x"}, "cannot fetch from s3"),
        ({"src": "/etc/hostname", "name": "../x"}, "directory's name"),
        ({"src": "/etc/hostname", "version": "../x"}, "directory's name"),
        ({"src": "/etc/hostname", "keep": -1}, "keep must not be negative"),
        ({"src": "/etc/hostname", "owner": "no-such-user"}, "no user 'no-such-user'"),
        ({"src": "/etc/hostname", "headers_file": "/nonexistent"}, "cannot read the headers"),
        ({"src": "/etc/hostname", "dest_root": "/dev/null"}, "cannot write here"),
        ({"src": "/etc/hostname", "min_free_gib": 1e9}, "GiB must stay free"),
    ],
)
def test_bad_input_is_one_clear_message(place: Place, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelOpsError, match=said):
        place.run(**options)


def test_run_by_ansible(place: Place, weights: Path) -> None:
    options = {"name": "chat", "version": "1", "src": str(weights), "dest_root": str(place.root), "min_free_gib": 0}
    planned = run_module("model_artifact", options, "--check", "--diff")
    assert planned["changed"]
    assert '"current": "1"' in planned["shown"]
    assert run_module("model_artifact", options)["changed"]
    assert not run_module("model_artifact", options)["changed"]
    failed = run_module("model_artifact", {**options, "checksum": checksum(b"x"), "version": "2"})
    assert failed["failed"]
    assert "nothing was installed" in failed["msg"]
