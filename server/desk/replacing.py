"""Replaces a coordinator's own keys, and takes in the successions of holders' keys.

Invariant: a key takes effect with its event, its chain and what hangs on it in one transaction, while no
    process serves this home, and no study is run or delivered from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from ringfence.audit.handing import KeyChange
from ringfence.privacy.command_line.homes import own_key
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import read_signed
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
    ShownSuccession,
    owners_by_chain,
    private_part,
    public_part,
    require_pinned_key,
    require_voucher,
    settle_conflict,
    take_in,
    two_who_decide,
)
from ringfence.server.connections.admissions import Admissions
from ringfence.server.home import Office, open_office
from ringfence.server.records.farewells import follow_farewells
from ringfence.server.records.run_standings import runs_kept
from ringfence.server.records.runs import RunStore
from ringfence.server.registry import HolderRegistry


def begin_coordinator_key(
    config: Path,
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
    with open_office(config) as office:
        own = office.own_key(role)
        return prepare(own, reason, passphrases, passphrase, now), own.paper


def sign_coordinator_key(
    config: Path, role: KeyRole, key: Path, passphrases: Passphrases
) -> tuple[Succession, int]:
    """Add an officer's signature; what it says, and how many people have signed.

    Raises:
        UsageError: RF-U761 none is under way, RF-U763 there are fewer than two officers,
            RF-U791 one stands there twice.
        KeyFault: RF-K164 the key is no officer's of this coordinator, RF-K011 this person signed before.
    """
    with open_office(config) as office:
        person = passphrases.read_key(key, "approver")
        return sign_as(office.own_key(role), person, office.settings.officers())


def enact_coordinator_key(
    config: Path, role: KeyRole, passphrases: Passphrases, now: datetime
) -> tuple[Succession, Path]:
    """Put a signed replacement in force; done before, it says so again.

    Returns:
        What is in force now, and the file for the other parties.

    Raises:
        UsageError: RF-U761 none is under way, RF-U763 fewer than two officers, RF-U765 runs are open.
        KeyFault: it is not signed by everybody who has to, is too old, or does not fit.
        StoreError: RF-B120 this home serves, or runs or delivers a study.
    """
    with open_office(config) as office:
        own = office.own_key(role)
        last = own.last()
        if last is not None and not own.paper.exists():
            return last.said, own.paper_before
        signs = role == "log" and ready(own, office.settings.officers(), now).said.reason != "lost"
    with open_office(config, passphrases=passphrases if signs else None) as office:
        own = office.own_key(role)
        paper = own.paper
        with lease(office.engine), lease(office.engine, "study"), lease(office.engine, "post"):
            found = ready(own, office.settings.officers(), now)
            if found.said.reason != "lost":  # nothing signs the end of a run any more, but with the next key
                _require_no_runs(office)
            _put_in_force(office, own, found, passphrases, now)
    return found.said, paper


def _require_no_runs(office: Office, holder: str | None = None) -> None:
    """Refuse while runs are open, of one holder or of any."""
    found = [
        each.name
        for each in runs_kept(office.engine)
        if not each.ended and (holder is None or holder in each.holders)
    ]
    if found:
        raise UsageError(
            "RF-U765",
            N_(
                "Runs of {studies} are open, and they go on under the keys that they began with. Let "
                "them end first: ringfence-server study run, or study stop"
            ),
            studies=", ".join(sorted(found)),
        )


def _put_in_force(
    office: Office, own: OwnKey, found: SignedSuccession, passphrases: Passphrases, now: datetime
) -> None:
    new = own_key(own.following, own.role, found.said.successor, passphrases)
    change = KeyChange(
        former=None if found.said.reason == "lost" else office.log_signer,
        successor=new,
        reason=found.said.reason,
        document=found.said.digest(),
    )
    at = now.replace(microsecond=0).isoformat()
    book = KeyBook(office.engine)  # before the transaction, since it makes its tables
    with office.engine.begin() as connection:
        book.accept(connection, found, at=at, own=True)
        office.log.record(
            "key.replaced",
            "allow",
            resource=f"key:{found.said.former.fingerprint}",
            public=public_part(found.said),
            private=private_part(found),
            connection=connection,
        )
        if own.role == "log":
            office.log.hand_over(change, connection)


def coordinator_chains(config: Path) -> tuple[KnownSuccession, ...]:
    """Every change of key that this coordinator knows."""
    with open_office(config) as office:
        return KeyBook(office.engine).known()


def shown_holder_key(office: Office, file: Path) -> ShownSuccession:
    """The succession of a key of a holder, or of its log, in a file, and whose that key is here.

    Raises:
        KeyFault: it is none, not signed as it has to be, RF-K159, RF-K166 not of a holder that is known, or
            RF-K172 not vouched for by its identity.
    """
    found = signed_succession(read_signed(file))
    said, book, registry = found.said, KeyBook(office.engine), HolderRegistry(office.engine)
    owners = {*owners_by_chain(book, said)}
    stands = (said.former, *book.after(said.role, said.former))[-1]
    log = registry.of_log(stands) if said.role == "log" else None
    known = log is not None
    if log is not None:
        owners.add(_holder_of(log[0]))
    elif said.role == "holder":
        chain = (said.former, *book.former("holder", said.former))
        known = bool({each.fingerprint for each in chain} & set(office.settings.config.holders))
        last, admitted = registry.last(stands), Admissions(office.engine).named(stands.hex)
        owners |= {_holder_of(last[1].origin)} if last is not None else set()
        owners |= {admitted} if admitted is not None else set()
        known = known or admitted is not None
    require_pinned_key(said, owners, known)
    if log is not None:
        identity = book.followed("holder", log[1])
        require_voucher(said, (identity, *book.former("holder", identity)))
    return ShownSuccession(signed=found, owners=tuple(sorted(owners)))


def _holder_of(origin: str) -> str:
    """The holder's name, with which the name of its log ends."""
    return origin.rpartition("/")[2]


def accept_holder_key(office: Office, found: SignedSuccession, now: datetime) -> None:
    """Put a holder's succession in force; fingerprints were compared.

    Raises:
        UsageError: RF-U765 runs with this holder are open.
        KeyFault: RF-K155 to RF-K158, RF-K161 it does not fit; RF-K160 it contradicts, the holder is frozen.
        StoreError: RF-B120 a study is run from this home.
    """
    said = found.said

    follow = _follower(office)

    def move(connection: Connection) -> None:
        follow(connection, said.role, said.former, said.successor)

    with lease(office.engine, "study"):
        _require_no_runs(office, said.party)
        take_in(office.engine, office.log, found, now=now, move=move)


def _follower(office: Office) -> Follow:
    """Lets what is kept under a key of a holder stand under its successor, within a transaction."""
    registry, admissions = HolderRegistry(office.engine), Admissions(office.engine)
    RunStore(office.engine)  # makes its tables where they are missing, before the transaction

    def follow(connection: Connection, role: str, old: PublicIdentity, new: PublicIdentity) -> None:
        registry.follow(role, old, new, connection)
        if role == "holder":
            admissions.follow(old.hex, new.hex, connection)
            follow_farewells(connection, old.hex, new.hex)

    return follow


def settle_at_coordinator(
    config: Path,
    old: str,
    chosen: str,
    keys: Sequence[Path],
    passphrases: Passphrases,
    now: datetime,
) -> None:
    """Say by two officers which of two successors of a key counts.

    Args:
        config: the home.
        old, chosen: fingerprints.
        keys: the officers' key files.
        passphrases: of those.
        now: the present moment, UTC.

    Raises:
        KeyFault: RF-K162, RF-K163, RF-K167; RF-K169 not two different officers.
    """
    with open_office(config) as office:
        people = two_who_decide(keys, office.settings.officers(), passphrases)

        settle_conflict(
            office.engine, office.log, old, chosen, people=people, now=now, move=_follower(office)
        )
