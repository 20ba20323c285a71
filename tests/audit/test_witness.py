"""Cosignatures: the format byte by byte, quorums, and a witness that never cosigns two histories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from kits.audit_kit import COORDINATOR, fill

from ringfence.audit.checkpoint import verify_checkpoint
from ringfence.audit.errors import NoteError, ProofError
from ringfence.audit.log import AuditLog
from ringfence.audit.merkle import leaf_hash
from ringfence.audit.note import MemorySigner, Verifier, parse_note, sign_note, verify_note
from ringfence.audit.witness import WitnessKey, add_cosignature, verify_cosigned

MakeLog = Callable[..., AuditLog]
SIGNERS = [MemorySigner() for _ in range(3)]
KEYS = [WitnessKey(name=f"witness.example/{n}", raw=signer.public.raw) for n, signer in enumerate(SIGNERS)]


@pytest.fixture
def log(make_log: MakeLog) -> AuditLog:
    made = make_log("coordinator", COORDINATOR)
    fill(made, 3)
    return made


def test_cosignature_is_laid_out_as_the_specification_says(log: AuditLog) -> None:
    note = add_cosignature(log.checkpoint(), name=KEYS[0].name, signer=SIGNERS[0], stamp=1_700_000_000)
    parsed = parse_note(note)
    line = parsed.signatures[1]
    raw = SIGNERS[0].public.raw
    assert line.key_id == sha256(KEYS[0].name.encode() + b"\n\x04" + raw).digest()[:4]
    assert len(line.value) == 8 + 64
    assert int.from_bytes(line.value[:8], "big") == 1_700_000_000
    message = b"cosignature/v1\ntime 1700000000\n" + parsed.text.encode()
    Ed25519PublicKey.from_public_bytes(raw).verify(line.value[8:], message)
    assert verify_note(note, [KEYS[0]])[1] == (KEYS[0],)


def test_time_is_part_of_what_is_signed(log: AuditLog) -> None:
    value = bytearray(
        parse_note(add_cosignature(log.checkpoint(), name="w", signer=SIGNERS[0], stamp=9))
        .signatures[1]
        .value
    )
    key = WitnessKey(name="w", raw=SIGNERS[0].public.raw)
    body = parse_note(log.checkpoint()).text.encode()
    key.check(body, bytes(value))
    value[7] ^= 1
    with pytest.raises(NoteError, match="RF-A036"):
        key.check(body, bytes(value))
    with pytest.raises(NoteError, match="RF-A036"):
        key.check(body, b"short")


def test_quorum_counts_different_known_witnesses(log: AuditLog) -> None:
    note = log.checkpoint()
    with pytest.raises(NoteError, match="RF-A122"):
        verify_cosigned(note, log.verifier, KEYS, 1)
    for key, signer in zip(KEYS[:2], SIGNERS[:2], strict=True):
        note = add_cosignature(note, name=key.name, signer=signer, stamp=1)
    assert verify_cosigned(note, log.verifier, KEYS, 2).size == 3
    for quorum, known in ((3, KEYS), (2, KEYS[1:]), (0, KEYS[2:])):
        with pytest.raises(NoteError, match="RF-A122"):
            verify_cosigned(note, log.verifier, known, quorum)
    twice = add_cosignature(note, name=KEYS[0].name, signer=SIGNERS[0], stamp=2)
    with pytest.raises(NoteError, match="RF-A122"):
        verify_cosigned(twice, log.verifier, KEYS, 3)
    alias = WitnessKey(name="witness.example/alias", raw=KEYS[0].raw)
    aliased = add_cosignature(note, name=alias.name, signer=SIGNERS[0], stamp=2)
    with pytest.raises(NoteError, match="RF-A122"):
        verify_cosigned(aliased, log.verifier, [*KEYS, alias], 3)


def test_a_logs_signature_is_no_cosignature(log: AuditLog) -> None:
    own = WitnessKey(name=log.origin, raw=log.verifier.raw)
    with pytest.raises(NoteError, match="RF-A122"):
        verify_cosigned(log.checkpoint(), log.verifier, [own], 1)


def test_a_witness_named_like_the_log_does_not_sign_for_it(log: AuditLog) -> None:
    namesake = WitnessKey(name=log.origin, raw=SIGNERS[0].public.raw)
    text = log.checkpoint().partition(b"\n\n")[0] + b"\n\n"
    stranger = MemorySigner()
    unsigned = sign_note(text[:-1].decode(), "stranger.example", stranger)
    note = add_cosignature(unsigned, name=log.origin, signer=SIGNERS[0], stamp=1)
    assert verify_note(note, [namesake])[1] == (namesake,)
    with pytest.raises(NoteError, match="RF-A043"):
        verify_cosigned(note, log.verifier, [namesake], 1)


def test_witness_cosigns_what_continues_and_nothing_else(log: AuditLog, make_log: MakeLog) -> None:
    holder = make_log("holder")
    first = holder.cosign(log.checkpoint(), log.verifier, name=KEYS[0].name, witness=SIGNERS[0])
    assert verify_cosigned(first, log.verifier, KEYS, 1).size == 3
    again = holder.cosign(log.checkpoint(), log.verifier, name=KEYS[0].name, witness=SIGNERS[0])
    assert verify_cosigned(again, log.verifier, KEYS, 1).size == 3
    fill(log, 2)
    with pytest.raises(ProofError):
        holder.cosign(log.checkpoint(), log.verifier, name=KEYS[0].name, witness=SIGNERS[0])
    grown = holder.cosign(
        log.checkpoint(), log.verifier, log.consistency(3), name=KEYS[0].name, witness=SIGNERS[0]
    )
    present = verify_cosigned(grown, log.verifier, KEYS, 1)
    forked = replace(present, root=leaf_hash(b"other")).sign(log._signer)
    assert verify_checkpoint(forked, [log.verifier]).size == 5
    with pytest.raises(ProofError):
        holder.cosign(forked, log.verifier, name=KEYS[0].name, witness=SIGNERS[0])
    assert [event.event.public["size"] for event in holder.events(action="checkpoint.anchored")] == [3, 5]


def test_key_has_one_text_form_and_is_no_log_key() -> None:
    key = KEYS[0]
    assert WitnessKey.parse(str(key)) == key
    plain = Verifier(name=key.name, raw=key.raw)
    assert plain != key
    with pytest.raises(NoteError, match="RF-A120"):
        WitnessKey.parse(str(plain))
    with pytest.raises(NoteError, match="RF-A034"):
        Verifier.parse(str(key))
    with pytest.raises(NoteError, match="RF-A121"):
        WitnessKey.parse(str(key).replace(key.key_id.hex(), "00000000"))
    with pytest.raises(NoteError, match="RF-A120"):
        WitnessKey.parse("x")
