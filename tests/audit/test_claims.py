"""Statements about earlier states held against what was found, and the keys that count: without any files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from ringfence.audit import merkle
from ringfence.audit.checkpoint import Checkpoint
from ringfence.audit.errors import AuditError, NoteError
from ringfence.audit.note import MemorySigner, Verifier
from ringfence.audit.verification.claims import check_claims, gather_anchors, gather_copies, gather_given
from ringfence.audit.verification.logcheck import ANCHOR, COPY, GIVEN, HISTORY, Claim, LogCheck
from ringfence.audit.verification.report import LogReport
from ringfence.audit.verification.scan import Anchor, Scan
from ringfence.audit.verification.trust import TrustedKey, fingerprint, parse_trusted, read_trusted, verifiers

BANK, SHOP = "x.example/holder/bank", "x.example/holder/shop"
SIGNER = MemorySigner()
KEY = Verifier(name=BANK, raw=SIGNER.public.raw)
LEAVES = [merkle.leaf_hash(bytes([n])) for n in range(6)]
ROOTS = merkle.prefix_roots(b"".join(LEAVES), range(7))


def log(
    name: str = "bank",
    *,
    count: int = 6,
    origin: str = BANK,
    key: Verifier | None = KEY,
    authentic: bool = True,
) -> LogCheck:
    """A log of some events under its own signature."""
    made = LogCheck(name=name, path=Path(name), report=LogReport(name=name, origin=origin))
    made.scan = Scan(hashes=bytearray(b"".join(LEAVES[:count])))
    made.key, made.authentic = key, authentic
    if key is not None:
        made.signed = Checkpoint(origin=origin, size=count, root=ROOTS[count])
    return made


def claim(
    size: int, root: bytes | None = None, *, kind: str = GIVEN, place: str = "p", **more: object
) -> Claim:
    found = ROOTS[size] if root is None else root
    return Claim(size=size, root=found, kind=kind, place=place, **more)  # type: ignore[arg-type]


def checked(one: LogCheck, *claims: Claim, others: Sequence[LogCheck] = ()) -> list[tuple[str, int | None]]:
    one.claims.extend(claims)
    check_claims(
        one, ROOTS if one.count == 6 else merkle.prefix_roots(one.scan.hashes, range(7)), [one, *others]
    )
    return [(fault.error.code, fault.event) for fault in one.report.faults]


def codes(errors: Iterable[AuditError]) -> list[str]:
    return [error.code for error in errors]


def test_a_statement_that_agrees_shows_how_far_others_saw_the_log() -> None:
    one = log()
    agreed = [
        claim(3),
        claim(5),
        claim(4),
        claim(6, kind=HISTORY),
        claim(6, kind=COPY),
        claim(2, kind=ANCHOR, place="hub/anchors/x", by="hub"),
        claim(4, kind=ANCHOR, place="hub", by="hub", signed=False),
        claim(3, kind=ANCHOR, place="hub", by="hub", signed=False),
        claim(1, kind=ANCHOR, place="elsewhere"),
    ]
    assert checked(one, *agreed) == []
    assert one.report.fresh_to == 5
    assert one.report.anchored_to == {"hub": 4, "elsewhere": 1}
    assert log().report.fresh_to is None


def test_a_log_that_ends_before_what_it_signed_was_cut() -> None:
    assert checked(log(count=4), claim(5, ROOTS[5])) == [("RF-A094", 4)]
    assert checked(log(count=4), claim(4)) == []
    assert checked(log(count=4, authentic=False), claim(5, ROOTS[5])) == [("RF-A094", 4)]


def test_a_log_that_signed_another_state_of_as_many_events_shows_two_histories() -> None:
    one = log()
    kept = [claim(1), claim(3, kind=ANCHOR, signed=False), claim(2), claim(4, bytes(32)), claim(5)]
    assert checked(one, *kept) == [("RF-A095", None)]
    # From the largest size before it that the log signed and that holds.
    assert one.report.faults[0].error.values["low"] == 2
    assert checked(log(), claim(6, bytes(32))) == [("RF-A095", None)]
    # An altered log is a fault already; one without a signature is held against what it signed earlier.
    assert checked(log(authentic=False), claim(4, bytes(32))) == []
    assert checked(log(key=None, authentic=False), claim(4, bytes(32))) == [("RF-A095", None)]


def test_a_mere_word_accuses_the_log_that_says_it() -> None:
    hub, other = log("hub", origin="x.example/hub"), log("other", origin="x.example/other")
    word = claim(4, bytes(32), kind=ANCHOR, signed=False, by="hub", event=3)
    assert checked(log(), word, others=[hub, other]) == []
    assert [(fault.error.code, fault.event) for fault in hub.report.faults] == [("RF-A223", 3)]
    assert hub.report.faults[0].error.values["place"] == "bank"
    assert other.report.faults == []
    # Beyond its end, too: nothing that the log signed says so.
    hub = log("hub", origin="x.example/hub")
    assert checked(log(count=4), replace(word, size=5), others=[hub]) == []
    assert codes(fault.error for fault in hub.report.faults) == ["RF-A223"]
    # An altered log explains the difference itself; a signature over the same state tells by itself.
    hub = log("hub", origin="x.example/hub")
    assert checked(log(authentic=False), word, others=[hub]) == []
    assert checked(log(), word, claim(4, bytes(32)), others=[hub]) == [("RF-A095", None)]
    assert hub.report.faults == []


def test_what_is_given_is_held_against_the_log_it_speaks_of() -> None:
    one, other = log(), log("shop", origin=SHOP, key=Verifier(name=SHOP, raw=MemorySigner().public.raw))
    note = Checkpoint(origin=BANK, size=3, root=ROOTS[3]).sign(SIGNER)
    assert list(gather_given([one, other], {"note": note})) == []
    assert one.claims == [claim(3, place="note")]
    assert other.claims == []
    strange = Checkpoint(origin="x.example/else", size=3, root=ROOTS[3]).sign(SIGNER)
    forged = Checkpoint(origin=BANK, size=3, root=ROOTS[3]).sign(MemorySigner())
    assert codes(gather_given([one], {"a": strange, "b": forged, "c": b"", "d": note})) == [
        "RF-A100",
        "RF-A043",
        "RF-A041",
    ]
    assert len(one.claims) == 2


def anchoring(name: str, *anchors: Anchor) -> LogCheck:
    made = log(name, origin=f"x.example/{name}")
    made.scan.anchors = list(anchors)
    return made


def test_two_anchors_of_one_size_agree_or_are_told() -> None:
    good, bad = (Anchor(origin=BANK, size=3, root=root, event=5) for root in (ROOTS[3], bytes(32)))
    bank = log()
    hub = anchoring("hub", good, replace(good, event=6), replace(good, size=4, root=ROOTS[4]))
    assert list(gather_anchors([bank, hub])) == []
    assert hub.report.faults == []
    assert bank.claims == [
        claim(3, kind=ANCHOR, place="hub", signed=False, by="hub", event=5),
        claim(3, kind=ANCHOR, place="hub", signed=False, by="hub", event=6),
        claim(4, kind=ANCHOR, place="hub", signed=False, by="hub", event=5),
    ]
    # One log that contradicts itself, whether the log it speaks of is here or not.
    for logs in ([], [log()]):
        hub = anchoring("hub", good, replace(bad, event=7))
        assert list(gather_anchors([*logs, hub])) == []
        assert [(fault.error.code, fault.event) for fault in hub.report.faults] == [("RF-A101", 7)]
    # Two logs that contradict each other over one that is not here; over one that is, it tells.
    pair = [anchoring("hub", good), anchoring("spoke", bad)]
    assert codes(gather_anchors(pair)) == ["RF-A224"]
    assert list(gather_anchors([log(), *pair])) == []
    assert list(gather_anchors([anchoring("hub", good), anchoring("spoke", replace(bad, origin=SHOP))])) == []


def test_copies_of_one_log_are_held_against_each_other() -> None:
    one, other = log("a"), log("b", count=4)
    assert list(gather_copies([one, other, log("shop", origin=SHOP)])) == []
    assert one.claims == [claim(4, kind=COPY, place="b")]
    assert other.claims == [claim(6, kind=COPY, place="a")]
    assert [len(each.report.notices) for each in (one, other)] == [1, 1]
    stranger = log("c", key=Verifier(name=BANK, raw=MemorySigner().public.raw))
    assert codes(gather_copies([log("a"), stranger])) == ["RF-A225"]
    assert stranger.claims == []
    assert list(gather_copies([log("a"), log("b", key=None)])) == []


# --- keys ------------------------------------------------------------------------------------------------

PRINT = "ed25519:" + sha256(KEY.raw).hexdigest()[:32]
OTHER = Verifier(name=BANK, raw=MemorySigner().public.raw)


def test_the_three_forms_of_a_key() -> None:
    assert fingerprint(KEY.raw) == PRINT
    whole = TrustedKey(text=str(KEY), fingerprint=PRINT, raw=KEY.raw, name=BANK)
    assert parse_trusted(f"{KEY}\n") == TrustedKey.of(KEY) == whole
    bare = TrustedKey(text=KEY.raw.hex(), fingerprint=PRINT, raw=KEY.raw)
    for rest in ("", "\n", "\n#", "\n# log", f"\n# log {PRINT}\n", "\nlog"):
        assert parse_trusted(f" {KEY.raw.hex()}{rest}") == bare
    assert parse_trusted(f"{PRINT}\n") == TrustedKey(text=PRINT, fingerprint=PRINT)
    for text in (f"{PRINT}\nmore", PRINT[:-1], f"{PRINT}0", PRINT.upper(), ""):
        with pytest.raises(NoteError, match="RF-A034"):
            parse_trusted(text)
    with pytest.raises(NoteError) as caught:
        parse_trusted(f"{KEY.raw.hex()}\n# approver")
    assert (caught.value.code, caught.value.values["found"]) == ("RF-A228", "approver")


def test_a_key_is_read_from_a_command_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_text(f"{KEY}\n")
    assert read_trusted(str(tmp_path / "a.pub")) == read_trusted(str(KEY)) == TrustedKey.of(KEY)
    for text in ("\0", "x" * 5000, str(tmp_path)):
        with pytest.raises(NoteError):
            read_trusted(text)


def test_a_key_is_this_one_by_all_that_is_known_of_it() -> None:
    whole = TrustedKey.of(KEY)
    assert whole.is_key(KEY)
    assert not whole.is_key(OTHER)
    assert not whole.is_key(Verifier(name=SHOP, raw=KEY.raw))
    for known in (
        TrustedKey(text="", fingerprint=PRINT),
        TrustedKey(text="", fingerprint=PRINT, raw=KEY.raw),
    ):
        assert known.is_key(KEY)
        assert known.is_key(Verifier(name=SHOP, raw=KEY.raw))
        assert not known.is_key(OTHER)
    # A fingerprint that does not belong to its key counts for neither.
    mixed = TrustedKey(text="", fingerprint=PRINT, raw=OTHER.raw)
    assert not mixed.is_key(KEY)
    assert not mixed.is_key(OTHER)


def test_the_keys_that_may_sign_for_a_log() -> None:
    whole, bare = TrustedKey.of(KEY), TrustedKey(text="", fingerprint=PRINT, raw=KEY.raw)
    by_print = TrustedKey(text="f", fingerprint=PRINT)
    assert verifiers([whole], BANK) == verifiers([bare], BANK) == [KEY]
    assert (verifiers([whole], SHOP), verifiers([], BANK)) == ([], [])
    assert verifiers([bare], SHOP) == [Verifier(name=SHOP, raw=KEY.raw)]
    assert verifiers([by_print, TrustedKey.of(OTHER), whole], BANK) == [OTHER, KEY]
    for keys in ([by_print], [by_print, TrustedKey.of(Verifier(name=SHOP, raw=KEY.raw))]):
        with pytest.raises(NoteError) as caught:
            verifiers(keys, BANK)
        assert (caught.value.code, caught.value.values["key"]) == ("RF-A230", "f")
    assert verifiers([replace(by_print, name=SHOP)], BANK) == []
