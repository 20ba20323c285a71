"""Builds the parties of a simulation from the real client and server code, with keys that are thrown away.

Nothing here replaces a stage: holders read files, keep registries, ledgers and logs, verify signatures and
draw noise from the operating system. What is simulated is who they are: the keys are made for the run and
marked, and `ringfence-client` never accepts them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine

from ringfence.audit.events import Profile
from ringfence.audit.log import AuditLog
from ringfence.clients.agent import Agent
from ringfence.clients.attesting import attest
from ringfence.clients.desk.approving import give_approval
from ringfence.clients.holder import Holder
from ringfence.clients.inbox.store import Inbox
from ringfence.clients.own_model import FOLDER
from ringfence.clients.records.offers import Offers
from ringfence.clients.records.participations import Participations
from ringfence.clients.records.snapshots import FOLDER as SNAPSHOTS
from ringfence.clients.records.snapshots import Snapshots
from ringfence.clients.records.witness_memory import WitnessMemory
from ringfence.privacy.accounting.filters import FilterName
from ringfence.privacy.agreements.contract import Contract
from ringfence.privacy.agreements.schema import Schema
from ringfence.privacy.agreements.study import Participant, Study
from ringfence.privacy.consent.registry import ConsentRegistry
from ringfence.privacy.crypto.approvals import approve
from ringfence.privacy.crypto.identity import Identity, KeyKind, PublicIdentity
from ringfence.privacy.crypto.keyfile import read_key, write_key
from ringfence.privacy.crypto.signed import SignedDocument
from ringfence.privacy.errors import RingfenceError
from ringfence.privacy.ledger import HeadMarks, Ledger
from ringfence.privacy.mechanisms.source import NoiseSource, OsNoise
from ringfence.privacy.secagg.attempts import AttemptStore
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.succession.book import KeyBook
from ringfence.server.coordinator import Coordinator
from ringfence.server.registry import HolderRegistry

NoiseOf = Callable[[str], NoiseSource]


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderKeys:
    """Throw-away keys of one holder: its own, its log's, two people's who approve, and two of its store."""

    identity: Identity
    log: Identity
    approvers: tuple[Identity, Identity]
    registry: bytes
    attempts: bytes

    @classmethod
    def make(cls) -> HolderKeys:
        """Fresh keys, marked as simulation."""
        return cls(
            identity=Identity.generate("holder", simulation=True),
            log=Identity.generate("log", simulation=True),
            approvers=(
                Identity.generate("approver", simulation=True),
                Identity.generate("approver", simulation=True),
            ),
            registry=secrets.token_bytes(32),
            attempts=secrets.token_bytes(32),
        )

    def save(self, folder: Path) -> None:
        """Write the keys to a new folder as files marked as simulation, the store's two beside them."""
        folder.mkdir(parents=True)
        for file, identity in self._files().items():
            write_key(folder / file, identity, None, unwrapped=True)
        for file, secret in (("registry.secret", self.registry), ("attempts.secret", self.attempts)):
            descriptor = os.open(folder / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(secret)

    @classmethod
    def load(cls, folder: Path) -> HolderKeys:
        """Read what `save` wrote."""

        def key(file: str, kind: KeyKind) -> Identity:
            return read_key(folder / file, kind, simulation=True)

        return cls(
            identity=key("holder.key", "holder"),
            log=key("log.key", "log"),
            approvers=(key("approver-1.key", "approver"), key("approver-2.key", "approver")),
            registry=(folder / "registry.secret").read_bytes(),
            attempts=(folder / "attempts.secret").read_bytes(),
        )

    def _files(self) -> dict[str, Identity]:
        first, second = self.approvers
        return {
            "holder.key": self.identity,
            "log.key": self.log,
            "approver-1.key": first,
            "approver-2.key": second,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a holder brings: its contract, the folder of its table, and its consent records.

    Attributes:
        contract: peers are filled in by the assembly.
        base: folder the contract's file names are relative to.
        consent: a file for `consent import`.
    """

    contract: Contract
    base: Path
    consent: Path


def make_coordinator(
    profile: Profile, folder: Path, keys: tuple[Identity, Identity] | None = None
) -> Coordinator:
    """A coordinator with its own log and registry.

    Args:
        profile: `simulation` keeps the stores in memory, `durable` in `folder`.
        folder: for the durable store.
        keys: the coordinator's and its log's; fresh ones by default.
    """
    identity, log_key = keys or (
        Identity.generate("coordinator", simulation=True),
        Identity.generate("log", simulation=True),
    )
    engine = open_store(None if profile == "simulation" else folder / "coordinator.db")
    log = AuditLog(
        engine,
        origin="ringfence.simulation/coordinator",
        signer=log_key,
        organisation="coordinator",
        actor="server",
        profile=profile,
    )
    return Coordinator(identity=identity, log=log, registry=HolderRegistry(engine))


def make_holder(
    site: Site,
    schema: Schema,
    keys: HolderKeys,
    *,
    peers: Sequence[PublicIdentity],
    coordinator: PublicIdentity,
    budget: tuple[Decimal, Decimal],
    profile: Profile,
    folder: Path,
    noise: NoiseSource | None = None,
    filter: FilterName = "gdp",
) -> Holder:
    """A holder with registry, ledger and one log, its contract signed and its consent records imported.

    Args:
        site: contract, table and consent records.
        schema: the public meaning of the columns.
        keys: the holder's keys.
        peers: the other holders it vouches for.
        coordinator: whose studies it considers.
        budget: epsilon and delta of its ledger, for good.
        profile: stores in memory or in `folder`; a durable one that is there is opened as it stands.
        folder: for the durable store.
        noise: a source of noise; the operating system's by default.
        filter: of a new ledger; studies that sample customers need `rdp`.
    """
    contract = site.contract.revised(peers=tuple(sorted(peer.fingerprint for peer in peers)))
    name = contract.holder
    fresh, engine = _opened(folder, name, profile)
    log = _log(engine, keys, name, profile)
    registry = ConsentRegistry.open(engine, keys.registry, journal=log)
    if fresh:
        _found(contract, schema, keys, site, log, registry)
    return Holder(
        name=name,
        identity=keys.identity,
        log_key=keys.log.public,
        chains=KeyBook(engine),
        contract=contract,
        schema=schema,
        base=site.base,
        engine=engine,
        registry=registry,
        ledger=_founded(engine, log, contract, budget, filter) if fresh else Ledger.open(engine, log),
        log=log,
        house=log,
        attempts=AttemptStore(engine, keys.attempts),
        coordinator=coordinator,
        snapshots=Snapshots(engine, _snapshots(folder, name, profile), keys.attempts),
        offers=Offers(engine),
        participations=Participations(engine),
        witness=WitnessMemory(engine),
        inbox=Inbox(engine),
        approvers=tuple(person.public for person in keys.approvers),
        approvals=_approving(keys, name, log),
        models=folder / FOLDER / name,
        marks=HeadMarks.of(keys.registry, log.origin),
        noise=noise or OsNoise(),
    )


def _opened(folder: Path, name: str, profile: Profile) -> tuple[bool, Engine]:
    """Whether a holder's store is new, and the store."""
    path = None if profile == "simulation" else folder / f"{name}.db"
    return path is None or not path.exists(), open_store(path)


def _snapshots(folder: Path, name: str, profile: Profile) -> Path:
    """A holder's folder of attested tables; one whose store is in memory shares it with no other life."""
    return folder / SNAPSHOTS / (name if profile == "durable" else f"{name}-{secrets.token_hex(4)}")


def with_attested_table(holder: Holder, study: Study) -> Holder:
    """The holder, after its people have attested its table for a study; done once.

    Where the table does not pass, the holder stays away, and says why to its own people when it is asked.
    """
    if holder.snapshots.find(study.digest()) is None:
        with suppress(RingfenceError):
            attest(holder.premises, study, holder.clock())
    return holder


def _log(engine: Engine, keys: HolderKeys, name: str, profile: Profile) -> AuditLog:
    """A holder's log, whose origin says that it is of a simulation."""
    return AuditLog(
        engine,
        origin=f"ringfence.simulation/holder/{name}",
        signer=keys.log,
        organisation=name,
        actor="client",
        profile=profile,
    )


def _founded(
    engine: Engine, log: AuditLog, contract: Contract, budget: tuple[Decimal, Decimal], filter: FilterName
) -> Ledger:
    """A new ledger of the contract's population."""
    epsilon, delta = budget
    return Ledger.create(
        engine, population=contract.population, epsilon=epsilon, delta=delta, journal=log, filter=filter
    )


def _approving(keys: HolderKeys, name: str, log: AuditLog) -> Callable[[str], list[SignedDocument]]:
    """The approvals of a study, which all approvers give when it is first asked for, each an event."""
    on_file: dict[str, list[SignedDocument]] = {}

    def approvals(digest: str) -> list[SignedDocument]:
        if digest not in on_file:
            # A store that is opened again has the events already; only the documents are made anew.
            given = sum(1 for _ in log.events(action="study.approved", resource=f"study:{digest}"))
            on_file[digest] = [approve(digest, name, person) for person in keys.approvers[:given]]
            on_file[digest] += [
                give_approval(log, digest, name, person, lambda _, record: record())
                for person in keys.approvers[given:]
            ]
        return on_file[digest]

    return approvals


def _found(
    contract: Contract, schema: Schema, keys: HolderKeys, site: Site, log: AuditLog, registry: ConsentRegistry
) -> None:
    """What a holder does once: sign its contract and import its consent records."""
    signed = SignedDocument(kind="contract", body=contract.canonical()).signed_by(keys.identity)
    signed.verify("contract", [keys.identity.public])
    log.record("schema.accepted", "allow", resource=f"schema:{schema.digest()}")
    log.record("contract.signed", "allow", resource=f"contract:{contract.digest()}")
    registry.import_file(site.consent, jurisdiction=contract.jurisdiction)


def with_holders(
    study: Study, schema: Schema, sites: Mapping[str, Site], keys: Mapping[str, HolderKeys]
) -> Study:
    """The study as the coordinator will sign it: schema by digest, holders by keys and declarations."""
    participants = tuple(
        Participant(
            name=name,
            key=keys[name].identity.public.hex,
            max_customers=site.contract.max_customers,
            overlap=site.contract.overlap,
            jurisdiction=site.contract.jurisdiction,
        )
        for name, site in sites.items()
    )
    return study.revised(schema_ref=schema.digest(), holders=participants)


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcess:
    """A transport that calls the holders' agents directly, in one process."""

    agents: Mapping[str, Agent]

    def exchange(self, messages: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Hand each message to its holder's agent; a holder that answers with no bytes is absent."""
        replies = {
            name: self.agents[name].handle(data) for name, data in messages.items() if name in self.agents
        }
        return {name: data for name, data in replies.items() if data}

    def present(self, names: Iterable[str]) -> frozenset[str]:
        """Those that have an agent here."""
        return frozenset(name for name in names if name in self.agents)
