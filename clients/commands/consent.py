"""`ringfence-client consent`: take in consents and withdrawals, and ask what stands."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.clients.commands.options import leaf
from ringfence.privacy.command_line.alignment import padded, right
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import N_, ConsentError, UsageError, _

if TYPE_CHECKING:
    from ringfence.clients.home import Home
    from ringfence.privacy.stores.journal import Json

ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "gbk", "latin-1", "cp1252", "utf-16")
KINDS = ("withdrawn", "objected", "refused")
EVENTS = {
    "granted": N_("granted"),
    "renewed": N_("renewed"),
    "refused": N_("refused"),
    "withdrawn": N_("withdrawn"),
    "expired": N_("expired"),
    "objected": N_("objected"),
}
STANDINGS = {
    "eligible": N_("eligible"),
    "lapsed": N_("lapsed"),
    "pending": N_("pending"),
    "refused": N_("refused"),
    "withdrawn": N_("withdrawn"),
    "objected": N_("objected"),
    "subjects": N_("subjects"),
}


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    consent = commands.add_parser("consent", help=_("take in consents and withdrawals, and ask what stands"))
    kinds = consent.add_subparsers(metavar=_("COMMAND"), required=True)
    taking = leaf(
        kinds,
        "import",
        _("import a file of consent events: all rows or none"),
        more=_(
            "The contract's jurisdiction decides which legal bases exist, and its consent_time_zone "
            "whose days the file names. Customer keys are not stored."
        ),
        examples=[
            "ringfence-client consent import consents.csv",
            "ringfence-client consent import consents.csv --encoding gb18030 --delimiter ';'",
        ],
    )
    taking.add_argument("file", type=Path, metavar="FILE", help=_("CSV or Parquet file of consent events"))
    taking.add_argument(
        "--delimiter", default=",", metavar="CHARACTER", help=_("between two cells (default: ,)")
    )
    _add_encoding(taking)
    taking.set_defaults(do=_import)
    leaving = leaf(
        kinds,
        "withdraw",
        _("record that customers withdraw; they are out by the next round"),
        more=_(
            "Keys on the command line stay in the shell's history; --file avoids that. A customer the "
            "registry does not know is recorded too, so that an older consent that arrives later brings "
            "nobody back."
        ),
        examples=[
            "ringfence-client consent withdraw --file leaving.txt --purpose all",
            "ringfence-client consent withdraw C-1041 --purpose churn-prediction",
        ],
    )
    leaving.add_argument("keys", nargs="*", metavar="KEY", help=_("customer keys, as the table spells them"))
    leaving.add_argument("--file", type=Path, metavar="FILE", help=_("text file, one customer key a line"))
    _add_encoding(leaving)
    leaving.add_argument("--purpose", required=True, metavar="P", help=_("a purpose, or all"))
    leaving.add_argument(
        "--kind", choices=KINDS, default="withdrawn", help=_("what happened (default: withdrawn)")
    )
    leaving.set_defaults(do=_withdraw)
    status = leaf(kinds, "status", _("what the registry holds about one customer, by purpose"))
    status.add_argument("key", metavar="KEY", help=_("customer key, as the table spells it"))
    status.set_defaults(do=_status)
    coverage = leaf(kinds, "coverage", _("how many customers stand where, by purpose; for this house only"))
    coverage.set_defaults(do=_coverage)


def _add_encoding(parser: Parser) -> None:
    parser.add_argument(
        "--encoding", choices=ENCODINGS, default="utf-8", help=_("of the file (default: utf-8)")
    )


def _import(arguments: argparse.Namespace) -> int:
    from ringfence.clients.home import open_home
    from ringfence.privacy.tables.tabular import Layout

    if len(arguments.delimiter) != 1:
        raise UsageError(
            "RF-U440", N_("--delimiter is one character; found {count}."), count=len(arguments.delimiter)
        )
    layout = Layout(delimiter=arguments.delimiter, encoding=arguments.encoding)
    action, resource = "consent.imported", "consent-registry"
    with open_home(arguments.config) as home:
        with home.refusals(action, resource):
            contract = home.contract().contract
            registry = home.registry()
        with home.refusals(action, resource, recorded=ConsentError):  # what the file's content is refused for
            made = registry.import_file(
                arguments.file, jurisdiction=contract.jurisdiction, layout=layout, zone=contract.consent_zone
            )
    terminal = Terminal.of(arguments)
    terminal.say(
        _("Events recorded: {rows}; new customers: {new}.").format(rows=made.rows, new=made.new_subjects)
    )
    for word, count in made.by_kind.items():
        terminal.say(f"  {padded(_(EVENTS[word]), 10)} {count}")
    terminal.write_json(
        {"rows": made.rows, "new_customers": made.new_subjects, "by_kind": dict(made.by_kind)}
    )
    return 0


def _withdraw(arguments: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from ringfence.clients.home import open_home
    from ringfence.privacy.consent.records import KIND_BY_WORD
    from ringfence.privacy.tables.celltext import trimmed_key

    keys = sorted(
        {trimmed_key(key) for key in (*arguments.keys, *_lines(arguments.file, arguments.encoding))} - {""}
    )
    if not keys:
        raise UsageError("RF-U441", N_("No customer key was given; name some, or a file with --file."))
    with open_home(arguments.config) as home, home.refusals("consent.withdrawn", "consent-registry"):
        registry = home.registry()
        unknown = int((registry.indices(keys) < 0).sum())
        count = registry.withdraw(
            keys,
            arguments.purpose,
            datetime.now(UTC),
            kind=KIND_BY_WORD[arguments.kind],  # type: ignore[arg-type]
        )
    terminal = Terminal.of(arguments)
    terminal.say(_("Customers recorded: {count}.").format(count=count))
    if unknown:
        terminal.say(_("Unknown before: {count}; check how their keys are written.").format(count=unknown))
    terminal.write_json({"recorded": count, "unknown_before": unknown, "purpose": arguments.purpose})
    return 0


def _lines(path: Path | None, encoding: str) -> list[str]:
    """Lines of a text file, with or without a byte order mark."""
    if path is None:
        return []
    try:
        text = path.read_bytes().decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # text of two bytes a character decodes to this where it decodes at all
        raise ConsentError(
            "RF-N100",
            N_(
                "{file} is not {encoding} text; nothing was recorded. Save it as UTF-8, or name its encoding "
                "with --encoding."
            ),
            file=path.name,
            encoding=encoding,
        )
    return text.replace("\r", "\n").split("\n")


def _status(arguments: argparse.Namespace) -> int:
    from ringfence.clients.home import open_home
    from ringfence.privacy.tables.celltext import trimmed_key

    with open_home(arguments.config) as home:
        with home.refusals("consent.read", "consent-registry"):
            registry = home.registry()
            found, index = (
                registry.status(arguments.key),
                int(registry.indices([trimmed_key(arguments.key)])[0]),
            )
        _record(home, "status", {"index": index})
    terminal = Terminal.of(arguments)
    if not found:
        terminal.say(_("The registry holds nothing about this customer, who is thus in no study."))
    for name, standing in found.items():
        may = _("may be used") if standing.eligible else _("may not be used")
        since = "" if standing.since is None else f"{standing.since:%Y-%m-%d}"
        until = "" if standing.valid_until is None else f" - {standing.valid_until:%Y-%m-%d}"
        event = padded(_(EVENTS[standing.kind.word]), 10)
        terminal.say(f"{name:24} {event} {since}{until}  {may}")
    terminal.write_json(
        {
            "purposes": {
                name: {
                    "event": standing.kind.word,
                    "since": _time(standing.since),
                    "valid_from": _time(standing.valid_from),
                    "valid_until": _time(standing.valid_until),
                    "eligible": standing.eligible,
                    "terms": None if standing.terms is None else dict(standing.terms),
                }
                for name, standing in found.items()
            }
        }
    )
    return 0


def _record(home: Home, use: str, private: Mapping[str, Json]) -> None:
    """Record a look into the registry before anything of it is shown.

    Only the private part says about whom, by the customer's number in the registry (-1 for one it does not
    know).
    """
    home.log.record(
        "consent.read", "allow", resource="consent-registry", public={"use": use}, private=private
    )


def _time(moment: object) -> str | None:
    return None if moment is None else str(moment)


def _coverage(arguments: argparse.Namespace) -> int:
    from ringfence.clients.home import open_home

    with open_home(arguments.config) as home:
        with home.refusals("consent.read", "consent-registry"):
            found = {name: counts.as_dict() for name, counts in home.registry().coverage().items()}
        _record(home, "coverage", {})
    terminal = Terminal.of(arguments)
    columns = {name: _(heading) for name, heading in STANDINGS.items()}
    terminal.say(padded("", 24) + "".join(right(heading, 11) for heading in columns.values()))
    for name, counts in found.items():
        if counts["subjects"]:
            terminal.say(padded(name, 24) + "".join(right(counts[column], 11) for column in columns))
    terminal.write_json({"purposes": found})
    return 0
