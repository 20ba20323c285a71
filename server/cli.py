"""`ringfence-server`: the coordinator's command. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ringfence.privacy.commands import (
    add_export,
    add_limit,
    add_passphrase,
    add_wrapping,
    export_folder,
    in_full,
    leaf,
    limit,
    new_passphrase,
    passphrases,
    tell_export,
)
from ringfence.privacy.errors import _
from ringfence.privacy.terminal import Parser, Terminal, add_language, add_version, run

PROGRAM = "ringfence-server"
# `ringfence-server log` is short for `ringfence-server log list`.
SHORT = {"log": "list"}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return run(command, argv, program=PROGRAM)


def command(argv: Sequence[str]) -> int:
    """Parse and do; errors are turned into sentences by `terminal.run`."""
    arguments = parser().parse_args(in_full(argv, SHORT))
    status: int = arguments.do(arguments)
    return status


def parser() -> Parser:
    """The command's parser, also read by the reference documentation's test."""
    top = Parser(
        prog=PROGRAM,
        description=_(
            "A coordinator's desk: keys, signed schemas, signed studies and their price, and its log. It runs no study "
            "and opens no network port."
        ),
        examples=[
            "ringfence-server init desk --name city-analytics",
            "ringfence-server study sign churn.toml --declaration north.json --declaration south.json",
            "ringfence-server log export evidence",
        ],
    )
    add_version(top)
    add_language(top)
    commands = top.add_subparsers(metavar=_("COMMAND"), required=True)
    _add_init(commands)
    _add_documents(commands)
    _add_log(commands)
    holders = _leaf(commands, "holders", _("list the holders whose keys are known, and what was last seen of each"))
    holders.set_defaults(do=_holders)
    return top


def _leaf(
    commands: argparse._SubParsersAction[Parser],
    name: str,
    text: str,
    *,
    home: bool = True,
    examples: Sequence[str] = (),
) -> Parser:
    config = "server.toml", _("the coordinator's server.toml, or its folder (default: server.toml here)")
    return leaf(commands, name, text, examples=examples, config=config if home else None)


def _add_init(commands: argparse._SubParsersAction[Parser]) -> None:
    init = _leaf(
        commands, "init", _("make a coordinator's home: keys, store, log, server.toml; all or nothing"), home=False,
        examples=["ringfence-server init desk --name city-analytics"],
    )  # fmt: skip
    init.add_argument("folder", type=Path, metavar="FOLDER", help=_("folder to make"))
    init.add_argument("--name", required=True, help=_("name of the coordinator's organisation"))
    add_wrapping(init)
    init.set_defaults(do=_init)


def _add_documents(commands: argparse._SubParsersAction[Parser]) -> None:
    schema = commands.add_parser("schema", help=_("sign the schema that holders share"))
    kinds = schema.add_subparsers(metavar=_("COMMAND"), required=True)
    sign = _leaf(kinds, "sign", _("sign a schema; the signed form goes beside it"))
    sign.add_argument("file", type=Path, metavar="FILE", help=_("the schema's TOML file"))
    sign.add_argument("--out", type=Path, metavar="FILE", help=_("file to write (default: beside it, .signed.json)"))
    add_passphrase(sign)
    sign.set_defaults(do=_sign_schema)
    study = commands.add_parser("study", help=_("sign studies and show them"))
    kinds = study.add_subparsers(metavar=_("COMMAND"), required=True)
    sign = _leaf(
        kinds, "sign", _("enter the holders by their signed declarations, sign the study and tell its price"),
        examples=["ringfence-server study sign churn.toml --declaration north.json --declaration south.json"],
    )  # fmt: skip
    sign.add_argument("file", type=Path, metavar="STUDY", help=_("the study's TOML file"))
    sign.add_argument(
        "--declaration",
        action="append",
        type=Path,
        required=True,
        metavar="FILE",
        help=_("a holder's declaration (ringfence-client contract declare); one for each holder"),
    )
    sign.add_argument(
        "--prior", type=Path, metavar="CARD", help=_("begin from an earlier scorecard, the scorecard.json of a release")
    )
    sign.add_argument("--out", type=Path, metavar="FILE", help=_("file to write (default: beside it, .signed.json)"))
    add_passphrase(sign)
    sign.set_defaults(do=_sign_study)
    show = _leaf(kinds, "show", _("show a study that this coordinator signed"))
    show.add_argument("file", type=Path, metavar="STUDY", help=_("the signed study"))
    show.set_defaults(do=_show)


def _add_log(commands: argparse._SubParsersAction[Parser]) -> None:
    log = commands.add_parser("log", help=_("the coordinator's log: list and export"))
    kinds = log.add_subparsers(metavar=_("COMMAND"), required=True)
    listing = _leaf(kinds, "list", _("list events, newest first (the same as log alone)"))
    listing.add_argument("--type", metavar="ACTION", help=_("only this type, or a group such as study."))
    add_limit(listing)
    listing.set_defaults(do=_list)
    export = _leaf(kinds, "export", _("write the log as a bundle that ringfence-audit verify checks offline"))
    add_export(export)
    export.set_defaults(do=_export)


def _init(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.homes import require_free
    from ringfence.server.office import found

    require_free(arguments.folder)
    own, log_key = found(arguments.folder, arguments.name, new_passphrase(arguments))
    terminal = Terminal.of(arguments)
    terminal.say(_("Made the home of {name} in {folder}.").format(name=arguments.name, folder=arguments.folder))
    terminal.say(_("coordinator key  {fingerprint}").format(fingerprint=own.fingerprint))
    terminal.say(_("log key          {fingerprint}").format(fingerprint=log_key.fingerprint))
    terminal.say(_("Next: give holders keys/coordinator.key.pub, and enter their fingerprints in server.toml."))
    terminal.write_json(
        {
            "folder": str(arguments.folder),
            "name": arguments.name,
            "coordinator_key": own.hex,
            "coordinator_fingerprint": own.fingerprint,
            "log_key": log_key.hex,
        }
    )
    return 0


def _sign_schema(arguments: argparse.Namespace) -> int:
    from ringfence.server.office import open_office
    from ringfence.server.signing import sign_schema_file

    with open_office(arguments.config) as office:
        schema, target = sign_schema_file(office, arguments.file, arguments.out, passphrases(arguments))
    terminal = Terminal.of(arguments)
    terminal.say(_("Signed {digest}: {file}").format(digest=schema.digest(), file=target))
    terminal.write_json({"digest": schema.digest(), "signed": str(target)})
    return 0


def _sign_study(arguments: argparse.Namespace) -> int:
    from ringfence.server.office import open_office
    from ringfence.server.signing import sign_study_file

    with open_office(arguments.config) as office:
        made = sign_study_file(
            office, arguments.file, arguments.declaration, arguments.out, passphrases(arguments), arguments.prior
        )
    terminal = Terminal.of(arguments)
    report = made.price.as_report()
    terminal.say(_("Signed {digest}: {file}").format(digest=made.opened.digest, file=made.file))
    for name, value in report.items():
        terminal.say(f"  {name:28} {value}")
    terminal.say(_("Hand the file to every holder; two people approve it there (ringfence-client study approve)."))
    terminal.write_json({"digest": made.opened.digest, "signed": str(made.file), "price": report})
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from ringfence.privacy.documents.canonical import plain
    from ringfence.server.office import open_office
    from ringfence.server.signing import read_own_study

    with open_office(arguments.config) as office:
        study = read_own_study(office, arguments.file)
    terminal = Terminal.of(arguments)
    fields = plain(study)
    terminal.say(study.digest())
    for name, value in fields.items():
        terminal.say(f"{name:12} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    terminal.write_json({"digest": study.digest(), "study": fields})
    return 0


def _holders(arguments: argparse.Namespace) -> int:
    from ringfence.server.office import open_office

    with open_office(arguments.config) as office:
        known, seen = office.settings.config.holders, office.seen()
    terminal = Terminal.of(arguments)
    terminal.say(_("Fingerprints in server.toml: {count}").format(count=len(known)))
    for fingerprint in known:
        terminal.say(f"  {fingerprint}")
    terminal.say(_("Holders seen in studies: {count}").format(count=len(seen)))
    for row in seen:
        terminal.say("  " + " ".join(f"{name}={value}" for name, value in row.items()))
    terminal.write_json({"fingerprints": list(known), "seen": seen})
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from ringfence.audit.listing import Filter, line, members, newest
    from ringfence.server.office import open_office

    most = limit(arguments)
    with open_office(arguments.config) as office:
        found = newest(office.log, Filter(action=arguments.type), most)
    terminal = Terminal.of(arguments)
    for logged in found:
        terminal.say(line(logged))
    terminal.write_json({"events": [members(logged) for logged in found]})
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from ringfence.server.office import open_office

    directory = export_folder(arguments)
    with open_office(arguments.config, passphrases=passphrases(arguments)) as office:
        made = office.log.export_bundle(directory)
        key = str(office.log.verifier)
    tell_export(arguments, events=made.size, root=made.root.hex(), key=key)
    return 0
