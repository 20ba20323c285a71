"""A letter is opened by its recipient alone, and believed of its sender alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.crypto.sealing import SealingKey, seal_to
from ringfence.privacy.errors import RingfenceError, WaistError
from ringfence.privacy.wire.letters import (
    KEY_DAYS,
    MAGIC,
    SEALED_BYTES,
    Greeting,
    addressed_to,
    greeting,
    open_letter,
    require_valid,
    seal_letter,
)

ENVELOPE = b"RFW1 as if it were one" * 10
NOW = datetime(2026, 6, 1, tzinfo=UTC)
COORDINATOR, BANK, SHOP = (Identity.generate(kind) for kind in ("coordinator", "holder", "holder"))


def info_of(sender: Identity, recipient: Identity) -> bytes:
    return f"ringfence/letter/v2\n{sender.public.fingerprint}\n{recipient.public.fingerprint}\n".encode()


def code_of(data: bytes, key: SealingKey, *, sender: Identity = COORDINATOR, own: Identity = BANK) -> str:
    with pytest.raises(RingfenceError) as caught:
        open_letter(data, key=key, sender=sender.public, own=own.public, max_bytes=1000)
    return caught.value.code


def letter_to(key: SealingKey, *, sender: Identity = COORDINATOR, to: Identity = BANK) -> bytes:
    return seal_letter(ENVELOPE, identity=sender, recipient=to.public, key=key.public)


def test_a_letter_opens_for_its_recipient_and_names_its_key() -> None:
    key = SealingKey()
    data = letter_to(key)
    assert addressed_to(data) == key.id
    assert len(data) == len(ENVELOPE) + SEALED_BYTES
    assert ENVELOPE[:8] not in data
    opened = open_letter(data, key=key, sender=COORDINATOR.public, own=BANK.public, max_bytes=len(ENVELOPE))
    assert opened == ENVELOPE


def test_whoever_else_has_a_key_opens_nothing() -> None:
    key = SealingKey()
    data = letter_to(SealingKey())
    assert code_of(data, key) == "RF-W318"
    assert code_of(MAGIC + key.id + data[len(MAGIC) + 32 :], key) == "RF-W312"


def test_a_letter_in_anothers_name_is_not_believed() -> None:
    """A registered node seals to the coordinator's public key whatever it likes, but signs as itself."""
    key = SealingKey()
    forged = letter_to(key, sender=SHOP)
    assert code_of(forged, key) == "RF-W312", "sealed as the shop's"
    info = (
        b"ringfence/letter/v2\n" + f"{COORDINATOR.public.fingerprint}\n{BANK.public.fingerprint}\n".encode()
    )
    for inner in (SHOP.sign(info + key.id + ENVELOPE) + ENVELOPE, bytes(64) + ENVELOPE, bytes(64)):
        assert code_of(MAGIC + key.id + seal_to(key.public, inner, info=info), key) == "RF-W313"


def test_a_recipient_cannot_pass_a_letter_on_as_the_senders() -> None:
    """The bank opens the coordinator's letter and seals the same signature and envelope to the shop's key."""
    key, shop = SealingKey(), SealingKey()
    data = letter_to(key)
    inner = key.open(data[len(MAGIC) + 32 :], info=info_of(COORDINATOR, BANK))
    info = (
        b"ringfence/letter/v2\n" + f"{COORDINATOR.public.fingerprint}\n{SHOP.public.fingerprint}\n".encode()
    )
    passed_on = MAGIC + shop.id + seal_to(shop.public, inner, info=info)
    assert code_of(passed_on, shop, own=SHOP) == "RF-W313"


def test_the_signature_names_the_recipients_key() -> None:
    """The same recipient with another key of its own: a letter of one run is none of the next."""
    key, later = SealingKey(), SealingKey()
    info = (
        b"ringfence/letter/v2\n" + f"{COORDINATOR.public.fingerprint}\n{BANK.public.fingerprint}\n".encode()
    )
    inner = key.open(letter_to(key)[len(MAGIC) + 32 :], info=info)
    assert code_of(MAGIC + later.id + seal_to(later.public, inner, info=info), later) == "RF-W313"


def test_too_large_too_short_and_another_version_are_refused() -> None:
    key = SealingKey()
    data = letter_to(key)
    with pytest.raises(WaistError) as caught:
        open_letter(data, key=key, sender=COORDINATOR.public, own=BANK.public, max_bytes=len(ENVELOPE) - 1)
    assert caught.value.code == "RF-W110"
    assert code_of(data[: SEALED_BYTES - 1], key) == "RF-W311"
    assert code_of(b"RFL1" + data[4:], key) == "RF-W311"
    assert code_of(data[:-1], key) == "RF-W312"
    assert code_of(data[:4] + bytes([data[4] ^ 1]) + data[5:], key) == "RF-W318"


def test_a_greeting_certifies_a_key_for_some_days() -> None:
    key = SealingKey()
    said = greeting(key, "ab" * 32, NOW)
    assert Greeting.from_json(said.to_json()) == said
    for moment in (NOW, NOW + timedelta(days=KEY_DAYS, seconds=-1), NOW - timedelta(minutes=59)):
        assert require_valid(said, moment) == key.public


@pytest.mark.parametrize("off", [timedelta(days=KEY_DAYS), timedelta(days=8), timedelta(days=-1)])
def test_a_key_that_ended_or_lives_too_long_by_this_clock_is_not_used(off: timedelta) -> None:
    said = greeting(SealingKey(), "ab" * 32, NOW)
    with pytest.raises(WaistError) as caught:
        require_valid(said, NOW + off)
    assert caught.value.code == "RF-W310"
    assert "clocks" in caught.value.sentence()
