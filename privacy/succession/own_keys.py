"""The files of a house's own keys, and the steps by which one takes the place of another.

Invariants:
    No key file is ever overwritten or renamed here. The first key is the file that the settings name, the
    next ones stand beside it with their number; the store says which is in force, so the step from one to the
    next is one transaction, and there is no moment at which a home opens with neither.
    Every step can be done again after a crash and ends as if it had been done once.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.keyfile import write_key
from ringfence.privacy.crypto.private_files import create
from ringfence.privacy.crypto.public_files import public_path, public_text, read_public
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.crypto.signed import SignedDocument, read_signed, write_signed
from ringfence.privacy.errors import N_, KeyFault, UsageError
from ringfence.privacy.succession.book import KeyBook, KnownSuccession
from ringfence.privacy.succession.document import (
    SUCCESSION,
    KeyRole,
    Motive,
    SignedSuccession,
    Succession,
    require_in_time,
    require_people,
    signed_succession,
    succession_of,
)


def key_file_of(first: Path, number: int) -> Path:
    """The file of a house's key after so many changes; 0 is the one that the settings name."""
    return first.with_name(f"{first.stem}.{number}{first.suffix}") if number else first


def all_files(first: Path) -> tuple[Path, ...]:
    """The key files of a house for one use that are there, the first one first."""
    found = [first]
    while public_path(following := key_file_of(first, len(found))).exists():
        found.append(following)
    return tuple(found)


def secret_files(first: Path) -> tuple[Path, ...]:
    """The secret halves for one use: those of keys that were replaced may have been destroyed."""
    return tuple(file for file in all_files(first) if file.exists()) or (first,)


def open_files(first: Path) -> tuple[Path, ...]:
    """What stands beside the secret halves and is none: public halves and successions."""
    files = all_files(first)
    beside = (*map(public_path, files[1:]), *map(paper_of, files))
    return (public_path(first), *(file for file in beside if file.exists()))


def file_in_force(engine: Engine, role: KeyRole, first: Path) -> Path:
    """The file of the key that is in force, as the store says.

    Raises:
        KeyFault: the public half of the first one cannot be read.
    """
    key, count = read_public(public_path(first), role), 0
    chain = {each.said.old: each.said.new for each in KeyBook(engine).known() if each.said.role == role}
    while key.hex in chain:
        key, count = PublicIdentity.from_hex(chain[key.hex]), count + 1
    return key_file_of(first, count)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKey:
    """One key of a house that is to be replaced.

    Attributes:
        role: what it is for.
        party: the house's name.
        first: the file that the settings name.
        engine: the house's store.
    """

    role: KeyRole
    party: str
    first: Path
    engine: Engine

    @property
    def present(self) -> Path:
        """The file of the key in force."""
        return file_in_force(self.engine, self.role, self.first)

    @property
    def number(self) -> int:
        """Of the next change."""
        return all_numbers(self.first, self.present) + 1

    @property
    def following(self) -> Path:
        """The file of the key to come."""
        return key_file_of(self.first, self.number)

    @property
    def paper(self) -> Path:
        """The succession that is being signed; it holds no secret, and is what other parties are given."""
        return paper_of(self.following)

    @property
    def paper_before(self) -> Path:
        """The succession that brought the key in force; there is none for the first one."""
        return paper_of(self.present)

    def public(self) -> PublicIdentity:
        """The public half of the key in force."""
        return read_public(public_path(self.present), self.role)

    def last(self) -> KnownSuccession | None:
        """The change that brought the key in force, or None for the first one."""
        own = self.public().hex
        return next((each for each in KeyBook(self.engine).known() if each.said.new == own), None)


def all_numbers(first: Path, present: Path) -> int:
    """How many changes led from the first key's file to this one."""
    count = 0
    while key_file_of(first, count) != present:
        count += 1
    return count


def paper_of(key: Path) -> Path:
    """Where the succession that brings a key stands."""
    return key.with_name(f"{key.stem}.succession.json")


def prepare(
    own: OwnKey, reason: Motive, passphrases: Passphrases, passphrase: str | None, now: datetime
) -> Succession:
    """Make the next key and the succession that both keys sign; what was made before is gone on with.

    Args:
        own: the key to be replaced.
        reason: why; where it is `lost`, the old key is not opened.
        passphrases: of the old key, and of a new one that was made before a crash.
        passphrase: wraps the new key; None leaves it unwrapped.
        now: the present moment, UTC.

    Raises:
        UsageError: RF-U760 one with another reason is under way.
        KeyFault: a key cannot be opened or written.
    """
    if own.paper.exists():
        said = succession_of(read_signed(own.paper))
        if said.reason != reason or said.old != own.public().hex:
            raise UsageError(
                "RF-U760",
                N_(
                    "A replacement of this key as {reason} is under way. Go on with it, or remove {file} and "
                    "begin anew."
                ),
                reason=said.reason,
                file=own.paper,
            )
        return said
    old = None if reason == "lost" else passphrases.read_key(own.present, own.role)
    new = _made(own, passphrases, passphrase)
    said = Succession.of(
        role=own.role,
        party=own.party,
        old=own.public().hex,
        new=new.public.hex,
        number=own.number,
        time=now.replace(microsecond=0).isoformat(),
        reason=reason,
    )
    paper = SignedDocument(kind=SUCCESSION, body=said.canonical())
    if old is not None:
        paper = paper.signed_by(old)
    write_signed(own.paper, paper.signed_by(new))
    return said


def _made(own: OwnKey, passphrases: Passphrases, passphrase: str | None) -> Identity:
    """The next key, made now or before a crash; one that a crash left half-written was never used."""
    path = own.following
    if path.exists():
        try:
            found = passphrases.read_key(path, own.role)
        except KeyFault as fault:
            if fault.code != "RF-K036":
                raise
            path.unlink()  # half a file, as a crash leaves it; nobody has seen this key
            public_path(path).unlink(missing_ok=True)
        else:
            with suppress(FileExistsError):
                create(public_path(path), public_text(found), 0o644)
            return found
    made = Identity.generate(own.role)
    write_key(path, made, passphrase, unwrapped=passphrase is None)
    return made


def sign_as(own: OwnKey, person: Identity, people: Iterable[PublicIdentity]) -> int:
    """Add one person's signature to the succession under way; how many people have signed.

    Raises:
        UsageError: RF-U761 none is under way.
        KeyFault: RF-K164 the key is nobody's who may sign here, RF-K011 this person signed before.
    """
    allowed = tuple(people)
    if person.public not in allowed:
        raise KeyFault(
            "RF-K164",
            N_("{fingerprint} is not a key of the people who may sign here; the settings list them."),
            fingerprint=person.public.fingerprint,
        )
    paper = _under_way(own).signed_by(person)
    write_signed(own.paper, paper)
    return len(set(paper.signers(SUCCESSION, allowed)))


def ready(own: OwnKey, people: Iterable[PublicIdentity], now: datetime) -> SignedSuccession:
    """The succession under way, once everybody signed who has to, and nothing stands against it.

    Raises:
        UsageError: RF-U761 none is under way.
        KeyFault: RF-K151 to RF-K158 it is not complete, too old, or does not fit; RF-K165 of another key.
    """
    found = signed_succession(_under_way(own))
    said = found.said
    new = read_public(public_path(own.following), own.role)
    if (said.role, said.party, said.old, said.new) != (own.role, own.party, own.public().hex, new.hex):
        raise KeyFault(
            "RF-K165",
            N_("The succession in {file} is not of this house's key in force and the key beside it."),
            file=own.paper.name,
        )
    require_people(found, people)
    require_in_time(said, now)
    KeyBook(own.engine).examine(found, own=True)
    return found


def _under_way(own: OwnKey) -> SignedDocument:
    if not own.paper.exists():
        raise UsageError(
            "RF-U761",
            N_("No replacement of the {role} key is under way; begin one: key replace {role}"),
            role=own.role,
        )
    return read_signed(own.paper)
