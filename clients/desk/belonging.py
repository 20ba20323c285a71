"""The federations of a home: each is entered with its coordinator's key and a log of its own, and is left.

Invariant: a federation's log is made here and kept for good. What one coordinator is shown hangs on that log
alone, so nothing that is recorded in it is about another federation or about the house.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from ringfence.audit.log import AuditLog
from ringfence.clients.config import FederationSettings, log_origin
from ringfence.clients.connections.membership import membership_of
from ringfence.clients.desk.keys.keyring import inspect
from ringfence.clients.home import Home
from ringfence.clients.records.federations import Federations, left_log
from ringfence.clients.records.logs import make_log
from ringfence.privacy.agreements.declaration import Shown
from ringfence.privacy.agreements.parties import is_party_name
from ringfence.privacy.command_line.homes import PublicHalf, record_key
from ringfence.privacy.command_line.terminal import write_atomically
from ringfence.privacy.command_line.trust import Keys, enter, record_trusted
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.keyfile import write_key
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.crypto.secret_files import Passphrases
from ringfence.privacy.errors import N_, StudyError, UsageError
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.succession.own_keys import file_in_force
from ringfence.privacy.succession.taking_in import public_part
from ringfence.privacy.toml.editing import edited, with_table, without_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Entering:
    """A federation that is about to be entered.

    Attributes:
        name: at this home.
        keys: the coordinator's, sorted by whether client.toml names it.
    """

    name: str
    keys: Keys


def federation_by(home: Home, coordinator: PublicIdentity) -> FederationSettings | None:
    """The federation of a coordinator's key in client.toml, or None.

    Raises:
        KeyFault: a key that client.toml names cannot be read; RF-W433 this one was replaced, RF-K161 it has
            two successors.
    """
    settings, book = home.settings, KeyBook(home.engine)
    for each in settings.config.federation:
        first = settings.coordinator(each)
        if coordinator in {first, *book.after("coordinator", first)}:
            book.require_current("coordinator", coordinator, each.name)
            return each
    return None


def entering(home: Home, name: str, shown: Shown) -> Entering:
    """A coordinator's key, sorted by whether client.toml names it; nothing is written.

    Raises:
        UsageError: RF-U726 the name cannot be used, RF-U723 it stands there under another name, RF-U662 the
            name is another coordinator's, RF-U724 the name was another one's, RF-U725 this home left it under
            another name.
    """
    if not is_party_name(name):
        raise UsageError(
            "RF-U726",
            N_(
                'A federation cannot be called "{name}" here; letters, digits, dots, hyphens and '
                "underscores are expected, such as city-1. Give it another name: --federation NAME"
            ),
            name=name,
        )
    there = federation_by(home, shown.public)
    if there is not None:
        if there.name != name:
            raise UsageError(
                "RF-U723",
                N_('{file} names this coordinator already, in the federation "{name}".'),
                file=home.settings.file.name,
                name=there.name,
            )
        return Entering(name=name, keys=Keys(new=(), known=(shown,)))
    if any(each.name == name for each in home.settings.config.federation):
        raise UsageError(
            "RF-U662",
            N_(
                '{file} names another coordinator in the federation "{name}". Give the new one a name of its '
                "own: --federation NAME"
            ),
            file=home.settings.file.name,
            name=name,
        )
    _require_same_log(home, name, shown.public)
    return Entering(name=name, keys=Keys(new=(shown,)))


def _require_same_log(home: Home, name: str, coordinator: PublicIdentity) -> None:
    book = KeyBook(home.engine)
    book.require_current("coordinator", coordinator, name)
    for each in Federations(home.engine).listed():
        first = PublicIdentity.from_hex(each.coordinator)
        same = coordinator in {first, *book.after("coordinator", first)}
        if each.name == name and not same:
            raise UsageError(
                "RF-U724",
                N_(
                    'The federation "{name}" was another coordinator\'s here, and its log is kept. Choose '
                    "another name."
                ),
                name=name,
            )
        if each.name != name and each.left and same:
            raise UsageError(
                "RF-U725",
                N_(
                    'This home left this coordinator\'s federation as "{name}", and that log goes on. Enter '
                    "it under that name."
                ),
                name=each.name,
            )


def enter_federation(home: Home, asked: Entering, passphrases: Passphrases) -> None:
    """Found the federation's log, and write the federation into client.toml where it does not stand there.

    The log's key is wrapped where that of the house's log is, with the first passphrase given.

    Raises:
        UsageError: RF-U660 the file is written in a way that cannot be changed safely.
    """
    (one,) = asked.keys.new or asked.keys.known
    settings, there, content = home.settings, federation_by(home, one.public), b""
    key = left_log(asked.name) if there is None else there.log
    if there is None:
        values = {"name": asked.name, "coordinator": one.public.hex, "log": key}
        comments = {"coordinator": f"{one.said} {one.public.fingerprint}"}
        content = edited(
            settings.file, UsageError, lambda text: with_table(text, "federation", values, comments)
        )
    path, made = settings.path(key), None
    # The first secret half may be gone: once its successor is in force, people destroy it.
    if not path.exists() and not public_path(path).exists():
        wrapped = inspect(settings.path(settings.config.keys.log))["wrapped"] == "yes"
        passphrase, made = passphrases.new() if wrapped else None, Identity.generate("log")
        write_key(path, made, passphrase, unwrapped=not wrapped)
    in_force = file_in_force(home.engine, "log", path)
    signer = made or PublicHalf(read_public(public_path(in_force), "log"))
    known = Federations(home.engine).entered(asked.name, one.public.hex)
    log = make_log(home.engine, settings.name, log_origin(settings.name, known.mark), signer, known.number)
    if made is not None:
        record_key(log, made)
    else:
        say_missed(home, log)
    if there is None:
        enter(settings.file, content, lambda: record_trusted(log, "coordinator", asked.keys.new))


def say_missed(home: Home, log: AuditLog) -> None:
    """Say in the log of a federation that is entered again that the identity was replaced meanwhile."""
    for each in KeyBook(home.engine).known():
        resource = f"key:{each.said.former.fingerprint}"
        if (
            each.own
            and each.said.role == "holder"
            and not any(log.events(action="key.replaced", resource=resource))
        ):
            log.record("key.replaced", "allow", resource=resource, public=public_part(each.said))


# What this holder's people did about a study; an offer or a refusal anybody's coordinator can bring about.
_OWN_ACTS = frozenset({"study.approved", "table.read"})


def leave_federation(home: Home) -> str:
    """Take a federation out of client.toml, and destroy its keys of connections; its log stays. Its name.

    Raises:
        StudyError: RF-S501 a study is open there.
        UsageError: RF-U660 the file is written in a way that cannot be changed safely.
    """
    assert home.federation is not None
    name = home.federation.name
    with home.refusals("federation.left", f"log:{home.log.origin}"):
        # A run that is under way has its reservation; where its coordinator is gone, people close that.
        open_here = [
            each
            for each in home.ledger.reservations()
            if any(
                one.event.action in _OWN_ACTS
                for one in home.log.events(resource=f"study:{each.study_digest}")
            )
        ]
        if open_here:
            raise StudyError(
                "RF-S501",
                N_(
                    'The federation "{name}" has studies under way here, for which budget is reserved '
                    "({count}). Leave once they have ended, or close them: ringfence-client budget close"
                ),
                name=name,
                count=len(open_here),
            )
        position = [each.name for each in home.settings.config.federation].index(name)
        file = home.settings.file
        content = edited(file, UsageError, lambda text: without_table(text, "federation", position))
    known = Federations(home.engine)
    with home.engine.begin() as connection:
        home.log.record("federation.left", "allow", resource=f"log:{home.log.origin}", connection=connection)
        known.leave(name, connection=connection)
    write_atomically(file, content)
    shutil.rmtree(membership_of(home.settings.folder, name).path, ignore_errors=True)
    return name
