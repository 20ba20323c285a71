"""`ringfence-client`: the holder's command. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.audit.errors import use_language
from ringfence.clients.commands import (
    budget,
    consent,
    contract,
    federation,
    home,
    keeping,
    log,
    operations,
    study,
    table,
    trust,
)
from ringfence.privacy.command_line.commands import in_full, top_parser
from ringfence.privacy.command_line.terminal import Parser, run
from ringfence.privacy.errors import _

PROGRAM = "ringfence-client"
# `ringfence-client log --sent` is short for `ringfence-client log list --sent`.
SHORT = {"log": "list", "budget": "show"}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return run(command, argv, program=PROGRAM, speakers=(use_language,))


def command(argv: Sequence[str]) -> int:
    """Parse and do; errors are turned into sentences by `terminal.run`."""
    arguments = parser().parse_args(in_full(argv, SHORT))
    status: int = arguments.do(arguments)
    return status


def parser() -> Parser:
    """The command's parser, also read by the reference documentation's test."""
    return top_parser(
        PROGRAM,
        _(
            "A holder's own affairs: its keys, contract, consents, privacy budget, approvals and log. "
            "Customer rows never leave this machine by any of these commands."
        ),
        [
            "ringfence-client init bank --name north-bank --population retail --budget-epsilon 4 "
            "--budget-delta 1e-7",
            "ringfence-client contract draft customers.csv --out contract.toml",
            "ringfence-client study check churn.signed.json",
            "ringfence-client log --sent",
        ],
        [
            module.add
            for module in (
                *(home, contract, trust, consent, budget, study, table),
                *(federation, operations, log, keeping),
            )
        ],
    )
