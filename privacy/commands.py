"""What the commands of holder and coordinator share: sub-commands with a home, passphrases, short forms, exports."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.privacy.errors import N_, UsageError, _
from ringfence.privacy.terminal import Parser, Terminal, add_json, add_language

if TYPE_CHECKING:
    from ringfence.privacy.crypto.secret_files import Passphrases


def in_full(argv: Sequence[str], short: Mapping[str, str]) -> list[str]:
    """The command line with the sub-command that a word stands for by itself.

    Args:
        argv: as typed.
        short: word to sub-command, such as `log` to `list`: `log --all` is `log list --all`.
    """
    words = list(argv)
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] == "--lang" else 1
    if at < len(words) and words[at] in short:
        following = words[at + 1] if at + 1 < len(words) else "-"
        if following.startswith("-") and following not in {"-h", "--help"}:
            words.insert(at + 1, short[words[at]])
    return words


def leaf(
    commands: argparse._SubParsersAction[Parser],
    name: str,
    text: str,
    *,
    more: str = "",
    examples: Sequence[str] = (),
    config: tuple[str, str] | None,
    json: bool = True,
) -> Parser:
    """A sub-command with what nearly all have: `--config`, `--json`, `--lang`.

    Args:
        commands: what it belongs to.
        name: as typed.
        text: one line of help.
        more: further sentences for its own `--help`.
        examples: command lines.
        config: name of the settings file of the home it works in, and the help of `--config`; None without a home.
        json: it has a result for programs.
    """
    description = f"{text[:1].upper()}{text[1:]}. {more}".strip()
    made = commands.add_parser(name, help=text, description=description, examples=examples)
    if config is not None:
        file, said = config
        made.add_argument("--config", type=Path, default=Path(file), metavar="FILE", help=said)
    if json:
        add_json(made)
    add_language(made)
    return made


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Give a command `--passphrase-file`, for keys that are wrapped."""
    parser.add_argument(
        "--passphrase-file",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help=_("first line of FILE unlocks the key instead of a prompt; only its owner may read it; several keys may have one each, in order"),
    )


def add_wrapping(parser: argparse.ArgumentParser) -> None:
    """Give a command that makes keys the choice between a passphrase and none."""
    add_passphrase(parser)
    parser.add_argument(
        "--no-passphrase", action="store_true", help=_("leave the keys unwrapped; whoever copies the file has the key")
    )


def passphrases(arguments: argparse.Namespace) -> Passphrases:
    """Where the command takes passphrases from."""
    from ringfence.privacy.crypto.secret_files import Passphrases

    return Passphrases(files=tuple(arguments.passphrase_file))


def new_passphrase(arguments: argparse.Namespace) -> str | None:
    """The passphrase for keys to be made, None for unwrapped ones.

    Raises:
        UsageError: RF-U430 both a passphrase and none were asked for.
    """
    if not arguments.no_passphrase:
        return passphrases(arguments).new()
    if arguments.passphrase_file:
        raise UsageError("RF-U430", N_("Give either --passphrase-file or --no-passphrase, not both."))
    return None


def add_limit(parser: argparse.ArgumentParser, shown: int = 50) -> None:
    """Give a listing `--limit`."""
    parser.add_argument(
        "--limit", type=int, default=shown, metavar="N", help=_("at most N events (default: {count})").format(count=shown)
    )


def limit(arguments: argparse.Namespace) -> int:
    """How much is listed at most.

    Raises:
        UsageError: RF-U451 when it is below 1.
    """
    asked: int = arguments.limit
    if asked < 1:
        raise UsageError("RF-U451", N_("--limit is at least 1; found {limit}."), limit=asked)
    return asked


def add_export(parser: argparse.ArgumentParser) -> None:
    """Give the export of a log its folder and its key's passphrase."""
    parser.add_argument("directory", type=Path, metavar="DIR", help=_("new or empty folder"))
    add_passphrase(parser)


def export_folder(arguments: argparse.Namespace) -> Path:
    """The folder that a log is exported to.

    Raises:
        UsageError: RF-U452 when something stands there.
    """
    folder: Path = arguments.directory
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            "RF-U452", N_("{folder} exists and is not an empty folder; choose a new one."), folder=str(folder)
        )
    return folder


def tell_export(arguments: argparse.Namespace, *, events: int, root: str, key: str) -> None:
    """Say what was exported."""
    terminal, folder = Terminal.of(arguments), str(arguments.directory)
    terminal.say(_("Wrote {count} events to {folder}.").format(count=events, folder=folder))
    terminal.say(_("Give the auditor the log's key by another way: {key}").format(key=key))
    terminal.write_json({"folder": folder, "events": events, "root": root, "key": key})
