"""`ringfence-server schema`: sign the schema that holders share."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringfence.privacy.command_line.commands import add_passphrase, passphrases
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _
from ringfence.server.commands.options import leaf


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Declare the sub-commands."""
    schema = commands.add_parser("schema", help=_("sign the schema that holders share"))
    kinds = schema.add_subparsers(metavar=_("COMMAND"), required=True)
    sign = leaf(kinds, "sign", _("sign a schema; the signed form goes beside it"))
    sign.add_argument("file", type=Path, metavar="FILE", help=_("the schema's TOML file"))
    sign.add_argument(
        "--out", type=Path, metavar="FILE", help=_("file to write (default: beside it, .signed.json)")
    )
    add_passphrase(sign)
    sign.set_defaults(do=_sign)


def _sign(arguments: argparse.Namespace) -> int:
    from ringfence.server.desk.signing import sign_schema_file
    from ringfence.server.home import open_office

    with open_office(arguments.config) as office:
        schema, target = sign_schema_file(office, arguments.file, arguments.out, passphrases(arguments))
    terminal = Terminal.of(arguments)
    terminal.say(_("Signed {digest}: {file}").format(digest=schema.digest(), file=target))
    terminal.write_json({"digest": schema.digest(), "signed": str(target)})
    return 0
