"""Makes a holder's home: keys, store, ledger, log and configuration; all of it or nothing.

Everything is made in a hidden folder beside the target, which gets its name when all is done. What an interrupted
`init` leaves is that hidden folder, never half a home.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ringfence.clients.config import FILE_NAME, ClientConfig, log_origin
from ringfence.clients.home import make_log
from ringfence.clients.secret_files import write_secret
from ringfence.privacy.accounting.filters import FilterName
from ringfence.privacy.consent.registry import ConsentRegistry
from ringfence.privacy.crypto.identity import Identity, KeyKind, PublicIdentity
from ringfence.privacy.crypto.keyfile import write_key
from ringfence.privacy.documents.faults import Problems
from ringfence.privacy.documents.findings import build
from ringfence.privacy.errors import N_, UsageError, _
from ringfence.privacy.ledger import Ledger
from ringfence.privacy.secagg.attempts import AttemptStore
from ringfence.privacy.store import open_store

DATABASE = "holder.db"

_TEMPLATE = """\
# Settings of a Ringfence holder. docs/reference/client.toml.md says what each key means. Paths are relative to here.
name = "{name}"
store = "{store}"
approvals = "approvals"

# Until these three are set, no study is considered.
# contract = "contract.toml"
# coordinator = "coordinator.key.pub"
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


def found(folder: Path, plan: Plan) -> Founded:
    """Make a home in a folder that does not exist or is empty.

    Raises:
        UsageError: RF-U410 something is there already, RF-U411 the parent folder is missing, RF-U412 the
            name may not be used.
        BudgetError: the budget is out of range.
        KeyFault, StoreError: something cannot be written.
    """
    folder = Path(os.path.abspath(folder))  # `init .` has a parent and a name too
    require_free(folder)
    _require_names(plan)
    build_at = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        made = _make(build_at, folder, plan)
        os.rename(build_at, folder)
    except BaseException:
        shutil.rmtree(build_at, ignore_errors=True)
        raise
    return made


def require_free(folder: Path) -> None:
    """Refuse a folder that holds anything, or whose parent is missing."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise UsageError(
            "RF-U410",
            N_("{folder} exists and is not an empty folder; nothing is ever overwritten. Choose another one."),
            folder=str(folder),
        )
    if not folder.parent.is_dir():
        raise UsageError(
            "RF-U411", N_("The folder {folder} does not exist. Make it first."), folder=str(folder.parent)
        )


def _require_names(plan: Plan) -> None:
    for name in (plan.name, plan.population):
        config, problems = build(ClientConfig, {"name": name, "store": plan.store or DATABASE})
        if config is None:
            raise UsageError(
                "RF-U412",
                N_("This may not be used: {why}"),
                why="; ".join(_(problem.template).format(**problem.values) for problem in problems),
            ) from Problems(problems)


def _make(at: Path, folder: Path, plan: Plan) -> Founded:
    keys = at / "keys"
    keys.mkdir(mode=0o700)
    (at / "approvals").mkdir(mode=0o700)
    holder, log_key = _new_key(keys, "holder", plan), _new_key(keys, "log", plan)
    for name in ("registry", "attempts"):
        write_secret(keys / f"{name}.key")
    text = _TEMPLATE.format(name=plan.name, store=plan.store or DATABASE)
    (at / FILE_NAME).write_text(text, encoding="utf-8")
    engine = open_store(plan.store or at / DATABASE)
    try:
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
            fingerprint = identity.public.fingerprint
            public = {"kind": identity.kind, "fingerprint": fingerprint}
            log.record("key.created", "allow", resource=f"key:{fingerprint}", public=public)
        ConsentRegistry.open(engine, bytes.fromhex((keys / "registry.key").read_text(encoding="ascii")), journal=log)
        AttemptStore(engine, bytes.fromhex((keys / "attempts.key").read_text(encoding="ascii")))
    finally:
        engine.dispose()
    return Founded(folder=folder, holder=holder.public, log=log_key.public)


def _new_key(keys: Path, kind: KeyKind, plan: Plan) -> Identity:
    identity = Identity.generate(kind)
    write_key(keys / f"{kind}.key", identity, plan.passphrase, unwrapped=plan.passphrase is None)
    return identity
