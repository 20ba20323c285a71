"""What the tests of the holder's and the coordinator's command share: homes, desks, people, documents, one
table.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from ringfence.clients.commands.cli import main as client_main
from ringfence.privacy.crypto.identity import Identity, KeyKind
from ringfence.privacy.crypto.keyfile import write_key
from ringfence.server.commands.cli import main as server_main

NAMES = ("north", "south", "west")

SCHEMA = """\
id = "telco"
version = 1
[[feature]]
name = "age"
kind = "number"
bounds = [18, 100]
[[feature]]
name = "plan"
kind = "category"
categories = ["basic", "gold"]
[[feature]]
name = "churn"
kind = "flag"
"""

CONTRACT = """\
id = "{name}-crm"
holder = "{name}"
version = {version}
schema = "schema.toml"
subject = "customer_id"
population = "{population}"
jurisdiction = "CN"
max_customers = 5000
min_cohort = 20
{peers}
[source]
file = "customers.csv"
encoding = "{encoding}"
[[column]]
name = "age"
sensitivity = "plain"
purposes = ["churn-prediction"]
[[column]]
name = "plan"
purposes = ["churn-prediction"]
values = {{ "{gold}" = "gold" }}
[[column]]
name = "churn"
sensitivity = "plain"
purposes = ["churn-prediction"]
"""

STUDY = """\
id = "churn-1"
schema = "schema.toml"
purpose = "{purpose}"
legal_basis = "consent"
jurisdiction = "CN"
task = "scorecard"
label = "churn"
features = ["age", "plan"]
expires = {expires}
dpia = "DPIA-1"
[privacy]
epsilon = {epsilon}
delta = 1e-6
noise = "distributed"
min_holders = 3
"""

CONSENT_HEADER = (
    "customer_key,event,purpose,at,notice_id,notice_version,notice_language,notice_digest,"
    "separate_consents,legal_basis\n"
)
NOTICE = "privacy,1,zh-CN,sha256:" + 64 * "0" + ",provision,consent\n"


def client(*words: object) -> int:
    """Run the holder's command; its exit status."""
    return client_main([str(word) for word in words])


def server(*words: object) -> int:
    """Run the coordinator's command; its exit status."""
    return server_main([str(word) for word in words])


def refused(capsys: pytest.CaptureFixture[str], status: int, code: str, expected: int = 1) -> str:
    """Check that a command ended in this one sentence, and return it."""
    error = capsys.readouterr().err
    assert status == expected, error
    assert error.startswith(f"{code}: "), error
    return error


def new_key(path: Path, kind: KeyKind = "approver", *, simulation: bool = False) -> Path:
    write_key(path, Identity.generate(kind, simulation=simulation), None, unwrapped=True)
    return path


def init(folder: Path, *more: object, name: str = "north", population: str = "people") -> int:
    return client(
        "init",
        folder,
        "--name",
        name,
        "--population",
        population,
        "--budget-epsilon",
        "4",
        "--budget-delta",
        "1e-6",
        *(more or ("--no-passphrase",)),
    )


def configure(home: Path, **lines: object) -> None:
    """Set keys of client.toml that init leaves open."""
    text = (home / "client.toml").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not any(line.startswith(f"{key} = ") for key in lines)]
    added = [f"{key} = {json.dumps(value)}" for key, value in lines.items()]
    (home / "client.toml").write_text("\n".join([*added, *kept]) + "\n", encoding="utf-8")


def fingerprint(key: Path) -> str:
    public = key.with_name(key.name + ".pub").read_text(encoding="utf-8")
    return public.split()[-1]


def write_contract(home: Path, *, version: int = 1, peers: tuple[str, ...] = (), **fields: str) -> Path:
    values = {"name": "north", "population": "people", "encoding": "utf-8", "gold": "G"} | fields
    line = f"peers = {json.dumps(list(peers))}" if peers else ""
    (home / "schema.toml").write_text(SCHEMA, encoding="utf-8")
    (home / "contract.toml").write_text(
        CONTRACT.format(version=version, peers=line, **values), encoding="utf-8"
    )
    return home / "contract.toml"


def write_table(home: Path, *, rows: int = 40, encoding: str = "utf-8", gold: str = "G") -> None:
    lines = ["customer_id,age,plan,churn"]
    lines += [
        f"C{n},{20 + n % 60},{gold if n % 2 else 'basic'},{'yes' if n % 5 == 0 else 'no'}"
        for n in range(rows)
    ]
    (home / "customers.csv").write_text("\n".join(lines) + "\n", encoding=encoding)


def write_consents(path: Path, keys: list[str], *, encoding: str = "utf-8") -> Path:
    rows = [f"{key},granted,churn-prediction,2026-01-01,{NOTICE}" for key in keys]
    path.write_text(CONSENT_HEADER + "".join(rows), encoding=encoding)
    return path


def events(home: Path, out: Path, *filters: object) -> list[dict[str, Any]]:
    """Events of a holder's log, newest first."""
    assert client("log", "--config", home, "--all", "--json", out, *filters) == 0
    found: list[dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))["events"]
    return found


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """Three holders, their coordinator, and two people of the first holder who approve."""

    root: Path
    home: Path
    desk: Path
    declarations: tuple[Path, ...]
    ana: Path
    ben: Path

    def sign(
        self,
        out: str = "study.signed.json",
        *,
        purpose: str = "churn-prediction",
        epsilon: str = "1.0",
        series: str = "",
    ) -> Path:
        """A signed study of the three holders; `series` is the text of a table that is added."""
        (self.root / "schema.toml").write_text(SCHEMA, encoding="utf-8")
        study = self.root / "study.toml"
        text = STUDY.format(purpose=purpose, epsilon=epsilon, expires="2099-12-31")
        study.write_text(text + series, encoding="utf-8")
        words = [word for one in self.declarations for word in ("--declaration", one)]
        assert server("study", "sign", study, *words, "--config", self.desk, "--out", self.root / out) == 0
        return self.root / out


def budget(town: Town, *words: object) -> dict[str, Any]:
    """What `budget` says of the first holder's ledger, for programs."""
    out = town.root / "budget.json"
    assert client("budget", *words, "--config", town.home, "--json", out) == 0
    found: dict[str, Any] = read(out)
    return found


def left(town: Town) -> Decimal:
    """mu squared that is left to the first holder."""
    return Decimal(budget(town)["left"]["mu_squared"])


def newest(town: Town) -> dict[str, Any]:
    """The last event of the first holder's log."""
    found: dict[str, Any] = events(town.home, town.root / "log.json")[0]
    return found


def town(root: Path) -> Town:
    """A town of one's own: homes with signed contracts that vouch for each other, declared to a
    coordinator.
    """
    shutil.copytree(_template(), root, dirs_exist_ok=True)
    return Town(
        root=root,
        home=root / "north",
        desk=root / "desk",
        declarations=tuple(root / f"{name}.json" for name in NAMES),
        ana=root / "ana.key",
        ben=root / "ben.key",
    )


@lru_cache(maxsize=1)
def _template() -> Path:
    """The town that all are copied from; making one costs some seconds of durable writes."""
    folder = tempfile.TemporaryDirectory(prefix="town-")
    atexit.register(folder.cleanup)
    root = Path(folder.name)
    _make_town(root)
    return root


def _make_town(root: Path) -> None:
    assert server("init", root / "desk", "--name", "city", "--no-passphrase") == 0
    for person in ("ana", "ben"):
        new_key(root / f"{person}.key")
    for name in NAMES:
        assert init(root / name, name=name) == 0
    keys = {name: fingerprint(root / name / "keys" / "holder.key") for name in NAMES}
    for name in NAMES:
        home = root / name
        write_table(home)
        contract = write_contract(
            home, name=name, peers=tuple(keys[other] for other in NAMES if other != name)
        )
        configure(
            home,
            contract="contract.toml",
            approvers=["../ana.key.pub", "../ben.key.pub"],
        )
        desk = root / "desk" / "keys" / "coordinator.key.pub"
        assert client("federation", "add", "city", desk, "--compared", "--config", home) == 0
        assert client("contract", "sign", contract, "--config", home) == 0
        assert client("contract", "declare", "--config", home, "--out", root / f"{name}.json") == 0
    text = (root / "desk" / "server.toml").read_text(encoding="utf-8")
    known = json.dumps(list(keys.values()))
    (root / "desk" / "server.toml").write_text(
        text.replace("holders = []", f"holders = {known}"), encoding="utf-8"
    )
