"""A holder's home, opened: its store, logs, ledger and people.

Invariants:
    What is not configured refuses (DESIGN, 6.8): no contract, no coordinator, fewer than two approvers.
    A store is never begun anew by opening it, so a lost ledger cannot come back empty.
    A contract counts only in the very form that the holder's key has signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from ringfence.audit.errors import AuditError
from ringfence.audit.log import AuditLog
from ringfence.audit.note import Signer
from ringfence.clients.attesting import Premises
from ringfence.clients.config import FederationSettings, HolderSettings, load_settings
from ringfence.clients.inbox.store import Inbox
from ringfence.clients.migrations.schema import HOLDER_STORE
from ringfence.clients.records.logs import federation_log, make_log
from ringfence.clients.records.offers import Offers
from ringfence.clients.records.participations import Participations
from ringfence.clients.records.snapshots import FOLDER as SNAPSHOTS
from ringfence.clients.records.snapshots import Snapshots
from ringfence.privacy.agreements.contract import LoadedContract, load_contract
from ringfence.privacy.command_line.homes import log_signer, own_key
from ringfence.privacy.consent.registry import ConsentRegistry
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.crypto.secret_files import Passphrases, read_secret
from ringfence.privacy.crypto.signed import SignedDocument, read_signed
from ringfence.privacy.errors import N_, ContractError, RingfenceError, StoreError, TableError
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.stores.journal import Json
from ringfence.privacy.stores.schema import require_current
from ringfence.privacy.stores.store import open_store, require_durable
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.succession.document import KeyRole
from ringfence.privacy.succession.own_keys import OwnKey, file_in_force


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What a holder's commands work with; the holder's own secret key is not opened.

    Attributes:
        settings: the configuration.
        identity: public half of the holder's key.
        engine: the one store.
        house: the house's own log: keys, consent, contract, budget.
        log: what happened in what a command is about: a federation's own log, or the house's.
        log_signer: the key of `log`, or its public half where it was not asked for.
        ledger: what was spent, for all federations; its events stand in the house's log.
        federation: which one a command is about; None where it is about none.
    """

    settings: HolderSettings
    identity: PublicIdentity
    engine: Engine
    house: AuditLog
    log: AuditLog
    ledger: Ledger
    log_signer: Signer
    federation: FederationSettings | None = None

    def coordinator(self) -> PublicIdentity:
        """The coordinator of the federation that a command is about, by its key in force.

        Raises:
            UsageError: RF-U402 it is about none.
            KeyFault: its key cannot be read, or RF-K161 it has two successors.
        """
        return self.coordinator_of(self.federation or self.settings.federation(None))

    def coordinator_of(self, federation: FederationSettings) -> PublicIdentity:
        """The coordinator of a federation, by its key in force.

        Raises:
            KeyFault: its key cannot be read, or RF-K161 it has two successors.
        """
        return KeyBook(self.engine).followed("coordinator", self.settings.coordinator(federation))

    def former_keys(self, federation: FederationSettings) -> frozenset[str]:
        """Keys, hex, that this holder and a federation's coordinator have had, but for this holder's present.

        Raises:
            KeyFault: the coordinator's key cannot be read.
        """
        book, first = KeyBook(self.engine), self.settings.coordinator(federation)
        theirs = (first, *book.after("coordinator", first))
        return frozenset(each.hex for each in (*book.former("holder", self.identity), *theirs))

    def own_key(self, role: KeyRole) -> OwnKey:
        """A key of the holder's, to be replaced: its identity, or that of the log which this is about."""
        keys = self.settings.config.keys
        log = keys.log if self.federation is None else self.federation.log
        first = self.settings.path(log if role == "log" else keys.holder)
        identity = self.own_key("holder") if role == "log" else None
        return OwnKey(role=role, party=self.settings.name, first=first, engine=self.engine, identity=identity)

    def of(self, federation: FederationSettings, passphrases: Passphrases | None = None) -> Home:
        """The same home for what concerns one federation.

        Args:
            federation: of the configuration.
            passphrases: to open its log's secret key, for checkpoints; None opens the public half.

        Raises:
            WaistError: RF-W400 the store has no log of it, RF-W401 its log is another coordinator's.
            KeyFault, LogError: its log's key is missing or unsafe; the log is not as it was left.
        """
        coordinator = self.settings.coordinator(federation)
        file = file_in_force(self.engine, "log", self.settings.path(federation.log))
        signer = log_signer(file, passphrases)
        return replace(
            self,
            log=federation_log(self.engine, self.settings.name, federation.name, coordinator, signer),
            log_signer=signer,
            federation=federation,
        )

    @property
    def inbox(self) -> Inbox:
        """Studies that came from the federation's coordinator."""
        return Inbox(self.engine, self.log.number)

    @property
    def participations(self) -> Participations:
        """The federation's runs that were joined."""
        return Participations(self.engine, self.log.number)

    @property
    def offers(self) -> Offers:
        """How often the federation's studies were refused."""
        return Offers(self.engine, self.log.number)

    def key(self, passphrases: Passphrases) -> Identity:
        """The holder's key pair.

        Raises:
            KeyFault: it is missing, unsafe, of another kind or of a simulation, or its passphrase is wrong.
            UsageError: RF-U409 its public half is another's.
        """
        path = self.own_key("holder").present
        return own_key(path, "holder", self.identity, passphrases)

    def registry(self) -> ConsentRegistry:
        """Who has agreed to what."""
        key = read_secret(self.settings.path(self.settings.config.keys.registry))
        return ConsentRegistry.open(self.engine, key, journal=self.house)

    def contract(self) -> LoadedContract:
        """The contract in force, its signature verified.

        Raises:
            UsageError: RF-U401 none is configured.
            ContractError: RF-C001 it has faults, RF-C201 to RF-C204 it is not this holder's signed one.
        """
        loaded = load_contract(self.settings.contract())
        require_own(self, loaded)
        verify_signed(loaded, self.identity)
        return loaded

    def snapshots(self) -> Snapshots:
        """The tables that were attested for studies."""
        secret = read_secret(self.settings.path(self.settings.config.keys.attempts))
        return Snapshots(self.engine, self.settings.folder / SNAPSHOTS, secret)

    def premises(self, loaded: LoadedContract) -> Premises:
        """What the table is attested with.

        Args:
            loaded: the contract in force, from `contract`.
        """
        return Premises(
            contract=loaded.contract,
            schema=loaded.schema,
            base=loaded.path.parent,
            key=self.identity,
            chains=KeyBook(self.engine),
            log=self.log,
            ledger=self.ledger,
            snapshots=self.snapshots(),
            offers=self.offers,
            participations=self.participations,
        )

    def approvals(self, digest: str) -> list[SignedDocument]:
        """The approvals on file for a study, not yet verified.

        Raises:
            KeyFault: a file of this study's approvals is malformed.
        """
        return [read_signed(file) for file in self.approval_files(digest)]

    def approval_files(self, digest: str) -> list[Path]:
        """Files of the approvals of a study; of all studies where the digest is empty."""
        return sorted(self.approvals_folder.glob(f"{digest.removeprefix('sha256:') or '*'}.*.json"))

    def approval_file(self, digest: str, fingerprint: str) -> Path:
        """Where one person's approval of a study stands; its folder is made."""
        folder = self.approvals_folder
        folder.mkdir(mode=0o700, exist_ok=True, parents=True)
        number = fingerprint.removeprefix("ed25519:")
        return folder / f"{digest.removeprefix('sha256:')}.{number}.json"

    @property
    def approvals_folder(self) -> Path:
        """The federation's own folder: an approval is for one coordinator's study, whatever another signs."""
        name = (self.federation or self.settings.federation(None)).name
        return self.settings.path(self.settings.config.approvals) / name

    @contextmanager
    def refusals(
        self, action: str, resource: str, *, recorded: type[RingfenceError] | None = None
    ) -> Iterator[None]:
        """Record as an event what the block refuses, then let the refusal go on.

        Args:
            action: a type of event.
            resource: what was asked for.
            recorded: a family whose refusals the block records itself.
        """
        try:
            yield
        except (RingfenceError, AuditError) as refusal:
            if recorded is None or not isinstance(refusal, recorded):
                self.record_refusal(action, resource, refusal)
            raise

    def record_refusal(self, action: str, resource: str, refusal: RingfenceError | AuditError) -> None:
        """Record one refusal; its sentence, and a code that hangs on rows, stay in the private part."""
        code: Mapping[str, Json] = {"code": refusal.code}
        private: Mapping[str, Json] = {"reason": refusal.sentence()[:1000]}
        public: Mapping[str, Json] = {}
        if isinstance(refusal, TableError):
            private = {**code, **private}
        else:
            public = code
        self.log.record(action, "deny", resource=resource, public=public, private=private)


def require_own(home: Home, loaded: LoadedContract) -> None:
    """Refuse a contract of another holder, or over customers whose budget another ledger keeps.

    Raises:
        ContractError: RF-C201 or RF-C202.
    """
    contract, population = loaded.contract, home.ledger.terms()["population"]
    if contract.holder != home.settings.name:
        raise ContractError(
            "RF-C201",
            N_('The contract is that of holder "{found}"; this is "{name}".'),
            found=contract.holder,
            name=home.settings.name,
        )
    if contract.population != population:
        raise ContractError(
            "RF-C202",
            N_(
                'The contract is over the population "{found}"; the privacy budget here counts '
                '"{population}". Another '
                "population needs a home of its own, and two people who vouch that no customer is in both."
            ),
            found=contract.population,
            population=population,
        )


def signed_path(contract: Path) -> Path:
    """Where the signed form of a contract stands: `contract.signed.json` beside `contract.toml`."""
    return contract.with_name(f"{contract.stem}.signed.json")


def verify_signed(loaded: LoadedContract, identity: PublicIdentity) -> None:
    """Check that the holder's key has signed this very contract.

    Raises:
        ContractError: RF-C203 it was never signed, RF-C204 it was changed since.
        KeyFault: the signature does not hold.
    """
    path = signed_path(loaded.path)
    if not path.exists():
        raise ContractError(
            "RF-C203",
            N_("The contract {file} is not signed: ringfence-client contract sign {file}"),
            file=loaded.path.name,
        )
    if read_signed(path).verify("contract", [identity]) != loaded.contract.canonical():
        raise ContractError(
            "RF-C204",
            N_(
                "The contract {file} was changed since it was signed. Undo the change, or raise its version "
                "and sign it."
            ),
            file=loaded.path.name,
        )


@contextmanager
def open_home(
    config: str | Path, *, passphrases: Passphrases | None = None, opens: Literal["log", ""] = ""
) -> Iterator[Home]:
    """Open a holder's home for one command; durable, its log's edge and its ledger's chain verified.

    Args:
        config: `client.toml` or its folder.
        passphrases: where the log key's passphrase comes from.
        opens: `log` to open the log's secret key, for checkpoints.

    Raises:
        UsageError, StoreError, BudgetError, KeyFault or LogError: it is not there, or not as it was left.
    """
    settings = load_settings(config)
    keys = settings.config.keys
    opened = passphrases or Passphrases() if opens == "log" else None
    engine = open_existing(settings.store)
    try:
        require_current(engine, HOLDER_STORE)
        path = file_in_force(engine, "holder", settings.path(keys.holder))
        identity = read_public(public_path(path), "holder")
        signer = log_signer(file_in_force(engine, "log", settings.path(keys.log)), opened)
        house = make_log(engine, settings.name, settings.origin, signer)
        yield Home(
            settings=settings,
            identity=identity,
            engine=engine,
            house=house,
            log=house,
            ledger=Ledger.open(engine, house),
            log_signer=signer,
        )
    finally:
        engine.dispose()


@contextmanager
def open_federation(
    config: str | Path,
    name: str | None,
    *,
    passphrases: Passphrases | None = None,
    opens: Literal["log", ""] = "",
) -> Iterator[Home]:
    """As `open_home`, for a command about one federation: its log is the home's `log` then.

    Args:
        config: `client.toml` or its folder.
        name: of the federation; None where the home belongs to one.
        passphrases: where the log keys' passphrases come from.
        opens: `log` to open the secret keys of both logs, for checkpoints.

    Raises:
        UsageError: RF-U402, RF-U721 or RF-U722 it is not known which one.
        WaistError: RF-W400 the store has no log of it.
    """
    with open_home(config, passphrases=passphrases, opens=opens) as home:
        found = home.settings.federation(name)
        yield home.of(found, passphrases or Passphrases() if opens == "log" else None)


def open_existing(store: Path | str) -> Engine:
    """Open a store that was made before, never a new one.

    Raises:
        StoreError: RF-B400 the file is not there; it cannot be opened; it is in memory.
    """
    if isinstance(store, Path) and not store.exists():
        raise StoreError(
            "RF-B400",
            N_("The store {file} is gone. Restore it from a backup; a lost ledger is never begun anew."),
            file=store.name,
        )
    return require_durable(open_store(store))
