"""A holder's home, opened: its store, log, ledger and people; and the whole `Holder` once its contract holds.

Invariants:
    What is not configured refuses (DESIGN, 6.8): no contract, no coordinator, fewer than two approvers.
    A store is never begun anew by opening it, so a lost ledger cannot come back empty.
    A contract counts only in the very form that the holder's key has signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from ringfence.audit.errors import AuditError
from ringfence.audit.log import AuditLog
from ringfence.audit.note import Signer
from ringfence.clients.attesting import Premises
from ringfence.clients.config import HolderSettings, load_settings
from ringfence.clients.holder import Holder
from ringfence.clients.inbox.store import Inbox
from ringfence.clients.migrations.schema import HOLDER_STORE
from ringfence.clients.own_model import FOLDER
from ringfence.clients.records.offers import Offers
from ringfence.clients.records.participations import Participations
from ringfence.clients.records.snapshots import FOLDER as SNAPSHOTS
from ringfence.clients.records.snapshots import Snapshots
from ringfence.clients.records.witness_memory import WitnessMemory
from ringfence.privacy.agreements.contract import LoadedContract, load_contract
from ringfence.privacy.command_line.homes import log_signer, own_key
from ringfence.privacy.consent.registry import ConsentRegistry
from ringfence.privacy.crypto.identity import Identity, PublicIdentity
from ringfence.privacy.crypto.public_files import public_path, read_public
from ringfence.privacy.crypto.secret_files import Passphrases, read_secret
from ringfence.privacy.crypto.signed import SignedDocument, read_signed
from ringfence.privacy.errors import N_, ContractError, RingfenceError, StoreError, TableError
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.secagg.attempts import AttemptStore
from ringfence.privacy.stores.journal import Json
from ringfence.privacy.stores.lease import lease
from ringfence.privacy.stores.schema import require_current
from ringfence.privacy.stores.store import open_store, require_durable
from ringfence.privacy.succession.book import KeyBook
from ringfence.privacy.succession.document import KeyRole
from ringfence.privacy.succession.own_keys import OwnKey, file_in_force

ACTOR = "client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What a holder's commands work with; the holder's own secret key is not opened.

    Attributes:
        settings: the configuration.
        identity: public half of the holder's key.
        engine: the one store.
        log: what happened.
        ledger: what was spent.
        log_signer: the log's key, or its public half where it was not asked for.
    """

    settings: HolderSettings
    identity: PublicIdentity
    engine: Engine
    log: AuditLog
    ledger: Ledger
    log_signer: Signer

    def own_key(self, role: KeyRole) -> OwnKey:
        """One of the holder's keys, to be replaced."""
        keys = self.settings.config.keys
        first = self.settings.path(keys.log if role == "log" else keys.holder)
        return OwnKey(role=role, party=self.settings.name, first=first, engine=self.engine)

    def coordinator(self) -> PublicIdentity:
        """The coordinator whose studies are considered, by its key in force.

        Raises:
            UsageError: RF-U402 none is configured.
            KeyFault: its key cannot be read, or RF-K161 it has two successors.
        """
        return KeyBook(self.engine).followed("coordinator", self.settings.coordinator())

    def former_keys(self) -> frozenset[str]:
        """Keys, hex, that this holder and its coordinator had before."""
        book = KeyBook(self.engine)
        before = list(book.former("holder", self.identity))
        if self.settings.config.coordinator is not None:
            before += book.former("coordinator", self.coordinator())
        return frozenset(each.hex for each in before)

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
        return ConsentRegistry.open(self.engine, key, journal=self.log)

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
            offers=Offers(self.engine),
        )

    def approvals(self, digest: str) -> list[SignedDocument]:
        """The approvals on file for a study, not yet verified.

        Raises:
            KeyFault: a file of this study's approvals is malformed.
        """
        return [read_signed(file) for file in self.approval_files(digest)]

    def approval_files(self, digest: str) -> list[Path]:
        """Files of the approvals of a study; of all studies where the digest is empty."""
        folder = self.settings.path(self.settings.config.approvals)
        return sorted(folder.glob(f"{digest.removeprefix('sha256:') or '*'}.*.json"))

    def approval_file(self, digest: str, fingerprint: str) -> Path:
        """Where one person's approval of a study stands; its folder is made."""
        folder = self.settings.path(self.settings.config.approvals)
        folder.mkdir(mode=0o700, exist_ok=True)
        number = fingerprint.removeprefix("ed25519:")
        return folder / f"{digest.removeprefix('sha256:')}.{number}.json"

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
        log = make_log(engine, settings.name, settings.origin, signer)
        yield Home(
            settings=settings,
            identity=identity,
            engine=engine,
            log=log,
            ledger=Ledger.open(engine, log),
            log_signer=signer,
        )
    finally:
        engine.dispose()


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


def make_log(engine: Engine, name: str, origin: str, signer: Signer) -> AuditLog:
    """The holder's log in a store."""
    return AuditLog(engine, origin=origin, signer=signer, organisation=name, actor=ACTOR, profile="durable")


def load_holder(home: Home, passphrases: Passphrases | None = None) -> Holder:
    """The whole holder, as studies need it: keys opened, contract verified, people known.

    Args:
        home: from `open_home`, which verified store, ledger and log.
        passphrases: where the holder key's passphrase comes from.

    Raises:
        UsageError: something that a study needs is not configured.
        ContractError: the contract is faulty, another's, or not signed in this form.
        KeyFault: a key is missing, unsafe, of a simulation, or its public half is another's.
    """
    settings, keys = home.settings, home.settings.config.keys
    identity = home.key(passphrases or Passphrases())
    loaded = home.contract()
    return Holder(
        name=settings.name,
        identity=identity,
        log_key=PublicIdentity(home.log.verifier.raw),
        contract=loaded.contract,
        schema=loaded.schema,
        base=loaded.path.parent,
        engine=require_durable(home.engine),
        registry=home.registry(),
        ledger=home.ledger,
        log=home.log,
        attempts=AttemptStore(home.engine, read_secret(settings.path(keys.attempts))),
        coordinator=home.coordinator(),
        chains=KeyBook(home.engine),
        approvers=settings.approvers(),
        approvals=home.approvals,
        snapshots=home.snapshots(),
        offers=Offers(home.engine),
        participations=Participations(home.engine),
        witness=WitnessMemory(home.engine),
        inbox=Inbox(home.engine),
        models=settings.folder / FOLDER,
    )


@contextmanager
def serving(config: str | Path, passphrases: Passphrases | None = None) -> Iterator[Holder]:
    """The whole holder under the store's lease, for a process that answers a coordinator.

    Raises:
        StoreError: RF-B120 another process serves this store.
    """
    with open_home(config, passphrases=passphrases, opens="log") as home, lease(home.engine):
        yield load_holder(home, passphrases)
