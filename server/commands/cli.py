"""`ringfence-server`: the coordinator's command; what is heavy is imported where it is needed."""

from __future__ import annotations

from collections.abc import Sequence

from ringfence.audit.errors import use_language
from ringfence.privacy.command_line.commands import in_full, top_parser
from ringfence.privacy.command_line.terminal import Parser, run
from ringfence.privacy.errors import _
from ringfence.server.commands import gateway, holder, home, keeping, keys, log, operations, schema, study

PROGRAM = "ringfence-server"
# `ringfence-server log` is short for `ringfence-server log list`.
SHORT = {"log": "list"}


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
            "A coordinator's desk: keys, signed schemas, signed studies and their price, the gateway that "
            "holders connect to, runs of studies, and its log."
        ),
        [
            "ringfence-server init desk --name city-analytics",
            "ringfence-server study sign churn.toml --declaration north.json --declaration south.json",
            "ringfence-server serve",
            "ringfence-server study run churn.signed.json --out churn-model",
            "ringfence-server log export evidence",
        ],
        [module.add for module in (home, keys, schema, study, holder, gateway, operations, log, keeping)],
    )
