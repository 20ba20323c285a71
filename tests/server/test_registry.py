"""What the coordinator remembers of holders: heads never go back, and a log stays the one it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine
from sqlalchemy.schema import CreateTable

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.errors import WaistError
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.wire.heads import LedgerHead, LogPosition, sign_head
from ringfence.server.registry import HOLDERS, HolderLog, HolderRegistry

pytestmark = pytest.mark.usefixtures("each_database")

BANK, PARTNER = Identity.generate("bank"), Identity.generate("partner")
LOG, OTHER = (Identity.generate("log").public for _ in range(2))


def head(sequence: int, digit: str = "a", signer: Identity = BANK) -> LedgerHead:
    return sign_head(signer, sequence=sequence, entry_hash=digit * 64)


def log(origin: str = "bank.example/log", key: PublicIdentity = LOG, size: int = 7) -> HolderLog:
    return HolderLog(origin=origin, key=key, position=LogPosition(size=size, root="sha256:" + "c" * 64))


@pytest.fixture
def registry() -> HolderRegistry:
    return HolderRegistry(open_store(None))


def test_a_newcomer_is_unknown_and_then_known_as_it_was_seen(registry: HolderRegistry) -> None:
    assert registry.last(BANK.public) is None
    registry.seen(BANK.public, head(3), log())
    assert registry.last(BANK.public) == (head(3), log())
    assert registry.last(PARTNER.public) is None


def test_a_store_that_is_opened_again_remembers() -> None:
    engine: Engine = open_store(None)
    HolderRegistry(engine).seen(BANK.public, head(3), log())
    again = HolderRegistry(engine)
    assert again.last(BANK.public) == (head(3), log())
    assert again.engine is engine


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        (head(4, "b"), head(4, "b")),
        (head(2, "b"), head(3)),
        # The same entry under another hash is another ledger: what was seen first is shown back.
        (head(3, "b"), head(3)),
    ],
    ids=["ahead", "behind", "another of the same number"],
)
@pytest.mark.parametrize("way", ["seen", "spent"])
def test_a_head_never_goes_back(
    registry: HolderRegistry, way: str, later: LedgerHead, kept: LedgerHead
) -> None:
    registry.seen(PARTNER.public, head(1, signer=PARTNER), log("partner.example/log", OTHER))
    registry.seen(BANK.public, head(3), log())
    if way == "seen":
        registry.seen(BANK.public, later, log(size=9))
    else:
        registry.spent({BANK.public: later})
    assert registry.last(BANK.public) == (kept, log(size=9 if way == "seen" else 7))
    untouched = (head(1, signer=PARTNER), log("partner.example/log", OTHER))
    assert registry.last(PARTNER.public) == untouched


def test_heads_of_a_round_are_kept_together_or_not_at_all(registry: HolderRegistry) -> None:
    registry.seen(BANK.public, head(3), log())
    registry.seen(PARTNER.public, head(1, signer=PARTNER), log("partner.example/log", OTHER))
    forged = replace(head(9, signer=PARTNER), hash="sha256:" + "0" * 64)
    with pytest.raises(WaistError, match="RF-W166"):
        registry.spent({BANK.public: head(5), PARTNER.public: forged})
    assert registry.last(BANK.public) == (head(3), log())
    registry.spent({BANK.public: head(5), PARTNER.public: head(2, signer=PARTNER)})
    assert registry.last(BANK.public) == (head(5), log())
    assert registry.last(PARTNER.public) == (
        head(2, signer=PARTNER),
        log("partner.example/log", OTHER),
    )


@pytest.mark.parametrize("known", [False, True])
def test_a_head_that_its_holder_did_not_sign_is_not_kept(registry: HolderRegistry, known: bool) -> None:
    if known:
        registry.seen(BANK.public, head(3), log())
    before = registry.last(BANK.public)
    with pytest.raises(WaistError, match="RF-W166"):
        registry.seen(BANK.public, head(9, signer=PARTNER), log(size=99))
    assert registry.last(BANK.public) == before


@pytest.mark.parametrize(
    ("holder", "origin", "key", "refused"),
    [
        (BANK, "bank.example/log", LOG, False),
        (PARTNER, "partner.example/log", OTHER, False),
        (PARTNER, "partner.example/log", LOG, False),
        (BANK, "bank.example/other", LOG, True),
        (BANK, "bank.example/log", OTHER, True),
        (BANK, "bank.example/other", OTHER, True),
        (PARTNER, "bank.example/log", LOG, True),
        (PARTNER, "bank.example/log", OTHER, True),
    ],
)
def test_a_log_keeps_its_name_its_key_and_its_holder(
    registry: HolderRegistry, holder: Identity, origin: str, key: PublicIdentity, refused: bool
) -> None:
    registry.check_log(holder.public, origin, key)
    registry.seen(BANK.public, head(3), log())
    if refused:
        with pytest.raises(WaistError, match="RF-W202"):
            registry.check_log(holder.public, origin, key)
    else:
        registry.check_log(holder.public, origin, key)


def test_the_table_is_as_every_store_has_it() -> None:
    lines = [line.strip().rstrip(",") for line in str(CreateTable(HOLDERS)).splitlines() if line.strip()]
    assert lines == [
        "CREATE TABLE registry_holders (",
        "identity VARCHAR(64) NOT NULL",
        "ledger_sequence BIGINT NOT NULL",
        "ledger_hash VARCHAR(71) NOT NULL",
        "ledger_signature VARCHAR(128) NOT NULL",
        "log_origin VARCHAR(256) NOT NULL",
        "log_key VARCHAR(64) NOT NULL",
        "log_size BIGINT NOT NULL",
        "log_root VARCHAR(71) NOT NULL",
        "PRIMARY KEY (identity)",
        "UNIQUE (log_origin)",
        ")",
    ]
