"""`ringfence-client contract`: draft, check, sign and declare what this holder brings."""

from __future__ import annotations

import argparse
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.clients.commands.options import add_federation, leaf
from ringfence.privacy.command_line.commands import add_passphrase, folder_of, new_file, passphrases
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import N_, UsageError, _

if TYPE_CHECKING:
    from ringfence.clients.desk.heading import Heading


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    contract = commands.add_parser("contract", help=_("draft, check, sign and declare the contract"))
    kinds = contract.add_subparsers(metavar=_("COMMAND"), required=True)
    _add_draft(kinds)
    check = leaf(
        kinds,
        "check",
        _("list all faults of a contract and its schema, with their lines, and compare the file's header"),
        more=_("No row is read. A file that is not there is not compared, and that is said."),
        home=False,
        examples=["ringfence-client contract check contract.toml"],
    )
    check.add_argument("file", type=Path, metavar="FILE", help=_("the contract"))
    check.set_defaults(do=_check)
    sign = leaf(
        kinds,
        "sign",
        _("sign a contract with the holder's key; the signed form goes beside it"),
        examples=["ringfence-client contract sign contract.toml --use"],
    )
    sign.add_argument("file", type=Path, metavar="FILE", help=_("the contract"))
    sign.add_argument(
        "--use", action="store_true", help=_("also name it in client.toml, as the contract in force")
    )
    add_passphrase(sign)
    sign.set_defaults(do=_sign)
    declare = leaf(
        kinds,
        "declare",
        _("write the signed declaration that a coordinator enters into studies"),
        more=_(
            "It holds the holder's name and key, the key of its log in the coordinator's federation, "
            "max_customers, overlap and jurisdiction, which features the contract gives to which purpose, "
            "and its digest."
        ),
        examples=["ringfence-client contract declare --out north-bank.json"],
    )
    declare.add_argument(
        "--out",
        type=Path,
        default=Path("holder-declaration.json"),
        metavar="FILE",
        help=_("file to write (default: holder-declaration.json)"),
    )
    add_federation(declare)
    add_passphrase(declare)
    declare.set_defaults(do=_declare)


def _add_draft(kinds: argparse._SubParsersAction[Parser]) -> None:
    draft = leaf(
        kinds,
        "draft",
        _("write a first contract for a table, from its header and types only"),
        more=_(
            "No value of a row is written; what only people know is left as ???. Bounds and categories "
            "always are: they are public facts of a data dictionary. A column whose name says that it "
            "identifies a person is left out."
        ),
        examples=[
            "ringfence-client contract draft customers.csv --subject customer_id --purpose churn-prediction "
            "--out contract.toml",
        ],
        home=False,
        json=False,
    )
    draft.add_argument("file", type=Path, metavar="FILE", help=_("the table: CSV or Parquet"))
    draft.add_argument(
        "--subject", metavar="COLUMN", help=_("the column that names the customer; it becomes no feature")
    )
    draft.add_argument(
        "--purpose",
        action="append",
        default=[],
        metavar="P",
        help=_("a purpose of the catalogue that all columns may be used for; may be given several times"),
    )
    draft.add_argument(
        "--schema",
        type=Path,
        metavar="FILE",
        help=_("the schema that the holders agreed on: its features are mapped, and none are drafted"),
    )
    draft.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=_("the holder's client.toml, or its folder: its name and population are filled in"),
    )
    draft.add_argument("--out", type=Path, metavar="FILE", help=_("file to make (default: standard output)"))
    draft.set_defaults(do=_draft)


def _draft(arguments: argparse.Namespace) -> int:
    from ringfence.clients.home import open_home
    from ringfence.privacy.agreements.draft_text import ContractOutline
    from ringfence.privacy.agreements.drafting import draft_contract
    from ringfence.privacy.agreements.schema import load_schema

    holder = population = None
    if arguments.config is not None:
        with open_home(arguments.config) as home:
            holder, population = home.settings.name, str(home.ledger.terms()["population"])
    known = ContractOutline(
        subject=arguments.subject,
        purposes=tuple(arguments.purpose),
        holder=holder,
        population=population,
        schema=None if arguments.schema is None else load_schema(arguments.schema),
        reference="" if arguments.schema is None else relpath(arguments.schema, folder_of(arguments.out)),
    )
    text = draft_contract(arguments.file, known)
    terminal = Terminal.of(arguments)
    if arguments.out is None:
        terminal.say(text.rstrip("\n"))
        return 0
    new_file(arguments.out, text)
    terminal.say(
        _(
            "Wrote {file}. To be filled in by a person: {count} places (???). Then: ringfence-client "
            "contract check {file}"
        ).format(file=arguments.out, count=text.count('"???"'))
    )
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.heading import compare
    from ringfence.privacy.agreements.contract import load_contract
    from ringfence.privacy.errors import RingfenceError
    from ringfence.privacy.toml.faults import faults_of

    terminal = Terminal.of(arguments)
    try:
        loaded = load_contract(arguments.file)
        heading = compare(loaded)
        heading.require_all()
    except RingfenceError as error:
        faults = [
            {"file": f.file, "line": f.line, "path": f.path, "code": f.code, "sentence": f.sentence}
            for f in faults_of(error)
        ] or [{"file": arguments.file.name, "code": error.code, "sentence": error.sentence()}]
        terminal.write_json({"ready": False, "faults": faults})
        raise
    contract, digest = loaded.contract, loaded.contract.digest()
    for line in _heading_lines(heading):
        terminal.say(line)
    values = {"file": arguments.file.name, "digest": digest}
    if contract.peers:
        terminal.say(_("No faults in {file} ({digest}). It can be signed.").format(**values))
    else:
        terminal.say(
            _(
                "No faults in {file} ({digest}). It can be simulated with. Before it is signed for studies "
                "between holders, enter the others: ringfence-client peer add"
            ).format(**values)
        )
    terminal.write_json(
        {
            "ready": True,
            "faults": [],
            "digest": digest,
            "schema": loaded.schema.digest(),
            "peers": len(contract.peers),
            "header_compared": heading.at_hand,
            "unlisted": list(heading.unlisted),
        }
    )
    return 0


def _heading_lines(heading: Heading) -> list[str]:
    """What the header says, for people."""
    if heading.file is None:
        return []
    if not heading.at_hand:
        return [_("{file} is not here, so its header was not compared.").format(file=heading.file)]
    lines = [_("Every column of the contract stands in the header of {file}.").format(file=heading.file)]
    if heading.unlisted:
        lines.append(
            _("Columns that are not listed, and so never decoded: {columns}").format(
                columns=", ".join(heading.unlisted)
            )
        )
    return lines


def _sign(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.signing import is_in_force, put_in_force, sign_contract
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        loaded, target = sign_contract(home, arguments.file, passphrases(arguments))
        in_force = is_in_force(home, arguments.file)
        if arguments.use and not in_force:
            put_in_force(home, arguments.file)
            in_force = True
    terminal = Terminal.of(arguments)
    digest = loaded.contract.digest()
    terminal.say(_("Signed {digest}: {file}").format(digest=digest, file=target))
    if not in_force:
        terminal.say(
            _("To put it in force: ringfence-client contract sign {file} --use").format(file=arguments.file)
        )
    terminal.write_json(
        {"digest": digest, "version": loaded.contract.version, "signed": str(target), "in_force": in_force}
    )
    return 0


def _declare(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.signing import declare
    from ringfence.clients.home import open_home
    from ringfence.privacy.toml.canonical import plain

    out: Path = arguments.out
    if not out.parent.is_dir():
        raise UsageError("RF-U433", N_("The folder of {file} does not exist; make it first."), file=str(out))
    with open_home(arguments.config) as home:
        asked, belongs = arguments.federation, bool(home.settings.config.federation)
        federation = home.settings.federation(asked) if asked or belongs else None
        made = declare(home, passphrases(arguments), out, federation)
        fingerprint = home.identity.fingerprint
    terminal = Terminal.of(arguments)
    terminal.say(_("Wrote {file}.").format(file=out))
    terminal.say(
        _("Tell the coordinator this fingerprint by another way: {fingerprint}").format(
            fingerprint=fingerprint
        )
    )
    if federation is None:
        said = _("It names no log: this home belongs to no federation yet, and each has a log of its own.")
    else:
        said = _("It names this home's log in the federation {name}.").format(name=federation.name)
    terminal.say(said)
    terminal.write_json({"file": str(out), "fingerprint": fingerprint, "declaration": plain(made)})
    return 0
