# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet's own CA: what it signs is believed by OpenSSL, and by nobody when it should not be."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import ssl
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls import authority, register, request
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.certificate import describe, examine
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.names import alternative_names, normal_name
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.office import Wish, visit

NOW = float(int(time.time()))  # OpenSSL's handshakes go by the clock
DAY = 86400.0
OPENSSL = shutil.which("openssl")
PASSPHRASES = ("a passphrase of the vault, new", "a passphrase of the vault, old")


def wish_of(csr: str, host: str = "gw1", *, names: tuple[str, ...] = ("gw1.example.org",), **more: Any) -> Wish:
    asked = {"host": host, "use": "gateway.pem", "csr": csr, "names": names, "purposes": ["server"], "days": 90.0}
    asked.update({name: more.pop(name) for name in ("days", "purposes") if name in more})
    return Wish(requests=(asked,), **more)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ca" / "authority.json")


def place(chain: str, target: str) -> None:
    Path(target).write_text(chain + request.read_waiting(request.waiting_key(target)))


def signed(path: str, target: str, *, now: float = NOW, **more: Any) -> register.Register:
    """One certificate asked for, signed and in place, for names of ``more``."""
    names = more.pop("names", ("gw1.example.org",))
    made = visit(path, wish_of(request.ask(target, names), names=names, **more), now=now, dry_run=False)
    place(made.signed[0]["chain"], target)
    assert made.register is not None
    return made.register


def test_what_it_signs_is_believed_for_its_names_and_no_others(path: str, tmp_path: Path) -> None:
    target = str(tmp_path / "gateway.pem")
    names = alternative_names(["GW1.Example.org.", "192.0.2.10", "2001:DB8:0::1"], where="")
    found = signed(path, target, names=names)
    held = examine(target, ca=found.trust, names=["gw1.example.org", "192.0.2.10", "2001:db8::1"], now=NOW + 60)
    assert held.not_after == NOW + 90 * DAY
    assert sorted(normal_name(name) for name in held.names) == sorted(names)
    with pytest.raises(InputError, match=r"not for gw2\.example\.org"):
        examine(target, ca=found.trust, names=["gw2.example.org"], now=NOW)
    with pytest.raises(InputError, match="expired"):
        examine(target, ca=found.trust, now=NOW + 91 * DAY)
    other = visit(str(tmp_path / "other" / "authority.json"), Wish(), now=NOW, dry_run=False).register
    assert other is not None
    with pytest.raises(InputError, match="does not come from the CA"):
        examine(target, ca=other.trust, now=NOW)


@pytest.mark.skipif(not OPENSSL, reason="openssl is not installed")
def test_openssl_holds_it_to_be_strictly_right_for_its_purpose_and_the_ca_makes_no_other(
    path: str, tmp_path: Path
) -> None:
    target = str(tmp_path / "gateway.pem")
    found = signed(path, target)
    (tmp_path / "ca.pem").write_text(found.trust)

    def verify(purpose: str) -> str:
        command = [str(OPENSSL), "verify", "-x509_strict", "-attime", str(int(NOW)), "-purpose", purpose]
        done = subprocess.run(
            [*command, "-CAfile", str(tmp_path / "ca.pem"), target], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    assert verify("sslserver").strip().endswith("OK")
    assert "purpose" in verify("sslclient")
    shown = subprocess.run(
        [str(OPENSSL), "x509", "-in", str(tmp_path / "ca.pem"), "-noout", "-text"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "CA:TRUE, pathlen:0" in shown and "Certificate Sign, CRL Sign" in shown


def test_the_ca_is_for_its_owner_alone_and_a_second_visit_changes_nothing(path: str) -> None:
    first = visit(path, Wish(), now=NOW, dry_run=False)
    assert len(first.done) == 1
    content = Path(path).read_bytes()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert visit(path, Wish(), now=NOW + DAY, dry_run=False).done == []
    assert Path(path).read_bytes() == content
    os.chmod(path, 0o644)
    assert visit(path, Wish(), now=NOW, dry_run=False).done == ["the file of the CA is for its owner alone"]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_directory_of_others_is_not_closed(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("")
    os.chmod(tmp_path, 0o755)
    with pytest.raises(InputError, match="holds passwd besides the CA"):
        register.make_directory(str(tmp_path / "authority.json"))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [one.name for one in tmp_path.iterdir()] == ["passwd"]


def test_check_mode_makes_nothing(path: str, tmp_path: Path) -> None:
    made = visit(path, Wish(), now=NOW, dry_run=True)
    assert made.register is None and len(made.done) == 1 and not os.path.exists(path)
    visit(path, Wish(), now=NOW, dry_run=False)
    content = Path(path).read_bytes()
    csr = request.ask(str(tmp_path / "gateway.pem"), ["gw1"])
    for wish in (wish_of(csr), Wish(replacement="trust"), Wish(passphrases=PASSPHRASES)):
        told = visit(path, wish, now=NOW, dry_run=True)
        assert told.done and not told.signed
        assert Path(path).read_bytes() == content


def test_a_passphrase_closes_the_key_is_replaced_and_never_shown(path: str, tmp_path: Path) -> None:
    csr = request.ask(str(tmp_path / "gateway.pem"), ["gw1"])
    visit(path, Wish(passphrases=PASSPHRASES[1:]), now=NOW, dry_run=False)
    assert "ENCRYPTED PRIVATE KEY" in Path(path).read_text()
    with pytest.raises(InputError, match="no passphrase was given"):
        visit(path, wish_of(csr), now=NOW, dry_run=False)
    with pytest.raises(InputError, match="no passphrase that was given opens it") as refused:
        visit(path, wish_of(csr, passphrases=("quite another passphrase",)), now=NOW, dry_run=False)
    assert "quite another" not in str(refused.value)
    assert visit(path, Wish(), now=NOW, dry_run=False).done == [], "whom to trust can be asked without it"
    assert visit(path, Wish(passphrases=PASSPHRASES), now=NOW, dry_run=False).done
    assert visit(path, wish_of(csr, passphrases=PASSPHRASES[:1]), now=NOW, dry_run=False).signed
    assert not any(one in Path(path).read_text() for one in PASSPHRASES)
    with pytest.raises(InputError, match="fewer than 16"):
        visit(path, Wish(passphrases=("short",)), now=NOW, dry_run=False)


def test_a_lost_ca_is_not_made_anew_unasked(path: str) -> None:
    with pytest.raises(InputError, match="there is no CA on this host"):
        visit(path, Wish(make=False), now=NOW, dry_run=False)
    Path(path).parent.mkdir()
    Path(path).write_text('{"kind": "authority", "schema_version": 1, "authorities": [], "issued": []}')
    with pytest.raises(InputError, match="damaged"):
        visit(path, Wish(), now=NOW, dry_run=False)
    Path(path).write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        visit(path, Wish(), now=NOW, dry_run=False)


def test_requests_that_prove_nothing_are_refused_and_nothing_is_signed(path: str, tmp_path: Path) -> None:
    csr = request.ask(str(tmp_path / "gateway.pem"), ["gw1"])
    visit(path, Wish(), now=NOW, dry_run=False)
    content = Path(path).read_bytes()
    lines = csr.splitlines()
    forged = "\n".join(
        [*lines[:-2], lines[-2][:-6] + ("AAAA" if lines[-2][-6:-2] != "AAAA" else "BBBB") + lines[-2][-2:]]
    )
    faults = {
        "no request": "hello", "has not its private key|no request": forged + "\n" + lines[-1] + "\n", "larger": "x" * 70_000,
    }  # fmt: skip
    for says, text in faults.items():
        with pytest.raises(InputError, match=says):
            visit(path, wish_of(text), now=NOW, dry_run=False)
    for names, says in (
        (("gw 1",), "neither a host name"),
        ((), "at least"),
        (tuple(f"h{n}" for n in range(101)), "101"),
    ):
        with pytest.raises(InputError, match=says):
            visit(path, wish_of(csr, names=names), now=NOW, dry_run=False)
    with pytest.raises(InputError, match="days"):
        visit(path, wish_of(csr, days=399.0), now=NOW, dry_run=False)
    with pytest.raises(InputError, match="no purpose"):
        visit(path, wish_of(csr, purposes=["mail"]), now=NOW, dry_run=False)
    assert Path(path).read_bytes() == content


def test_nothing_outlives_the_ca_and_an_ended_one_signs_no_more(path: str, tmp_path: Path) -> None:
    target = str(tmp_path / "gateway.pem")
    made = visit(path, wish_of(request.ask(target, ["gw1"])), now=NOW, dry_run=False)
    assert made.warnings == []
    short = str(tmp_path / "short" / "authority.json")
    csr = request.ask(target, ["gw1"])
    made = visit(short, dataclasses.replace(wish_of(csr), days=30.0), now=NOW, dry_run=False)
    assert made.signed[0]["not_after"] == format_moment(NOW + 30 * DAY)
    assert "replace it" in made.warnings[0]
    with pytest.raises(InputError, match="the CA ended at"):
        visit(short, wish_of(csr), now=NOW + 31 * DAY, dry_run=False)


def test_the_ca_is_replaced_in_three_steps_and_each_may_be_done_twice(path: str, tmp_path: Path) -> None:
    target = str(tmp_path / "gateway.pem")
    old = signed(path, target).trust

    def step(name: str) -> register.Register:
        found = [visit(path, Wish(replacement=name), now=NOW + 60, dry_run=False) for _number in range(2)]
        assert found[0].done and not found[1].done
        assert found[1].register is not None
        return found[1].register

    with pytest.raises(InputError, match="no CA to sign"):
        visit(path, Wish(replacement="sign"), now=NOW, dry_run=False)
    assert visit(path, Wish(replacement="drop"), now=NOW, dry_run=False).done == []
    both = step("trust")
    assert both.trust.startswith(old) and both.trust.count("BEGIN CERTIFICATE") == 2
    with pytest.raises(InputError, match="does not sign yet"):
        visit(path, Wish(replacement="drop"), now=NOW, dry_run=False)
    after = step("sign")
    assert after.trust.endswith(old)
    examine(target, ca=after.trust, now=NOW + 60)
    with pytest.raises(InputError, match=r"gateway\.pem of gw1 would be believed no more"):
        visit(path, Wish(replacement="drop"), now=NOW + 60, dry_run=False)
    with pytest.raises(InputError, match="a third would be too many"):
        visit(path, Wish(replacement="trust"), now=NOW + 60, dry_run=False)
    signing = after.with_standing("signing")
    assert signing is not None
    assert (
        "not come from"
        in request.look(target, names=["gw1.example.org"], ca=signing.certificate, renew_share=0.4, now=NOW + 60).reason
    )
    signed(path, target, now=NOW + 60)
    last = step("drop")
    assert last.trust == signing.certificate
    examine(target, ca=last.trust, now=NOW + 61)


def test_hosts_that_are_gone_hold_up_nothing(path: str, tmp_path: Path) -> None:
    signed(path, str(tmp_path / "gateway.pem"))
    for name in ("trust", "sign"):
        visit(path, Wish(replacement=name), now=NOW, dry_run=False)
    made = visit(path, Wish(replacement="drop", forget=("gw1",)), now=NOW, dry_run=False)
    assert made.register is not None and made.register.issued == () and len(made.register.authorities) == 1


def test_the_register_holds_the_latest_of_each_use_and_forgets_what_has_ended(path: str, tmp_path: Path) -> None:
    targets = [str(tmp_path / f"{number}.pem") for number in range(3)]
    for number, target in enumerate(targets):
        visit(path, wish_of(request.ask(target, ["a"]), f"gw{number}"), now=NOW, dry_run=False)
    made = visit(path, wish_of(request.ask(targets[0], ["a"]), "gw0"), now=NOW + 60, dry_run=False).register
    assert made is not None and [one.host for one in made.issued] == ["gw0", "gw1", "gw2"]
    made = visit(path, wish_of(request.ask(targets[0], ["a"]), "gw0"), now=NOW + 100 * DAY, dry_run=False).register
    assert made is not None and [one.host for one in made.issued] == ["gw0"]
    assert register.read_register(path) == made


def test_a_certificate_is_renewed_when_its_time_comes_or_its_names_change(path: str, tmp_path: Path) -> None:
    target = str(tmp_path / "gateway.pem")
    names = ("gw1.example.org",)

    def reason(*, wanted: tuple[str, ...] = names, now: float = NOW + 60) -> str:
        return request.look(target, names=wanted, ca=trust, renew_share=0.4, now=now).reason

    trust = ""
    assert reason() == "there is none"
    trust = signed(path, target).trust
    assert reason() == ""
    assert reason(wanted=("gw2.example.org",)) == "it holds for gw1.example.org"
    life = 90 * DAY + authority.BACKDATED_SECONDS
    assert reason(now=NOW + 90 * DAY - 0.4 * life - 1) == ""
    assert "days are left" in reason(now=NOW + 90 * DAY - 0.4 * life + 1)
    assert "expired" in reason(now=NOW + 91 * DAY)
    Path(target).write_text(Path(target).read_text()[:300])
    assert "no certificate chain" in reason()


def test_a_run_that_was_cut_off_asks_again_with_the_same_key_unless_others_could_read_it(tmp_path: Path) -> None:
    from cryptography import x509

    target = str(tmp_path / "gateway.pem")
    keys = []
    for mode in (0o600, 0o644, 0o600):
        csr = request.ask(target, ["gw1"])
        keys.append(x509.load_pem_x509_csr(csr.encode()).public_key().public_numbers())
        assert stat.S_IMODE(os.stat(request.waiting_key(target)).st_mode) == 0o600
        os.chmod(request.waiting_key(target), mode)
    assert keys[0] == keys[1] != keys[2]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.text(max_size=30), st.ip_addresses().map(str), st.from_regex(r"[a-z0-9.*_-]{1,40}", fullmatch=True)
        ),
        max_size=8,
    )
)
def test_names_are_taken_as_openssl_takes_them_or_refused_in_words(tmp_path: Path, given_names: list[str]) -> None:
    """Whatever the inventory calls a host: what passes is in the certificate, the same, and once."""
    try:
        names = alternative_names(given_names, where="names")
    except InputError as refused:
        assert refused.where == "names"
        return
    path, target = str(tmp_path / "ca" / "authority.json"), str(tmp_path / "one.pem")
    signed(path, target, names=names)
    assert sorted(normal_name(name) for name in describe(target).names) == list(names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(target)


STEPS = st.tuples(st.sampled_from(["trust", "sign", "drop", "issue"]), st.sampled_from(["a", "b", "c"]))


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_whatever_the_order_of_steps_what_is_in_use_is_trusted(steps: list[tuple[str, str]]) -> None:
    """A step is refused, or done once however often it is said; each certificate in use then comes from a trusted CA."""
    found = register.Register((_stub("one", register.SIGNING),))
    used: dict[str, str] = {}
    for number, (name, host) in enumerate(steps):
        signing = found.with_standing(register.SIGNING)
        assert signing is not None
        if name == "issue":
            used[host] = signing.fingerprint
            found = found.issue(register.Issued(host, "gateway.pem", "1", ("x",), NOW + DAY, signing.fingerprint), NOW)
            continue
        try:
            once = register.replaced(found, name, _stub(f"fresh {number}", register.NEXT), where="", now=NOW)
        except InputError:
            continue
        assert register.replaced(once, name, _stub("never", register.NEXT), where="", now=NOW) == once
        found = once
        trusted = {one.fingerprint for one in found.authorities}
        assert set(used.values()) <= trusted and len(trusted) <= 2


def _stub(name: str, standing: str) -> register.Authority:
    return register.Authority(f"certificate of {name}", f"key of {name}", standing, name)


def test_no_key_is_in_what_a_visit_tells(path: str) -> None:
    made = visit(path, Wish(), now=NOW, dry_run=False)
    key = json.loads(Path(path).read_text())["authorities"][0]["key"].splitlines()[1]
    assert key not in "\n".join([*made.done, *made.warnings])
