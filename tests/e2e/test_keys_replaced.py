"""Keys are replaced between two studies: everything that pinned them follows, and old keys count no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kits.command_kit import (
    NAMES,
    read,
    refused,
)
from kits.federation_kit import enrol
from kits.key_kit import Houses, actions, founded, stock

from ringfence.audit.note import Verifier
from ringfence.audit.verification.verify import examine_bundle
from ringfence.clients.connections.membership import membership_of
from ringfence.privacy.crypto.keyfile import read_key
from ringfence.privacy.crypto.public_files import read_public
from ringfence.privacy.errors import BudgetError, KeyFault, WaistError
from ringfence.privacy.wire.fields import utc_now
from ringfence.privacy.wire.heads import sign_head


@pytest.fixture
def here(tmp_path: Path) -> Houses:
    return founded(tmp_path)


def test_keys_of_all_kinds_change_between_two_studies(here: Houses) -> None:
    stock(here)
    first = here.town.sign("first.signed.json")
    here.approve(first)
    assert here.run(first).holders == NAMES
    pending = here.town.sign("pending.signed.json", epsilon="0.7")
    papers = {
        ("north", "holder"): here.replace("north", "holder"),
        ("north", "log"): here.replace("north", "log"),
        ("desk", "coordinator"): here.replace("desk", "coordinator"),
        ("desk", "log"): here.replace("desk", "log"),
    }
    for (party, role), paper in papers.items():
        for name in ("desk", *NAMES):
            if name == party or (role == "log" and "desk" not in (name, party)):
                continue
            assert here.told(name, paper) == 0, (name, party, role)
    with pytest.raises(KeyFault, match="RF-K168"):
        here.run(pending)
    here.declare("north")
    second = here.town.sign("second.signed.json", epsilon="0.8")
    here.approve(second)
    with here.conductor(second) as opened:
        kept = opened.coordinator.registry.last(opened.opened.participants["north"])
        assert kept is not None, "what was seen of the holder stands under its new key"
    assert here.run(second).holders == NAMES
    bundle = here.bundle("evidence")
    pins = [here.log_key(name) for name in ("desk", *NAMES)]
    report = examine_bundle(bundle, trusted=pins)
    assert [str(fault.error) for fault in report.all_faults()] == []
    assert report.verdict == "intact", [str(gap.error) for gap in report.gaps]
    assert here.do("north", "log", "verify") == 0
    assert "key.replaced" in actions(here)
    assert "log.key_replaced" in actions(here)


def test_a_study_that_names_a_replaced_key_is_signed_anew(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    study = here.town.sign()
    paper = here.replace("north", "holder")
    assert here.told("desk", paper) == 0
    capsys.readouterr()
    refused(capsys, here.do("desk", "study", "submit", study), "RF-W431")
    with pytest.raises(KeyFault, match="RF-W431"), here.conductor(study):
        pass
    # A declaration with the retired key enters no study; the new one does, with nothing entered by hand.
    schema = here.root / "schema.toml"
    assert schema.exists()
    words = [word for name in NAMES for word in ("--declaration", here.root / f"{name}.json")]
    out = ("--out", here.root / "new.signed.json")
    capsys.readouterr()
    refused(capsys, here.do("desk", "study", "sign", here.root / "study.toml", *words, *out), "RF-S211")
    old = here.root / "north.json"
    refused(capsys, here.do("desk", "holder", "add", old, "--compared"), "RF-W433")
    here.declare("north")
    assert here.do("desk", "study", "sign", here.root / "study.toml", *words, *out) == 0
    # A peer that was told vouches for the new key; one that was not stays with the old one.
    assert here.told("south", paper) == 0
    for name, status in (("south", 0), ("west", 1)):
        assert here.do(name, "study", "check", here.root / "new.signed.json") == status


def test_a_house_has_one_identity_and_a_log_of_its_own(
    here: Houses, capsys: pytest.CaptureFixture[str]
) -> None:
    home = here.home("north")
    words = ("key", "sign", "holder", "--key", here.town.ana, "--federation", "city")
    refused(capsys, here.do("north", *words), "RF-U766", 2)
    house = here.root / "house"
    assert here.do("north", "key", "replace", "log", "--no-passphrase") == 0
    for person in (here.town.ana, here.town.ben):
        assert here.do("north", "key", "sign", "log", "--key", person) == 0
    assert here.do("north", "key", "enact", "log") == 0
    assert (home / "keys" / "log.1.key").exists()
    assert not here.file("north", "log", 1).exists(), "the federation's log has a key of its own"
    here.opens("north")
    assert here.do("north", "log", "export", house) == 0
    pins = [
        Verifier(name="ringfence/holder/north", raw=read_public(home / "keys" / "log.key.pub", "log").raw),
        here.log_key("north"),
    ]
    assert examine_bundle(house, trusted=pins).verdict == "intact"
    assert actions(here).count("key.replaced") == 1
    here.replace("north", "holder")
    assert actions(here).count("key.replaced") == 3, "both logs say that the identity changed"


def test_an_old_head_still_detects_a_rollback_and_a_stolen_key_makes_none(here: Houses) -> None:
    home = here.home("north")
    old = read_key(home / "keys" / "holder.key", "holder", None)
    assert here.do("north", "budget", "freeze", "--reason", "audit") == 0
    with here.holder("north") as holder:
        log, mark = holder.log.origin, holder.ledger.mark(holder.marks)
        head = sign_head(old, mark=mark, log=log)
        lost = sign_head(old, mark="ab" * 64, log=log)
        assert holder.own_head(head) == head, "while the key is in force"
    here.replace("north", "holder")
    with here.holder("north") as holder:
        assert holder.identity.public != old.public
        assert holder.own_head(head) == head
        holder.ledger.check_mark(holder.marks, head.mark)
        beyond = sign_head(old, mark=holder.ledger.mark(holder.marks), log=log)
        assert holder.own_head(beyond) == beyond, "of an entry under the old key"
        holder.ledger.freeze("one entry more")
        beyond = sign_head(old, mark=holder.ledger.mark(holder.marks), log=log)
        with pytest.raises(WaistError, match="RF-W430"):
            holder.own_head(beyond)
        with pytest.raises(WaistError, match="RF-W166"):
            holder.own_head(replace(head, mark=beyond.mark))
        new = sign_head(holder.identity, mark=beyond.mark, log=log)
        assert holder.own_head(new) == new
        with pytest.raises(BudgetError, match="RF-B312"):
            holder.ledger.check_mark(holder.marks, holder.own_head(lost).mark)


def test_a_holder_stays_admitted_and_can_enrol_anew(here: Houses) -> None:
    words = ("gateway", "make", "--address", "analytics.example:8443")
    assert here.do("desk", *words) == 0
    enrol(here.town, "north")
    for name, role, other in (("north", "holder", "desk"), ("desk", "coordinator", "north")):
        assert here.told(other, here.replace(name, role)) == 0

    def place() -> str:
        with here.holder("north") as holder:
            before = {
                *holder.chains.former("holder", holder.identity.public),
                *holder.chains.former("coordinator", holder.coordinator),
            }
            former = frozenset(key.hex for key in before)
            folder = membership_of(here.home("north"), "city", former)
            return folder.place(holder.coordinator, holder.identity.public, utc_now()).address

    assert place() == "analytics.example:8443"
    told = here.root / "holders.json"
    assert here.do("desk", "holders", "--json", told) == 0
    (admitted,) = read(told)["admitted"]
    now = read_public(here.home("north") / "keys" / "holder.1.key.pub", "holder")
    assert admitted["identity"] == now.hex
    for file in here.root.glob("north.*.json"):
        file.unlink()
    enrol(here.town, "north")
    assert place() == "analytics.example:8443"
