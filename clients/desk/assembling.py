"""The whole `Holder` of a federation, made of a home whose contract holds; all of a home under its lease."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ringfence.audit.errors import AuditError
from ringfence.clients.holder import Holder
from ringfence.clients.home import Home, open_home
from ringfence.clients.own_model import FOLDER
from ringfence.clients.records.witness_memory import WitnessMemory
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.secret_files import Passphrases, read_secret
from ringfence.privacy.errors import RingfenceError
from ringfence.privacy.ledger import HeadMarks
from ringfence.privacy.secagg.attempts import AttemptStore
from ringfence.privacy.stores.lease import lease
from ringfence.privacy.stores.store import require_durable
from ringfence.privacy.succession.book import KeyBook


def load_holder(home: Home, passphrases: Passphrases | None = None) -> Holder:
    """The whole holder, as studies need it: keys opened, contract verified, people known.

    Args:
        home: from `open_federation`, which verified store, ledger and log.
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
        house=home.house,
        offers=home.offers,
        participations=home.participations,
        witness=WitnessMemory(home.engine, home.log.number),
        inbox=home.inbox,
        models=settings.folder / FOLDER,
        marks=HeadMarks.of(read_secret(settings.path(keys.registry)), home.log.origin),
    )


@contextmanager
def serving(
    config: str | Path,
    passphrases: Passphrases | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Iterator[dict[str, Holder]]:
    """The whole holder under the store's lease, for a process that answers coordinators: by federation.

    Args:
        config: `client.toml` or its folder.
        passphrases: where the keys' passphrases come from.
        report: told why a federation cannot be opened, where another one can.

    Raises:
        UsageError: RF-U402 the home belongs to no federation.
        StoreError: RF-B120 another process serves this store.
    """
    given = passphrases or Passphrases()
    with open_home(config, passphrases=given, opens="log") as home, lease(home.engine):
        belongs = home.settings.config.federation
        if not belongs:
            home.settings.federation(None)
        holders: dict[str, Holder] = {}
        refused: RingfenceError | AuditError | None = None
        for each in belongs:
            try:
                holders[each.name] = load_holder(home.of(each, given), given)
            except (RingfenceError, AuditError) as refusal:
                refused = refusal
                if len(belongs) > 1:
                    report(f"{refusal} [{each.name}]")
        if refused is not None and not holders:
            raise refused
        yield holders
