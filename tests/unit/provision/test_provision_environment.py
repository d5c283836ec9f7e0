"""Engine environments: made whole or made again, side by side, never turned into something else.

The environments are real, made by the Python that runs the tests. Their one package is a wheel
written here, with the hash computed from its bytes.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.environment import (
    Environment,
    Outcome,
    install,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.lock import parse_lock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.pip import (
    Installer,
    without_passwords,
)


def wheel(directory: Path, version: str) -> str:
    """A wheel of the package ``served`` with one module; returns its line in a lock file."""
    directory.mkdir(exist_ok=True)
    path, info = directory / f"served-{version}-py3-none-any.whl", f"served-{version}.dist-info"
    files = {
        "served.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: served\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    return f"served=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    return tmp_path / "wheels"


def environment(wheelhouse: Path, version: str, *, lock: str = "") -> Environment:
    return Environment(
        name="engine",
        version=version,
        lock=parse_lock(lock or wheel(wheelhouse, version), where="a lock file"),
        root=str(wheelhouse.parent / "engines"),
        installer=Installer(python=sys.executable, find_links=[str(wheelhouse)], no_index=True),
    )


def make(
    one: Environment, *, switch: bool = True, keep: int = 3, dry: bool = False, users: tuple[str, ...] = ()
) -> Outcome:
    return install(one, switch=switch, keep=keep, users=list(users), dry=dry)


def answer(python: str) -> str:
    import subprocess

    return subprocess.run(
        [python, "-c", "import served; print(served.version)"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_versions_stand_side_by_side_and_the_link_follows(wheelhouse: Path) -> None:
    one, two = environment(wheelhouse, "1.0"), environment(wheelhouse, "2.0")
    said = make(one, dry=True)
    assert said.packages == {"served": "1.0"} and not os.path.exists(one.root)
    assert make(one).actions == said.actions
    assert make(one).actions == []
    assert make(two).actions[-1] == f"switched {two.link} to engine-2.0 from engine-1.0"
    assert [answer(one.python), answer(two.python), answer(f"{one.link}/bin/python")] == ["1.0", "2.0", "2.0"]
    assert make(one, switch=False).actions == []


def test_what_is_damaged_is_put_back_and_what_was_not_finished_is_made_again(wheelhouse: Path) -> None:
    one = environment(wheelhouse, "1.0")
    make(one)
    module = next(Path(one.path).glob("lib/python3*/site-packages/served.py"))
    module.unlink()
    assert make(one, dry=True).actions == [f"put back served in {one.path}"]
    assert not module.exists()
    assert make(one).actions == [f"put back served in {one.path}"]
    assert answer(one.python) == "1.0"
    (Path(one.path) / "environment.json").unlink()  # as a run that was killed leaves it
    assert make(one).actions == [f"made {one.path} with 1 locked packages"]
    assert answer(one.python) == "1.0"
    assert make(one).actions == []


def test_another_lock_under_the_same_version_is_refused(wheelhouse: Path) -> None:
    make(environment(wheelhouse, "1.0"))
    other = environment(wheelhouse, "1.0", lock=wheel(wheelhouse, "1.1"))
    with pytest.raises(InputError, match="made from another lock file"):
        make(other)


def test_the_oldest_go_unless_a_service_names_them(wheelhouse: Path, tmp_path: Path) -> None:
    newest = environment(wheelhouse, "4.0")
    older = [Path(newest.root) / f"engine-{number}.0" for number in (1, 2, 3)]
    for age, path in enumerate(older):
        path.mkdir(parents=True)
        os.utime(path, (1e9 + age, 1e9 + age))
    unit = tmp_path / "replica.service"
    unit.write_text(f"ExecStart={older[0]}/bin/python serve\n")
    kept = make(newest, keep=1, users=(f"{tmp_path}/*.service",))
    assert kept.removed == [str(older[1])]
    assert [path.exists() for path in older] == [True, False, True]


def test_a_wrong_hash_installs_nothing_and_says_so(wheelhouse: Path) -> None:
    wheel(wheelhouse, "1.0")
    one = environment(wheelhouse, "1.0", lock=f"served==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ModelOpsError, match=r"HASHES|hash"):
        make(one)
    assert one.receipt() is None and not os.path.exists(one.link)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("served>=1.0 --hash=sha256:00\n", "not pinned"),
        ("served==1.0\n", "has no hash"),
        ("--index-url https://example.org\nserved==1.0 --hash=sha256:00", "pinned packages alone"),
        ("# nothing\n", "names no package"),
    ],
)
def test_a_lock_file_pins_and_hashes_everything(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_lock(text, where="a lock file")


def test_layout_and_comments_are_not_part_of_what_a_lock_says() -> None:
    plain = parse_lock("a==1 --hash=sha256:1\nb==2 --hash=sha256:2\n", where="x")
    other = parse_lock("# by hand\nb==2 \\\n    --hash=sha256:2\n    # via a\na==1 \\\n --hash=sha256:1\n", where="x")
    assert plain.digest == other.digest
    assert parse_lock("a==1 --hash=sha256:3\n", where="x").digest != plain.digest


@pytest.mark.parametrize("version", ["../up", "a/b", "", "1 2", "-1"])
def test_a_version_names_one_plain_directory(wheelhouse: Path, version: str) -> None:
    wheel(wheelhouse, "1.0")
    with pytest.raises(InputError, match="engine version"):
        make(environment(wheelhouse, version, lock="served==1.0 --hash=sha256:00"))


def test_passwords_of_an_index_are_not_repeated() -> None:
    assert without_passwords("at https://me:secret@pypi.example/simple") == "at https://***@pypi.example/simple"
