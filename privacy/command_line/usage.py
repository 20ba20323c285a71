"""What argparse says of command lines, in the reader's language; by itself it speaks English."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import Final

from ringfence.privacy.errors import N_, _

# Its faults as Python 3.11 to 3.13 word them.
_FAULTS: Final = (
    (r"the following arguments are required: (.+)", N_("the following arguments are required: {0}")),
    (r"one of the arguments (.+) is required", N_("one of the arguments {0} is required")),
    (r"unrecognized arguments: (.+)", N_("unrecognized arguments: {0}")),
    (r"argument (.+?): expected one argument", N_("argument {0}: expected one argument")),
    (r"argument (.+?): expected at least one argument", N_("argument {0}: expected at least one argument")),
    (r"argument (.+?): not allowed with argument (.+)", N_("argument {0}: not allowed with argument {1}")),
    (
        r"argument (.+?): invalid choice: (.+) \(choose from (.+)\)",
        N_("argument {0}: invalid choice: {1} (choose from {2})"),
    ),
    (r"argument (.+?): invalid (?:\S+) value: (.+)", N_("argument {0}: invalid value: {1}")),
    (r"argument (.+?): ignored explicit argument (.+)", N_("argument {0}: takes no value, found {1}")),
)


def fault_in_words(message: str) -> str:
    """A fault of a command line, as argparse tells it, in the chosen language; unknown ones as they are."""
    for form, sentence in _FAULTS:
        found = re.fullmatch(form, message, re.DOTALL)
        if found:
            return _(sentence).format(*found.groups())
    return message


class CommandHelp(argparse.RawDescriptionHelpFormatter):
    """Help whose first word is translated too."""

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """As argparse does, with the word for `usage` in the chosen language."""
        super().add_usage(usage, actions, groups, _("usage: ") if prefix is None else prefix)


def in_the_readers_language(parser: argparse.ArgumentParser) -> None:
    """Give a parser made with `add_help=False` its `--help`, and its groups their headings."""
    parser._positionals.title = _("positional arguments")
    parser._optionals.title = _("options")
    parser.add_argument("-h", "--help", action="help", help=_("show this help message and exit"))
