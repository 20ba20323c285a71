"""`ringfence-server`: the coordinator's command. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.privacy.errors import N_, UsageError, _
from ringfence.privacy.terminal import Parser, Terminal, add_json, add_language, add_version, run

if TYPE_CHECKING:
    from ringfence.audit.events import LoggedEvent
    from ringfence.server.passphrases import Passphrases

PROGRAM = "ringfence-server"
SHOWN = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return run(command, argv, program=PROGRAM)


def command(argv: Sequence[str]) -> int:
    """Parse and do; errors are turned into sentences by `terminal.run`."""
    arguments = parser().parse_args(in_full(argv))
    status: int = arguments.do(arguments)
    return status


def in_full(argv: Sequence[str]) -> list[str]:
    """The command line with the sub-command `list` that `log` stands for by itself."""
    words = list(argv)
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] == "--lang" else 1
    if words[at : at + 1] == ["log"]:
        following = words[at + 1] if at + 1 < len(words) else "-"
        if following.startswith("-") and following not in {"-h", "--help"}:
            words.insert(at + 1, "list")
    return words


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
    description = f"{text[:1].upper()}{text[1:]}."
    made = commands.add_parser(name, help=text, description=description, examples=examples)
    if home:
        made.add_argument(
            "--config",
            type=Path,
            default=Path("server.toml"),
            metavar="FILE",
            help=_("the coordinator's server.toml, or its folder (default: server.toml here)"),
        )
    add_json(made)
    add_language(made)
    return made


def _add_passphrase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help=_("first line of FILE unlocks the key instead of a prompt; only its owner may read it"),
    )


def _add_init(commands: argparse._SubParsersAction[Parser]) -> None:
    init = _leaf(
        commands, "init", _("make a coordinator's home: keys, store, log, server.toml; all or nothing"), home=False,
        examples=["ringfence-server init desk --name city-analytics"],
    )  # fmt: skip
    init.add_argument("folder", type=Path, metavar="FOLDER", help=_("folder to make"))
    init.add_argument("--name", required=True, help=_("name of the coordinator's organisation"))
    _add_passphrase(init)
    init.add_argument(
        "--no-passphrase", action="store_true", help=_("leave the keys unwrapped; whoever copies the file has the key")
    )
    init.set_defaults(do=_init)


def _add_documents(commands: argparse._SubParsersAction[Parser]) -> None:
    schema = commands.add_parser("schema", help=_("sign the schema that holders share"))
    kinds = schema.add_subparsers(metavar=_("COMMAND"), required=True)
    sign = _leaf(kinds, "sign", _("sign a schema; the signed form goes beside it"))
    sign.add_argument("file", type=Path, metavar="FILE", help=_("the schema's TOML file"))
    sign.add_argument("--out", type=Path, metavar="FILE", help=_("file to write (default: beside it, .signed.json)"))
    _add_passphrase(sign)
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
    sign.add_argument("--out", type=Path, metavar="FILE", help=_("file to write (default: beside it, .signed.json)"))
    _add_passphrase(sign)
    sign.set_defaults(do=_sign_study)
    show = _leaf(kinds, "show", _("show a study that this coordinator signed"))
    show.add_argument("file", type=Path, metavar="STUDY", help=_("the signed study"))
    show.set_defaults(do=_show)


def _add_log(commands: argparse._SubParsersAction[Parser]) -> None:
    log = commands.add_parser("log", help=_("the coordinator's log: list and export"))
    kinds = log.add_subparsers(metavar=_("COMMAND"), required=True)
    listing = _leaf(kinds, "list", _("list events, newest first (the same as log alone)"))
    listing.add_argument("--type", metavar="ACTION", help=_("only this type, or a group such as study."))
    listing.add_argument(
        "--limit", type=int, default=SHOWN, metavar="N", help=_("at most N events (default: {count})").format(count=SHOWN)
    )
    listing.set_defaults(do=_list)
    export = _leaf(kinds, "export", _("write the log as a bundle that ringfence-audit verify checks offline"))
    export.add_argument("directory", type=Path, metavar="DIR", help=_("new or empty folder"))
    _add_passphrase(export)
    export.set_defaults(do=_export)


def _passphrases(arguments: argparse.Namespace) -> Passphrases:
    from ringfence.server.passphrases import Passphrases

    return Passphrases(file=arguments.passphrase_file)


def _init(arguments: argparse.Namespace) -> int:
    from ringfence.server.office import found, require_free

    if arguments.no_passphrase and arguments.passphrase_file is not None:
        raise UsageError("RF-U430", N_("Give either --passphrase-file or --no-passphrase, not both."))
    require_free(arguments.folder)
    passphrase = None if arguments.no_passphrase else _passphrases(arguments).new()
    own, log_key = found(arguments.folder, arguments.name, passphrase)
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
        schema, target = sign_schema_file(office, arguments.file, arguments.out, _passphrases(arguments))
    terminal = Terminal.of(arguments)
    terminal.say(_("Signed {digest}: {file}").format(digest=schema.digest(), file=target))
    terminal.write_json({"digest": schema.digest(), "signed": str(target)})
    return 0


def _sign_study(arguments: argparse.Namespace) -> int:
    from ringfence.server.office import open_office
    from ringfence.server.signing import sign_study_file

    with open_office(arguments.config) as office:
        made = sign_study_file(
            office, arguments.file, arguments.declaration, arguments.out, _passphrases(arguments)
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
    from ringfence.server.office import open_office

    if arguments.limit < 1:
        raise UsageError("RF-U451", N_("--limit is at least 1; found {limit}."), limit=arguments.limit)
    kind: str | None = arguments.type
    with open_office(arguments.config) as office:
        found = [
            one
            for one in office.log.events()
            if kind is None or one.event.action == kind or (kind.endswith(".") and one.event.action.startswith(kind))
        ][-arguments.limit :][::-1]
    terminal = Terminal.of(arguments)
    for logged in found:
        event = logged.event
        said = json.dumps(dict(event.public), ensure_ascii=False)
        terminal.say(f"{logged.seq:>6} {event.time[:19]}Z {event.action:20} {event.outcome:6} {event.resource} {said}")
    terminal.write_json({"events": [_members(logged) for logged in found]})
    return 0


def _members(logged: LoggedEvent) -> dict[str, object]:
    event = logged.event
    return {
        "event": logged.seq,
        "time": event.time,
        "action": event.action,
        "outcome": event.outcome,
        "resource": event.resource,
        "public": dict(event.public),
    }


def _export(arguments: argparse.Namespace) -> int:
    from ringfence.server.office import open_office

    directory: Path = arguments.directory
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(
            "RF-U452", N_("{folder} exists and is not an empty folder; choose a new one."), folder=str(directory)
        )
    with open_office(arguments.config, passphrases=_passphrases(arguments)) as office:
        made = office.log.export_bundle(directory)
        key = str(office.log.verifier)
    terminal = Terminal.of(arguments)
    terminal.say(_("Wrote {count} events to {folder}.").format(count=made.size, folder=directory))
    terminal.say(_("Give the auditor the log's key by another way: {key}").format(key=key))
    terminal.write_json({"folder": str(directory), "events": made.size, "root": made.root.hex(), "key": key})
    return 0
