"""Replaces a holder's own keys, and takes in the successions of other parties' keys.

Invariant: a key takes effect with its event, its chain and what hangs on it in one transaction, under the
    lease of the store, so that no process answers with a key that was replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from ringfence.audit.handing import KeyChange
from ringfence.clients.home import Home, open_federation, open_home, signed_path
from ringfence.clients.records.witness_memory import WitnessMemory
from ringfence.privacy.command_line.homes import own_key
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import read_signed, write_signed
from ringfence.privacy.errors import N_, UsageError
from ringfence.privacy.stores.lease import lease
from ringfence.privacy.succession.book import KeyBook, KnownSuccession
from ringfence.privacy.succession.document import (
    KeyRole,
    Motive,
    SignedSuccession,
    Succession,
    signed_succession,
)
from ringfence.privacy.succession.own_keys import OwnKey, prepare, ready, sign_as
from ringfence.privacy.succession.taking_in import (
    Follow,
    party_of,
    private_part,
    public_part,
    require_pinned_key,
    settle_conflict,
    take_in,
    two_who_decide,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """Which home a key is of, and which of its logs.

    Attributes:
        config: the home's `client.toml` or folder.
        federation: whose log the key is of; None for the house's own, and for the identity.
    """

    config: Path
    federation: str | None = None

    @contextmanager
    def open(
        self, role: KeyRole, passphrases: Passphrases | None = None, opens: Literal["log", ""] = ""
    ) -> Iterator[Home]:
        """The home, for one of its keys; `log` opens the log's secret key.

        Raises:
            UsageError: RF-U766 the identity is the same in every federation.
        """
        if self.federation is None:
            opening = open_home(self.config, passphrases=passphrases, opens=opens)
        elif role == "log":
            opening = open_federation(self.config, self.federation, passphrases=passphrases, opens=opens)
        else:
            raise UsageError(
                "RF-U766",
                N_(
                    "A holder has one identity in all its federations. Leave --federation out, or name the "
                    "key of the log."
                ),
            )
        with opening as home:
            yield home


def begin_holder_key(
    place: KeyPlace,
    role: KeyRole,
    reason: Motive,
    passphrases: Passphrases,
    passphrase: str | None,
    now: datetime,
) -> tuple[Succession, Path]:
    """Make the next key and the succession that people sign; what it says, and its file.

    Raises:
        UsageError: RF-U760 another one is under way.
        KeyFault: a key cannot be opened or written.
    """
    with place.open(role) as home:
        own = home.own_key(role)
        return prepare(own, reason, passphrases, passphrase, now), own.paper


def sign_holder_key(place: KeyPlace, role: KeyRole, key: Path, passphrases: Passphrases) -> int:
    """Add an approver's signature; how many people have signed.

    Raises:
        UsageError: RF-U761 none is under way.
        KeyFault: RF-K164 the key is no approver's of this holder, RF-K011 this person signed before.
    """
    with place.open(role) as home:
        person = passphrases.read_key(key, "approver")
        return sign_as(home.own_key(role), person, home.settings.approvers())


def enact_holder_key(
    place: KeyPlace, role: KeyRole, passphrases: Passphrases, now: datetime
) -> tuple[Succession, Path]:
    """Put a signed replacement in force; done before, it says so again.

    Returns:
        What is in force now, and the file for the other parties.

    Raises:
        UsageError: RF-U761 none is under way, RF-U764 runs of studies are open.
        KeyFault: it is not signed by everybody who has to, is too old, or does not fit.
        StoreError: RF-B120 another process serves this home.
    """
    with place.open(role) as home:
        own = home.own_key(role)
        last = own.last()
        if last is not None and not own.paper.exists():
            return last.said, own.paper_before
        signs = role == "log" and ready(own, home.settings.approvers(), now).said.reason != "lost"
    with place.open(role, passphrases, "log" if signs else "") as home:
        own = home.own_key(role)
        paper = own.paper
        with lease(home.engine):
            found = ready(own, home.settings.approvers(), now)
            _require_no_runs(home)
            _put_in_force(home, own, found, passphrases, now)
    return found.said, paper


def _concerned(home: Home) -> tuple[Home, ...]:
    """The home with the log of each federation that a key of its is shown to: all of them, or one."""
    if home.federation is not None:
        return (home,)
    return tuple(home.of(each) for each in home.settings.config.federation)


def _require_no_runs(home: Home) -> None:
    open_runs = [run for each in _concerned(home) for run in each.participations.open_runs()]
    if open_runs:
        raise UsageError(
            "RF-U764",
            N_(
                "{count} runs of studies are open here, and they go on under the key that they began with. "
                "Replace it when they have ended."
            ),
            count=len(open_runs),
        )


def _put_in_force(
    home: Home, own: OwnKey, found: SignedSuccession, passphrases: Passphrases, now: datetime
) -> None:
    new = own_key(own.following, own.role, found.said.successor, passphrases)
    if own.role == "holder":
        _countersign_contract(home, new)
    change = KeyChange(
        former=None if found.said.reason == "lost" else home.log_signer,
        successor=new,
        reason=found.said.reason,
        document=found.said.digest(),
    )
    at, entry = now.replace(microsecond=0).isoformat(), home.ledger.head().sequence
    book = KeyBook(home.engine)  # before the transaction, since it makes its tables
    logs = [home.log] + ([each.log for each in _concerned(home)] if own.role == "holder" else [])
    with home.engine.begin() as connection:
        book.accept(connection, found, at=at, own=True, last_entry=entry)
        for log in logs:
            log.record(
                "key.replaced",
                "allow",
                resource=f"key:{found.said.former.fingerprint}",
                public=public_part(found.said),
                private=private_part(found),
                connection=connection,
            )
        if own.role == "log":
            home.log.hand_over(change, connection)


def _countersign_contract(home: Home, new: Identity) -> None:
    """Let the contract in force bear both signatures, before the old one counts no more."""
    if home.settings.config.contract is None:
        return
    file = signed_path(home.settings.contract())
    if not file.exists():
        return
    document = read_signed(file)
    document.verify("contract", [home.identity])
    if all(key != new.public.hex for key, _ in document.signatures):
        write_signed(file, document.signed_by(new))


def holder_chains(config: Path) -> tuple[KnownSuccession, ...]:
    """Every change of key that this holder knows."""
    with open_home(config) as home:
        return KeyBook(home.engine).known()


def shown_coordinator(home: Home, file: Path) -> SignedSuccession:
    """The succession of a key of a federation's coordinator, or of its log, in a file.

    Args:
        home: from `open_federation`.
        file: that the coordinator sent.

    Raises:
        KeyFault: it is none, not signed as it has to be, or RF-K159, RF-K166 not of this coordinator.
    """
    found = signed_succession(read_signed(file))
    said, book = found.said, KeyBook(home.engine)
    party = party_of(book, said)
    if said.role == "log":
        known = WitnessMemory(home.engine, home.log.number).knows_log(said.former)
        known = known or home.participations.expects_log(said.former)
    else:
        first = home.settings.coordinator(home.federation or home.settings.federation(None))
        known = said.role == "coordinator" and said.former in {first, *book.after("coordinator", first)}
    require_pinned_key(said, party, known or party is not None)
    return found


def shown_peer(home: Home, file: Path) -> SignedSuccession:
    """The succession of the key of another holder that the contract vouches for, in a file.

    Raises:
        KeyFault: it is none, not signed as it has to be, or RF-K159, RF-K166 not of such a holder.
    """
    found = signed_succession(read_signed(file))
    said, book = found.said, KeyBook(home.engine)
    peers = home.contract().contract.peers
    listed_here = {*peers, *book.trusted("holder", peers)}
    party = party_of(book, said)
    known = said.role == "holder" and said.former.fingerprint in listed_here
    require_pinned_key(said, party, known or party is not None)
    return found


def accept_party_key(home: Home, found: SignedSuccession, now: datetime) -> None:
    """Put another party's succession in force; fingerprints were compared.

    Raises:
        KeyFault: RF-K155 to RF-K158, RF-K161 it does not fit; RF-K160 it contradicts, the party is frozen.
    """
    said = found.said

    follow = _follower(home)

    def move(connection: Connection) -> None:
        follow(connection, said.role, said.former, said.successor)

    take_in(home.engine, home.log, found, now=now, move=move)


def _follower(home: Home) -> Follow:
    """Lets what is kept under a key of another party stand under its successor, within a transaction."""
    witness, runs = WitnessMemory(home.engine, home.log.number), home.participations

    def follow(connection: Connection, role: str, old: PublicIdentity, new: PublicIdentity) -> None:
        witness.follow(role, old, new, connection)
        if role == "log":
            runs.follow_log(old, new, connection)

    return follow


def settle_at_holder(
    config: Path,
    old: str,
    chosen: str,
    keys: Sequence[Path],
    passphrases: Passphrases,
    now: datetime,
) -> None:
    """Say by two approvers which of two successors of a key counts.

    Args:
        config: the home.
        old, chosen: fingerprints.
        keys: the approvers' key files.
        passphrases: of those.
        now: the present moment, UTC.

    Raises:
        KeyFault: RF-K162, RF-K163, RF-K167; RF-K169 not two different approvers.
    """
    with open_home(config) as home:
        people = two_who_decide(keys, home.settings.approvers(), passphrases)

        settle_conflict(home.engine, home.log, old, chosen, people=people, now=now, move=_follower(home))
