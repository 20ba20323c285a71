"""`ringfence-client`: the holder's command. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.clients.commands import budget, consent, contract, home, log, study, table
from ringfence.privacy.commands import in_full
from ringfence.privacy.errors import _
from ringfence.privacy.terminal import Parser, add_language, add_version, run

PROGRAM = "ringfence-client"
# `ringfence-client log --sent` is short for `ringfence-client log list --sent`.
SHORT = {"log": "list", "budget": "show"}


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
            "A holder's own affairs: its keys, contract, consents, privacy budget, approvals and log. Customer rows "
            "never leave this machine by any of these commands."
        ),
        examples=[
            "ringfence-client init bank --name north-bank --population retail --budget-epsilon 4 --budget-delta 1e-7",
            "ringfence-client contract draft customers.csv --out contract.toml",
            "ringfence-client study check churn.signed.json",
            "ringfence-client log --sent",
        ],
    )
    add_version(top)
    add_language(top)
    commands = top.add_subparsers(metavar=_("COMMAND"), required=True)
    for module in (
        home,
        contract,
        consent,
        budget,
        study,
        table,
        log,
    ):
        module.add(commands)
    return top
