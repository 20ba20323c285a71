"""`ringfence-client study show`: a study in full sentences, before anybody approves it."""

from __future__ import annotations

import argparse

from ringfence.clients.commands.options import add_named_study, leaf
from ringfence.privacy.command_line.terminal import Parser, Terminal
from ringfence.privacy.errors import _


def add_showing(kinds: argparse._SubParsersAction[Parser]) -> None:
    """Declare it among the sub-commands of `study`."""
    show = leaf(
        kinds,
        "show",
        _("say in full sentences what a study asks, with whom, at what price, and what becomes of it"),
        more=_("For the people who approve. Nothing is read of the table and nothing is spent."),
        examples=[
            "ringfence-client study show churn-1",
            "ringfence-client study show churn.signed.json --lang zh",
        ],
    )
    add_named_study(show)
    show.set_defaults(do=_show)


def _show(arguments: argparse.Namespace) -> int:
    from ringfence.clients.desk.showing import sentences
    from ringfence.clients.desk.standing_copy import StandingCopy
    from ringfence.clients.desk.whatif import answer, read_study
    from ringfence.clients.home import open_home
    from ringfence.privacy.toml.canonical import plain

    with open_home(arguments.config) as home:
        study, loaded = read_study(home, arguments.study), home.contract()
        found = answer(home, study, loaded)
        copy = StandingCopy.of(home, found.digest, loaded, found.decoded)
        lines = sentences(found, loaded, home.coordinator(), copy)
    terminal = Terminal.of(arguments)
    for line in lines:
        terminal.say(line)
    terminal.write_json(
        {**found.as_json(), "table": copy.as_json(), "asked": plain(found.study), "sentences": lines}
    )
    return 0
