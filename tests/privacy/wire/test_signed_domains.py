"""What exactly is signed: every statement under a domain of its own, over bytes that are written out here.

A domain that is dropped, shared or changed verifies against itself; so the bytes are made again without the
product, and no statement's bytes can be another's.
"""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from kits.circle_kit import FIVE, five, vectors_of

from ringfence.privacy.crypto.identity import Identity
from ringfence.privacy.secagg.keys import SessionKeys, key_message
from ringfence.privacy.secagg.roster import roster_echo
from ringfence.privacy.wire.fields import digest_of, new_run_id
from ringfence.privacy.wire.heads import sign_head

DOMAINS = {
    "head": b"ringfence/ledger-head/v2\n",
    "survivors": b"ringfence/survivors-echo/v1\n",
    "roster": b"ringfence/roster-echo/v1\n",
    "keys": b"ringfence/key-message/v1\n",
    "ephemeral": b"ringfence/ephemeral-keys/v1\n",
    "envelope": b"ringfence/envelope/v1\n",
    "document": b"ringfence/contract/v1\n",
}


def statements() -> dict[str, tuple[Identity, dict[str, Any]]]:
    """One of each kind that is canonical JSON with a signature in it, and whose it is."""
    circle = five()
    bank = circle.members["bank"]
    circle.answers(vectors_of(FIVE, 3), FIVE)
    head = sign_head(bank.identity, mark="ab" * 64, log="bank.example/log")
    session = SessionKeys(holder="bank", study=digest_of(b"study"), run=new_run_id())
    return {
        "head": (bank.identity, {**head.to_json(), "log": "bank.example/log"}),
        "survivors": (bank.identity, circle.sign("bank", FIVE).to_json()),
        "roster": (bank.identity, roster_echo(bank.identity, bank.roster).to_json()),
        "keys": (bank.identity, key_message(bank.identity, session).to_json()),
        "ephemeral": (bank.identity, bank.message.to_json()),
    }


def test_a_statement_is_signed_under_its_domain_over_all_its_fields() -> None:
    for kind, (identity, body) in statements().items():
        signature = bytes.fromhex(body.pop("signature"))
        key = Ed25519PublicKey.from_public_bytes(identity.public.raw)
        key.verify(signature, DOMAINS[kind] + rfc8785.dumps(body))


@pytest.mark.parametrize("kind", DOMAINS)
def test_no_domain_begins_another(kind: str) -> None:
    others = [domain for name, domain in DOMAINS.items() if name != kind]
    assert not any(domain.startswith(DOMAINS[kind]) for domain in others)
