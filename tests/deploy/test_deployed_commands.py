"""Every command line of the deployment files is one that the installed commands understand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kits.deploy_kit import COMPOSE, DOCKERFILES, PAGES, UNITS, command_lines

from ringfence.clients.commands import cli as client
from ringfence.privacy.command_line.terminal import Parser
from ringfence.privacy.errors import UsageError
from ringfence.server.commands import cli as server

PARSERS: dict[str, Callable[[], Parser]] = {
    "ringfence-client": client.parser,
    "ringfence-server": server.parser,
}
FOUND = list(command_lines())


def understood(words: list[str]) -> None:
    """Parse a command line by the parser of its program.

    Raises:
        UsageError: it does not understand it.
    """
    arguments = PARSERS[words[0]]().parse_args(words[1:])
    assert callable(arguments.do)


@pytest.mark.parametrize(("place", "words"), FOUND, ids=[f"{place}:{words[1]}" for place, words in FOUND])
def test_a_command_line_is_understood(place: str, words: list[str]) -> None:
    understood(words)


def test_every_file_has_a_command_line() -> None:
    places = {place for place, _words in FOUND}
    assert places >= {path.name for path in (*DOCKERFILES, *UNITS, *PAGES)}
    assert len([place for place in places if place.startswith("compose ")]) == 4
    assert COMPOSE.is_file()
    assert {"chart coordinator", "chart holder"} <= places


def test_holders_run_and_coordinators_serve_or_run_a_study() -> None:
    started = {(words[0], words[1]) for place, words in FOUND if not place.endswith(".md")}
    assert started == {
        ("ringfence-client", "run"),
        ("ringfence-server", "serve"),
        ("ringfence-server", "study"),
    }


def test_a_renamed_option_is_found() -> None:
    with pytest.raises(UsageError):
        understood(["ringfence-client", "run", "--pass-file", "x"])


def test_secrets_come_from_files_alone() -> None:
    for place, words in FOUND:
        if not place.endswith(".md") and words[1] in {"run", "study"}:
            at = words.index("--passphrase-file")
            assert Path(words[at + 1].replace("%t", "/run")).is_absolute(), place
