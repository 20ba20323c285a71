"""docs/reference/commands.md lists every sub-command and option of the four commands, as their parsers have
them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import pytest
from checkout import ROOT

from ringfence.audit import cli as audit
from ringfence.clients.commands import cli as client
from ringfence.server.commands import cli as server
from ringfence.simulations import cli as simulate

PAGE = ROOT / "docs" / "reference" / "commands.md"
PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "ringfence-client": client.parser,
    "ringfence-server": server.parser,
    "ringfence-audit": audit.build_parser,
    "ringfence-simulate": simulate.parser,
}
# What nearly all have stands once, at the head of the page.
COMMON = {"--help", "--version", "--lang", "--language"}


def leaves(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every sub-command that does something, with the words that call it."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield " ".join(words), parser
    for group in groups:
        for word, below in group.choices.items():
            yield from leaves(below, (*words, word))


def shown(action: argparse.Action) -> str:
    """An option as a person types it."""
    name = action.option_strings[-1]
    if action.nargs == 0:
        text = name
    elif action.choices is not None:
        text = f"{name} {'|'.join(str(choice) for choice in action.choices)}"
    else:
        text = f"{name} {operand(action)}"
    return f"`{text}`" if action.required else f"[`{text}`]"


def operand(action: argparse.Action) -> str:
    """What is filled in; in brackets where nothing need be."""
    name = str(action.metavar or action.dest.upper())
    if action.nargs in {"*", "+"}:
        name += "..."
    return f"[{name}]" if action.nargs in {"*", "?"} else name


def table(program: str) -> str:
    """One row a sub-command: how it is called, and its options; those in brackets may be left out."""
    lines = ["| sub-command | options |", "|---|---|"]
    for words, parser in leaves(PARSERS[program]()):
        plain = [action for action in parser._actions if not action.option_strings]
        options = [
            action
            for action in parser._actions
            if action.option_strings and not COMMON & set(action.option_strings)
        ]
        called = " ".join([words, *(operand(action) for action in plain)])
        ordered = sorted(options, key=lambda action: not action.required)
        said = ", ".join(shown(action) for action in ordered).replace("|", "\\|") or "-"
        lines.append(f"| `{called}` | {said} |")
    return "\n".join(lines)


@pytest.mark.parametrize("program", PARSERS)
def test_every_sub_command_and_option_is_listed(program: str) -> None:
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {program}\n")[1].split("\n## ")[0]
    wanted = table(program)
    assert wanted in section, f"docs/reference/commands.md should hold under {program}:\n{wanted}"
    assert section.count("\n| `") == wanted.count("\n| `")


@pytest.mark.parametrize("program", PARSERS)
def test_the_listed_words_are_those_of_the_help(program: str) -> None:
    for words, parser in leaves(PARSERS[program]()):
        text = parser.format_help()
        assert f"{program} {words}" in text
        for action in parser._actions:
            assert all(option in text for option in action.option_strings)
            assert action.help, f"{program} {words} {action.dest} has no help"
