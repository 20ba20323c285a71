"""Makes a holder's home: keys, store, ledger, log and configuration; all of it or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ringfence.clients.config import FILE_NAME, ClientConfig, log_origin
from ringfence.clients.migrations.schema import HOLDER_STORE
from ringfence.clients.records.logs import make_log
from ringfence.privacy.accounting.filters import FilterName
from ringfence.privacy.command_line.homes import made_whole, new_key, record_key, require_usable
from ringfence.privacy.consent.registry import ConsentRegistry
from ringfence.privacy.crypto.identity import PublicIdentity
from ringfence.privacy.crypto.secret_files import read_secret, write_secret
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.secagg.attempts import AttemptStore
from ringfence.privacy.stores.schema import lay
from ringfence.privacy.stores.store import open_store
from ringfence.privacy.toml.settings import HouseDocument

DATABASE = "holder.db"

_TEMPLATE = """\
# Settings of a Ringfence holder. docs/reference/client.toml.md says what each key means.
# Paths are relative to here.
name = "{name}"
store = "{store}"
approvals = "approvals"

# Until a contract, approvers and a federation are set, no study is considered. Commands enter them:
# ringfence-client contract sign --use, approver add, join.
# contract = "contract.toml"
# approvers = ["ana.key.pub", "ben.key.pub"]

[keys]
holder = "keys/holder.key"
log = "keys/log.key"
registry = "keys/registry.key"
attempts = "keys/attempts.key"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `init` is asked to make.

    Attributes:
        name: the holder's name in contracts and studies.
        population: the customers whose budget the ledger keeps.
        epsilon, delta: the budget, for everything that will ever be released.
        filter: the ledger's rule.
        passphrase: wraps both key pairs; None leaves them unwrapped.
        store: a PostgreSQL URL, or None for a SQLite file in the home.
    """

    name: str
    population: str
    epsilon: Decimal
    delta: Decimal
    filter: FilterName = "gdp"
    passphrase: str | None
    store: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """What was made: the public halves that other parties need."""

    folder: Path
    holder: PublicIdentity
    log: PublicIdentity


def make_home(folder: Path, plan: Plan) -> Founded:
    """Make a home in a folder that does not exist or is empty.

    Raises:
        UsageError: RF-U410 something is there already, RF-U411 the parent folder is missing, RF-U412 the
            name may not be used.
        BudgetError: the budget is out of range.
        KeyFault, StoreError: something cannot be written.
    """
    require_usable(ClientConfig, plan.name, plan.store or DATABASE)
    require_usable(HouseDocument, plan.population, DATABASE)
    with made_whole(folder) as at:
        return _make(at, folder, plan)


def _make(at: Path, folder: Path, plan: Plan) -> Founded:
    keys = at / "keys"
    (at / "approvals").mkdir(mode=0o700)
    holder, log_key = new_key(at, "holder", plan.passphrase), new_key(at, "log", plan.passphrase)
    for name in ("registry", "attempts"):
        write_secret(keys / f"{name}.key")
    text = _TEMPLATE.format(name=plan.name, store=plan.store or DATABASE)
    (at / FILE_NAME).write_text(text, encoding="utf-8")
    engine = open_store(plan.store or at / DATABASE)
    try:
        lay(engine, HOLDER_STORE)
        log = make_log(engine, plan.name, log_origin(plan.name), log_key)
        # The ledger first: where another one stands already (a database by URL), nothing is recorded.
        Ledger.create(
            engine,
            population=plan.population,
            epsilon=plan.epsilon,
            delta=plan.delta,
            journal=log,
            filter=plan.filter,
        )
        for identity in (holder, log_key):
            record_key(log, identity)
        ConsentRegistry.open(engine, read_secret(keys / "registry.key"), journal=log)
        AttemptStore(engine, read_secret(keys / "attempts.key"))
    finally:
        engine.dispose()
    return Founded(folder=folder.absolute(), holder=holder.public, log=log_key.public)
