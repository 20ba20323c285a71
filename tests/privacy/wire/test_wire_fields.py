"""Every type a field may have, at its bounds: the longest that is taken and one more that is not."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Annotated, Any

import pytest

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.wire.fields import (
    NAME_RULE,
    AtMost,
    Digest,
    Kind,
    Name,
    Nonce,
    NoteText,
    Number,
    NumberRule,
    PublicKey,
    Record,
    RunId,
    SealedHex,
    ShareHex,
    SignatureHex,
    SignedText,
    Turn,
    digest_of,
    field_types,
    new_nonce,
    new_run_id,
)
from ringfence.privacy.wire.heads import LedgerHead, LogPosition, sign_head, verify_head

HEX = "0123456789abcdef"
ROOT = "A" * 43 + "="


def note(
    *, origin: str = "log.example/a", size: str = "3", root: str = ROOT, lines: int = 1, by: str = "BBBB"
) -> str:
    return f"{origin}\n{size}\n{root}\n\n" + f"\u2014 log.example/a {by}\n" * lines


# Type, the kind it is refused as, what is taken, what is not.
TEXTS: dict[str, tuple[Any, str, list[str], list[object]]] = {
    "name": (
        Name,
        "name",
        ["a", "ä", "银行", "a b", "a" * 128, "银" * 85, "a.b:c@d/e+f-g_1", "0", "a."],
        ["", " a", "a ", "a\n", "a\tb", "*", ".a", "a" * 129, "银" * 86, "a\ud800", 1, None, b"a"],
    ),
    "kind": (
        Kind,
        "kind",
        ["a", "a" * 32, "a-", "masked-update"],
        ["", "-a", "A", "a1", "a_b", "a" * 33, "a\n", "aé"],
    ),
    "digest": (
        Digest,
        "digest",
        ["sha256:" + HEX * 4],
        ["sha256:" + HEX * 4 + "0", "sha256:" + "g" * 64, HEX * 4, "sha256:" + "A" * 64, "md5:" + HEX * 4, 1],
    ),
    "run id": (RunId, "run id", [HEX * 2], [HEX * 2 + "0", HEX, "A" * 32, "g" * 32]),
    "nonce": (Nonce, "nonce", [HEX * 4], [HEX * 4 + "0", HEX * 2, "A" * 64]),
    "key": (PublicKey, "key", [HEX * 4], [HEX * 4 + "0", HEX * 2, "A" * 64]),
    "signature": (SignatureHex, "signature", [HEX * 8], [HEX * 8 + "0", HEX * 4, "A" * 128]),
    "share": (ShareHex, "share", ["0" * 132], ["0" * 131, "0" * 133, "A" * 132]),
    "sealed share": (SealedHex, "sealed share", ["0" * 320], ["0" * 319, "0" * 321, "A" * 320]),
    "signed document": (
        SignedText,
        "signed document",
        ["{}", ' {"a":\n1}\n', "{" + "x" * ((1 << 18) - 2) + "}"],
        ["", "[]", "{", "x{}", "{" + "x" * ((1 << 18) - 1) + "}", "{" + "é" * (1 << 17) + "}"],
    ),
    "signed checkpoint": (
        NoteText,
        "signed checkpoint",
        [
            note(),
            note(size="0"),
            note(size="9" * 16),
            note(origin="a" * 128),
            note(lines=16),
            note(by="B" * 256 + "=="),
        ],
        [
            note(lines=0),
            note(lines=17),
            note(size="03"),
            note(size="9" * 17),
            note(size=""),
            note(origin="a" * 129),
            note(origin="a b"),
            note(origin="a+b"),
            note(origin=""),
            note(root="A" * 44),
            note(root="A" * 42 + "="),
            note()[:-1],
            note() + "\n",
            "x" + note() + "x",
            note(by="BBB"),
            note(by="B" * 257),
            note(by="BBBB==="),
            note().replace("\u2014", "-"),
        ],
    ),
}


def accepts(hint: Any, value: object) -> bool:
    return bool(hint.__metadata__[0].accepts(value))


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_taken_in_its_form_up_to_its_length(name: str) -> None:
    hint, kind, good, bad = TEXTS[name]
    assert hint.__metadata__[0].kind == kind
    assert [value for value in good if not accepts(hint, value)] == []
    assert [value for value in bad if accepts(hint, value)] == []


def test_a_long_text_is_weighed_in_bytes() -> None:
    """A note of 16 KiB is the longest, whatever its lines are."""
    assert NoteText.__metadata__[0].max_bytes == 1 << 14  # type: ignore[attr-defined]
    assert NAME_RULE.max_bytes == 256
    assert not NAME_RULE.accepts("x" * 100_000)


@pytest.mark.parametrize(("hint", "high"), [(Number, (1 << 53) - 1), (Turn, (1 << 31) - 1)])
def test_a_number_is_whole_and_in_its_range(hint: Any, high: int) -> None:
    assert all(accepts(hint, value) for value in (0, 1, high))
    assert not any(accepts(hint, value) for value in (-1, high + 1, True, False, 1.0, "1", None))
    assert NumberRule(low=2, high=2).accepts(2)
    assert NumberRule.kind == "number"


def test_ids_and_nonces_are_drawn_anew_in_full() -> None:
    runs, nonces = {new_run_id() for _ in range(8)}, {new_nonce() for _ in range(8)}
    assert (len(runs), len(nonces)) == (8, 8)
    assert all(accepts(RunId, run) for run in runs)
    assert all(accepts(Nonce, nonce) for nonce in nonces)
    assert digest_of(b"x") == "sha256:" + hashlib.sha256(b"x").hexdigest()


# --- records ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inner(Record):
    name: Name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outer(Record):
    count: Turn
    nonce: Nonce | None
    inner: Inner
    others: Annotated[tuple[Inner, ...], AtMost(2)]
    names: Annotated[tuple[Name, ...], AtMost(1)]


A, B = Inner(name="a"), Inner(name="b")
OUTER = Outer(count=1, nonce=None, inner=A, others=(A, B), names=("x",))
JSON = {
    "count": 1,
    "nonce": None,
    "inner": {"name": "a"},
    "others": [{"name": "a"}, {"name": "b"}],
    "names": ["x"],
}


def test_a_record_is_one_object_and_is_read_back() -> None:
    assert OUTER.to_json() == JSON
    assert Outer.from_json(JSON) == OUTER
    full = JSON | {"nonce": "0" * 64, "others": [], "names": []}
    assert Outer.from_json(full).to_json() == full
    assert list(field_types(Outer)) == ["count", "nonce", "inner", "others", "names"]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"count": -1}, "RF-W101", "Outer.count"),
        ({"nonce": "0"}, "RF-W101", "Outer.nonce"),
        ({"nonce": 0}, "RF-W101", "Outer.nonce"),
        ({"inner": {"name": ""}}, "RF-W101", "Inner.name"),
        ({"inner": {}}, "RF-W103", None),
        ({"inner": {"name": "a", "more": 1}}, "RF-W103", None),
        ({"inner": None}, "RF-W103", None),
        ({"inner": [{"name": "a"}]}, "RF-W103", None),
        ({"others": [{"name": "a"}] * 3}, "RF-W101", "list"),
        ({"others": {"name": "a"}}, "RF-W101", "list"),
        ({"others": "a"}, "RF-W101", "list"),
        ({"others": [None]}, "RF-W103", None),
        ({"names": ["x", "y"]}, "RF-W101", "list"),
        ({"names": [" "]}, "RF-W101", "Outer.names"),
        ({"more": 1}, "RF-W103", None),
    ],
)
def test_a_field_of_another_form_is_refused(change: dict[str, Any], code: str, field: str | None) -> None:
    with pytest.raises(WaistError) as caught:
        Outer.from_json(JSON | change)
    assert (caught.value.code, caught.value.values.get("field")) == (code, field)


@pytest.mark.parametrize("missing", JSON)
def test_a_record_has_all_its_fields(missing: str) -> None:
    with pytest.raises(WaistError) as caught:
        Outer.from_json({name: value for name, value in JSON.items() if name != missing})
    assert (caught.value.code, caught.value.values["record"]) == ("RF-W103", "Outer")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"others": [A]}, "list of at most 2"),
        ({"others": (A, B, A)}, "list of at most 2"),
        ({"others": ("a",)}, "Inner"),
        ({"inner": "a"}, "Inner"),
        ({"inner": OUTER}, "Inner"),
        ({"count": True}, "number"),
        ({"names": ("",)}, "name"),
    ],
)
def test_what_a_receiver_would_refuse_is_not_made(change: dict[str, Any], kind: str) -> None:
    with pytest.raises(WaistError) as caught:
        dataclasses.replace(OUTER, **change)
    assert (caught.value.code, caught.value.values["kind"]) == ("RF-W101", kind)


# --- where a ledger and a log stand ----------------------------------------------------------------------


def test_a_ledger_head_is_a_mark_signed_for_whoever_is_shown_a_log() -> None:
    holder, other, log = Identity.generate(), Identity.generate(), "bank.example/log"
    head = sign_head(holder, mark="ab" * 64, log=log)
    assert head.mark == "ab" * 64
    body = b'{"log":"bank.example/log","mark":"' + b"ab" * 64 + b'"}'
    holder.public.verify(bytes.fromhex(head.signature), b"ringfence/ledger-head/v2\n" + body)
    assert verify_head(head, holder.public, log) is head
    for change in ({"mark": "ac" * 64}, {"signature": "0" * 128}):
        with pytest.raises(WaistError, match="RF-W166"):
            verify_head(dataclasses.replace(head, **change), holder.public, log)
    for key, shown in ((other.public, log), (holder.public, "bank.example/other")):
        with pytest.raises(WaistError, match="RF-W166"):
            verify_head(head, key, shown)
    assert set(field_types(LedgerHead)) == {"mark", "signature"}, "no number, no hash"
    assert set(field_types(LogPosition)) == {"size", "root"}
