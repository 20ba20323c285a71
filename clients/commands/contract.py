"""`ringfence-client contract`: draft, check, sign and declare what this holder brings."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.clients.commands.options import leaf, new_file
from ringfence.privacy.commands import add_passphrase, passphrases
from ringfence.privacy.errors import N_, UsageError, _
from ringfence.privacy.terminal import Parser, Terminal


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    contract = commands.add_parser("contract", help=_("draft, check, sign and declare the contract"))
    kinds = contract.add_subparsers(metavar=_("COMMAND"), required=True)
    draft = leaf(
        kinds,
        "draft",
        _("write a first contract for a table, from its header and types only"),
        more=_("No value of a row is written; what only people know is left as ???."),
        examples=["ringfence-client contract draft customers.csv --out contract.toml"],
        home=False,
        json=False,
    )
    draft.add_argument("file", type=Path, metavar="FILE", help=_("the table: CSV or Parquet"))
    draft.add_argument("--out", type=Path, metavar="FILE", help=_("file to make (default: standard output)"))
    draft.set_defaults(do=_draft)
    check = leaf(
        kinds, "check", _("list all faults of a contract and its schema, with their lines"), home=False,
        examples=["ringfence-client contract check contract.toml"],
    )  # fmt: skip
    check.add_argument("file", type=Path, metavar="FILE", help=_("the contract"))
    check.set_defaults(do=_check)
    sign = leaf(
        kinds,
        "sign",
        _("sign a contract with the holder's key; the signed form goes beside it"),
        examples=["ringfence-client contract sign contract.toml"],
    )
    sign.add_argument("file", type=Path, metavar="FILE", help=_("the contract"))
    add_passphrase(sign)
    sign.set_defaults(do=_sign)
    declare = leaf(
        kinds,
        "declare",
        _("write the signed declaration that a coordinator enters into studies"),
        more=_("It holds the holder's name, keys, max_customers and overlap, and no more of the contract than its digest."),
        examples=["ringfence-client contract declare --out north-bank.json"],
    )
    declare.add_argument(
        "--out",
        type=Path,
        default=Path("holder-declaration.json"),
        metavar="FILE",
        help=_("file to write (default: holder-declaration.json)"),
    )
    add_passphrase(declare)
    declare.set_defaults(do=_declare)


def _draft(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.documents.drafting import draft

    text = draft(arguments.file)
    terminal = Terminal.of(arguments)
    if arguments.out is None:
        terminal.say(text.rstrip("\n"))
        return 0
    new_file(arguments.out, text)
    terminal.say(_("Wrote {file}. Replace every ???, then: ringfence-client contract check {file}").format(file=arguments.out))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.contract import load_contract
    from ringfence.privacy.documents.faults import faults_of
    from ringfence.privacy.errors import ContractError

    terminal = Terminal.of(arguments)
    try:
        loaded = load_contract(arguments.file)
    except ContractError as error:
        faults = [
            {"file": f.file, "line": f.line, "path": f.path, "code": f.code, "sentence": f.sentence}
            for f in faults_of(error)
        ]
        terminal.write_json({"ready": False, "faults": faults})
        raise
    digest = loaded.contract.digest()
    terminal.say(_("{file} has no faults.").format(file=arguments.file.name))
    if not loaded.contract.peers:
        terminal.say(_("It names no peers yet, and without them no study will run: add the fingerprints of the other holders' "
                       "keys before it is signed."))  # fmt: skip
    terminal.say(digest)
    terminal.write_json({"ready": True, "faults": [], "digest": digest, "schema": loaded.schema.digest()})
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    from ringfence.clients.commands.signing import sign_contract
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        loaded, target = sign_contract(home, arguments.file, passphrases(arguments))
        configured = home.settings.config.contract
        in_force = configured is not None and home.settings.contract().resolve() == arguments.file.resolve()
    terminal = Terminal.of(arguments)
    digest = loaded.contract.digest()
    terminal.say(_("Signed {digest}: {file}").format(digest=digest, file=target))
    if not in_force:
        terminal.say(_('To put it in force, set contract = "{file}" in client.toml.').format(file=arguments.file))
    terminal.write_json({"digest": digest, "version": loaded.contract.version, "signed": str(target), "in_force": in_force})
    return 0


def _declare(arguments: argparse.Namespace) -> int:
    from ringfence.clients.commands.signing import declare
    from ringfence.clients.home import open_home
    from ringfence.privacy.documents.canonical import plain

    out: Path = arguments.out
    if not out.parent.is_dir():
        raise UsageError("RF-U433", N_("The folder of {file} does not exist; make it first."), file=str(out))
    with open_home(arguments.config) as home:
        made = declare(home, passphrases(arguments), out)
        fingerprint = home.identity.fingerprint
    terminal = Terminal.of(arguments)
    terminal.say(_("Wrote {file}.").format(file=out))
    terminal.say(_("Tell the coordinator this fingerprint by another way: {fingerprint}").format(fingerprint=fingerprint))
    terminal.write_json({"file": str(out), "fingerprint": fingerprint, "declaration": plain(made)})
    return 0
